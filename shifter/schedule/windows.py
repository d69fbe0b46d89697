"""Windows narrowed a little where work has time to spare: for a margin, and so that programs stay small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shifter.schedule.jobs import Job

COMFORT_RATIO = 0.5
"""A window of which the job needs less than this share may be narrowed a little: see `trimmed` and `with_margin`."""


def with_margin(job: Job, margin_us: int) -> Job:
    """Without the last part of its window, where the job still has twice the time that it needs; else as it is."""
    return _narrowed(job, lambda start_us, end_us: (start_us, end_us - margin_us))


def trimmed(job: Job, now_us: int, slot_us: int) -> Job:
    """A comfortable window, trimmed to whole slots.

    Window edges inside a slot cut it into cells, and a thousand workloads over several pools would make too many.
    Prices and limits are constant in a slot, so a job that needs less than half its window loses at most a part of two
    slots of choice; the bound is computed with the true window, so that what this costs shows in the gap.
    """

    def within(start_us: int, end_us: int) -> tuple[int, int]:
        start_us = start_us if start_us == now_us else -(-start_us // slot_us) * slot_us
        return start_us, end_us // slot_us * slot_us

    return _narrowed(job, within)


def _narrowed(job: Job, change: Callable[[int, int], tuple[int, int]]) -> Job:
    """The job with its window changed, and that which its chain may leave it, where either is comfortable then."""

    def comfortable(window: tuple[int, int]) -> bool:
        return window[1] > window[0] and job.least_us <= COMFORT_RATIO * (window[1] - window[0])

    window, span = (job.start_us, job.end_us), job.span_us
    if comfortable(narrow := change(*window)):
        window = narrow
    if span is not None and comfortable(narrow := change(*span)):
        span = narrow
    if (window, span) == ((job.start_us, job.end_us), job.span_us):
        return job
    return replace(job, start_us=window[0], end_us=window[1], span_us=span)
