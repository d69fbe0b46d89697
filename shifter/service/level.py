"""What the real-time load of a pool is taken to be: the highest that was measured lately.

It rises at once and falls late. Work that yields to it therefore comes back once the load has been low for the whole
of `hold`, and never sooner: however the load flutters, nothing is stopped and let in again more often than once in
`hold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = 64
"""Into how many steps `hold` is cut: what is remembered of a pool is no longer than that."""


@dataclass(frozen=True)
class Level:
    """Of the load measured in a pool, when and how high [accelerators]: oldest first, each higher than all later."""

    peaks: tuple[tuple[datetime, float], ...] = ()

    def heard(self, at: datetime, accelerators: float, hold: timedelta, now: datetime | None = None) -> Level:
        """With one more measurement, whether it is the newest or comes late. What lies beyond `now` was measured by a
        clock that was set back since, and counts no more.
        """
        if now is not None and self.peaks and self.peaks[-1][0] > now:
            return Level(tuple(p for p in self.peaks if p[0] <= now)).heard(at, accelerators, hold)
        later = tuple(p for p in self.peaks if p[0] > at)
        if any(load >= accelerators for _, load in later):
            return self
        newest = later[-1][0] if later else at
        kept = [p for p in self.peaks if p[0] <= at and p[1] > accelerators and p[0] + hold > newest]
        if len(kept) > 1 and _step(kept[-1][0], hold) == _step(kept[-2][0], hold):
            # One step: as high as it began, for as long as it lasted, which is the safe side.
            kept[-2:] = [(kept[-1][0], kept[-2][1])]
        kept.append((at, accelerators))
        return Level((*kept, *later))

    def at(self, now: datetime, hold: timedelta) -> float:
        """The highest measured since `now - hold`, or the last where nothing was; zero before the first."""
        lately = (load for at, load in self.peaks if at + hold > now)
        return next(lately, self.peaks[-1][1] if self.peaks else 0.0)


def _step(at: datetime, hold: timedelta) -> int:
    return (at - EPOCH) // max(hold / STEPS, timedelta(microseconds=1))
