"""Follow what a grid tells by OpenADR 3: limits become grid events, and what is no limit is told.

A VTN's IMPORT_CAPACITY_LIMIT becomes a grid event of the site that its targets name: changed where the VTN changes it,
withdrawn where it is gone from there. A VTN that does not answer, or not whole, changes nothing: what it told stays in
force until its end. Levels (SIMPLE) and alerts limit nothing by themselves, and orders (DISPATCH_…) are not supported:
each is told once as a notice.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from forecasts.errors import ForecastRejected, ShifterError, SourceUnavailable
from forecasts.slots import isoformat_z
from forecasts.sources.openadr3_events import Event, Stretch, events_of, overlaid
from forecasts.sources.openadr3_vtn import Json, Vtn
from shifter.domain.grid_event import GridEvent
from shifter.errors import NotReady
from shifter.service.core import Core
from shifter.service.followed import follow_grid_events
from shifter.telemetry import get_logger
from shifter.views import EventKind, SourceView

OURS = "openadr3:"
"""What the name of every feed begins with."""
LIMIT = "IMPORT_CAPACITY_LIMIT"
TOLD = ("SIMPLE", "ALERT_")
UNSUPPORTED = (
    "DISPATCH_",
    "CONTROL_",
    "CHARGE_STATE_SETPOINT",
    "IMPORT_CAPACITY_SUBSCRIPTION",
    "IMPORT_CAPACITY_RESERVATION",
    "EXPORT_CAPACITY_LIMIT",
)
"""Begin of payload types that ask for something which is not done."""
TO_KW = {"KW": 1.0, "W": 0.001, "MW": 1000.0}
"""Units of a limit that are understood; without any it is kW, OpenADR's own unit of power."""
HIGHEST_KW = 1e9
LOOK_BACK = timedelta(days=1)
"""So far back events are laid over one another, so that a piece keeps its number while it runs."""
MOST_VALUES = 8
STANDS = "What it told stays in force until its end."

log = get_logger("shifter.grid_signals")


@dataclass(frozen=True)
class GridFeed:
    """A VTN, and which site is whose: `site` for events without targets, `targets` by name for the others."""

    name: str
    """`openadr3:<name>`: the source of its grid events, their actor, and what health calls it."""
    vtn: Vtn
    programs: tuple[str, ...]
    """Names or ids; empty: all that may be read."""
    site: str | None
    targets: Mapping[str, str]
    every: timedelta
    ahead: timedelta
    """How far past now its events are taken in."""
    busy: threading.Lock = field(default_factory=threading.Lock)
    notices: set[str] = field(default_factory=set)
    """Keys of those that were told and still hold."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Those that it may limit."""
        return tuple(dict.fromkeys([*([self.site] if self.site else []), *self.targets.values()]))

    def sites_of(self, event: Event) -> tuple[str, ...]:
        """Those that an event is for; none where its targets are nobody's here."""
        if not event.targets:
            return (self.site,) if self.site else ()
        found = (self.targets[target] for target in sorted(event.targets) if target in self.targets)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Notice:
    """Something told that limits nothing here."""

    event: Event
    payload: str
    why: str
    pieces: tuple[Stretch, ...]

    @property
    def key(self) -> str:
        """One for each thing said: a change of the event is said anew."""
        return f"{self.event.id} {self.payload} {self.event.said_at}"


@dataclass
class Heard:
    """What was made of a VTN's events. Those whose ids are `unread` could not be."""

    limits: list[GridEvent] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    """By event, what is wrong with it."""


class Follower(Protocol):
    """Something else than a VTN that grid events are followed from."""

    @property
    def name(self) -> str: ...

    @property
    def every(self) -> timedelta: ...

    def listen(self, core: Core) -> int: ...


Feed = GridFeed | Follower


def listen(core: Core, feed: Feed) -> int:
    """Ask once, and make the grid events what is said now; how many changed. Raises nothing that a VTN may do."""
    if not isinstance(feed, GridFeed):
        return feed.listen(core)
    with feed.busy:  # an older answer may not come after a newer one
        now, changed, errors = core.now(), 0, []
        try:
            heard = hear(feed, now)
            prefixes = tuple(f"{feed.name}:{_slug(event_id)}:" for event_id in heard.unread)
            changed = follow_grid_events(
                core, feed.name, heard.limits, lambda e: e.id.startswith(prefixes) if prefixes else False
            ).changed
            _tell(core, feed, heard.notices)
            errors = list(heard.unread.values())
            core.metrics.ingests.labels(source=feed.name, outcome="rejected" if errors else "ok").inc()
        except NotReady as error:  # the store's fault, which has been told
            log.warning("not now", source=feed.name, error=str(error))
            return 0
        except Exception as error:
            ours = isinstance(error, ShifterError)
            errors = [str(error) if ours else f"{type(error).__name__}: {error}"]
            core.metrics.ingests.labels(source=feed.name, outcome="failed").inc()
            if not ours:
                log.exception("following the grid broke", source=feed.name)
        remember(core, feed.name, errors, now)
    return changed


def leave(core: Core, feeds: Sequence[Feed]) -> None:
    """Withdraw what VTNs told that are followed no more: nobody else could take it back. Raises NotReady."""
    told = {event.source for event in core.state.grid_events if event.source.startswith(OURS)}
    for source in sorted(told - {feed.name for feed in feeds}):
        follow_grid_events(core, source, (), lambda _: False)


