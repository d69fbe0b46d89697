"""What the daemon would have believed at moments of the past, beside its parts: our models, each source, the past.

Each moment is asked of vintages as they were known then (`forecasts.history`), and nothing later can answer; what came
is looked at only to score. A moment's belief depends on the vintages and the moment alone, so that moments may be asked
in any order, and by several processes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from forecasts.assemble import frame_from_store
from forecasts.calibrate import PROBABILITIES
from forecasts.heeded import MODELS_ALONE, PLANNED_BY, Heeded
from forecasts.history import VintageHistory
from forecasts.known import Knowledge
from forecasts.learning import Learning
from forecasts.models.ensemble import foresee
from forecasts.outlook import Answered, Outlook
from forecasts.outlooks import Outlooks
from forecasts.replay import HOUR, REPEATED, Replay
from forecasts.scores.cases import Rule, Standing, persistence, standing
from forecasts.scores.decision import Job
from forecasts.scores.report import SourceScores
from forecasts.scores.stood import Told, Versus, possible_leads_h, score_standing, versus
from forecasts.series import PLANNED, Signal
from forecasts.slots import Floats, SlotGrid
from forecasts.spans import to_us

PARTS = 8
"""For each process, so that one that is done early finds more to do."""


@dataclass(frozen=True)
class Belief:
    """What was believed at one moment of the hours from it on, (ahead,) each, NaN where nothing: what would have been
    `planned` by, its quantiles by probability, and what our models alone said, `ours`.
    """

    planned: Floats
    quantiles: Mapping[float, Floats]
    ours: Floats


class Asked:
    """The world of a replay, to be asked what was believed at a moment; `answered` as in `forecasts.outlook`."""

    def __init__(self, replay: Replay, answered: Answered = foresee) -> None:
        self._replay = replay
        self._store = Heeded(VintageHistory(replay.vintages), replay.shadow)
        self._order = {("*", signal): replay.order for signal in PLANNED} if replay.order else {}
        self._knowledge = Knowledge(self._store)
        self._answered = answered
        self._outlooks = self._made_by(replay.rules)

    def go_by(self, rules: Learning) -> None:
        """Believe by other rules from now on; what was looked up is remembered."""
        self._outlooks = self._made_by(rules)

    def _made_by(self, rules: Learning) -> Outlooks:
        return _OfOneSignal(
            self._store, self._knowledge, self._answered, self._replay.signal, self._order, rules
        )

    def at(self, origin: datetime) -> Belief:
        """What was believed at `origin`, on a whole hour."""
        r = self._replay
        frame = frame_from_store(
            self._store,
            SlotGrid(origin, 60, r.ahead),
            as_of=origin,
            zones=[r.zone],
            currency=r.currency,
            preference=self._order,
            max_age=r.max_age,
            outlooks=self._outlooks,
        ).get(r.zone, r.signal)
        nothing = np.full(r.ahead, np.nan)
        if frame is None:
            return Belief(nothing, {}, nothing)
        quantiles = {p: frame.quantiles.get(p, nothing) for p in PROBABILITIES}
        banded = np.all([np.isfinite(band) for band in quantiles.values()], axis=0)
        # What is planned by stands in the middle of its bands.
        quantiles[0.5] = np.where(banded, frame.values, np.nan)
        outlook = self._outlooks.at(r.zone, r.signal, origin)
        return Belief(frame.values, dict(sorted(quantiles.items())), _ours(outlook, origin, r.ahead))


class _OfOneSignal(Outlooks):
    """Outlooks that are made of one signal alone: the other is in the frame, too, and nobody looks at it."""

    def __init__(
        self,
        store: Heeded,
        knowledge: Knowledge,
        answered: Answered,
        signal: Signal,
        order: Mapping[tuple[str, Signal], Sequence[str]],
        rules: Learning,
    ) -> None:
        super().__init__(store, order, rules=rules, answered=answered)
        self._knowledge = knowledge
        self._signal = signal

    def at(self, zone: str, signal: Signal, moment: datetime) -> Outlook | None:
        return super().at(zone, signal, moment) if signal is self._signal else None


def _ours(outlook: Outlook | None, origin: datetime, ahead: int) -> Floats:
    """Our models' values of the hours from `origin` on, (ahead,)."""
    said = np.full(ahead, np.nan)
    if outlook is not None:
        part = outlook.ours[(origin - outlook.start) // HOUR :][:ahead]
        said[: len(part)] = outlook.scale.from_z(part)
    return said


def beliefs(replay: Replay, *, workers: int = 1, done: Callable[[int], None] | None = None) -> list[Belief]:
    """What was believed at each origin, in their order: the same by any number of processes, `workers`. `done` is told
    of how many more it is known.
    """
    told = done or (lambda _: None)
    found: list[Belief] = []
    if workers == 1:
        asked = Asked(replay)
        for origin in replay.origins:
            found.append(asked.at(origin))
            told(1)
        return found
    size = -(-len(replay.origins) // (PARTS * workers))
    parts = [replay.origins[i : i + size] for i in range(0, len(replay.origins), size)]
    # Spawned, not forked: threads and linear algebra do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(replay,)) as pool:
        for part in pool.map(_ask, parts):
            found += part
            told(len(part))
    return found


_asked: list[Asked] = []
"""In a process that works for another: the world, made once."""


def _begin(replay: Replay) -> None:
    _asked[:] = [Asked(replay)]


def _ask(origins: Sequence[datetime]) -> list[Belief]:
    return [_asked[0].at(origin) for origin in origins]


def forecasters(replay: Replay, believed: Sequence[Belief]) -> dict[str, Standing]:
    """What stood at each origin, by forecaster: what would have been planned by first, then its parts."""
    at, known = replay.origin_us, replay.known
    mine = planned(replay, believed)
    found = {
        PLANNED_BY: mine,
        MODELS_ALONE: Standing(at, mine.first, np.stack([b.ours for b in believed]), {}),
    }
    for name in replay.sources:
        said = [s for s in replay.vintages if (s.source, s.signal) == (name, replay.signal)]
        found[name] = standing(said, known.grid, at, replay.ahead)
    slot = mine.slot
    origin = np.broadcast_to(at[:, None], slot.shape)
    rules: tuple[Rule, ...] = ("day", "week")
    for rule in rules:
        past = persistence(known, origin.ravel(), slot.ravel(), rule=rule)
        found[REPEATED[rule]] = Standing(at, mine.first, past.reshape(slot.shape), {})
    return found


def planned(replay: Replay, believed: Sequence[Belief]) -> Standing:
    """What would have been planned by at each origin, and its quantiles."""
    at, known = replay.origin_us, replay.known
    first = (at - to_us(known.grid.start)) // known.slot_us
    levels = sorted({p for b in believed for p in b.quantiles})
    nothing = np.full(replay.ahead, np.nan)
    bands = {p: np.stack([b.quantiles.get(p, nothing) for b in believed]) for p in levels}
    return Standing(at, first, np.stack([b.planned for b in believed]), bands)


@dataclass(frozen=True)
class Outcome:
    """What came of a replay: what `stood` at each origin by forecaster, the `scores` of each, all at the same origins;
    and `beside` each source what was planned by, in the cases of which that source spoke.
    """

    replay: Replay
    stood: Mapping[str, Standing]
    scores: tuple[SourceScores, ...]
    beside: Mapping[str, Versus]

    @classmethod
    def of(
        cls, replay: Replay, believed: Sequence[Belief], *, job: Job | None = None, seed: int = 0
    ) -> Outcome:
        """From what was believed; who said nothing that can be scored is left out.

        Raises InputError for a job that is no choice among hours.
        """
        stood = forecasters(replay, believed)
        leads = possible_leads_h(stood[PLANNED_BY], replay.known)
        found = []
        for name, one in stood.items():
            about = Told(replay.zone, replay.signal, name, replay.unit, replay.basis, replay.synthetic)
            rule: Rule = "week" if name == REPEATED["week"] else "day"
            made = score_standing(one, replay.known, about, leads, job=job, rule=rule, seed=seed)
            found += [made] if made is not None else []
        beside = {name: versus(stood[PLANNED_BY], stood[name], replay.known) for name in replay.sources}
        return cls(replay, stood, tuple(found), {name: v for name, v in beside.items() if v is not None})

    def summary(self) -> dict[str, Any]:
        """The figures, without what stood."""
        r = self.replay
        return {
            "zone": r.zone,
            "signal": r.signal,
            "unit": r.unit,
            "basis": r.basis,
            "outcomes_of": r.known.source,
            "synthetic": r.synthetic,
            "first": r.origins[0],
            "last": r.origins[-1],
            "moments": len(r.origins),
            "ahead_hours": r.ahead,
            "left_out": r.left_out,
            "forecasters": self.scores,
            "beside_sources": self.beside,
        }
