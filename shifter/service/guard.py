"""Between plans: what is measured is held against what leases hold, and what has to yield is told at once.

Who yields is worked out by `yielding`, for an answer and for the guard alike, so that they never differ. The guard
tells it: it takes leases back (their version moves, so that whoever waits for a change wakes), says `stop` on the
stream of events, and asks for a new plan. It looks at every measurement that comes in and at every beat of the daemon.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from shifter.domain.fleet import PoolKey
from shifter.domain.workload import WorkloadClass
from shifter.errors import NotReady
from shifter.service import leases, let_in, preemption
from shifter.service.admission import admission, tell_changed
from shifter.service.core import Change, Core
from shifter.service.credit import credited, is_apart, ran_in
from shifter.service.gate import Gate, gate_of
from shifter.service.yielding import ROUNDING, over, spare_time
from shifter.store import workloads as rows
from shifter.store.workloads import WorkloadRecord
from shifter.views import AdmissionState, EventKind

SHORT = "real-time short"
"""What the names of the faults begin with while work that may not stop stands where real-time load is."""
BY_LOAD, BY_PLAN = "load", "plan"
"""Why less yields than before."""
Taken = Mapping[str, Mapping[PoolKey, int]]
"""Accelerators that are left, by workload and pool."""
ByPool = Mapping[PoolKey, Mapping[str, int]]


def look(core: Core) -> None:
    """Tell what changed in who yields. Raises NotReady where that cannot be written: admission says it all the same."""
    gate, sites = gate_of(core), core.fleet.by_site
    if _changed(core, gate, sites):
        with core.writing:
            try:
                with core.change() as change:
                    react(core, change, gate_of(core, change.at), sites)
            except NotReady:
                remember(core, gate_of(core), sites)
                raise
    else:
        core.state.pressed = _pressed(gate, [name for name in sites if core.state.yielded.get(name)])
    _tell_short(core, gate)
    there = {key: gate.count(key) for key in core.state.available.keys() & core.fleet.pools.keys()}
    if there != core.state.there:
        core.state.there = there
        core.replan("accelerators")
    live = core.state.records.keys() & {r.id for r in gate.live}
    if core.state.stopping.keys() - live:
        with core.writing:
            core.state.stopping = {i: told for i, told in core.state.stopping.items() if i in live}


def react(
    core: Core, change: Change, gate: Gate, sites: Iterable[str], played: Collection[PoolKey] = ()
) -> None:
    """Stage what follows where at these sites something else yields now than was told: events, leases, a new plan.

    `played`: of which pools a drill spoke just now, also to say that it is over.
    """
    changed = _changed(core, gate, sites)
    if not changed:
        return
    told = core.state.yielded
    now = {**told, **{site: gate.yielded_at(core.fleet.by_site[site]) for site in changed}}
    _take_back(core, change, gate, _whose(core, gate, changed))
    left = dict(core.state.left)
    for site in changed:
        _tell(change, gate, _by_pool(told.get(site, {})), _by_pool(now[site]), played)
        left[site] = {
            i: {key: _left(gate, i, key, n) for key, n in of.items()} for i, of in now[site].items()
        }
    change.set(yielded=now, left=left, pressed={**core.state.pressed, **_pressed(gate, changed)})
    change.replan = "real-time load"


def remember(core: Core, gate: Gate, sites: Iterable[str]) -> None:
    """While the store is away nothing can be told; but what yields from now on is not credited with what it leaves."""
    state = core.state
    for old in _whose(core, gate, _changed(core, gate, sites)):
        answer = admission(old, gate)
        if is_apart(old, answer.allocations, gate.now) and state.let_in.get(old.id) != answer.allocations:
            record = credited(old, ran_in(old, state), gate)
            with state.changed:
                state.records[old.id] = record
                state.let_in = {**state.let_in, old.id: answer.allocations}
                state.apart |= {old.id}
                state.generation += 1


def _changed(core: Core, gate: Gate, sites: Iterable[str]) -> list[str]:
    """Sites where something else yields now than was told."""
    told = core.state.yielded
    return [name for name in sites if gate.yielded_at(core.fleet.by_site[name]) != told.get(name, {})]


def _whose(core: Core, gate: Gate, changed: Iterable[str]) -> list[WorkloadRecord]:
    """Deferrable work that yields something else at these sites than it was told, by id."""
    found: set[str] = set()
    for site in changed:
        told, now = core.state.yielded.get(site, {}), gate.yielded_at(core.fleet.by_site[site])
        found |= {i for i in told.keys() | now.keys() if told.get(i) != now.get(i)}
    records = (core.state.records.get(i) for i in sorted(found))
    return [r for r in records if r is not None and r.decided is WorkloadClass.DEFERRABLE]


def _take_back(core: Core, change: Change, gate: Gate, records: Iterable[WorkloadRecord]) -> None:
    """Leases of live work move on by a version, and what each may do now is told."""
    state = core.state
    now_in, admitted, apart, moved = dict(state.let_in), dict(state.admitted), set(state.apart), []
    stopping = dict(state.stopping)
    for old in records:
        answer = admission(old, gate)
        if answer.state is AdmissionState.REJECTED:
            continue
        ran = ran_in(old, state)
        record = credited(old, ran, gate)
        if is_apart(record, answer.allocations, gate.now):
            apart.add(record.id)
        places = {(a.site, a.pool, a.model or "") for a in answer.allocations}
        serving = {key: since for key, since in record.serving.items() if key in places}
        record = replace(
            record, serving=serving, lease=replace(record.lease, version=record.lease.version + 1)
        )
        moved.append(record)
        before, version = admitted.get(old.id, AdmissionState.WAIT), record.lease.version
        tell_changed(change, gate, record.id, answer.state, before, version, answer.accelerators)
        preemption.tell(stopping, record, leases.current(ran, gate.now), answer.allocations, change.at)
        now_in[record.id], admitted[record.id] = answer.allocations, answer.state
    rows.save(change.db, moved)
    rows.save_leases(change.db, moved)
    let_in.keep(change, state, let_in.not_kept(state, moved, now_in, gate.now))
    change.put(moved)
    change.set(let_in=now_in, admitted=admitted, apart=frozenset(apart), stopping=stopping)


def _left(gate: Gate, workload_id: str, key: PoolKey, given: int) -> int:
    """What a workload may still run in in a pool where it yields so much; none where its lease holds nothing there."""
    record = gate.state.records.get(workload_id)
    stands = () if record is None else gate.stands_in(record)
    return sum(a.accelerators for a in stands if (a.site, a.pool) == key) - given


def _returned_by(gate: Gate, key: PoolKey, was: Mapping[str, int], given: Mapping[str, int]) -> str:
    """Why less yields: `load`, where any of it is let in again. `plan`, where none is: the plan in force holds nothing
    there any more that had to yield; or where it has come since then, and real-time load leaves no more room than then.
    """
    plan_id, room = gate.state.pressed.get(key, ("", 0.0))
    if plan_id not in {"", _plan_id(gate)} and _room(gate, key) <= room + ROUNDING:
        return BY_PLAN
    left = gate.state.left.get(key[0], {})
    again = any(_left(gate, i, key, given.get(i, 0)) > left.get(i, {}).get(key, 0) for i in was)
    return BY_LOAD if again else BY_PLAN


def _short_of(gate: Gate, key: PoolKey) -> str:
    """What work yields to: too few accelerators in its pool, or else the power limit of its site."""
    held = gate.standing.held[key[0]].get(key, 0)
    return "accelerators" if over(gate, key, held) > 0 else "power"


def _pressed(gate: Gate, sites: Iterable[str]) -> dict[PoolKey, tuple[str, float]]:
    """Of the pools of these sites: the plan in force, and accelerators that real-time load leaves."""
    keys = ((name, pool.name) for name in sites for pool in gate.fleet.by_site[name].pools)
    return {key: (_plan_id(gate), _room(gate, key)) for key in keys}


def _plan_id(gate: Gate) -> str:
    return gate.state.published.plan.plan_id if gate.state.published else ""


def _room(gate: Gate, key: PoolKey) -> float:
    return gate.count(key) - (gate.measured(key) or 0.0)


def _tell(change: Change, gate: Gate, told: ByPool, now: ByPool, played: Collection[PoolKey]) -> None:
    for key in sorted(told.keys() | now.keys()):
        was, given = told.get(key, {}), now.get(key, {})
        if was == given:
            continue
        more = sum(given.values()) - sum(was.values())
        records = (gate.state.records.get(i) for i in given)
        yields = more > 0 or (more == 0 and given)
        change.event(
            EventKind.GUARD_YIELDED if yields else EventKind.GUARD_RETURNED,
            site=key[0],
            pool=key[1],
            realtime_accelerators=gate.measured(key),
            available_accelerators=gate.count(key),
            yielded_accelerators=sum(given.values()),
            before=sum(was.values()),
            workloads=given,
            endangered=[r.id for r in records if r is not None and spare_time(r, gate) < gate.hold],
            **({"short_of": _short_of(gate, key)} if yields else {"by": _returned_by(gate, key, was, given)}),
            **({"drill": True} if key in played or gate.played(key) else {}),
        )


def _by_pool(taken: Taken) -> ByPool:
    found: defaultdict[PoolKey, dict[str, int]] = defaultdict(dict)
    for workload_id, of in taken.items():
        for key, n in of.items():
            found[key][workload_id] = n
    return dict(found)


def _tell_short(core: Core, gate: Gate) -> None:
    """A fault for each pool in which all that may yield is too little."""
    for key in core.fleet.pools:
        place, measured = "/".join(key), gate.measured(key)
        short = 0.0 if measured is None else measured + gate.let_in_slots(key) - gate.count(key)
        text = None
        if short > ROUNDING:
            text = (
                f"{place}: real-time load needs {short:.1f} accelerators more than there are for it, and nothing runs "
                "there any more that may be stopped."
            )
        core.set_fault(f"{SHORT} {place}", text)