def hear(feed: GridFeed, now: datetime) -> Heard:
    """What the VTN says now. Raises SourceUnavailable, InputError (no key)."""
    heard = Heard()
    said: defaultdict[tuple[str, str], list[Stretch]] = defaultdict(list)  # by program and site
    low, high = now - LOOK_BACK, now + feed.ahead
    for event in _events(feed):
        try:
            sites = feed.sites_of(event)
            for payload in sorted(event.types):
                why = _why_a_notice(payload, sites)
                if payload != LIMIT and not why:
                    continue  # any text may be a type: a price, or something of theirs
                pieces = event.stretches(payload, low, high)
                ahead = tuple(p for p in pieces if p.end > now)
                if why and ahead:
                    heard.notices.append(Notice(event, payload, why, ahead))
                elif not why:
                    limits = [replace(p, value=(event.priority, _limit_kw(p))) for p in pieces]
                    for site in sites:
                        said[str(event.body.get("programID")), site] += limits
        except ForecastRejected as error:
            heard.unread[event.id] = str(error)
    for (_, site), stretches in said.items():
        # Within one program priority decides, and of equal ones the lower limit; limits of two programs hold both.
        pieces = overlaid(stretches, lambda s: (*s.value, s.event.id))
        heard.limits += [_grid_event(feed, site, p) for p in pieces if p.end > now]
    return heard


def _events(feed: GridFeed) -> list[Event]:
    """All events of the programs that are followed. One that is not there is no sign that it limits nothing."""
    targets = tuple(feed.targets)
    programs = feed.vtn.programs(targets)
    if not feed.programs:
        return events_of(feed.vtn.events(None, targets), programs)
    found: list[Json] = []
    for wanted in feed.programs:
        program = next((p for p in programs if wanted in (p["id"], p.get("programName"))), None)
        if program is None:
            raise SourceUnavailable(
                f"the VTN has no program {wanted!r} that this account may read.",
                hint="Check grid_events.openadr3[].programs.",
            )
        found += [e for e in feed.vtn.events(program["id"], targets) if e.get("programID") == program["id"]]
    return events_of({e["id"]: e for e in found}.values(), programs)


def _why_a_notice(payload: str, sites: Sequence[str]) -> str:
    """Why a payload is told and not kept to; "" where it is a limit that binds, or nothing that matters here."""
    if payload.startswith(TOLD):
        return "it is told, and limits nothing by itself"
    if payload.startswith(UNSUPPORTED):
        return "it is not supported: nothing is done about it"
    return "its targets are of no site here" if payload == LIMIT and not sites else ""


def _limit_kw(piece: Stretch) -> float:
    units, _ = piece.event.descriptor(LIMIT)
    factor = TO_KW.get(str(units or "KW").upper())
    if factor is None:
        raise piece.event.wrong(f"its {LIMIT} is in {units}, not in kW", "payloadDescriptors")
    value = piece.value
    good = (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value * factor <= HIGHEST_KW
    )
    if not good:
        raise piece.event.wrong(f"its {LIMIT} is {str(value)[:40]!r}, not a power", "intervals")
    return float(value * factor)


def _grid_event(feed: GridFeed, site: str, piece: Stretch) -> GridEvent:
    part = f".{piece.part}" if piece.part else ""
    event_id = f"{feed.name}:{_slug(piece.event.id)}:{_slug(site)}:{piece.number}{part}"
    return GridEvent(event_id, site, piece.start, piece.end, piece.value[1], feed.name)


def _slug(name: str) -> str:
    """A name as part of an id: itself, or where it is long or odd a digest."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name) else sha256(name.encode()).hexdigest()[:32]


def _tell(core: Core, feed: GridFeed, notices: Sequence[Notice]) -> None:
    """Each notice once, also over a restart: what the event log still holds was told."""
    if {n.key for n in notices} - feed.notices:
        with core.state.changed:
            before = [e.data for e in core.state.events if e.kind is EventKind.GRID_NOTICE]
        feed.notices.update(str(d.get("key")) for d in before if d.get("source") == feed.name)
    for notice in notices:
        if notice.key not in feed.notices:
            data = _facts(feed, notice)
            log.warning("a notice from the grid", source=feed.name, payload=notice.payload, why=notice.why)
            with core.change() as change:
                change.event(EventKind.GRID_NOTICE, **data)
            feed.notices.add(notice.key)
    feed.notices.intersection_update({n.key for n in notices})


def _facts(feed: GridFeed, notice: Notice) -> dict[str, Any]:
    event = notice.event
    return {
        "source": feed.name,
        "key": notice.key,
        "event_id": event.id,
        "name": event.name,
        "payload": notice.payload,
        "values": [str(p.value)[:128] for p in notice.pieces[:MOST_VALUES]],
        "start": min(p.start for p in notice.pieces),
        "end": max(p.end for p in notice.pieces),
        "sites": list(feed.sites_of(event)),
        "targets": sorted(event.targets)[:MOST_VALUES],
        "why": notice.why,
    }


def _in_words(errors: Sequence[str]) -> str:
    more = f" And {len(errors) - MOST_VALUES} more." if len(errors) > MOST_VALUES else ""
    return " ".join(errors[:MOST_VALUES]) + more


def remember(core: Core, name: str, errors: Sequence[str], now: datetime) -> None:
    """A feed's view after a poll; the first failure and the recovery are told, as of a forecast source."""
    before = core.state.sources.get(name) or SourceView(name, up=True)
    if errors:
        view = replace(before, up=False, failures=before.failures + 1, error=f"{_in_words(errors)} {STANDS}")
    else:
        view = replace(before, up=True, failures=0, error="", last_success_at=now)
    with core.state.changed:
        core.state.sources[name] = replace(view, last_attempt_at=now)
    if errors and before.up:
        log.warning("a grid's signals fail", source=name, error=view.error, at=isoformat_z(now))
        core.tell(EventKind.SOURCE_FAILED, source=name, error=view.error)
    elif not errors and not before.up:
        log.info("a grid's signals are well again", source=name)
        core.tell(EventKind.SOURCE_RECOVERED, source=name, failures=before.failures)
