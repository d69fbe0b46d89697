"""A search for the rules (`forecasts.learning`) that would have served best, and a judgement whether they are better.

Time is cut in two. The first part chooses: all rules are replayed at the same moments, and scored by what was known of
outcomes when that part ended. The second part judges, once: what was chosen is held against what is in force, at
moments of which the choice knew nothing. So what is seen there is what the change would have brought.

The measure is the CRPS of what would have been planned by, over all leads: each day counts alike, and each zone and
signal, as a share of what the rules in force lose there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from forecasts.gain import Gain, gain
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.replay import Replay
from forecasts.replayed import Belief
from forecasts.scores.decision import Job
from forecasts.series import Signal
from forecasts.trials import Captured, Lost, Pair, Parts, daily_losses, lost, overlap_days

GRID: Mapping[str, tuple[Any, ...]] = {
    "weigh_sources": (True, False),
    "adapt_rate": (0.005, 0.02, 0.05, 0.1),
    "past_days": (30, 60, 120),
    "history_days": (120, 200, 400),
}
"""What is tried of each rule, one rule after the other, the others being the best that was found. The first two leave
what our models answered as it was, which is remembered.
"""
PASSES = 3
"""Over all rules, and no further: it mostly stands still after one or two."""
WORTH = 0.002
"""What is better by a smaller share is not preferred: it would be noise that chooses."""

Believe = Callable[[Replay], Sequence[Belief]]
"""What would have been believed at the moments of a replay, by its rules: `forecasts.replayed.beliefs`."""


@dataclass(frozen=True)
class Tried:
    """Rules in the part that chooses: the mean `crps` of each replay [its unit], and `gain` against those in force.

    `captured` is by replay, the share of what perfect foresight would have saved a job that decides by it.
    """

    rules: Learning
    crps: tuple[float, ...]
    captured: tuple[float | None, ...]
    gain: Gain


@dataclass(frozen=True)
class Beside:
    """What was chosen beside the rules in force, in one replay of the part that judges: mean CRPS [unit] of both."""

    zone: str
    signal: Signal
    unit: str
    crps_chosen: float
    crps_present: float
    gain: Gain
    captured: Captured


@dataclass(frozen=True)
class Judged:
    """What was chosen against the rules in force, in the part that judges: over all replays, and in each."""

    gain: Gain
    replays: tuple[Beside, ...]


@dataclass(frozen=True)
class Tuning:
    """What came of a search: all that was `tried`, the rules in force first; `judged` is None where they are chosen."""

    present: Learning
    chosen: Learning
    tried: tuple[Tried, ...]
    judged: Judged | None

    @property
    def suggests(self) -> bool:
        """Whether a change is suggested: better by more than noise, and no worse for a job that decides by it."""
        j = self.judged
        return j is not None and j.gain.is_sure and not any(one.captured.is_worse for one in j.replays)

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """The rules that were chosen otherwise than they are: from what, to what."""
        was, is_ = asdict(self.present), asdict(self.chosen)
        return {name: (was[name], is_[name]) for name in was if was[name] != is_[name]}

    @property
    def verdict(self) -> str:
        """In words."""
        if self.judged is None:
            n = self.tried[0].gain.n_days
            return f"keep: nothing else did better by {100 * WORTH:g} % on the {n} days that choose"
        *some, last = (f"{name} from {shown(a)} to {shown(b)}" for name, (a, b) in self.changes.items())
        what = f"{', '.join(some)} and {last}" if some else last
        told = f"CRPS {self.judged.gain.words}"
        if self.suggests:
            return f"change {what}: {told}"
        if self.judged.gain.is_sure:
            return f"keep: {what} has {told}, but a job that decides by it saves less"
        return f"keep: no setting is better by more than noise; {what} has {told}"


def shown(value: object) -> str:
    """A setting's value as one writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def tune(
    parts: Sequence[Parts],
    believe: Believe,
    *,
    present: Learning = BY_DEFAULT,
    grid: Mapping[str, Sequence[Any]] = GRID,
    job: Job | None = None,
    seed: int = 0,
) -> Tuning:
    """Search, choose, and judge once. Raises InputError where nothing came of what one of the parts forecast, or for a
    job that is no choice among hours.
    """
    job = job or Job()
    search = _Search([p.choosing for p in parts], believe, present, job, seed)
    best = search.best(grid)
    judged = None
    if best != present:
        judging = [p.judging for p in parts]
        was, is_ = ([_lost(r, believe, rules, job) for r in judging] for rules in (present, best))
        judged = _judged([Pair(*one) for one in zip(judging, is_, was, strict=True)], job, seed)
    return Tuning(present, best, tuple(search.tried.values()), judged)


def _lost(replay: Replay, believe: Believe, rules: Learning, job: Job) -> Lost:
    mine = replace(replay, rules=rules)
    return lost(mine, believe(mine), job)


class _Search:
    """Rules in the part that chooses, each tried once, the ones in force first."""

    def __init__(
        self, replays: Sequence[Replay], believe: Believe, present: Learning, job: Job, seed: int
    ) -> None:
        self._replays, self._believe, self._job, self._seed = replays, believe, job, seed
        self._present = [_lost(r, believe, present, job) for r in replays]
        self.tried = {present: self._beside_present(present, self._present)}

    def best(self, grid: Mapping[str, Sequence[Any]]) -> Learning:
        """What is found from the rules in force on, along one rule after the other: the least changed of all that do
        about as well as the best.
        """
        best = next(iter(self.tried))
        for _ in range(PASSES):
            before = best
            for name, values in grid.items():
                found = min((replace(best, **{name: value}) for value in values), key=self._loss)
                if self._loss(found) < self._loss(best) - WORTH:
                    best = found
            if best == before:
                break
        enough = min(map(self._loss, self.tried)) + WORTH
        good = [rules for rules in self.tried if self._loss(rules) <= enough]
        return min(good, key=lambda rules: (self._n_changes(rules), self._loss(rules)))

    def _n_changes(self, rules: Learning) -> int:
        was, is_ = asdict(next(iter(self.tried))), asdict(rules)
        return sum(was[name] != is_[name] for name in was)

    def _loss(self, rules: Learning) -> float:
        """Against the rules in force."""
        if rules not in self.tried:
            mine = [_lost(r, self._believe, rules, self._job) for r in self._replays]
            self.tried[rules] = self._beside_present(rules, mine)
        return self.tried[rules].gain.ratio

    def _beside_present(self, rules: Learning, mine: Sequence[Lost]) -> Tried:
        pairs = [Pair(*one) for one in zip(self._replays, mine, self._present, strict=True)]
        return Tried(
            rules,
            tuple(float(p.daily[:, 0].mean()) for p in pairs),
            tuple(p.captured(self._job).other for p in pairs),
            gain(*daily_losses(pairs), overlap_days=overlap_days(pairs), seed=self._seed),
        )


def _judged(pairs: Sequence[Pair], job: Job, seed: int) -> Judged:
    days = overlap_days(pairs)
    found = []
    for p in pairs:
        r, daily = p.replay, p.daily
        found.append(
            Beside(
                r.zone,
                r.signal,
                r.unit,
                float(daily[:, 0].mean()),
                float(daily[:, 1].mean()),
                gain(daily[:, 0], daily[:, 1], overlap_days=days, seed=seed),
                p.captured(job, seed=seed),
            )
        )
    return Judged(gain(*daily_losses(pairs), overlap_days=days, seed=seed), tuple(found))
