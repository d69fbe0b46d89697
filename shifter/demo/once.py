"""The demo's first day as one plan, without a daemon: for `shifter demo --once`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shifter.classify.rules import classify
from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.demo import grid, scenario
from shifter.domain.plan import Plan
from shifter.domain.workload import Classified
from shifter.errors import InputError
from shifter.realtime.profiles import typical_load
from shifter.settings import SourceSettings


@dataclass(frozen=True)
class Once:
    """A plan of the demo's first day, what was classified as what, and the sources that failed."""

    plan: Plan
    classified: tuple[Classified, ...]
    failures: tuple[str, ...]


def plan_once(zones: Sequence[str] = (), sources: Sequence[SourceSettings] = ()) -> Once:
    """All that arrives on the demo's first day, known from its start; `zones`, `sources`: a live demo's."""
    now = datetime.now(UTC).replace(second=0, microsecond=0) if zones else scenario.START
    fleet = scenario.bundled_fleet(zones)
    asked = sources or (grid.synthetic_source(fleet.zones),)
    frame, failures = grid.frame_now(asked, fleet.zones, fleet.currency, now, scenario.SLOT_MINUTES)
    countries = scenario.boundaries(fleet)
    submissions = [
        Submission(w if w.earliest_start or arrival.at <= now else replace(w, earliest_start=arrival.at), now)
        for arrival in scenario.arrivals(now, 0, countries)
        for w in arrival.workloads
    ]
    load = typical_load(fleet, frame.grid)
    inputs = CycleInputs(now, fleet, frame, load, tuple(submissions))
    classified = classify(inputs.submissions, inputs.policy, fleet, now)
    return Once(plan_cycle(inputs), classified, tuple(failures))


def base_urls(pairs: Sequence[str]) -> dict[str, str]:
    """`NAME=URL` pairs as a mapping. Raises InputError."""
    found = {}
    for pair in pairs:
        name, equals, url = pair.partition("=")
        if not equals or not url.startswith("http"):
            raise InputError(
                f"{pair!r} points no source anywhere.", field="--source-url", hint="Write NAME=URL."
            )
        found[name] = url
    return found
