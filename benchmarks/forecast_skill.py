"""Forecasts against what came: our models beyond what is published, their bands, and what a job's owner gets of them.

Extension: made at 00 UTC of every third day from what was known then, on four zones, hours that were not known yet;
against repeating the last day known. Captured: at each vintage of the carbon forecasts of July to December 2021, the 6
and the 12 hours of the next 48 that the forecast likes best, against the first 6 and 12 (0) and the best (1); of prices
only the first 24 hours are known. Blend: the members of published price forecasts, weighted day by day.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.figure import AtLeast, AtMost, Figure, Options, Row, Target, Tell, Within
from benchmarks.grid_data import (
    HOUR,
    ZONES,
    Measured,
    carbon_forecasts,
    cleared_by_day,
    measured,
    measured_by_hour,
    runs,
)
from forecasts.blend import blend
from forecasts.history import VintageHistory
from forecasts.known import Knowledge
from forecasts.models.days import Scale
from forecasts.outlook import Outlook, expected_now, make_outlook
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import Floats, as_datetime64

DAY = timedelta(days=1)
FIRST_DAY = 70
"""[d] Of history before the first origin."""
STRIDE_DAYS = 3
STRETCHES_H = ((0, 6), (6, 12), (12, 24), (24, 48), (48, 72), (72, 120), (120, 168))
CARBON_ZONES = ("CAISO-NP15", "DE-LU", "ERCOT")
RAW = {
    ("CAISO-NP15", Signal.CARBON): (0.92, 0.95),
    ("DE-LU", Signal.CARBON): (0.89, 0.88),
    ("ERCOT", Signal.CARBON): (0.64, 0.44),
    ("CAISO-NP15", Signal.PRICE): (0.96, 0.95),
    ("DE-LU", Signal.PRICE): (0.70, 0.70),
    ("ERCOT", Signal.PRICE): (0.92, 0.89),
}
"""What is to be exceeded: each forecast as it is, and the known day repeated (of DE prices more than that)."""
CHOSEN_HOURS = (6, 12)
NOISE_STARTS = tuple(datetime(2021, 7, 15, tzinfo=UTC) + week * timedelta(weeks=1) for week in range(22))
"""From when a source is noise, one at a time, as if the others had not been."""
NOISE_DAYS = 2


@dataclass(frozen=True)
class Extension:
    """Mean absolute errors by stretch, ours and of repeating the last day; and shares of outcomes in the bands."""

    ours: Floats
    repeated: Floats
    in_80: Floats
    in_90: Floats
    origins: int


@dataclass(frozen=True)
class Captured:
    """Shares of what perfect foresight gets, by hours chosen: ours, and the forecast as it is; and about a noise."""

    ours: tuple[float, ...]
    raw: tuple[float, ...]
    noisy: Mapping[str, tuple[float, float]]
    days: int


def run(options: Options, tell: Tell) -> Iterator[Figure | Row]:
    """The table of the extension, that of what is captured, and the blend."""
    options.data_folder("grid_de_lu")
    assert options.data is not None
    todo: list[tuple[Callable[..., object], tuple[object, ...]]] = [
        (extension, (options.data, zone, signal))
        for zone in ZONES
        for signal in (Signal.PRICE, Signal.CARBON)
    ]
    todo += [
        (captured, (options.data, zone, signal))
        for zone in CARBON_ZONES
        for signal in (Signal.CARBON, Signal.PRICE)
    ]
    found: dict[tuple[object, ...], object] = {}
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        asked = {pool.submit(f, *given): (f.__name__, *given[1:]) for f, given in todo}
        for i, done in enumerate(as_completed(asked)):
            found[asked[done]] = done.result()
            tell(" ".join(map(str, asked[done])), (i + 1) / (len(todo) + 1))
    yield from _extension_rows(found)
    yield from _captured_rows(found)
    for name in ("de", "fr"):
        yield _blended(options.data_folder(f"price_forecast_epf_{name}"), name)
    yield from _noise_rows(found)


def extension(data: Path, name: str, signal: Signal) -> Extension:
    """How our models do on one signal of one zone, from what was measured and cleared alone."""
    m = measured(data, ZONES[name])
    knowledge = Knowledge(VintageHistory([*cleared_by_day(m), *measured_by_hour(m)]))
    values = m.price if signal is Signal.PRICE else m.carbon
    last = int(np.flatnonzero(np.isfinite(values))[-1])
    first = (-m.start.hour) % 24 + FIRST_DAY * 24
    errors: list[tuple[Floats, Floats]] = []
    inside: list[Floats] = []
    for t in range(first, last - 168, STRIDE_DAYS * 24):
        outlook = make_outlook(knowledge, name, signal, m.start + t * HOUR)
        if outlook is None:
            continue
        ours, came = outlook.scale.from_z(outlook.ours[:168]), values[t : t + 168]
        known = int(np.flatnonzero(np.isfinite(ours))[0]) + t if np.isfinite(ours).any() else t
        repeated = np.resize(values[known - 24 : known], 168 - (known - t))
        repeated = np.concatenate([np.full(known - t, np.nan), repeated])
        errors.append((np.abs(ours - came), np.where(np.isfinite(ours), np.abs(repeated - came), np.nan)))
        inside.append(np.stack([_inside(outlook, came, *edges) for edges in ((0.1, 0.9), (0.05, 0.95))]))
    ours_mae, repeated_mae = (_by_stretch(np.stack([e[k] for e in errors])) for k in (0, 1))
    in_80, in_90 = (_by_stretch(np.stack(inside)[:, k]) for k in (0, 1))
    return Extension(ours_mae, repeated_mae, in_80, in_90, len(errors))


def _by_stretch(values: Floats) -> Floats:
    """The means of the known of (n, n_hours) by stretch, (n_stretches,); NaN where none is."""
    parts = [part[np.isfinite(part)] for part in (values[:, a:b] for a, b in STRETCHES_H)]
    return np.array([part.mean() if len(part) else np.nan for part in parts])


def captured(data: Path, name: str, signal: Signal) -> Captured:
    """What the hours that the forecast likes best are worth, at each vintage of the zone's carbon forecasts."""
    zone = ZONES[name]
    m = replace(measured(data, zone), carbon=_whole_carbon(data, name))
    said = carbon_forecasts(data, zone)
    facts = [*_first_days(m, said[0].known_at), *measured_by_hour(m)]
    values = m.price if signal is Signal.PRICE else m.carbon
    starts = [(s.known_at - m.start) // HOUR for s in said]
    use = [k for k, t in enumerate(starts) if np.isfinite(values[t : t + 48]).all() and t + 48 <= len(values)]
    came = np.stack([values[starts[k] : starts[k] + 48] for k in use])

    def liked(forecasts: Sequence[ForecastSeries], which: Sequence[int]) -> Floats:
        knowledge = Knowledge(VintageHistory([*facts, *forecasts]))
        return np.stack(
            [_expected(knowledge, name, signal, said[k].known_at, values, starts[k]) for k in which]
        )

    ours = liked(said, use)
    raw = (
        np.stack([said[k].values[:48] for k in use])
        if signal is Signal.CARBON
        else np.stack([np.resize(values[starts[k] : starts[k] + 24], 48) for k in use])
    )
    noisy: dict[str, tuple[float, float]] = {}
    if signal is Signal.CARBON:
        whole = []
        rows, mad = [], []
        for start in NOISE_STARTS:
            first = next(i for i, k in enumerate(use) if said[k].known_at >= start)
            about = np.arange(first, first + NOISE_DAYS + 2)
            rows.append(about)
            mad.append(liked(_with_noise(said, start), [use[i] for i in about]))
            whole.append(ours.copy())
            whole[-1][about] = mad[-1]
        for words, days in (
            ("two days of noise", slice(0, NOISE_DAYS)),
            ("the day after", slice(NOISE_DAYS, NOISE_DAYS + 1)),
            ("the next", slice(NOISE_DAYS + 1, None)),
        ):
            at = np.concatenate([about[days] for about in rows])
            heard = np.concatenate([one[days] for one in mad])
            noisy[words] = (_captured(heard, came[at], 6), _captured(ours[at], came[at], 6))
        worst = min(_captured(one, came, 6) for one in whole)
        noisy["half a year, the worst of them"] = (worst, _captured(ours, came, 6))
    return Captured(
        tuple(_captured(ours, came, k) for k in CHOSEN_HOURS),
        tuple(_captured(raw, came, k) for k in CHOSEN_HOURS),
        noisy,
        len(use),
    )


def _inside(outlook: Outlook, came: Floats, low: float, high: float) -> Floats:
    """1 where the outcome lies in the band, 0 where not, NaN where either is unknown, (168,)."""
    z = outlook.scale.to_z(came) - outlook.ours[:168]
    below, above = outlook.bands[low][:168], outlook.bands[high][:168]
    known = np.isfinite(z) & np.isfinite(below)
    return np.where(known, (z >= below) & (z <= above), np.nan)


def _expected(
    knowledge: Knowledge, zone: str, signal: Signal, at: datetime, values: Floats, t: int
) -> Floats:
    """What is planned by over the next 48 h: facts, and what sources and our models are worth together."""
    outlook = make_outlook(knowledge, zone, signal, at)
    assert outlook is not None
    expected = outlook.scale.from_z(expected_now(outlook.ours, outlook.weights, outlook.voices)[:48])
    return np.where(np.isfinite(expected), expected, values[t : t + 48])


def _captured(liked: Floats, came: Floats, hours: int) -> float:
    chosen = np.argsort(liked, axis=1, kind="stable")[:, :hours]
    at_once, best = came[:, :hours].sum(), np.sort(came, axis=1)[:, :hours].sum()
    return float((at_once - np.take_along_axis(came, chosen, axis=1).sum()) / (at_once - best))


def _first_days(m: Measured, issued: datetime) -> list[ForecastSeries]:
    """Prices as if each day's were known at the hour at which the carbon forecasts are issued, and no more."""
    starts = as_datetime64(m.start) + np.arange(len(m.price)) * np.timedelta64(1, "h")
    found = []
    for t in range((issued - m.start) // HOUR % 24, len(m.price) - 23, 24):
        day = slice(t, t + 24)
        known = m.start + t * HOUR
        found += runs(m.zone, Signal.PRICE, known, starts[day], m.price[day], Kind.CLEARED, "day_ahead")
    return found


def _whole_carbon(data: Path, name: str) -> Floats:
    """Carbon with the hours that the data interpolate, by which published figures are judged."""
    m = measured(data, ZONES[name])
    table = pd.read_csv(
        data / ZONES[name].folder / "panel_hourly.csv.gz", index_col="ts_utc", parse_dates=True
    )
    hours = pd.date_range(m.start, periods=len(m.carbon), freq="1h")
    return table["carbon_g_per_kwh"].reindex(hours).to_numpy(dtype=float)


def _with_noise(said: Sequence[ForecastSeries], start: datetime) -> list[ForecastSeries]:
    """The same, with noise of the usual mean and spread for all that is said in `NOISE_DAYS` from `start` on."""
    everything = np.concatenate([s.values for s in said])
    draw = np.random.default_rng(start.toordinal())
    end = start + NOISE_DAYS * DAY
    return [
        replace(s, values=np.maximum(0.0, draw.normal(everything.mean(), everything.std(), len(s))))
        if start <= s.known_at < end
        else s
        for s in said
    ]


def _extension_rows(found: Mapping[tuple[object, ...], object]) -> Iterator[Figure | Row]:
    ratios: list[tuple[float, float]] = []
    for zone in ZONES:
        for signal in (Signal.PRICE, Signal.CARBON):
            got = found["extension", zone, signal]
            assert isinstance(got, Extension)
            near = float(got.ours[3] / got.repeated[3])
            far = float(got.ours[4:] @ (24, 48, 48) / (got.repeated[4:] @ (24, 48, 48)))
            ratios.append((near, far))
            yield Row(
                f"{zone} {signal}, {got.origins} origins",
                (*_ratios(near, far, None, None), *_coverage(got)),
            )
    near, far = (float(mean) for mean in np.mean(ratios, axis=0))
    for figure in _ratios(near, far, AtMost(0.80), AtMost(0.85)):
        yield replace(figure, name=f"mean, {figure.name}")


def _ratios(
    near: float, far: float, near_target: Target | None, far_target: Target | None
) -> tuple[Figure, Figure]:
    return (
        Figure("24-48 h against the day before", near, "", near_target, digits=3),
        Figure("48-168 h", far, "", far_target, digits=3),
    )


def _coverage(got: Extension) -> Iterator[Figure]:
    for words, shares, nominal in (("80 %", got.in_80, 80.0), ("90 %", got.in_90, 90.0)):
        known = 100 * shares[np.isfinite(shares)]
        worst = float(known[np.argmax(np.abs(known - nominal))])
        by_stretch = " ".join("-" if not np.isfinite(s) else f"{100 * s:.0f}" for s in shares)
        yield Figure(f"farthest from {words}", worst, "%", Within(nominal, 3.0), by_stretch, digits=1)


def _captured_rows(found: Mapping[tuple[object, ...], object]) -> Iterator[Row]:
    for zone in CARBON_ZONES:
        for signal in (Signal.CARBON, Signal.PRICE):
            got = found["captured", zone, signal]
            assert isinstance(got, Captured)
            yield Row(
                f"captured, {zone} {signal}, {got.days} days",
                tuple(
                    Figure(f"{k} h", ours, "", AtLeast(least), f"as it is {raw:.3f}", digits=3)
                    for k, ours, raw, least in zip(
                        CHOSEN_HOURS, got.ours, got.raw, RAW[zone, signal], strict=True
                    )
                ),
            )


def _noise_rows(found: Mapping[tuple[object, ...], object]) -> Iterator[Row]:
    for zone in CARBON_ZONES:
        got = found["captured", zone, Signal.CARBON]
        assert isinstance(got, Captured)
        yield Row(
            f"captured with noise, {zone} carbon, 6 h",
            tuple(
                Figure(words, mad, "", AtLeast(round(well - 0.05, 3)), f"without {well:.3f}", digits=3)
                for words, (mad, well) in got.noisy.items()
            ),
        )


def _blended(folder: Path, name: str) -> Figure:
    """The blend of eight members and two ensembles of day-ahead prices, weighted by the days before."""
    table = pd.read_parquet(folder / "dayahead_price_forecasts.parquet")
    columns = [c for c in table.columns if c.startswith("price_forecast_")]
    days = [rows for _, rows in table.groupby("issued_at_utc")]
    came = np.full((len(days), 1, 25), np.nan)
    said = np.full((len(columns), len(days), 1, 25), np.nan)
    for i, rows in enumerate(days):
        came[i, 0, : len(rows)] = rows["price_dayahead_eur_per_mwh"]
        said[:, i, 0, : len(rows)] = rows[columns].to_numpy().T
    scale = Scale.of(came[:60][np.isfinite(came[:60])])
    blended = blend(scale.to_z(said), scale.to_z(came), np.ones(len(columns)))
    mae = float(np.nanmean(np.abs(scale.from_z(blended.combined) - came)))
    each = {
        c.removeprefix("price_forecast_").removesuffix("_eur_per_mwh"): float(
            np.nanmean(np.abs(said[k] - came))
        )
        for k, c in enumerate(columns)
    }
    best = min(each["dnn_ens"], each["lear_ens"])
    beside = f"best ensemble {best:.3f}, best member {min(v for k, v in each.items() if 'ens' not in k):.3f}"
    return Figure(
        f"blend of {len(columns)}, {name.upper()} prices, MAE", mae, "EUR/MWh", AtMost(best), beside, digits=3
    )


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("forecast_skill")
