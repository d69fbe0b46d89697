"""What a daemon is made of by its settings: the service's numbers, and what forecasts come from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from forecasts.assemble import Preference, frame_from_store
from forecasts.frame import ForecastFrame
from forecasts.heeded import OWN, Heeded
from forecasts.outlooks import Outlooks
from forecasts.series import PLANNED, Signal
from forecasts.slots import SlotGrid
from forecasts.sources.base import SourceInfo, known_zone, known_zones
from forecasts.sources.openadr3_vtn import Vtn, VtnOptions
from forecasts.sources.registry import make_source, source_class
from forecasts.sources.tariff import TariffSource
from forecasts.store import ForecastStore
from shifter.clock import Clock
from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files import read_grid_events
from shifter.files.places import all_of, raise_all
from shifter.grid_file import Feed, FileFeed
from shifter.grid_signals import OURS, GridFeed
from shifter.ingest import Polled
from shifter.load_wiring import announced_loads
from shifter.meter_wiring import meters_of
from shifter.service import ServiceConfig
from shifter.service.core import FrameMaker
from shifter.service.told import PUSHED

if TYPE_CHECKING:
    from shifter.settings import Settings, SourceSettings


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
        max_workloads=settings.admission.max_workloads,
        telemetry_max_age_s=settings.telemetry.max_age_s,
        guard_hold_s=settings.guard.hold_s,
        share_restricted=settings.forecasts.share_restricted,
        plans_days=keep.plans_days,
        events_days=keep.events_days,
        audit_days=keep.audit_days,
        workloads_days=keep.workloads_days,
        forecasts_days=keep.forecasts_days,
        telemetry_days=keep.telemetry_days,
        load_days=keep.load_days,
    )


def wiring_mistakes(settings: Settings, fleet: Fleet | None) -> tuple[InputError, ...]:
    """All for which a start with these settings would be refused, beyond what reading them tells; it starts nothing.
    Without a fleet, where a file is looked at by itself, what only its zones and sites could tell is left out.
    """
    found: list[InputError] = []
    polled: tuple[Polled, ...] | None = None
    with _collected(found):
        polled = polled_sources(settings, fleet)
    if fleet is None:
        return tuple(found)
    if polled is not None:
        with _collected(found):
            _preference(settings, fleet, polled)
    with _collected(found):
        _max_age(settings, fleet)
    with _collected(found):
        grid_feeds(settings, fleet)
    with _collected(found):
        announced_loads(settings, fleet)
        meters_of(settings, fleet)
    return tuple(found)


@contextmanager
def _collected(found: list[InputError]) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        found += all_of(error)


def polled_sources(settings: Settings, fleet: Fleet | None) -> tuple[Polled, ...]:
    """The sources of the settings, made. Raises InputError with all that is wrong: one that there is not, a zone that
    it does not know, a name that is taken.

    A file that is not there is no reason not to start: it may come, and leases must be renewed until then.
    """
    ahead = timedelta(hours=settings.planning.max_horizon_hours) + timedelta(days=1)
    found: list[Polled] = []
    mistakes: list[InputError] = []
    for i, wanted in enumerate(settings.forecasts.sources):
        try:
            found.append(_polled(wanted, fleet, ahead, {p.name for p in found}, f"forecasts.sources[{i}]"))
        except InputError as error:
            mistakes += all_of(error)
    raise_all(mistakes)
    _check_one_price(found)  # their places are those of the settings: none is missing
    return tuple(found)


def _check_one_price(polled: Sequence[Polled]) -> None:
    """Raises InputError for all markets whose price would be blended with what a site pays upon it."""
    priced = _priced(polled)
    tariffs = [p for p in priced if isinstance(p.source, TariffSource)]
    raise_all(
        InputError(
            f"{tariff.name} tells what a site pays, and {market.name} the wholesale price of the same zone: "
            "together they would be neither.",
            field=f"forecasts.sources[{polled.index(market)}]",
            hint=f"Ask {market.name} for something else, as `signals: [carbon]`, or leave it out: a tariff asks for "
            "its wholesale price itself.",
        )
        for market in priced
        for tariff in tariffs
        if market.source.info.wholesale and not set(tariff.zones).isdisjoint(market.zones)
    )


def _polled(
    wanted: SourceSettings, fleet: Fleet | None, ahead: timedelta, taken: Collection[str], place: str
) -> Polled:
    # Money is in the fleet's one currency, so a file that does not say otherwise is in it, too.
    own = {"currency": fleet.currency} if wanted.name == "csv" and fleet is not None else {}
    source = make_source(wanted.name, {**own, **wanted.options})
    info = source.info
    named = "name" in source_class(wanted.name).Options.model_fields
    if info.name in OWN:
        raise InputError(
            f"{info.name} is what the daemon's own forecasts are kept as.",
            field=f"{place}.options.name",
            hint="Give the source another name.",
        )
    if info.name in taken:
        raise InputError(
            f"there is a source named {info.name} already, and its health and its order go by its name.",
            field=place,
            hint=f"Give each {wanted.name} source a `name` of its own among its options."
            if named
            else "Name it once, with all its zones and signals.",
        )
    _check_zones(wanted.zones, info, place)
    zones = wanted.zones or tuple(z for z in (fleet.zones if fleet else ()) if info.covers(z))
    if fleet is not None and not zones:
        raise InputError(
            f"the source {info.name} knows no zone of the fleet.",
            field=f"{place}.zones",
            hint=f"Those of the fleet are {', '.join(fleet.zones)}; it knows {known_zones(info)}.",
        )
    every = timedelta(minutes=wanted.poll_minutes) if wanted.poll_minutes else None
    signals = wanted.signals or tuple(s for s in info.signals if s in PLANNED)
    return Polled(source, zones, signals, every, ahead, wanted.shadow)


def _check_zones(zones: Sequence[str], info: SourceInfo, place: str) -> None:
    mistakes = []
    for j, zone in enumerate(zones):
        try:
            known_zone(info, zone)
        except InputError as error:
            mistakes.append(InputError(error.detail, field=f"{place}.zones[{j}]", hint=error.hint))
    raise_all(mistakes)


def grid_feeds(settings: Settings, fleet: Fleet) -> tuple[Feed, ...]:
    """The VTNs whose limits are followed, and a file. Raises InputError for a site that there is not, a name twice,
    and what is wrong in the file.
    """
    ahead = timedelta(hours=settings.planning.max_horizon_hours) + timedelta(days=1)
    found: list[GridFeed] = []
    for i, wanted in enumerate(settings.grid_events.openadr3):
        place = f"grid_events.openadr3[{i}]"
        named = {
            "site": wanted.site,
            **{f"targets.{target}": site for target, site in wanted.targets.items()},
        }
        for key, site in named.items():
            if site is not None and site not in fleet.by_site:
                raise InputError(
                    f"there is no site {site}.",
                    field=f"{place}.{key}",
                    hint=f"Sites are {', '.join(fleet.by_site)}.",
                )
        name = f"{OURS}{wanted.name}"
        if any(other.name == name for other in found):
            raise InputError(
                f"there is a VTN named {wanted.name} already.",
                field=f"{place}.name",
                hint="Give each its own.",
            )
        given = {
            key: getattr(wanted, key) for key in VtnOptions.model_fields.keys() & type(wanted).model_fields
        }
        vtn = Vtn(VtnOptions.model_validate(given), name)
        every = timedelta(seconds=wanted.poll_s)
        found.append(GridFeed(name, vtn, wanted.programs, wanted.site, wanted.targets, every, ahead))
    if (path := settings.grid_events.file) is None:
        return tuple(found)
    read_grid_events(path, fleet)
    return (*found, FileFeed(path, fleet))


def outlooks_of(
    settings: Settings, fleet: Fleet, store: ForecastStore, polled: tuple[Polled, ...]
) -> Outlooks | None:
    """What the store teaches, made ahead in the background; None where nothing is to be learnt."""
    if settings.forecasts.learn == "off":
        return None
    return Outlooks(
        _heeded(store, polled),
        _preference(settings, fleet, polled),
        made_ahead=True,
        rules=settings.forecasts.learning.rules,
    )


def _heeded(store: ForecastStore, polled: tuple[Polled, ...]) -> Heeded:
    """The store without what is on trial; and where a tariff tells what a site pays, without the prices of sources that
    are asked for them no more: the store may still have those of a market.
    """
    priced = _priced(polled)
    paid = {zone for p in priced if isinstance(p.source, TariffSource) for zone in p.zones}
    asked = {zone: {p.name for p in priced if zone in p.zones} for zone in paid}
    alone = {(zone, Signal.PRICE): partial(_is_asked, names) for zone, names in asked.items()}
    return Heeded(store, {p.name for p in polled if p.shadow}, alone)


def _is_asked(names: Collection[str], name: str) -> bool:
    return name in names or name.startswith(PUSHED)


def _priced(polled: Iterable[Polled]) -> list[Polled]:
    """Those whose prices are planned by."""
    return [p for p in polled if Signal.PRICE in p.signals and not p.shadow]


def frame_maker(
    settings: Settings,
    fleet: Fleet,
    store: ForecastStore,
    polled: tuple[Polled, ...],
    outlooks: Outlooks | None = None,
) -> FrameMaker:
    """Frames from the store, the sources of the settings preferred in their order; those in shadow are in none, nor is
    what we said ourselves. `outlooks` is what frames are made by besides.

    Raises InputError where `forecasts.order` or `max_age_hours_by_zone` names a zone or a source that there is not.
    """
    preference = _preference(settings, fleet, polled)
    max_age = _max_age(settings, fleet)
    heeded = _heeded(store, polled)

    def make(grid: SlotGrid, as_of: datetime) -> ForecastFrame:
        return frame_from_store(
            heeded,
            grid,
            as_of=as_of,
            zones=fleet.zones,
            currency=fleet.currency,
            fx=settings.forecasts.fx,
            preference=preference,
            max_age=max_age,
            outlooks=outlooks,
        )

    return make


def _preference(settings: Settings, fleet: Fleet, polled: tuple[Polled, ...]) -> Preference:
    names = tuple(p.name for p in polled if not p.shadow)
    trial = {p.name for p in polled if p.shadow}
    found = {("*", s): names for s in PLANNED}
    for zone, by_signal in settings.forecasts.order.items():
        _check_zone(zone, fleet, "order")
        for signal, order in by_signal.items():
            place = f"forecasts.order.{zone}.{signal}"
            for i, name in enumerate(order):
                if name in order[:i]:
                    raise InputError(f"{name} comes twice.", field=f"{place}[{i}]", hint="Name each once.")
                if name in trial:
                    raise InputError(
                        f"{name} is in shadow: nothing is planned by it.",
                        field=f"{place}[{i}]",
                        hint="Take it out of the order, or set shadow: false for it.",
                    )
                if name not in names and not name.startswith(PUSHED):
                    raise InputError(
                        f"there is no source {name!r} in forecasts.sources.",
                        field=f"{place}[{i}]",
                        hint=f"There are {', '.join(names) or 'none'}; what is pushed is {PUSHED}<name>.",
                    )
            found[zone, signal] = (*order, *(name for name in names if name not in order))
    return found


def _max_age(settings: Settings, fleet: Fleet) -> dict[tuple[str, Signal], timedelta]:
    given = settings.forecasts
    found = {("*", s): timedelta(hours=given.max_age_hours) for s in PLANNED}
    for zone, by_signal in given.max_age_hours_by_zone.items():
        _check_zone(zone, fleet, "max_age_hours_by_zone")
        found |= {(zone, signal): timedelta(hours=hours) for signal, hours in by_signal.items()}
    return found


def _check_zone(zone: str, fleet: Fleet, setting: str) -> None:
    if zone != "*" and zone not in fleet.zones:
        raise InputError(
            f"no site of the fleet is in the zone {zone}.",
            field=f"forecasts.{setting}.{zone}",
            hint=f"Zones are {', '.join(fleet.zones)}, and * is all others.",
        )
