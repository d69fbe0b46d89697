"""What a daemon is made of by its settings: the service's numbers, and what forecasts and real-time load come from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from forecasts.assemble import frame_from_store
from forecasts.frame import ForecastFrame
from forecasts.series import PLANNED
from forecasts.slots import SlotGrid
from forecasts.sources.registry import make_source
from forecasts.store import ForecastStore
from shifter.clock import Clock
from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files import read_known_realtime
from shifter.ingest import Polled
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.profiles import typical_load
from shifter.service import ServiceConfig
from shifter.service.core import FrameMaker, RealtimeMaker

if TYPE_CHECKING:
    from shifter.settings import Settings


def service_config(settings: Settings, clock: Clock, beat_s: float) -> ServiceConfig:
    """The service's numbers from the settings.

    A fast clock could outrun the heartbeat: a lease then holds for at least four of them.
    """
    planning, keep = settings.planning, settings.retention
    return ServiceConfig(
        horizon_hours=planning.horizon_hours,
        max_horizon_hours=planning.max_horizon_hours,
        slot_minutes=planning.slot_minutes,
        cycle_deadline_s=planning.cycle_deadline_s,
        deadline_margin_s=planning.deadline_margin_minutes * 60,
        hold_gap=planning.hold_gap_ratio,
        lease_ttl_s=max(settings.leases.ttl_s, 4 * beat_s * clock.speed),
        admission_wait_s=settings.admission.wait_s,
        share_restricted=settings.forecasts.share_restricted,
        plans_days=keep.plans_days,
        events_days=keep.events_days,
        audit_days=keep.audit_days,
        workloads_days=keep.workloads_days,
        forecasts_days=keep.forecasts_days,
    )


def polled_sources(settings: Settings, fleet: Fleet) -> tuple[Polled, ...]:
    """The sources of the settings, made. Raises InputError for an unknown one, and for a zone it does not
    know.

    A file that is not there is no reason not to start: it may come, and leases must be renewed until then.
    """
    ahead = timedelta(hours=settings.planning.max_horizon_hours) + timedelta(days=1)
    found: list[Polled] = []
    for i, wanted in enumerate(settings.forecasts.sources):
        # Money is in the fleet's one currency, so a file that does not say otherwise is in it, too.
        own = {"currency": fleet.currency} if wanted.name == "csv" else {}
        source = make_source(wanted.name, {**own, **wanted.options})
        info = source.info
        zones = wanted.zones or tuple(z for z in fleet.zones if info.covers(z))
        unknown = [z for z in zones if not info.covers(z)]
        if unknown or not zones:
            what = f"does not know the zone {unknown[0]}" if unknown else "knows no zone of the fleet"
            raise InputError(
                f"the source {info.name} {what}.",
                field=f"forecasts.sources[{i}].zones",
                hint=f"It knows {', '.join(info.zones[:12])}.",
            )
        every = timedelta(minutes=wanted.poll_minutes) if wanted.poll_minutes else info.poll
        polled = Polled(source, zones, wanted.signals or info.signals, every, ahead)
        if any(other.name == polled.name for other in found):
            raise InputError(
                f"there is a source named {info.name} already, and its health and its order go by its name.",
                field=f"forecasts.sources[{i}]",
                hint="Give a csv source a `name` of its own among its options; ask others for all zones at once.",
            )
        found.append(polled)
    return tuple(found)


def frame_maker(
    settings: Settings, fleet: Fleet, store: ForecastStore, polled: tuple[Polled, ...]
) -> FrameMaker:
    """Frames from the store, the sources of the settings preferred in their order."""
    preference = {("*", s): tuple(p.name for p in polled) for s in PLANNED}
    max_age = timedelta(hours=settings.forecasts.max_age_hours)

    def make(grid: SlotGrid, as_of: datetime) -> ForecastFrame:
        return frame_from_store(
            store,
            grid,
            as_of=as_of,
            zones=fleet.zones,
            currency=fleet.currency,
            fx=settings.forecasts.fx,
            preference=preference,
            max_age=max_age,
        )

    return make


def realtime_maker(settings: Settings, fleet: Fleet, clock: Clock) -> RealtimeMaker:
    """Real-time load from the file, as far as it reaches, read anew each time so that it may be replaced; from a
    profile; or none.
    """
    path, profile = settings.realtime.path, settings.realtime.profile
    if path is not None:
        return lambda grid: read_known_realtime(path, grid, fleet, clock.now())
    if profile == "typical":
        return lambda grid: typical_load(fleet, grid)
    return RealtimeLoad
