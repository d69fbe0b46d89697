"""Where the demo's prices and carbon come from: made up, or the real grid's, from sources without a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from forecasts.assemble import frame_from_series
from forecasts.extend import LOOKBACK
from forecasts.frame import ForecastFrame
from forecasts.series import PLANNED, ForecastSeries, Signal
from forecasts.slots import SlotGrid
from forecasts.sources.asking import ask, one_by_one
from forecasts.sources.registry import make_source, source_class
from shifter.errors import InputError
from shifter.settings import SourceSettings

SEED = 7
"""Of the made-up year."""
MEASURED_ZONES = ("DE-LU", "GB")
"""Zones that `typical` knows in EUR; every other one looks like the first of them."""


def synthetic_source(zones: Iterable[str]) -> SourceSettings:
    """The made-up grid for `zones`, from the measured zone that each looks like."""
    like = {z: "GB" if z.startswith("GB") else "DE-LU" for z in zones if z not in MEASURED_ZONES}
    return SourceSettings(name="typical", zones=tuple(zones), options={"seed": SEED, "profiles": like})


def live_sources(zones: Sequence[str], base_urls: Mapping[str, str]) -> tuple[SourceSettings, ...]:
    """Sources of the real grid that need no key, and behind them the made-up one for what they do not tell.

    `base_urls` points a source elsewhere, by its name. Raises InputError for a zone that none of them knows.
    """
    found = []
    for name, signals in (("neso", (Signal.CARBON,)), ("energy_charts", (Signal.PRICE, Signal.CARBON))):
        options = {"base_url": base_urls[name]} if name in base_urls else {}
        known = source_class(name)(source_class(name).Options(**options)).info
        mine = tuple(z for z in zones if known.covers(z))
        if mine:
            found.append(SourceSettings(name=name, zones=mine, signals=signals, options=options))
    told = {z for source in found for z in source.zones}
    for zone in zones:
        if zone not in told:
            raise InputError(
                f"no source without a key knows the zone {zone!r}.",
                field="--live",
                hint="Try GB, DE, FR, NL, AT, BE, CH, CZ, DK1, DK2, HU, IT-North, NO2, PL, SE4 or SI.",
            )
    return (*found, synthetic_source(zones))


def frame_now(
    sources: Sequence[SourceSettings], zones: Sequence[str], currency: str, now: datetime, slot_minutes: int
) -> tuple[ForecastFrame, list[str]]:
    """The next 48 h as the sources tell them, in their order of preference, and one sentence for each signal
    that failed: a failure stops nothing.
    """
    grid = SlotGrid.covering(now, timedelta(hours=48), slot_minutes)
    series: list[ForecastSeries] = []
    failures: list[str] = []
    names = []
    for wanted in sources:
        source = make_source(wanted.name, wanted.options)
        names.append(source.info.name)
        signals = wanted.signals or PLANNED
        requests = one_by_one(source, wanted.zones or zones, signals, grid.start - LOOKBACK, grid.end)
        answers = ask(source, requests, now=now)
        series += answers.series
        failures += map(str, answers.failures)
    preference = {("*", signal): names for signal in PLANNED}
    frame = frame_from_series(series, grid, as_of=now, zones=zones, currency=currency, preference=preference)
    return frame, failures
