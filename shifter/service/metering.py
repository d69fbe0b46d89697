"""What meters said of a site's import, counted as it comes: the proof of what was delivered.

A sample speaks until the next one, and no longer than telemetry may age. So a span is counted when its end is known:
when the next sample comes. A sample that is older than the last one changes nothing, as with the peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from shifter.domain.metered import BEFORE, LOOK_BACK_DAYS, Metered, Step
from shifter.service.core import Change, Core
from shifter.store import imports
from shifter.store.imports import Span
from shifter.views import TelemetrySample

__all__ = ["Span", "keep", "metered", "spans"]


def spans(core: Core, last: TelemetrySample | None, sample: TelemetrySample) -> list[Span]:
    """What the last sample of a site says, now that there is another one."""
    if sample.import_kw is None or last is None or sample.at <= last.at:
        return []
    return [_span(core, last, sample.at)]


def keep(change: Change, found: Sequence[Span]) -> None:
    """Count them."""
    imports.add(change.db, found)


def metered(core: Core, db: Connection, site: str, start: datetime) -> Metered:
    """All that baselines and reports of an event that begins at `start` look at, up to now."""
    now = core.now()
    since = start - timedelta(days=LOOK_BACK_DAYS) - BEFORE
    kept = imports.read(db, site, since, now)
    last = core.state.measured_import.get(site)
    if last is None or last.import_kw is None or last.at >= now:
        return kept
    return _with(kept, _span(core, last, now))


def _span(core: Core, last: TelemetrySample, until: datetime) -> Span:
    end = min(until, last.at + timedelta(seconds=core.config.telemetry_max_age_s))
    return last.site, last.at, end, last.import_kw or 0.0


def _with(kept: Metered, span: Span) -> Metered:
    """What is not counted yet, since no sample has come after it, beside what is."""
    steps = dict(kept.steps)
    for (_, start), (kwh, seconds) in imports.in_steps([span]).items():
        before = steps.get(start, Step(0.0, 0.0))
        steps[start] = replace(before, drawn_kwh=before.drawn_kwh + kwh, metered_s=before.metered_s + seconds)
    return replace(kept, steps=steps)
