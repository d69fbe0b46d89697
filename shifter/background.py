"""Jobs by the clock on the wall, in threads that never hold up the end of the process, with an end that is no failure.

APScheduler's own pool, like every `concurrent.futures` pool, is waited for at exit: a source that does not answer would
keep a stopped daemon alive until its request times out. What these threads do is safe to give up at any moment: a
forecast is stored in one transaction, or not at all.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.background import BackgroundScheduler

SHORTEST_S = 0.05
SET_BACK = timedelta(seconds=1)
"""Less than this is left to pass by itself."""


class Timetable:
    """Jobs by name: each every so many real seconds, or once in so many. Nothing runs before `start` or after `end`.

    A job that is still running is not begun again, and one that was late runs once, however late. A clock that is set
    back holds up none.
    """

    def __init__(self) -> None:
        self.scheduler = _Scheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            executors={"default": DaemonThreadExecutor()},
        )

    def every(self, real_s: float, name: str, job: Callable[..., Any], *args: Any) -> None:
        """Run a job from so many seconds from now on."""
        self.scheduler.follow_the_clock()
        seconds = max(SHORTEST_S, real_s)
        first = datetime.now(UTC) + timedelta(seconds=seconds)
        self.scheduler.add_job(job, "interval", args, id=name, seconds=seconds, start_date=first)

    def once(self, wait_s: float, name: str, job: Callable[..., Any], *args: Any) -> None:
        """Run a job in so many seconds, in place of the one of that name that waits."""
        if not self.scheduler.running:
            return
        self.scheduler.follow_the_clock()
        self.scheduler.add_job(
            job,
            "date",
            args,
            run_date=datetime.now(UTC) + timedelta(seconds=wait_s),
            id=name,
            replace_existing=True,
            max_instances=2,  # the one that asks for it has yet to return: the next may not be dropped for it
        )

    def due_in_s(self, name: str) -> float | None:
        """Seconds until a job runs next; None where none of that name waits."""
        job = self.scheduler.get_job(name)
        at = None if job is None else getattr(job, "next_run_time", None)
        return None if at is None else max(0.0, (at - datetime.now(UTC)).total_seconds())

    def start(self) -> None:
        """Begin."""
        self.scheduler.start()

    def end(self) -> None:
        """Begin nothing more, and give up what runs. One that never began is ended."""
        if self.scheduler.running:
            end(self.scheduler)


class _Scheduler(BackgroundScheduler):  # type: ignore[misc]
    """One that notices where the clock was set back: by it, every job would be due only once it is that time again.

    It wakes when the next was due before, since waiting is by a clock that nobody sets.
    """

    _ahead: timedelta | None = None
    """Of the clock on the wall over the one that nobody sets."""

    def follow_the_clock(self) -> None:
        """Jobs that wait are due so much earlier as the clock was set back since the last look."""
        with self._jobstores_lock:
            ahead = datetime.now(UTC) - datetime.fromtimestamp(time.monotonic(), UTC)
            back = timedelta() if self._ahead is None else self._ahead - ahead
            self._ahead = ahead
            for job in self.get_jobs() if back >= SET_BACK else ():
                if (at := getattr(job, "next_run_time", None)) is not None:
                    job.modify(next_run_time=at - back)

    def _process_jobs(self) -> float | None:
        self.follow_the_clock()
        wait_s: float | None = super()._process_jobs()
        return wait_s


class DaemonThreadExecutor(BaseExecutor):  # type: ignore[misc]
    """One daemon thread a run; `max_instances` of a job still bounds how many run at once."""

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        def call() -> None:
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)  # noqa: SLF001
            except (
                BaseException
            ):  # as the executors of APScheduler do: a job's failure is the scheduler's to tell
                error, trace = sys.exc_info()[1:]
                self._run_job_error(job.id, error, trace)
            else:
                self._run_job_success(job.id, events)

        threading.Thread(target=call, name=f"shifter-{job.id}", daemon=True).start()


def end(scheduler: Any) -> None:
    """Stop a running scheduler; what runs is given up.

    APScheduler stops in the midst of starting jobs and then misses them, with a traceback. So it is told to start no
    more, and its jobs are taken away, for which it waits until it has started those that were due.
    """
    scheduler.pause()
    scheduler.remove_all_jobs()
    scheduler.shutdown(wait=False)
