"""Is a vintage fit for use? Refused whole with the first offending interval named; never repaired.

A repaired forecast is an invented one. What a source has not published yet (trailing nulls) is no fault:
the adapter hands over a shorter vintage. What needs evidence (a unit mixed up) is refused only on evidence,
against the previous vintage or a declared typical level, never because a price looks unusual. Long stretches
at zero, negative prices and spikes are all legal. What differs from the vintage before beyond belief is for
`forecasts.jumps`.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import numpy as np

from forecasts.errors import ForecastRejected
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import Floats, Times, as_datetime, as_datetime64, isoformat_z
from forecasts.units import GRAMS_PER_POUND, KNOWN, is_canonical, plausible, roughly_per_euro

FLAT_CARBON = timedelta(hours=24)
CLOCK_SKEW = timedelta(minutes=5)
"""Two clocks may differ by so much: what was issued later than that after we knew it comes of a wrong one."""


def check_series(
    series: ForecastSeries,
    previous: ForecastSeries | None = None,
    *,
    now: datetime | None = None,
    market_tz: tzinfo | None = None,
    typical_level: float | None = None,
    flat_carbon: timedelta | None = FLAT_CARBON,
) -> ForecastSeries:
    """`series` itself when it is fit for use; raises ForecastRejected otherwise.

    - `previous`: the vintage before, for changes of unit and basis, for mixed-up units, and to be no older than it.
    - `now`: refuse what has already ended.
    - `market_tz`: the source publishes whole days of this zone, so the last one must be whole.
    - `typical_level` [unit of the series]: the usual size of a value, evidence where there is no `previous`.
    - `flat_carbon`: refuse carbon that stands still for so long (a frozen feed); None allows it.
    """
    check_structure(series)
    _check_range(series)
    _check_issued(series, previous)
    if previous is not None:
        _check_same_meaning(series, previous)
    _check_unit_mix_up(series, previous, typical_level)
    if series.signal is Signal.CARBON and flat_carbon is not None:
        _check_not_frozen(series, flat_carbon)
    if market_tz is not None:
        _check_market_days(series, market_tz)
    if now is not None and series.end[-1] <= as_datetime64(now):
        raise _reject(
            series,
            f"it ended at {_when(series.end[-1])}, before now, {isoformat_z(now)}.",
            "Fetch a newer vintage; if there is none, the source has stopped.",
        )
    return series


def check_structure(series: ForecastSeries) -> None:
    """Shapes, units, order, gaps and NaN: what every consumer relies on. Raises ForecastRejected."""
    n = len(series)
    if n == 0:
        raise _reject(series, "it holds no interval.", "Nothing was published, or every value was null.")
    for name, array in (("start", series.start), ("end", series.end), *_bands(series)):
        if array.shape != (n,):
            raise _reject(
                series,
                f"{name} has {array.size} entries for {n} values.",
                "Every array needs one entry a value.",
            )
    if series.known_at.tzinfo is None:
        raise _reject(series, "known_at has no time zone.", "Give it in UTC.")
    if not is_canonical(series.unit, series.signal):
        raise _reject(
            series,
            f"the unit {series.unit!r} is not what a {series.signal} is kept in.",
            f"Convert it with forecasts.units.parse_unit, which knows {KNOWN[series.signal]}.",
        )
    if series.signal is Signal.CARBON and series.basis is None:
        raise _reject(series, "it does not say whether it is average or marginal.", "Set its basis.")
    _check_intervals(series)
    for name, array in (("value", series.values), *_bands(series)):
        if (i := _first(~np.isfinite(array))) is not None:
            raise _reject(
                series,
                f"the {name} of {_interval(series, i)} is {array[i]}.",
                "A hole inside a vintage is not filled in; leave out what is not published yet.",
            )
    _check_quantiles(series)


def _check_intervals(series: ForecastSeries) -> None:
    if (i := _first(series.end <= series.start)) is not None:
        raise _reject(
            series,
            f"the interval {_interval(series, i)} does not end after its start.",
            "Intervals are [start, end).",
        )
    step = series.start[1:] - series.end[:-1]
    zero = np.timedelta64(0, "us")
    if (i := _first(step != zero)) is None:
        return
    earlier, later = _interval(series, i), _interval(series, i + 1)
    if series.start[i + 1] == series.start[i]:
        raise _reject(
            series, f"the interval {later} comes twice.", "Each interval may come once; remove the duplicate."
        )
    if step[i] < zero:
        raise _reject(
            series, f"{later} overlaps or precedes {earlier}.", "Sort the intervals; they may not overlap."
        )
    raise _reject(
        series,
        f"nothing is said between {_when(series.end[i])} and {_when(series.start[i + 1])}: {later} does not "
        f"follow {earlier}.",
        "A vintage has no gaps; fetch it again or publish the missing intervals.",
    )


def _check_quantiles(series: ForecastSeries) -> None:
    lower: Floats | None = None
    for p, band in sorted(series.quantiles.items()):
        if not 0 < p < 1:
            raise _reject(series, f"{p} is not a probability between 0 and 1.", "Write p10 as 0.1.")
        if lower is not None and (i := _first(band < lower)) is not None:
            raise _reject(
                series,
                f"the quantiles of {_interval(series, i)} cross at {p:g}.",
                "Higher quantiles may not be lower.",
            )
        lower = band


def _check_range(series: ForecastSeries) -> None:
    low, high = plausible(series.signal, series.unit)
    for name, array in (("value", series.values), *_bands(series)):
        if (i := _first((array < low) | (array > high))) is not None:
            raise _reject(
                series,
                f"the {name} {array[i]:g} {series.unit} of {_interval(series, i)} is outside {low:g} to "
                f"{high:g}.",
                "No grid has that; the unit is probably another.",
            )


def _check_issued(series: ForecastSeries, previous: ForecastSeries | None) -> None:
    issued_at = series.issued_at
    if issued_at is None:
        return
    if issued_at > series.known_at + CLOCK_SKEW:
        raise _reject(
            series,
            f"it was issued at {isoformat_z(issued_at)}, and it is only {isoformat_z(series.known_at)}.",
            "The clock of this machine or of the source is wrong: compare both.",
        )
    if previous is not None and previous.issued_at is not None and issued_at < previous.issued_at:
        raise _reject(
            series,
            f"it was issued at {isoformat_z(issued_at)}, before the one that is stored, of "
            f"{isoformat_z(previous.issued_at)}.",
            "An old reply, perhaps from a cache on the way; the newer one stays in use.",
        )


def _check_same_meaning(series: ForecastSeries, previous: ForecastSeries) -> None:
    for what, before, after in (
        ("unit", previous.unit, series.unit),
        ("basis", previous.basis, series.basis),
    ):
        if before != after:
            raise _reject(
                series,
                f"its {what} changed from {before} to {after}.",
                "Two that differ are never mixed: give the source another name if the change is meant.",
            )


def _check_unit_mix_up(
    series: ForecastSeries, previous: ForecastSeries | None, typical_level: float | None
) -> None:
    if previous is not None and (said := _constant_factor(series, previous)):
        raise _reject(
            series,
            f"from {_interval(series, 0)} on, its values are {said} those of the vintage known at "
            f"{isoformat_z(previous.known_at)}.",
            "Check the unit that the source publishes in.",
        )
    if series.signal is not Signal.PRICE:
        return
    level = typical_level
    if previous is not None and len(previous):
        level = float(np.median(np.abs(previous.values)))
    # A price per kWh taken for one per MWh: all tiny, and the level is a thousand times the median and the
    # high. A day of real prices around zero has negative and exactly zero ones, so those do not match.
    euro = roughly_per_euro(series.unit)
    few = len(series) < 12
    if few or level is None or level < 20 * euro or bool(np.any(np.abs(series.values) >= 2 * euro)):
        return
    scaled = np.quantile(series.values, [0.5, 0.9]) * 1000 / level
    if bool(np.all((scaled > 1 / 3) & (scaled < 5))):
        raise _reject(
            series,
            f"from {_interval(series, 0)} on, every price is below {2 * euro:g} {series.unit} where {level:.0f} is "
            "usual: they look like prices per kWh.",
            "Declare the unit as per kWh, and it is converted.",
        )


# What a change of unit multiplies by, and how far from it every interval may be. Powers of ten have no near
# neighbours; 2.2 is what weather can do too, so it must hold all along.
_POUND = 1000 / GRAMS_PER_POUND
_THOUSANDS = ((0.001, 2.0, "a thousandth of"), (1000.0, 2.0, "a thousand times"))
_FACTORS: dict[Signal, tuple[tuple[float, float, str], ...]] = {
    Signal.PRICE: (
        *_THOUSANDS,
        (0.1, 1.1, "a tenth of"),
        (10.0, 1.1, "ten times"),
    ),
    Signal.CARBON: (
        *_THOUSANDS,
        (_POUND, 1.1, "2.2 times (pounds for kilograms?)"),
        (1 / _POUND, 1.1, "1/2.2 of (kilograms for pounds?)"),
    ),
}


def _constant_factor(series: ForecastSeries, previous: ForecastSeries) -> str:
    """How `series` is a constant multiple of `previous` where both speak of an interval; "" when not."""
    _, here, there = np.intersect1d(series.start, previous.start, assume_unique=True, return_indices=True)
    before, after = previous.values[there], series.values[here]
    told = (np.abs(before) > 1e-3) & (np.abs(after) > 1e-6)
    if np.count_nonzero(told) < 12:  # fewer prove nothing
        return ""
    ratio = np.quantile(after[told] / before[told], [0.1, 0.5, 0.9])
    for factor, tolerance, words in _FACTORS.get(series.signal, _THOUSANDS):
        if np.all((ratio >= factor / tolerance) & (ratio <= factor * tolerance)):
            return words
    return ""


def _check_not_frozen(series: ForecastSeries, longest: timedelta) -> None:
    changes = np.flatnonzero(np.diff(series.values) != 0) + 1
    first = np.concatenate([[0], changes])
    last = np.concatenate([changes, [len(series)]]) - 1
    held = series.end[last] - series.start[first]
    if (i := _first(held >= np.timedelta64(longest))) is not None:
        raise _reject(
            series,
            f"it stands still at {series.values[first[i]]:g} {series.unit} from "
            f"{_when(series.start[first[i]])} to {_when(series.end[last[i]])}: the feed looks frozen.",
            "Where a constant is meant (a contract, a static factor), allow it in the source's options.",
        )


def _check_market_days(series: ForecastSeries, tz: tzinfo) -> None:
    """The last market day must be whole; the first may have begun, and between them there are no gaps."""
    end = as_datetime(series.end[-1])
    day = last_local_day(end, tz)
    opens, closes = market_day(day, tz)
    if end == closes:
        return
    step = as_datetime(series.end[-1]) - as_datetime(series.start[-1])
    expected, came = (closes - opens) / step, (end - max(opens, as_datetime(series.start[0]))) / step
    if local_day(as_datetime(series.start[0]), tz) == day:
        expected = (closes - as_datetime(series.start[0])) / step
    raise _reject(
        series,
        f"the market day {day} of {tz} has {(closes - opens) / timedelta(hours=1):g} hours and ends at "
        f"{isoformat_z(closes)}; it came with {came:g} of {expected:g} steps, the last being "
        f"{_interval(series, len(series) - 1)}.",
        "Count steps from the day's length in UTC (23, 24 or 25 hours); fetch again once the day is whole.",
    )


def _bands(series: ForecastSeries) -> list[tuple[str, Floats]]:
    return [(f"{p:g} quantile", band) for p, band in sorted(series.quantiles.items())]


def _first(wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int | None:
    return int(np.argmax(wrong)) if wrong.any() else None


def _when(time: np.datetime64) -> str:
    return isoformat_z(as_datetime(time))


def _interval(series: ForecastSeries, i: int) -> str:
    start: Times = series.start
    return f"[{_when(start[i])}, {_when(series.end[i])})"


def _reject(series: ForecastSeries, what: str, hint: str) -> ForecastRejected:
    return ForecastRejected(f"{series.key}: {what}", field=str(series.signal), hint=hint, series=series.key)
