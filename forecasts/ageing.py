"""How old what is said may be, and who speaks in the place of what is older."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from forecasts.series import FACTS, ForecastSeries, Kind, Signal
from forecasts.slots import SlotGrid, as_datetime64
from forecasts.timeline import Timeline

MaxAge = timedelta | Mapping[tuple[str, Signal], timedelta] | None
"""How old a vintage may be: of all, or by zone and signal, zone "*" standing for every zone without its own entry;
None, and where there is no entry: as old as it likes."""


def budget(max_age: MaxAge, zone: str, signal: Signal) -> timedelta | None:
    """How old what is said of `signal` in `zone` may be; None: as old as it likes."""
    if not isinstance(max_age, Mapping):
        return max_age
    return max_age.get((zone, signal), max_age.get(("*", signal)))


def by_age(
    ranked: Sequence[ForecastSeries], grid: SlotGrid, as_of: datetime, longest: timedelta | None
) -> tuple[list[ForecastSeries], list[str]]:
    """`ranked` with what is older than `longest` behind what is not, and in words who yields to whom on `grid`.

    Facts do not age. What is made up is not fresh enough for anything real to yield to it. What lies before the grid
    is as old as it is: it stays where it stands.
    """
    first = as_datetime64(grid.start)
    ahead = [bool(s.end[-1] > first) and s.kind is not Kind.SYNTHETIC for s in ranked]
    old = [
        longest is not None and a and s.kind not in FACTS and as_of - s.known_at > longest
        for s, a in zip(ranked, ahead, strict=True)
    ]
    oldest_place = old.index(True) if True in old else len(ranked)
    younger = [i for i in range(oldest_place, len(ranked)) if ahead[i] and not old[i]]
    if not younger or longest is None:
        return list(ranked), []
    rest = [i for i in range(oldest_place, len(ranked)) if i not in set(younger)]
    order = [*range(oldest_place), *younger, *rest]
    moved = [ranked[i] for i in order]
    window = as_datetime64(grid.start), as_datetime64(grid.end)
    # Both have the same segments: those of all series, whatever their order.
    before, after = (
        Timeline.of(ranked, *window).owner,
        np.append(order, -1)[Timeline.of(moved, *window).owner],
    )
    lost: dict[str, tuple[datetime, list[str]]] = {}
    for was, now in sorted(set(zip(before.tolist(), after.tolist(), strict=True))):
        if was != now:
            spoke, instead = lost.setdefault(ranked[was].source, (ranked[was].known_at, []))
            instead.append(ranked[now].source)
            lost[ranked[was].source] = (max(spoke, ranked[was].known_at), instead)
    words = []
    for source, (spoke, instead) in lost.items():
        others = list(dict.fromkeys(instead))
        words.append(
            f"what {source} said {age_words(as_of - spoke)} ago is older than {age_words(longest)}; "
            f"{' and '.join(others)} {'speaks' if len(others) == 1 else 'speak'} in its place."
        )
    return moved, words


def too_old(series: Iterable[ForecastSeries], as_of: datetime, longest: timedelta | None) -> frozenset[str]:
    """Sources of which everything that is no fact is older than `longest`."""
    newest: dict[str, datetime] = {}
    for s in series:
        if s.kind not in FACTS:
            newest[s.source] = max(s.known_at, newest.get(s.source, s.known_at))
    return frozenset(name for name, k in newest.items() if longest is not None and as_of - k > longest)


def age_words(age: timedelta) -> str:
    """In words a person reads at once: `7 h`, `45 min`, `3 d`.

    >>> age_words(timedelta(hours=7, minutes=20))
    '7 h'
    """
    minutes = int(age / timedelta(minutes=1))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // (24 * 60)} d"
