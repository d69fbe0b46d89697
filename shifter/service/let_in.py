"""What work was told to run in, kept over a restart: what runs does not always follow from what its lease holds.

Real-time load may have left it less than that, or nothing; or it runs without a slot. What may not be stopped goes on
after a restart as wide as it was let in, and what was kept out stays out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shifter.domain.rows import Allocation
from shifter.domain.workload import WorkloadClass
from shifter.errors import NotReady
from shifter.service import leases
from shifter.service.admission import admission
from shifter.service.core import DATABASE, Change, Core
from shifter.service.credit import is_apart, places
from shifter.service.gate import Gate, gate_of
from shifter.service.state import State
from shifter.store import workloads as rows
from shifter.store.workloads import LetIn, WorkloadRecord
from shifter.views import LIVE_STATES, Admission

RENEWED = timedelta(minutes=1)
"""A grant outside a slot lasts longer each time that somebody asks: that is kept where it is so much longer."""


def asked(core: Core, workload_id: str) -> Admission:
    """May it run now; what it was told is what it runs in. Raises NotFound."""
    record, gate = core.record(workload_id), gate_of(core)
    answer = admission(record, gate)
    if core.state.let_in.get(workload_id) != answer.allocations or _hangs_on_it(core, record, answer, gate):
        with core.writing:  # what it is told may not follow from what is over
            record, gate = core.record(workload_id), gate_of(core)
            answer = admission(record, gate)
            core.state.let_in[workload_id] = answer.allocations
            new = _hangs_on_it(core, record, answer, gate)
            if new:
                _keep_at_once(core, new)
    return answer


def _hangs_on_it(core: Core, record: WorkloadRecord, answer: Admission, gate: Gate) -> dict[str, LetIn]:
    """What a restart would not make of its lease and of what is kept; of all else it is enough that the next beat keeps
    it.
    """
    if DATABASE in core.state.faults:
        return {}  # an answer does not wait for the store
    kept, held = core.state.kept_let_in.get(record.id), leases.current(record.lease.allocations, gate.now)
    follows = kept is None or all(a.start > kept.at for a in held)
    if follows and not is_apart(record, answer.allocations, gate.now):
        return {}
    return not_kept(core.state, [record], {record.id: answer.allocations}, gate.now)


def _keep_at_once(core: Core, new: Mapping[str, LetIn]) -> None:
    try:
        with core.change() as change:
            keep(change, core.state, new)
    except NotReady:
        pass


def not_kept(
    state: State, records: Iterable[WorkloadRecord], told: Mapping[str, tuple[Allocation, ...]], now: datetime
) -> dict[str, LetIn]:
    """What the store does not know of what these records were told to run in."""
    return {
        r.id: LetIn(told[r.id], now)
        for r in records
        if _differs(state.kept_let_in.get(r.id), told[r.id], leases.current(r.lease.allocations, now))
    }


def _differs(kept: LetIn | None, told: tuple[Allocation, ...], held: Iterable[Allocation]) -> bool:
    """Whether what is `kept` would tell something else after a restart than was `told` while it `held` this."""
    if kept is None:
        return bool(told or tuple(held))
    if any(a.start > kept.at for a in held):
        return True
    if kept.allocations == told:
        return False
    ends, ended = (max((a.end for a in of), default=kept.at) for of in (told, kept.allocations))
    return ends - ended >= RENEWED or places(kept.allocations) != places(told)


def keep(change: Change, state: State, new: Mapping[str, LetIn]) -> None:
    """Stage that it is kept."""
    rows.save_let_in(change.db, new)
    live = {i: k for i, k in state.kept_let_in.items() if i in state.records}
    change.set(kept_let_in={**live, **new})


def load(core: Core, kept: Mapping[str, LetIn], now: datetime) -> None:
    """After a start: what each live workload runs in, as it was told.

    Nobody told anything of what it holds since then, or where nothing was kept: there it runs in what began while
    somebody vouched for it, and where it was not kept out when its work was last counted.
    """
    state = core.state
    vouched = leases.vouched(state, core.config.lease_ttl, now)
    live = (r for r in state.records.values() if r.state in LIVE_STATES)
    for record in (r for r in live if r.decided is WorkloadClass.DEFERRABLE):
        told = kept.get(record.id)
        held = leases.current(record.lease.allocations, now)
        begun = tuple(a for a in held if a.start < vouched and _runs(record, a) and _is_news(a, told, now))
        if told is not None:
            state.kept_let_in[record.id] = told
            state.let_in[record.id] = (*_left(record, told, now), *begun)
        elif begun:
            state.let_in[record.id] = begun


def _left(record: WorkloadRecord, told: LetIn, now: datetime) -> tuple[Allocation, ...]:
    """Of what it was told to run in, what it may be running in still.

    A slot that has ended since is over: nobody was there who could tell it to go on. Where it reports that it is behind
    it goes on, as without a restart; so does a grant outside its slots, and what it left of them has to be credited.
    """
    if record.progress_source == "reported" or is_apart(record, told.allocations, told.at):
        return told.allocations
    return tuple(a for a in leases.current(record.lease.allocations, told.at) if a.end > now)


def _runs(record: WorkloadRecord, a: Allocation) -> bool:
    return record.done_at <= a.start or (a.site, a.pool, a.model or "") in record.serving


def _is_news(a: Allocation, told: LetIn | None, now: datetime) -> bool:
    """Whether nobody could tell it yet; a piece that goes on under a new plan in its pool was told of."""
    if told is None:
        return True
    goes_on = {(b.site, b.pool) for b in told.allocations if b.end > now}
    return a.start > told.at and (a.site, a.pool) not in goes_on
