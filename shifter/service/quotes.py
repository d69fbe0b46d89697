"""What work would cost against its deadline: the same `plan_cycle`, with and without it, on one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from forecasts.slots import floor_to_slot, isoformat_z, to_utc
from shifter.classify.rules import classify
from shifter.cycle import CycleInputs, Submission
from shifter.domain.options import least_run
from shifter.domain.plan import Plan
from shifter.domain.workload import Classified, Workload, WorkloadClass
from shifter.errors import InputError
from shifter.service import snapshot
from shifter.service.core import Core
from shifter.store.snapshots import inputs_to_json
from shifter.views import Quote, QuoteOption

MAX_DEADLINES = 20


class Quoting:
    """Quotes of one snapshot. `plan_cycle` runs once without the work, and once for each deadline."""

    def __init__(self, core: Core, workload: Workload, furthest: datetime) -> None:
        self._core = core
        self._workload = workload
        self._now = core.now()
        # The grid reaches the furthest deadline, for every option and for the plan without it alike.
        self.inputs: CycleInputs = snapshot.take(core, without=workload.id, reach=furthest)
        self._without: Plan | None = None

    def _candidate(self, deadline: datetime) -> Submission:
        return Submission(replace(self._workload, deadline=deadline), self._now)

    def classified(self, deadline: datetime) -> Classified:
        """The class that it would have with this deadline."""
        inputs = self.inputs
        given = [*inputs.submissions, self._candidate(deadline)]
        found = classify(given, inputs.policy, inputs.fleet, self._now, inputs.overrides, inputs.running)
        return found[-1]

    def plan(self, deadline: datetime | None) -> Plan:
        """The plan with it, or (None) without it."""
        inputs = self.inputs
        if deadline is not None:
            inputs = replace(inputs, submissions=(*inputs.submissions, self._candidate(deadline)))
        return self._core.quote_planner.plan(inputs_to_json(inputs), self._core.config.cycle_deadline_s)

    def option(self, deadline: datetime, plan: Plan | None = None) -> tuple[QuoteOption, datetime | None]:
        """What it costs with this deadline, and the earliest one that would work where this does not."""
        if self._without is None:
            self._without = self.plan(None)
        made = plan or self.plan(deadline)
        share = next((w for w in made.workloads if w.workload_id == self._workload.id), None)
        missing = next((u for u in made.unplaced if u.workload_id == self._workload.id), None)
        ended = share.run_now_finish if share else None
        # At once is an alternative only where it meets this deadline too, with all of the work.
        at_once = share if missing is None and ended is not None and ended <= deadline else None
        option = QuoteOption(
            deadline=deadline,
            finish=share.finish if share else None,
            cost=share.cost if share else 0.0,
            carbon_kg=share.carbon_kg if share else 0.0,
            feasible=missing is None,
            unplaced_accelerator_hours=missing.accelerator_hours if missing else 0.0,
            run_now_cost=at_once.run_now_cost if at_once else None,
            run_now_carbon_kg=at_once.run_now_carbon_kg if at_once else None,
            marginal_cost=made.cost.total - self._without.cost.total,
            marginal_carbon_kg=made.carbon_kg - self._without.carbon_kg,
        )
        return option, deadline if missing is None else missing.earliest_feasible_deadline


def quote(core: Core, workload: Workload, deadlines: Sequence[datetime] | None) -> Quote:
    """See `Service.quote`."""
    from shifter.files.workloads import check_workload

    now = core.now()
    furthest = _furthest(core, workload, deadlines, now)
    check_workload(replace(workload, deadline=furthest), core.fleet)
    quoting = Quoting(core, workload, furthest)
    found = quoting.classified(furthest)
    synthetic = any(s.synthetic for s in quoting.inputs.frame.signals)
    empty = Quote((), None, found.decided, found.reason, core.fleet.currency, now, synthetic)
    if found.decided is WorkloadClass.REAL_TIME:
        return empty
    if deadlines:
        asked = [quoting.option(d) for d in sorted({to_utc(d) for d in deadlines})]
        options = tuple(option for option, _ in asked)
        feasible = [d for _, d in asked if d is not None]
        return replace(empty, options=options, earliest_feasible_deadline=min(feasible, default=None))
    return _over_its_window(core, quoting, workload, furthest, empty)


def _over_its_window(
    core: Core, quoting: Quoting, workload: Workload, furthest: datetime, empty: Quote
) -> Quote:
    """From the earliest deadline that works to the furthest, in even steps."""
    now = quoting.inputs.now
    start = max(now, workload.earliest_start or now)
    shortest = least_run(workload, core.fleet) or timedelta(0)
    soonest = min(furthest, _slot_after(core, start + shortest))
    first, earliest = quoting.option(soonest)
    if earliest is None or earliest > furthest:
        last, beyond = quoting.option(furthest)
        if soonest == furthest or not last.feasible:
            return replace(empty, options=(last,), earliest_feasible_deadline=beyond or earliest)
        earliest = furthest
    if earliest > soonest:
        first, again = quoting.option(earliest)
        earliest = again or earliest
    options = [first]
    steps = max(1, core.config.quote_options - 1)
    for i in range(1, steps + 1):
        at = _slot_after(core, earliest + (furthest - earliest) * (i / steps))
        deadline = furthest if i == steps else min(furthest, at)
        if deadline > options[-1].deadline:
            options.append(quoting.option(deadline)[0])
    slot = timedelta(minutes=core.config.slot_minutes)
    return replace(empty, options=telling(options, slot), earliest_feasible_deadline=earliest)


def telling(options: Sequence[QuoteOption], slot: timedelta) -> tuple[QuoteOption, ...]:
    """The first and the last, and those between that change something: the work's own deadline stays."""
    if len(options) < 3:
        return tuple(options)
    first, *between, last = options
    kept = [first]
    for option in between:
        if not any(_alike(option, other, slot) for other in (kept[-1], last)):
            kept.append(option)
    return (*kept, last)


