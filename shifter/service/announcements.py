"""Real-time load that operators announce: kept, listed beside what the settings announce, and taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from shifter.errors import Conflict, NotFound
from shifter.realtime.announced import AnnouncedLoad
from shifter.realtime.announcement import Announcement, check_announcement
from shifter.service.capacity import check_asked
from shifter.service.core import Change, Core
from shifter.store import announcements as rows
from shifter.views import AnnouncementView

REPLAN = "announcement"


@runtime_checkable
class Heeding(Protocol):
    """A `RealtimeMaker` that looks at what is announced: at that of the settings, and at that of the store."""

    announced: tuple[AnnouncedLoad, ...]


class Announcing:
    """The part of `Service` that whoever knows of load to come calls."""

    core: Core

    def announce(self, announcement: Announcement, actor: str) -> AnnouncementView:
        """Real-time load to come; a new plan is asked for. The same again is the same. Raises NotFound (site, pool),
        InputError (window, nothing announced), Conflict (the id with other content; nothing would heed it), NotReady.
        """
        return announce(self.core, announcement, actor)

    def announcements(self, since: datetime | None = None) -> list[AnnouncementView]:
        """Those that end after `since` (default: now), and those of the settings. Raises NotReady."""
        return listed(self.core, since)

    def withdraw_announcement(self, announcement_id: str, actor: str) -> AnnouncementView:
        """Taken back, by anyone, as if it had never been said; what it was. Raises NotFound, NotReady."""
        return withdraw(self.core, announcement_id, actor)


def announce(core: Core, announcement: Announcement, actor: str) -> AnnouncementView:
    """See `Announcing.announce`."""
    check_asked(core.fleet, announcement.site, announcement.pool, None, None)
    with core.writing:
        with core.reading() as db:
            kept = rows.find(db, announcement.id)
        if kept is not None and kept.announcement == announcement:
            return _view(core, kept)
        if kept is not None:
            raise Conflict(
                f"{announcement.id} is already an announcement, with other content.",
                field="id",
                hint="Give a new one a new id, or withdraw that one first.",
            )
        if _heeding(core) is None:
            raise Conflict(
                "no plan would hold it: real-time load is not forecast from what is measured.",
                hint="Set realtime: {profile: measured} and start again, or change the realtime.csv that is read.",
            )
        check_announcement(announcement, core.now())
        with core.change() as change:
            kept = rows.add(change.db, announcement, change.at, actor)
            _put_down(change, announcement, actor, "announcement.create")
    return _view(core, kept)


def listed(core: Core, since: datetime | None) -> list[AnnouncementView]:
    """See `Announcing.announcements`."""
    since = since or core.now()
    with core.reading() as db:
        kept = rows.ending_after(db, since)
    heeding = _heeding(core)
    found = [_fixed(core, load) for load in (heeding.announced if heeding else ()) if load.end > since]
    return sorted([*found, *(_view(core, one) for one in kept)], key=lambda v: (v.start, v.name, v.id or ""))


def withdraw(core: Core, announcement_id: str, actor: str) -> AnnouncementView:
    """See `Announcing.withdraw_announcement`.

    As if it had never been said: that it ends now would leave what was measured in it learnt from as the load that it
    announced, and too little would be held where that never came.
    """
    with core.writing:
        with core.reading() as db:
            kept = rows.find(db, announcement_id)
        if kept is None:
            raise NotFound(
                f"there is no announcement {announcement_id}.",
                field="id",
                hint="Look at GET /v1/realtime/announcements. What stands in the settings is taken back there.",
            )
        with core.change() as change:
            rows.drop(change.db, announcement_id)
            _put_down(change, kept.announcement, actor, "announcement.withdraw")
    return _view(core, kept)


def _put_down(change: Change, told: Announcement, actor: str, action: str) -> None:
    """Who did it, and a new plan."""
    detail: dict[str, Any] = {
        "name": told.name,
        "start": told.start,
        "end": told.end,
        "factor": told.factor,
        "added_accelerators": told.added_accelerators,
        "site": told.site,
        "pool": told.pool,
    }
    change.audit(actor, action, told.id, **detail)
    change.replan = REPLAN


def _heeding(core: Core) -> Heeding | None:
    maker: object = core.realtime
    return maker if isinstance(maker, Heeding) else None


def _view(core: Core, kept: rows.Kept) -> AnnouncementView:
    of = replace(_fixed(core, kept.announcement.load), id=kept.announcement.id, fixed=False)
    return replace(of, created_at=kept.created_at, created_by=kept.created_by)


def _fixed(core: Core, load: AnnouncedLoad) -> AnnouncementView:
    return AnnouncementView(
        id=None,
        name=load.name,
        start=load.start,
        end=load.end,
        factor=load.factor,
        added_accelerators=load.added,
        site=load.site,
        pool=load.pool,
        fixed=True,
        heeded=_heeded(core, load),
        created_at=None,
        created_by=None,
    )


def _heeded(core: Core, load: AnnouncedLoad) -> bool:
    return _heeding(core) is not None and any(load.concerns(key) for key in core.fleet.pools)
