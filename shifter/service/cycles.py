"""One planning cycle around `plan_cycle`: snapshot, plan, publish. What fails leaves the last good plan in
force.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime

from shifter.cycle import CycleInputs
from shifter.domain.plan import Plan
from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass
from shifter.errors import NotReady, PlanRejected, ShifterError, SolverFailed
from shifter.service import leases, life, peaks, pinned, snapshot
from shifter.service.core import Core
from shifter.service.state import Published
from shifter.service.submissions import reclassified
from shifter.store import plans
from shifter.store import workloads as rows
from shifter.store.snapshots import inputs_to_json, text_id
from shifter.store.types import compressed
from shifter.store.workloads import WorkloadRecord
from shifter.telemetry import get_logger
from shifter.views import LIVE_STATES, CycleView, EventKind, WorkloadState

PLANNING = "planning"
"""The fault's name while cycles fail."""

log = get_logger("shifter.cycles")


ATTEMPTS = 3
"""At publishing a plan that what begins meanwhile may not overtake."""


class Overtaken(Exception):
    """Work that may not be interrupted began after the snapshot, and the plan does not leave it where it is."""


class Cycles:
    """Runs one cycle at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._one = threading.Lock()

    def run(self, trigger: str) -> CycleView:
        """A cycle on what is known now. Never raises for what a cycle may meet: it says what became of it."""
        core = self._core
        with self._one:
            began, at = time.monotonic(), core.now()
            view = CycleView(at, 0.0, "failed", trigger)
            try:
                published = self._published(trigger)
                view = replace(view, outcome="published", plan_id=published.plan.plan_id)
                core.set_fault(PLANNING, None)
                self._tell()
            except PlanRejected as error:
                view = replace(view, outcome="rejected", error=str(error))
                self._failed(EventKind.PLAN_REJECTED, error, trigger)
            except ShifterError as error:
                view = replace(view, error=str(error))
                self._failed(EventKind.CYCLE_FAILED, error, trigger)
            except Exception as error:
                log.exception("a planning cycle broke", trigger=trigger)
                view = replace(view, error=f"{type(error).__name__}: {error}")
                self._failed(EventKind.CYCLE_FAILED, ShifterError(view.error), trigger)
            view = replace(view, duration_s=time.monotonic() - began)
        core.metrics.cycle_seconds.labels(outcome=view.outcome).observe(view.duration_s)
        with core.state.changed:
            core.state.last_cycle = view
            core.state.changed.notify_all()
        return view

    def _published(self, trigger: str) -> Published:
        """A plan of what is known now, in force. Made anew where work began meanwhile that it would move."""
        core = self._core
        for _ in range(ATTEMPTS):
            inputs = snapshot.take(core)
            text = inputs_to_json(inputs)
            try:
                plan = core.planner.plan(text, core.config.cycle_deadline_s)
            except PlanRejected as error:
                raise _reportable(core, error, text) from error
            try:
                return publish(core, plan, text, inputs, trigger)
            except Overtaken as error:
                log.info("work began during the cycle: it is made anew", trigger=trigger, why=str(error))
        raise SolverFailed("work that may not be interrupted kept beginning while it was planned.")

    def _tell(self) -> None:
        """Whom the new plan has at another time. What is not told here the next beat tells; the plan stands."""
        try:
            life.tell_admissions(self._core, of_running=True)
        except NotReady as error:
            log.warning("who runs at another time is told at the next beat", error=str(error))
        except Exception:
            log.exception("who runs at another time could not be told")

    def _failed(self, kind: EventKind, error: ShifterError, trigger: str) -> None:
        core = self._core
        if core.stopping:
            return
        core.metrics.cycle_failures.labels(code=error.code).inc()
        core.set_fault(PLANNING, f"The last cycle failed: {error}")
        violations = [str(v) for v in error.facts.get("violations", ())][:50]
        log.warning("no plan was published", trigger=trigger, code=error.code, error=str(error))
        if not isinstance(error, NotReady):
            kept = {"inputs_id": error.facts["inputs_id"]} if "inputs_id" in error.facts else {}
            core.tell(kind, trigger=trigger, code=error.code, error=str(error), violations=violations, **kept)


def _reportable(core: Core, error: PlanRejected, text: str) -> PlanRejected:
    """The error, saying where the inputs are kept; as it is where the store is away."""
    key, inputs = text_id(text), compressed(text)
    try:
        with core.change() as change:
            plans.add_rejected(change.db, key, inputs, change.at)
    except NotReady:
        return error
    hint = f"{error.hint} They are kept: GET /v1/plans/{key}/inputs."
    return PlanRejected(error.detail, hint=hint.strip(), field=error.field, **error.facts, inputs_id=key)


def publish(core: Core, plan: Plan, text: str, inputs: CycleInputs, trigger: str) -> Published:
    """Make a plan the current one: stored with its inputs, leases renewed, told. Raises NotReady, Overtaken."""
    bodies = plans.Kept.of(plan, text)
    plan, courses = bodies.plan, peaks.courses(plan, core.fleet)
    with core.change() as change:
        _check_what_began(core, plan, inputs, change.at)
        peaks.settle(core, change)
        version = plans.add(change.db, bodies, change.at)
        published = Published(plan, version, change.at)
        known = frozenset(s.workload.id for s in inputs.submissions)
        before = {r.id: r for r in core.state.records.values() if r.state in LIVE_STATES}
        after = {
            r.id: _planned(core, r, published, inputs, change.at) for r in before.values() if r.id in known
        }
        overrides = core.state.overrides
        windows = reclassified(core, [after.get(i, r) for i, r in before.items()], overrides, change.at)
        after |= {r.id: r for r in windows}
        changed = [r for r in after.values() if r != before[r.id]]
        moved = [r for r in changed if r.lease != before[r.id].lease]
        rows.save(change.db, changed)
        rows.save_leases(change.db, moved)
        change.put(changed)
        deferrable = {r.id for r in after.values() if r.decided is WorkloadClass.DEFERRABLE}
        ages = _known_at(inputs)
        change.set(published=published, planned_ids=frozenset(known & deferrable), forecast_known_at=ages)
        change.set(courses=courses, worded=overrides)
        change.event(
            EventKind.PLAN_PUBLISHED,
            plan_id=plan.plan_id,
            version=version,
            trigger=trigger,
            total=plan.cost.total,
            baseline_total=plan.baseline.total,
            carbon_kg=plan.carbon_kg,
            currency=plan.currency,
            relative_gap=plan.relative_gap,
            unplaced=len(plan.unplaced),
            changed_leases=[r.id for r in moved][:1000],
        )
        change.audit(
            "shifter",
            "plan.publish",
            plan.plan_id,
            inputs_id=plan.inputs_id,
            version=version,
            trigger=trigger,
        )
    log.info("plan published", plan_id=plan.plan_id, version=version, trigger=trigger, moved=len(moved))
    return published


def _check_what_began(core: Core, plan: Plan, inputs: CycleInputs, now: datetime) -> None:
    live = [r for r in core.state.records.values() if r.state in LIVE_STATES]
    for piece in pinned.pieces(core, live, now):
        if piece.workload_id not in inputs.running and not any(_holds(a, piece) for a in plan.allocations):
            raise Overtaken(f"{piece.workload_id} runs in {piece.site}/{piece.pool}")


def _holds(a: Allocation, piece: Allocation) -> bool:
    same = (a.workload_id, *leases.place(a)) == (piece.workload_id, *leases.place(piece))
    return same and a.start <= piece.start and a.end >= piece.end


def _known_at(inputs: CycleInputs) -> dict[tuple[str, str], datetime]:
    """When the newest vintage in use was learnt, by zone and signal."""
    found = {}
    for s in inputs.frame.signals:
        known = [k for k in s.known_at if k is not None]
        if known:
            found[s.zone, str(s.signal)] = max(known)
    return found


def _planned(
    core: Core, record: WorkloadRecord, published: Published, inputs: CycleInputs, now: datetime
) -> WorkloadRecord:
    """The record under the new plan."""
    if record.decided is WorkloadClass.REAL_TIME:
        return record
    held = published.allocations.get(record.id, ())
    kept = pinned.kept(record, held, inputs, now)
    moved = leases.renewed(record, kept, published.plan.plan_id, core.done(record, now), now)
    return replace(moved, state=WorkloadState.PLANNED)
