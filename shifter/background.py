"""What APScheduler runs jobs with: threads that never hold up the end of the process, and an end that is no failure.

APScheduler's own pool, like every `concurrent.futures` pool, is waited for at exit: a source that does not answer would
keep a stopped daemon alive until its request times out. What these threads do is safe to give up at any moment: a
forecast is stored in one transaction, or not at all.
"""

from __future__ import annotations

import sys
import threading
from datetime import datetime
from typing import Any

from apscheduler.executors.base import BaseExecutor, run_job


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
