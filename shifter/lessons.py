"""When there is something to learn: after the start, after each anchor, and once a source has told its past."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from shifter.candidate import Candidate
from shifter.clock import Clock
from shifter.history import History
from shifter.learning import AFTER_ANCHOR, LEARNING, Learner
from shifter.telemetry import get_logger

if TYPE_CHECKING:
    from forecasts.outlooks import Outlooks
    from shifter.ingest import Polled
    from shifter.service.core import Core, FrameMaker
    from shifter.settings import Settings

SHORTEST_WAIT_S = 1.0
FIRST_TRIAL_WAIT_S = 60.0
"""Real seconds after the first learning before which no candidate learns: the first plan is made meanwhile."""

log = get_logger("shifter.lessons")


class Once(Protocol):
    """Runs a job in so many real seconds, in place of the one of that name that waits."""

    def __call__(self, wait_s: float, name: str, job: Callable[..., Any], *args: Any) -> None:
        """See the class."""


class Lessons:
    """Calls `learner` (None: nothing is learnt) and the `histories` of sources, by name, when it is time; and after
    the learner, each time, the `candidate` beside it; the first time not before the first plan has had a minute.
    """

    def __init__(
        self,
        clock: Clock,
        learner: Learner | None,
        histories: Mapping[str, History],
        once: Once,
        candidate: Candidate | None = None,
    ) -> None:
        self._clock = clock
        self._learner = learner
        self._histories = histories
        self._once = once
        self._candidate = candidate
        self._learnt = threading.Event()
        self._trials_from_s = 0.0
        """By `time.monotonic`."""

    def begin(self) -> None:
        """Sources have been asked, and the first plan has not."""
        self._learn_in("learn", 0.0)

    def wait(self, longest_s: float) -> None:
        """Until the first outlooks are there, or it is clear that there are none; so many real seconds at most."""
        if self._learner is not None:
            self._learnt.wait(longest_s)

    def stop(self) -> None:
        """Learn no more."""
        self._learnt.set()
        for one in (self._learner, self._candidate):
            if one is not None:
                one.stop()

    def polled(self, source: str) -> None:
        """A source was asked: where it has answered and its past is wanted, that is asked for, too."""
        if self._histories[source].wanted:
            self._once(0.0, f"history-{source}", self._look_back, source)

    def _look_back(self, source: str) -> None:
        new = self._histories[source].ask()
        if new and self._learner is not None:
            self._learner.forget()
            if self._candidate is not None:
                self._candidate.forget()
            # What was learnt between two anchors is learnt from at the next whole hour: by then it was known before.
            now = self._clock.now()
            hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            self._learn_in("learn-history", self._real_s(hour + AFTER_ANCHOR - now))

    def _learn_in(self, name: str, wait_s: float) -> None:
        if self._learner is not None:
            self._once(wait_s, name, self._learn, self._learner)

    def _learn(self, learner: Learner) -> None:
        """Make the outlooks of now, and put down when to make the next, whatever becomes of it."""
        try:
            well = learner.learn()
        except Exception as error:  # the next must come, and somebody must hear of it
            log.exception("learning broke")
            learner.core.set_fault(
                LEARNING, f"Learning from vintages failed: {type(error).__name__}: {error}"
            )
            well = False
        if not self._learnt.is_set():
            self._trials_from_s = time.monotonic() + FIRST_TRIAL_WAIT_S
        self._learnt.set()
        next_at = learner.next_at(failed=not well)
        self._learn_in("learn", max(SHORTEST_WAIT_S, self._real_s(next_at - self._clock.now())))
        if self._candidate is not None:
            wait_s = max(0.0, self._trials_from_s - time.monotonic())
            self._once(wait_s, "learn-candidate", self._try, self._candidate)

    def _try(self, candidate: Candidate) -> None:
        """What goes wrong is tried again, and is no fault: nothing is planned by it."""
        try:
            well = candidate.learn()
        except Exception:
            log.exception("the candidate broke")
            well = False
        if not well:
            wait_s = self._real_s(candidate.next_at(failed=True) - self._clock.now())
            self._once(max(SHORTEST_WAIT_S, wait_s), "learn-candidate", self._try, candidate)

    def _real_s(self, span: timedelta) -> float:
        return self._clock.real_s(span.total_seconds())


def lessons_of(
    core: Core,
    settings: Settings,
    polled: Sequence[Polled],
    outlooks: Outlooks | None,
    frame_by: Callable[[Outlooks], FrameMaker],
    once: Once,
) -> Lessons:
    """The lessons of a daemon: what `outlooks` are made for, and the past of what is polled.

    `frame_by` makes frames by outlooks, whether plans are made by them or not.
    """
    given = settings.forecasts
    on, back = given.learn == "on", timedelta(days=given.history_days)
    learner = candidate = None
    if outlooks is not None:
        learner = Learner(core, outlooks, frame_by(outlooks), planned_by=on, fx=given.fx)
        if (rules := given.candidate_rules) is not None:
            other = outlooks.by(rules)
            candidate = Candidate(core, other, frame_by(other), fx=given.fx)
    return Lessons(core.clock, learner, {p.name: History(core, p, back) for p in polled}, once, candidate)
