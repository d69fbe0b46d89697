"""The replay of one unit: decide, let run, count, and on to the next slot; then the bill.

as slots begin: every replan interval, and when work has come
    what is known       vintages as of then; real-time load as expected, and as measured in the slot before
    decide              the policy's requests from now on
in every slot
    machines.run        what fits runs, real-time load first
settle                  at what came
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from forecasts.slots import Floats
from shifter.backtest.case import Case, Unit
from shifter.backtest.jobs import Job
from shifter.backtest.knowledge import Knowledge
from shifter.backtest.machines import Course, Machines
from shifter.backtest.ours import Ours
from shifter.backtest.policies import CheapestWindow, Decision, Policy, RunNow, SiteSlot, State, Threshold
from shifter.backtest.settle import Bill, Storage, settle, site_load_kw, supplied, unit_costs
from shifter.domain.fleet import Fleet, PoolKey, Site
from shifter.errors import InputError

POLICIES: Mapping[str, Callable[[Case], Policy]] = {
    "run_now": RunNow,
    "cheapest_window": CheapestWindow,
    "threshold": Threshold,
    "ours": Ours,
    "ours_uncertain": partial(Ours, with_risk=True),
    "perfect": partial(Ours, foresight=True),
}
"""Every policy by its name, in the order of tables and plots."""


@dataclass(frozen=True, eq=False)
class Replayed:
    """What one policy came to on one case."""

    unit: Unit
    jobs: Mapping[str, Job]
    course: Course
    storage: Storage
    bills: Mapping[str, tuple[Bill, Mapping[str, Floats]]]
    """By site: the bill, and arrays of its course."""
    failed_cycles: int
    decisions: int


def replay(unit: Unit) -> Replayed:
    """One policy over one case. Raises InputError for a policy that there is not."""
    if unit.policy not in POLICIES:
        raise InputError(
            f"there is no policy {unit.policy!r}.",
            field="--policy",
            hint=f"Choose from {', '.join(POLICIES)}.",
        )
    case, policy = unit.case, POLICIES[unit.policy](unit.case)
    jobs = {task.workload.id: Job.of(task, case) for task in case.tasks}
    run = _Run(case, Knowledge(case), jobs, Machines(case, jobs), Storage.idle(case))
    every = case.rules.replan_minutes // case.grid.slot_minutes
    decision, decisions = Decision(), 0
    arrivals = {-(-job.submitted_us // run.slot_us) for job in jobs.values()}
    for slot in range(case.grid.n_slots):
        if slot % every == 0 or slot in arrivals:
            decision = policy.decide(run.state(slot, (slot // every + 1) * every))
            decisions += 1
        run.slot(slot, decision)
    return Replayed(
        unit,
        jobs,
        run.machines.course,
        run.storage,
        settle(case, run.machines.course, run.storage),
        getattr(policy, "failed", 0),
        decisions,
    )


class _Run:
    """A case under way: what it has come to so far."""

    def __init__(
        self, case: Case, knowledge: Knowledge, jobs: Mapping[str, Job], machines: Machines, storage: Storage
    ) -> None:
        self.case, self.knowledge, self.jobs = case, knowledge, jobs
        self.machines, self.storage = machines, storage
        self.slot_us = case.grid.slot_minutes * 60_000_000
        self._peak_kw = dict.fromkeys(case.fleet.by_site, 0.0)
        self._stored_kwh = {s.name: s.battery.initial_kwh for s in case.fleet.sites if s.battery is not None}
        self._unit_costs = {site.name: unit_costs(case, site) for site in case.fleet.sites}

    def state(self, slot: int, next_slot: int) -> State:
        """What a policy sees as a slot begins, to be asked again at another at the latest."""
        now_us = slot * self.slot_us
        live = [
            job
            for job in self.jobs.values()
            if job.submitted_us <= now_us < job.deadline_us and not job.is_done
        ]
        known = self.knowledge.at(slot, self._measured(slot - 1))
        return State(known, self._fleet(), live, self.jobs, now_us, next_slot * self.slot_us)

    def slot(self, slot: int, decision: Decision) -> None:
        """Let one slot pass."""
        beside = decision.beside.get(slot, SiteSlot())
        for key, n in beside.off.items():
            self.storage.off[key][slot] = n
        wanted = {site.name: self._asked(site, beside) for site in self.case.fleet.sites}
        net_kw = {name: charge - discharge for name, (charge, discharge) in wanted.items()}
        seen = self._measured(slot - 1) or self._expected(slot)
        self.machines.run(slot, decision.requests, seen, net_kw)
        for site in self.case.fleet.sites:
            load_kw = site_load_kw(self.case, site, slot, self.machines.course, self.storage)
            net = self._store(slot, site, load_kw, *wanted[site.name])
            power = supplied(self.case, site, slot, load_kw + net, float(self._unit_costs[site.name][slot]))
            self._peak_kw[site.name] = max(self._peak_kw[site.name], power.import_kw)

    def _measured(self, slot: int) -> dict[PoolKey, float]:
        """Real-time load in a slot that is over; nothing before the first."""
        return {key: float(v[slot]) for key, v in self.case.measured.items()} if slot >= 0 else {}

    def _expected(self, slot: int) -> dict[PoolKey, float]:
        return {key: float(self.case.expected.median(key)[slot]) for key in self.case.measured}

    def _fleet(self) -> Fleet:
        """The fleet as it stands: peaks that are paid for, what batteries hold."""
        sites = []
        for site in self.case.fleet.sites:
            battery = site.battery
            if battery is not None:
                battery = replace(battery, initial_kwh=self._stored_kwh[site.name])
            sites.append(replace(site, peak_so_far_kw=self._peak_kw[site.name], battery=battery))
        return replace(self.case.fleet, sites=tuple(sites))

    def _asked(self, site: Site, beside: SiteSlot) -> tuple[float, float]:
        """What the battery is to be charged and discharged with, as far as it can [kW]."""
        if (battery := site.battery) is None:
            return 0.0, 0.0
        hours, stored = self.case.grid.slot_hours, self._stored_kwh[site.name]
        room_kw = max(0.0, battery.energy_kwh - stored) / (battery.charge_efficiency * hours)
        held_kw = max(0.0, stored - battery.min_kwh) * battery.discharge_efficiency / hours
        charge, discharge = beside.charge_kw.get(site.name, 0.0), beside.discharge_kw.get(site.name, 0.0)
        return min(charge, room_kw, battery.power_kw), min(discharge, held_kw, battery.power_kw)

    def _store(self, slot: int, site: Site, load_kw: float, charge: float, discharge: float) -> float:
        """Charge and discharge, the latter with no more than the site draws; what that draws on balance [kW]."""
        if (battery := site.battery) is None:
            return 0.0
        discharge = min(discharge, max(0.0, load_kw + charge))
        self.storage.charge_kw[site.name][slot] = charge
        self.storage.discharge_kw[site.name][slot] = discharge
        gain_kw = battery.charge_efficiency * charge - discharge / battery.discharge_efficiency
        stored = self._stored_kwh[site.name] + self.case.grid.slot_hours * gain_kw
        self._stored_kwh[site.name] = min(battery.energy_kwh, max(battery.min_kwh, stored))
        return charge - discharge
