"""What our models answered, remembered: other rules often lead to a question that has been asked before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from forecasts.models.base import Beside, Question
from forecasts.models.ensemble import Foreseen, foresee
from forecasts.slots import Floats

KEPT = 512
"""Answers in memory at most, of some 200 kB each."""


class Remembered:
    """`forecasts.models.ensemble.foresee`, asked once for each question; the last `kept` are remembered."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._answers: OrderedDict[bytes, Foreseen] = OrderedDict()

    def __call__(self, question: Question) -> Foreseen:
        """The answer, the same as if it were asked anew."""
        key = _digest(question)
        if (found := self._answers.get(key)) is None:
            found = self._answers[key] = foresee(question)
            if len(self._answers) > self._kept:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return found


def _digest(q: Question) -> bytes:
    """A hash of all that an answer depends on."""
    said = hashlib.blake2b(digest_size=16)
    beside = None if q.beside is None else q.beside.known_hours
    said.update(repr((q.n_ahead, q.n_past, q.days.n_days, q.days.end, q.days.scale, beside)).encode())
    for array in (q.days.z, q.days.known, *_arrays(q.beside)):
        said.update(array.tobytes())
    return said.digest()


def _arrays(beside: Beside | None) -> tuple[Floats, ...]:
    if beside is None:
        return ()
    return (beside.z,) if beside.expected is None else (beside.z, beside.expected)
