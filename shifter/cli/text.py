"""How quantities and times are written for people. Pure functions: no terminal, no clock."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from shifter.errors import InputError

LEAST_SHOWN = 0.01
"""Less than this, in money or kg, is shown as nothing: a share of it would say nothing."""
BARS = "▁▂▃▄▅▆▇█"
_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def sparkline(values: Iterable[float | None], width: int = 60) -> str:
    """The course of `values` in at most `width` characters; `·` where nobody knows.

    >>> sparkline([1, 2, 3, 4, None, 8])
    '▁▂▃▄·█'
    """
    given = [None if v is None or not math.isfinite(v) else float(v) for v in values]
    if len(given) > width:
        edges = [round(i * len(given) / width) for i in range(width + 1)]
        given = [_mean(given[a:b]) for a, b in pairwise(edges)]
    known = [v for v in given if v is not None]
    if not known:
        return "·" * len(given)
    low, high = min(known), max(known)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join("·" if v is None else BARS[round((v - low) / step)] for v in given)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def number(value: float | None, digits: int = 2) -> str:
    """Thousands set apart, `–` for what is not known.

    >>> number(12345.678), number(-0.001), number(None)
    ('12,345.68', '0.00', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def unit_price(value: float | None) -> str:
    """Three figures: prices of single units are small. `–` where no program says one.

    >>> unit_price(0.0123456), unit_price(-1234.5), unit_price(0.0), unit_price(None)
    ('0.0123', '-1,234.50', '0', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.3g}"


def money(value: float | None, currency: str) -> str:
    """
    >>> money(3.5, "EUR")
    '3.50 EUR'
    """
    return f"{number(value)} {currency}"


def percent(ratio: float | None, digits: int = 1) -> str:
    """
    >>> percent(0.314), percent(0.314, 0), percent(None)
    ('31.4 %', '31 %', '–')
    """
    return "–" if ratio is None or not math.isfinite(ratio) else f"{number(ratio * 100, digits)} %"


def gap(ratio: float) -> str:
    """How far from the best possible at most, to two significant digits.

    >>> gap(0.00421), gap(-1e-16), gap(0.0123)
    ('0.42 %', 'less than 0.01 %', '1.2 %')
    """
    return f"{ratio * 100:.2g} %" if ratio >= 1e-4 else "less than 0.01 %"


def saving(planned: float | None, at_once: float | None, digits: int = 1) -> str:
    """How much less the plan needs than running at once; `–` where that is next to nothing.

    >>> saving(60, 80), saving(90, 80), saving(1, 0), saving(1.2, 0.0056)
    ('25.0 %', '-12.5 %', '–', '–')
    """
    if planned is None or at_once is None or at_once < LEAST_SHOWN:
        return "–"
    return percent(1 - planned / at_once, digits)


def less_or_more(planned: float, at_once: float) -> str:
    """The same as words; "" where there is nothing to compare.

    >>> less_or_more(60, 80), less_or_more(90, 80), less_or_more(80, 80), less_or_more(1, 0)
    ('25.0 % less', '12.5 % more', 'the same', '')
    """
    if at_once < LEAST_SHOWN:
        return ""
    ratio = 1 - planned / at_once
    if abs(ratio) < 0.0005:
        return "the same"
    return f"{percent(abs(ratio))} {'less' if ratio > 0 else 'more'}"


def amount(value: float | None, unit: str) -> str:
    """
    >>> amount(4.1e9, "tokens"), amount(12, "accelerator_hours")
    ('4.1 G tokens', '12 accelerator-h')
    """
    if value is None:
        return "–"
    label = "accelerator-h" if unit == "accelerator_hours" else unit
    for size, prefix in _PREFIXES:
        if abs(value) >= size and unit == "tokens":
            return f"{value / size:.3g} {prefix} {label}"
    return f"{value:,.6g} {label}"


def duration(seconds: float | None) -> str:
    """
    >>> duration(42), duration(260), duration(7800), duration(200000), duration(None)
    ('42 s', '4 min', '2 h 10 min', '2 d 7 h', '–')
    """
    if seconds is None:
        return "–"
    whole = abs(int(seconds))
    sign = "-" if seconds < 0 else ""
    if whole < 60:
        return f"{sign}{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{sign}{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{sign}{hours} h {minutes} min" if minutes else f"{sign}{hours} h"
    days, hours = divmod(hours, 24)
    return f"{sign}{days} d {hours} h" if hours else f"{sign}{days} d"


LONGEST = timedelta(days=36_500)
FIRST_YEAR, LAST_YEAR = 1970, 2199
"""What is longer, or at another time, is a typing error; so no sum of both is beyond what can be told."""


def parse_duration(text: str, field: str) -> timedelta:
    """`48h`, `30min`, `1h30m`, `2d`. Raises InputError.

    >>> parse_duration("1h30m", "--horizon")
    datetime.timedelta(seconds=5400)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    written = "".join(a + b for a, b in parts)
    if not parts or written != re.sub(r"\s+", "", text.lower()) or any(u not in _UNITS_S for _, u in parts):
        hint = "Write it like 30min, 48h or 7d."
        raise InputError(f"{text!r} is not a length of time.", field=field, hint=hint)
    total_s = sum(float(n) * _UNITS_S[u] for n, u in parts)
    if total_s > LONGEST.total_seconds():
        hint = f"Give at most {LONGEST.days}d."
        raise InputError(f"{text} is longer than anything is planned for.", field=field, hint=hint)
    return timedelta(seconds=total_s)


def parse_minutes(text: str, field: str) -> int:
    """A length of time in whole minutes. Raises InputError.

    >>> parse_minutes("1h30m", "--slot")
    90
    """
    minutes = parse_duration(text, field) / timedelta(minutes=1)
    if minutes != int(minutes):
        raise InputError(
            f"{text} is not a whole number of minutes.", field=field, hint="Write it like 30min or 2h."
        )
    return int(minutes)


def parse_time(text: str, field: str) -> datetime:
    """An ISO 8601 moment with its zone, in UTC. Raises InputError.

    >>> parse_time("2026-01-10T01:00:00+01:00", "--start").isoformat()
    '2026-01-10T00:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is not a time.", field=field, hint="Write it like 2026-01-10T00:00:00Z."
        ) from None
    if moment.tzinfo is None:
        clock = text if "T" in text or " " in text else f"{text}T00:00"  # a day alone takes no zone
        raise InputError(
            f"{text!r} has no time zone.",
            field=field,
            hint=f"Write {clock}Z for UTC, {clock}+01:00 for UTC+1.",
        )
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        hint = f"Give a year from {FIRST_YEAR} to {LAST_YEAR}."
        raise InputError(f"{text} is no time that anything is planned for.", field=field, hint=hint)
    return moment.astimezone(UTC)


def moment(value: Any) -> datetime | None:
    """A time as the API writes it, or already a time; None stays None."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


class LocalTimes:
    """Times of one table in this machine's zone (`TZ` changes it), named once where it is one for all."""

    def __init__(self, moments: Iterable[Any], *, seconds: bool = False) -> None:
        self.seconds = seconds
        known = [m.astimezone() for m in map(moment, moments) if m is not None]
        zones = {m.strftime("%Z") for m in known}
        self.zone = zones.pop() if len(zones) == 1 else ""
        self.one_year = len({m.year for m in known}) <= 1

    def header(self, name: str) -> str:
        """A column's header: `start (CET)`."""
        return f"{name} ({self.zone})" if self.zone else name

    def __call__(self, value: Any) -> str:
        when = moment(value)
        if when is None:
            return "–"
        there = when.astimezone()
        text = there.strftime("%a %d %b %H:%M" if self.one_year else "%a %d %b %Y %H:%M")
        if self.seconds and there.second:
            text += there.strftime(":%S")
        return text if self.zone else f"{text} {there.strftime('%Z')}"


def local(value: Any) -> str:
    """One moment, with its zone: `Sat 10 Jan 06:00 CET`."""
    when = moment(value)
    return "–" if when is None else f"{LocalTimes([when])(when)} {when.astimezone().strftime('%Z')}"


def by(value: Any) -> str:
    """A deadline to aim at: the next whole minute, so that what is shown can be kept; "" for None."""
    when = moment(value)
    if when is None:
        return ""
    return local(when + timedelta(seconds=-(when.second + when.microsecond / 1e6) % 60))


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "workload"), plural(3, "workload")
    ('1 workload', '3 workloads')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