def _alike(a: QuoteOption, b: QuoteOption, slot: timedelta) -> bool:
    """Whether two deadlines get the same: a finish in the same slot or so, at the same money and carbon."""
    if a.feasible is not b.feasible or a.finish is None or b.finish is None:
        return a.finish is b.finish and a.feasible is b.feasible
    pairs = ((a.cost, b.cost, 0.005), (a.carbon_kg, b.carbon_kg, 0.05))
    return abs(a.finish - b.finish) < slot and all(
        abs(x - y) <= max(shown, 1e-3 * abs(x)) for x, y, shown in pairs
    )


def _furthest(
    core: Core, workload: Workload, deadlines: Sequence[datetime] | None, now: datetime
) -> datetime:
    """The last deadline that is asked about. Raises InputError for one that has passed, and for too many."""
    limit = now + timedelta(hours=core.config.max_horizon_hours)
    if deadlines:
        if len(deadlines) > MAX_DEADLINES:
            raise InputError(
                f"{len(deadlines)} deadlines are too many.",
                field="deadlines",
                hint=f"Ask at most {MAX_DEADLINES}.",
            )
        for i, deadline in enumerate(deadlines):
            if to_utc(deadline) <= now:
                raise InputError(
                    f"the deadline {isoformat_z(deadline)} has passed.",
                    field=f"deadlines[{i}]",
                    hint="Give deadlines that lie ahead.",
                )
        return max(to_utc(d) for d in deadlines)
    if workload.deadline is None:
        return _slot_after(core, now + timedelta(hours=core.config.horizon_hours))
    if workload.deadline <= now:
        raise InputError(
            f"the deadline {isoformat_z(workload.deadline)} has passed.",
            field="deadline",
            hint="Give one that lies ahead.",
        )
    return min(workload.deadline, limit)


def _slot_after(core: Core, moment: datetime) -> datetime:
    """The first slot boundary that is not before `moment`."""
    floor = floor_to_slot(moment, core.config.slot_minutes)
    return floor if floor == moment else floor + timedelta(minutes=core.config.slot_minutes)
