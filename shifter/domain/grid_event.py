"""Grid events: what a grid, or its operator, asks of a site's import for a while, and what that limits in each slot.

An event names a limit, or a cut. A limit holds with real-time load at the site's quantile. A cut is taken from a
*baseline*, which is frozen when the event is accepted and is part of it from then on: whoever replays a plan sees
the same limits, and nobody can move the mark later. Where the baseline is a plan, a cut holds whatever real-time load
comes: with it at its median and at its quantile, the site draws so much less than that plan would. Around its window an
event may bound how the import comes down and goes up again, and how high it may go afterwards.

All of that ends up as one thing: the highest import that is allowed in each slot (`limits_in_force`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from forecasts.slots import isoformat_z
from shifter.domain.fields import STRICT, Minutes, Name, NonNegative, Positive, Ratio, Utc
from shifter.domain.fleet import NONE, Site
from shifter.errors import InputError

RAMP_REACH = timedelta(hours=24)
"""A ramp bounds the import for so long before the window and after it, at most."""
MINUTE = timedelta(minutes=1)
OWN = frozenset({"id", "site", "start", "end", "limit_kw", "source"})
"""What every event says."""


@dataclass(frozen=True)
class BaselineWindow:
    """What a site would draw for a while, mean."""

    __pydantic_config__ = STRICT

    start: Utc
    end: Utc
    import_kw: Annotated[NonNegative, Field(description="[kW] mean of the window")]
    at_quantile_kw: Annotated[
        NonNegative | None,
        Field(description="[kW] the same with real-time load at the site's quantile; null = nobody says"),
    ] = None

    @property
    def counted_kw(self) -> float:
        """What stands beside a limit, which is kept with real-time load at the quantile."""
        return self.import_kw if self.at_quantile_kw is None else self.at_quantile_kw


Method = Literal["plan", "similar_days", "highest_days"]


@dataclass(frozen=True)
class Baseline:
    """What a site would draw without an event, window by window, and who says so."""

    __pydantic_config__ = STRICT

    method: Annotated[Literal[Method, "given"], Field(description="how it was found; given: by the sender")]
    source: Annotated[
        str, Field(max_length=1000, description="the plan, or the days, that it was taken from")
    ]
    windows: Annotated[tuple[BaselineWindow, ...], Field(min_length=1, max_length=10_000)]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        windows = [
            {
                "start": isoformat_z(w.start),
                "end": isoformat_z(w.end),
                "import_kw": w.import_kw,
                "at_quantile_kw": w.at_quantile_kw,
            }
            for w in self.windows
        ]
        return {"method": self.method, "source": self.source, "windows": windows}

    def of(self, start: datetime, end: datetime) -> tuple[BaselineWindow, ...]:
        """Those of its windows that lie in `[start, end)` with a part of them."""
        return tuple(w for w in self.windows if w.start < end and w.end > start)

    def mean_kw(self, start: datetime, end: datetime) -> float | None:
        """Its mean over `[start, end)`; None where it does not say all of it."""
        overlaps = [(min(end, w.end) - max(start, w.start), w.import_kw) for w in self.windows]
        known = sum((time for time, _ in overlaps if time > NONE), NONE)
        if known < end - start:
            return None
        return sum(kw * (time / (end - start)) for time, kw in overlaps if time > NONE)

    def covers(self, start: datetime, end: datetime) -> bool:
        """Whether it says something of all of `[start, end)`."""
        return self.mean_kw(start, end) is not None


@dataclass(frozen=True)
class GridEvent:
    """What a grid asks of a site's import in a window: a limit, or a cut."""

    __pydantic_config__ = STRICT

    id: Name
    site: Name
    start: Utc
    end: Utc
    limit_kw: Annotated[
        NonNegative | None, Field(description="highest import in the window, slot mean; null = it is a cut")
    ] = None
    source: str = "operator"
    cut_kw: Annotated[Positive | None, Field(description="[kW] to draw less than the baseline")] = None
    cut_ratio: Annotated[
        Ratio | None, Field(description="of the baseline to draw less, 0..1; 0.25 = a quarter less")
    ] = None
    baseline: Annotated[
        Method,
        Field(
            description="what a cut is taken from: plan = what the plan in force would draw without it; "
            "similar_days = the metered mean of the last ten days of its kind; highest_days = of the five highest"
        ),
    ] = "plan"
    notice_minutes: Annotated[
        Minutes | None,
        Field(description="notice that was agreed: it is told at the latest so long before its start"),
    ] = None
    ramp_kw_per_minute: Annotated[
        Positive | None,
        Field(
            description="the import comes down to the window's limit, and goes up from it, within this: so long before "
            "or after the window it may be so much higher"
        ),
    ] = None
    rebound_minutes: Annotated[
        Minutes | None, Field(description="after the window, for so long the import has the rebound's limit")
    ] = None
    rebound_limit_kw: Annotated[
        NonNegative | None, Field(description="highest import then, slot mean; or rebound_ratio")
    ] = None
    rebound_ratio: Annotated[
        float | None,
        Field(
            ge=0.001,
            le=10,
            allow_inf_nan=False,
            description="highest import then, as a ratio of the baseline",
        ),
    ] = None
    frozen_baseline: Annotated[
        Baseline | None,
        Field(
            description="the baseline that its limits are taken from; null when it is sent, unless the sender has one"
        ),
    ] = None

    @property
    def needs_baseline(self) -> bool:
        """Whether its limits are taken from a baseline."""
        return self.limit_kw is None or self.rebound_ratio is not None

    @property
    def as_asked(self) -> GridEvent:
        """Without the baseline that was found for it: what its sender said."""
        given = self.frozen_baseline is None or self.frozen_baseline.method == "given"
        return self if given else replace(self, frozen_baseline=None)

    @property
    def rebound_end(self) -> datetime:
        """Until when the rebound's limit holds; the window's end where there is none."""
        return self.end + (self.rebound_minutes or 0.0) * MINUTE

    @property
    def holds_from(self) -> datetime:
        """From when on it may limit something."""
        return self.start if self.ramp_kw_per_minute is None else self.start - RAMP_REACH

    @property
    def holds_until(self) -> datetime:
        """Until when it may limit something."""
        ramp_end = self.end if self.ramp_kw_per_minute is None else self.end + RAMP_REACH
        return max(ramp_end, self.rebound_end)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values. A field that few events have stands in it only where it is not its default."""
        said = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name in OWN or getattr(self, f.name) != f.default
        }
        said |= {"start": isoformat_z(self.start), "end": isoformat_z(self.end)}
        if self.frozen_baseline is not None:
            said["frozen_baseline"] = self.frozen_baseline.to_dict()
        return said

    def withdrawn(self, now: datetime) -> GridEvent:
        """The same, over at `now`: what its grid takes back limits nothing any more, nor its rebound."""
        return replace(self.without_rebound(), end=min(self.end, now), ramp_kw_per_minute=None)

    def without_rebound(self) -> GridEvent:
        """The same, with nothing asked after its end."""
        return replace(self, rebound_minutes=None, rebound_limit_kw=None, rebound_ratio=None)

    def limit_of(self, start: datetime, end: datetime, most_kw: float = float("inf")) -> float:
        """The highest import that it allows anywhere in `[start, end)`, infinite where it limits nothing [kW].

        A bound of its ramp that is not below `most_kw`, which the site could not exceed, is none. Raises InputError for
        a cut whose baseline was not found yet.
        """
        limits = [self.window_kw(start, end)]
        if self.rebound_minutes:
            limits.append(self._rebound_kw(max(start, self.end), min(end, self.rebound_end)))
        ramp_kw = min(self._ramp_kw(start, end), default=float("inf"))
        return min(*limits, ramp_kw if ramp_kw < most_kw else float("inf"), float("inf"))

    def requested_kw(self, start: datetime, end: datetime) -> float | None:
        """The cut that it asks for in `[start, end)`, mean; None of a limit, and outside of its window [kW]."""
        first, last = max(start, self.start), min(end, self.end)
        if self.limit_kw is not None or last <= first:
            return None
        return self._cut_of(self._baseline().mean_kw(first, last) or 0.0)

    def window_kw(self, start: datetime, end: datetime, share: float = 1.0) -> float:
        """What the window alone allows anywhere in `[start, end)`, with `share` of its cut [kW]."""
        start, end = max(start, self.start), min(end, self.end)
        if end <= start:
            return float("inf")
        if self.limit_kw is not None:
            return self.limit_kw
        left = (w.counted_kw - share * self._cut_of(w.import_kw) for w in self._baseline().of(start, end))
        return max(0.0, min(left, default=float("inf")))

    def _cut_of(self, import_kw: float) -> float:
        return self.cut_kw if self.cut_kw is not None else (self.cut_ratio or 0.0) * import_kw

    def _rebound_kw(self, start: datetime, end: datetime) -> float:
        if end <= start:
            return float("inf")
        if self.rebound_limit_kw is not None:
            return self.rebound_limit_kw
        counted = (w.counted_kw for w in self._baseline().of(start, end))
        return (self.rebound_ratio or 1.0) * min(counted, default=float("inf"))

    def _ramp_kw(self, start: datetime, end: datetime) -> Iterator[float]:
        """Before and after the window: the mean over that part of a slot of a line that falls to its limit or rises."""
        if self.ramp_kw_per_minute is None:
            return
        a, b = max(start, self.holds_from), min(end, self.start)
        if a < b:
            before = ((self.start - a) + (self.start - b)) / (2 * MINUTE)
            yield self._edge_kw(self.start) + self.ramp_kw_per_minute * before
        a, b = max(start, self.end), min(end, self.end + RAMP_REACH)
        if a < b:
            after = ((a - self.end) + (b - self.end)) / (2 * MINUTE)
            yield self._edge_kw(self.end - timedelta(microseconds=1)) + self.ramp_kw_per_minute * after

    def _edge_kw(self, at: datetime) -> float:
        return self.window_kw(at, at + timedelta(microseconds=1))

    def _baseline(self) -> Baseline:
        if self.frozen_baseline is None:
            raise InputError(
                f"{self.id} is a cut, and what it is cut from is not known.",
                field="frozen_baseline",
                hint="Accept it first: that freezes its baseline.",
            )
        return self.frozen_baseline


def limits_in_force(site: Site, events: Iterable[GridEvent], start: datetime, end: datetime) -> float:
    """The lowest power limit [kW] that holds anywhere in `[start, end)`; infinite where there is none."""
    windows = [(w.start, w.end, w.limit_kw) for w in site.power_limits]
    limit = float("inf") if site.power_limit_kw is None else site.power_limit_kw
    told = [e.limit_of(start, end, most_kw(site)) for e in events if e.site == site.name]
    return min([limit, *told, *(kw for a, b, kw in windows if a < end and b > start)])


def kw_in_words(kw: float) -> str:
    """To a tenth of a kW, and what is less than that to two figures: what is missing is never said to be nothing."""
    return f"{kw:,.1f} kW" if kw >= 0.1 else f"{kw:.2g} kW"


def most_kw(site: Site) -> float:
    """The most that a site could draw: all that it has at full load, and its battery charging [kW]."""
    drawn = site.pue * sum(pool.count * max(pool.busy_kw, pool.idle_kw) for pool in site.pools)
    return drawn + (0.0 if site.battery is None else site.battery.power_kw)


MOST_HOURS = 24.0 * 365
"""[h] No window that somebody means is longer."""


def check_hours(hours: float) -> None:
    """Raises InputError for what is no length of a window; not a number is none."""
    if not 0 < hours <= MOST_HOURS:
        raise InputError(
            f"a window has some length, of up to {MOST_HOURS:g} hours; {hours:g} is none.",
            field="--hours",
            hint="Give hours, such as 3.",
        )


def check_grid_event(event: GridEvent) -> None:
    """Raises InputError, with the field, for an event that contradicts itself."""
    if event.end <= event.start:
        raise InputError(
            f"the window ends at {isoformat_z(event.end)}, not after {isoformat_z(event.start)}.",
            field="end",
            hint="Windows are [start, end).",
        )
    asked = [name for name in ("limit_kw", "cut_kw", "cut_ratio") if getattr(event, name) is not None]
    if len(asked) != 1:
        said = "nothing is asked for" if not asked else f"{' and '.join(asked)} are both given"
        raise InputError(
            f"{said}.",
            field=asked[-1] if asked else "limit_kw",
            hint="Give one of limit_kw, cut_kw and cut_ratio.",
        )
    after = [name for name in ("rebound_limit_kw", "rebound_ratio") if getattr(event, name) is not None]
    if len(after) == 2:
        raise InputError(
            "rebound_limit_kw and rebound_ratio are both given.",
            field="rebound_ratio",
            hint="Give one of them.",
        )
    if bool(after) is not bool(event.rebound_minutes):
        raise InputError(
            f"a rebound needs {'its limit' if not after else 'its length'}, too.",
            field="rebound_minutes" if after else "rebound_limit_kw",
            hint="Give rebound_minutes and one of rebound_limit_kw and rebound_ratio, or none of them.",
        )
    given = event.frozen_baseline
    if given is not None:
        _check_windows(given)
        until = event.rebound_end if event.rebound_ratio is not None else event.end
        if not given.covers(event.start, until):
            raise InputError(
                f"the baseline does not cover {isoformat_z(event.start)} to {isoformat_z(until)}.",
                field="frozen_baseline.windows",
                hint="Give windows for all of it, or leave it out.",
            )


def _check_windows(given: Baseline) -> None:
    last: datetime | None = None
    for i, window in enumerate(given.windows):
        if window.end <= window.start or (last is not None and window.start < last):
            raise InputError(
                "a window of the baseline ends before it begins, or begins before the one before it ends.",
                field=f"frozen_baseline.windows[{i}]",
                hint="Give them in time, without overlap.",
            )
        last = window.end
