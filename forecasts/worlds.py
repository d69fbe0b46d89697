"""Replays that are asked again and again, by other rules each time, and look up what they need once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from datetime import datetime

from forecasts.learning import Learning
from forecasts.models.remembered import Remembered
from forecasts.replay import Replay
from forecasts.replayed import Asked, Belief

PARTS = 4
"""In which a process is handed its moments, so that it is seen how far it is."""


class Worlds(AbstractContextManager["Worlds"]):
    """The worlds of `replays`, in this process or in `workers` others, each of which keeps its own moments: what is
    answered is the same. `told` is called with how many more moments were answered.
    """

    def __init__(
        self, replays: Sequence[Replay], *, workers: int = 1, told: Callable[[int], None] | None = None
    ) -> None:
        self._keys = {_key(r): k for k, r in enumerate(replays)}
        self._told = told or (lambda _: None)
        self._here = _Kept(replays)
        # Spawned, not forked: threads and linear algebra do not survive a fork. One pool a process, so that a moment
        # is always answered by the one that has looked at it before.
        context = multiprocessing.get_context("spawn")
        self._others = [
            ProcessPoolExecutor(1, context, initializer=_begin, initargs=(replays,))
            for _ in range(workers if workers > 1 else 0)
        ]

    def __exit__(self, *_: object) -> None:
        for other in self._others:
            other.shutdown(wait=True, cancel_futures=True)

    def believed(self, replay: Replay) -> list[Belief]:
        """What was believed at the moments of one of the replays, by its rules."""
        k, rules, n = self._keys[_key(replay)], replay.rules, len(replay.origins)
        if not self._others:
            return [self._answered(self._here.believed(k, rules, [t]))[0] for t in replay.origins]
        size = -(-n // (PARTS * len(self._others)))
        futures: list[Future[list[Belief]]] = []
        for i in range(0, n, size):
            other = self._others[i * len(self._others) // n]
            futures.append(other.submit(_believed, k, rules, replay.origins[i : i + size]))
        for future in as_completed(futures):
            self._answered(future.result())
        return [belief for future in futures for belief in future.result()]

    def _answered(self, found: list[Belief]) -> list[Belief]:
        self._told(len(found))
        return found


def _key(replay: Replay) -> tuple[object, ...]:
    return replay.zone, replay.signal, replay.origins[0]


class _Kept:
    """The worlds of replays, each made when it is first asked."""

    def __init__(self, replays: Sequence[Replay]) -> None:
        self._replays = replays
        self._asked: dict[int, tuple[Asked, Learning]] = {}

    def believed(self, k: int, rules: Learning, origins: Sequence[datetime]) -> list[Belief]:
        """What was believed in the world of replay `k`, by `rules`."""
        asked, by = self._asked.get(k) or (
            Asked(self._replays[k], Remembered()),
            self._replays[k].rules,
        )
        if by != rules:
            asked.go_by(rules)
        self._asked[k] = asked, rules
        return [asked.at(origin) for origin in origins]


_kept: list[_Kept] = []
"""In a process that works for another: its worlds."""


def _begin(replays: Sequence[Replay]) -> None:
    _kept[:] = [_Kept(replays)]


def _believed(k: int, rules: Learning, origins: Sequence[datetime]) -> list[Belief]:
    return _kept[0].believed(k, rules, origins)
