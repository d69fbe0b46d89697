"""The condition of failover groups: what a lost site ran in real time fits into what the others hold, in every slot.

For each loss, a linear program of what its lost load takes of the pools that are left, by what the plan reserves there
and by the power that work which stays leaves. What it cannot place is held against what could not be placed if there
were no work at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from forecasts.slots import Floats
from shifter.domain.failover import Loss, carried, losses
from shifter.domain.fleet import PoolKey
from shifter.domain.survival import TOLERANCE_ACCELERATORS, own_promises
from shifter.schedule.verify.case import Case
from shifter.schedule.verify.fleet import Part, Program, Variables
from shifter.schedule.verify.loads import SiteLoad
from shifter.schedule.verify.violation import Violation, ViolationCode


def check_failover(case: Case, loads: Sequence[SiteLoad]) -> Iterator[Violation]:
    """Every loss that a group survives, and what the plan says of it."""
    said = case.plan.resilience
    if not case.fleet.failover_groups:
        if said is not None:
            yield Violation(ViolationCode.FAILOVER, "resilience", "the fleet has no failover groups")
        return
    every = list(losses(case.fleet))
    own = [(kind, site.name, None) for kind, site in own_promises(case.fleet)]
    asked = [*own, *((one.group.survive, one.name, one.group.name) for one in every)]
    told = [] if said is None else [(p.kind, p.name, p.group) for p in said.promises]
    if told != asked:
        yield Violation(ViolationCode.FAILOVER, "resilience", "its promises are not those of the fleet")
        return
    assert said is not None
    by_site = {load.site.name: load for load in loads}
    held = {key: np.maximum(0.0, case.reserved(key) - case.quantile(key)) for key in case.fleet.pools}
    free = _all_that_is_free(case)
    stays_kw = _stays_kw(case)
    nothing = {key: np.zeros(case.grid.n_slots) for key in stays_kw}
    for loss, promise in zip(every, said.promises[len(own) :], strict=True):
        left_kw = {name: _headroom_kw(case, by_site[name], stays_kw) for name in loss.group.sites}
        most_kw = {name: _headroom_kw(case, by_site[name], nothing) for name in loss.group.sites}
        least = _unplaced(case, loss, free, most_kw)
        over = _unplaced(case, loss, held, left_kw) - least
        subject = f"{loss.group.name}: {loss.name}"
        slots = np.flatnonzero(over > TOLERANCE_ACCELERATORS)
        if len(slots):
            where = f"in {len(slots)} slots from {slots[0]} on"
            detail = f"up to {over.max():.3f} of its accelerators are held by nobody, {where}"
            yield Violation(ViolationCode.FAILOVER, subject, detail)
        missing = promise.missing_accelerators
        if missing is not None and abs(missing - least.max(initial=0.0)) > TOLERANCE_ACCELERATORS:
            detail = f"it says that {missing:.3f} accelerators are missing, and it is {least.max():.3f}"
            yield Violation(ViolationCode.FAILOVER, subject, detail)


def _stays_kw(case: Case) -> dict[PoolKey, Floats]:
    """What work draws, by pool, that goes on where a site takes over, without what is pinned: what may not be
    preempted, and all of it where the mode is strict."""
    strict = np.array([site.resilience.mode == "strict" for site, _ in case.fleet.pools.values()])
    own = case.columns
    stays = own.where((~case.about.soft[own.work] | strict[own.pool]) & ~case.about.pinned[own.work])
    return case.mean_use(stays, case.step_kw(stays))


def _headroom_kw(case: Case, load: SiteLoad, stays_kw: Mapping[PoolKey, Floats]) -> Floats:
    """What real-time load, what is pinned and work that goes on leave of a site's power limit, (n_slots,).

    What the site could give itself counts for that work, and for nothing else.
    """
    taken = sum((stays_kw[load.site.name, p.name] for p in load.site.pools), np.zeros(case.grid.n_slots))
    free_kw = np.maximum(0.0, load.limit_kw - load.given_kw(case))
    beyond_own_kw = np.maximum(0.0, taken * case.rest_ratio - _own_kw(case, load))
    left_kw: Floats = np.maximum(0.0, free_kw - beyond_own_kw)
    return left_kw


def _own_kw(case: Case, load: SiteLoad) -> Floats:
    """The most that a site's battery, its plant and powering down could give, (n_slots,)."""
    site, own = load.site, load.available_kw
    for pool in site.pools:
        if pool.off_kw is not None:
            key = site.name, pool.name
            spare = case.count(key) - case.through_domains(key)
            own = own + site.pue * (pool.idle_kw - pool.off_kw) * spare
    return own if site.battery is None else own + site.battery.power_kw


def _all_that_is_free(case: Case) -> dict[PoolKey, Floats]:
    """Accelerators that real-time load leaves, and what is pinned and would go on."""
    free = {}
    for key, (site, _) in case.fleet.pools.items():
        left = case.count(key) - case.quantile(key)
        for id, held in case.pinned.items():
            goes_on = site.resilience.mode == "strict" or not case.work[id].workload.preemptible
            if (held.site, held.pool) == key and goes_on:
                first, last = (case.grid.position(moment) for moment in (held.start, held.end))
                left[int(first) : int(np.ceil(last))] -= held.accelerators
        free[key] = np.maximum(0.0, left)
    return free


def _unplaced(
    case: Case, loss: Loss, room: Mapping[PoolKey, Floats], headroom_kw: Mapping[str, Floats]
) -> Floats:
    """Lost accelerators that no pool has room and power for, (n_slots,): the least that is possible."""
    program, n = Program(), case.grid.n_slots
    taken: dict[PoolKey, list[Variables]] = {key: [] for key in loss.left(case.fleet)}
    nobodys = []
    for kind, keys in loss.lost(case.fleet).items():
        lost = np.sum([np.minimum(case.quantile(key), case.count(key)) for key in keys], axis=0)
        nobodys.append(program.add(n, cost=1.0))
        placed: list[Part] = [(nobodys[-1], -1.0)]
        for key, own in taken.items():
            own.append(program.add(n))
            rate = carried(case.fleet, loss.group, kind, case.fleet.pools[key][1].accelerator)
            placed.append((own[-1], -rate))
        program.each(placed, -lost)
    for key, own in taken.items():
        program.each([(one, 1.0) for one in own], room[key])
    for name in dict.fromkeys(site for site, _ in taken):
        if np.isfinite(headroom_kw[name]).any():
            site = case.fleet.by_site[name]
            kw = {p.name: site.pue * (p.busy_kw - p.idle_kw) for p in site.pools}
            drawn = [(one, kw[key[1]]) for key, own in taken.items() if key[0] == name for one in own]
            program.each(drawn, np.minimum(headroom_kw[name], 1e9))
    found = program.values()
    return np.full(n, np.inf) if found is None else np.sum([found[one] for one in nobodys], axis=0)
