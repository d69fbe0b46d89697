"""The machines: what of the requests runs in a slot, whoever asks. The same limits hold for every policy.

A gate looks at real-time load as measured in the slot before, and lets requests in, in their order, as far as
accelerators and the site's power go: what does not fit waits. Then the slot's own load comes, and it goes first:
preemptible work yields to it at once, the last that was let in first. Work that may not be preempted stays to the end
of the slot, and work that may not be interrupted to its own end: where that leaves real-time load too few accelerators,
the load is denied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forecasts.slots import Floats
from shifter.backtest.case import HOUR_US, Case
from shifter.backtest.jobs import Job, Request, hours_us, serving
from shifter.domain.fleet import PoolKey, Site
from shifter.domain.grid_event import limits_in_force
from shifter.domain.options import Option
from shifter.realtime.reserve import reserve

TINY = 1e-6
"""Accelerators or kW that are rounding."""


@dataclass(eq=False)
class Course:
    """What ran, each (n_slots,) of the case's grid: by pool mean accelerators, by site mean kW."""

    used: dict[PoolKey, Floats]
    denied: dict[PoolKey, Floats]
    """Real-time load that found no accelerators."""
    in_reserve: dict[PoolKey, Floats]
    """Accelerators of the reserve with work on them that may not be preempted."""
    work_kw: dict[str, Floats]
    starts: int = 0
    """Pieces that were begun: each loads a model, or goes on from a checkpoint."""

    @classmethod
    def empty(cls, case: Case) -> Course:
        """Nothing ran yet."""
        n = case.grid.n_slots
        used, denied, in_reserve = ({key: np.zeros(n) for key in case.fleet.pools} for _ in range(3))
        return cls(used, denied, in_reserve, {site: np.zeros(n) for site in case.fleet.by_site})


@dataclass(eq=False)
class _Let:
    """A job that was let in: an option, and how many accelerators."""

    job: Job
    option: Option
    accelerators: int


@dataclass(eq=False)
class _Room:
    """Accelerators of each pool and kW of each site that are free; below 0 where they are overdrawn."""

    accelerators: dict[PoolKey, float]
    kw: dict[str, float]

    def copy(self) -> _Room:
        return _Room(dict(self.accelerators), dict(self.kw))

    def take(self, option: Option, accelerators: int) -> None:
        self.accelerators[option.key] -= accelerators
        self.kw[option.key[0]] -= accelerators * option.import_kw

    def fits(self, option: Option) -> int:
        """How many accelerators there are for one."""
        free = self.accelerators[option.key]
        if option.import_kw > 0:
            free = min(free, self.kw[option.key[0]] / option.import_kw)
        return int(max(0.0, free) + TINY)

    def short(self, option: Option) -> int:
        """How many accelerators of it must go so that nothing is overdrawn."""
        over = -self.accelerators[option.key]
        if option.import_kw > 0:
            over = max(over, -self.kw[option.key[0]] / option.import_kw)
        return int(np.ceil(max(0.0, over - TINY)))


@dataclass(eq=False)
class Machines:
    """The fleet as it runs, slot by slot. `jobs` are all of the case's, and are written to."""

    case: Case
    jobs: Mapping[str, Job]
    course: Course = field(init=False)
    running: dict[str, Job] = field(init=False, default_factory=dict)
    """What runs as the last slot ended."""

    def __post_init__(self) -> None:
        self.course = Course.empty(self.case)
        self._slot_us = self.case.grid.slot_minutes * 60_000_000
        envelope = reserve(self.case.expected, self.case.fleet)
        self._firm_room = {key: pool.firm_capacity for key, pool in envelope.items()}

    def run(
        self,
        slot: int,
        requests: Sequence[Request],
        seen: Mapping[PoolKey, float],
        net_kw: Mapping[str, float],
    ) -> None:
        """One slot. `seen` is the real-time load that the gate knows of, `net_kw` what batteries draw at each site."""
        at, end = slot * self._slot_us, (slot + 1) * self._slot_us
        near = [r for r in requests if r.start_us < end and r.end_us > at and not self.jobs[r.job].is_done]
        came = {key: float(values[slot]) for key, values in self.case.measured.items()}
        gate, truth = (self._room(slot, load, net_kw) for load in (seen, came))
        while at < end:
            let = self._admitted(at, near, gate.copy())
            _yield(let, truth.copy())
            self._set(let, at)
            until = min([end, *(t for t in self._changes(at, near, let) if t > at)])
            self._advance(slot, let, at, until, truth)
            at = until

    def _room(self, slot: int, load: Mapping[PoolKey, float], net_kw: Mapping[str, float]) -> _Room:
        """What a real-time load leaves."""
        start = self.case.grid.moment(slot)
        accelerators, kw = {}, {}
        for site in self.case.fleet.sites:
            there = {p.name: float(p.present(start, start + self.case.grid.slot)) for p in site.pools}
            held = {name: min(n, load.get((site.name, name), 0.0)) for name, n in there.items()}
            limit_kw = limits_in_force(site, (), start, start + self.case.grid.slot)
            kw[site.name] = limit_kw - base_kw(site, held) - net_kw.get(site.name, 0.0)
            for pool in site.pools:
                accelerators[site.name, pool.name] = there[pool.name] - load.get((site.name, pool.name), 0.0)
        return _Room(accelerators, kw)

    def _admitted(self, at: int, requests: Sequence[Request], room: _Room) -> list[_Let]:
        """What the gate lets in. Work that may not be interrupted and has begun is in already."""
        let = [
            _Let(job, job.option, job.width)
            for job in self.running.values()
            if job.option is not None and job.is_open(at, self.jobs)
        ]
        for one in let:
            room.take(one.option, one.accelerators)
        going = {one.job.workload.id for one in let}
        free: dict[str, int] = {}
        for request in requests:
            job = self.jobs[request.job]
            wanted = request.start_us <= at < request.end_us and request.job not in going
            if wanted and job.is_open(at, self.jobs):
                left = free.setdefault(request.job, job.workload.max_accelerators)
                best = _best(job, request, room, left)
                if best is not None:
                    let.append(best)
                    room.take(best.option, best.accelerators)
                    free[request.job] -= best.accelerators
        return let

    def _set(self, let: Sequence[_Let], at: int) -> None:
        """From `at` on, what was let in runs and nothing else."""
        widths: dict[str, dict[tuple[str, str, str], tuple[Option, int]]] = {}
        jobs = dict(self.running)
        for one in let:
            of_job, lane = widths.setdefault(one.job.workload.id, {}), serving(one.option)
            of_job[lane] = one.option, one.accelerators + of_job.get(lane, (one.option, 0))[1]
            jobs[one.job.workload.id] = one.job
            if one.job.begun_us is None:
                one.job.begun_us = at
            if not one.job.workload.interruptible:
                one.job.option, one.job.width = one.option, max(one.job.width, one.accelerators)
        for id, job in jobs.items():
            wanted = widths.get(id, {})
            for lane in [lane for lane in job.lanes if lane not in wanted]:
                del job.lanes[lane]
            for option, n in wanted.values():
                self.course.starts += not job.lanes.get(serving(option))
                job.set_width(option, n, at)
        self.running = {id: job for id, job in jobs.items() if job.lanes or job.option is not None}

    def _changes(self, at: int, requests: Sequence[Request], let: Sequence[_Let]) -> Iterator[int]:
        """When something may change: a request or a window begins or ends, a model is loaded, a job is done."""
        for request in requests:
            job = self.jobs[request.job]
            yield from (request.start_us, request.end_us, job.earliest_us, job.deadline_us)
        rates: dict[str, float] = {}
        for one in let:
            working, next_us = one.job.loaded(one.option, at)
            id = one.job.workload.id
            rates[id] = rates.get(id, 0.0) + min(working, one.accelerators) * one.option.rate
            yield one.job.deadline_us
            if next_us is not None:
                yield next_us
        for id, rate in rates.items():
            if rate > 0:
                yield at + max(1, hours_us(self.jobs[id].left / rate))

    def _advance(self, slot: int, let: Sequence[_Let], at: int, until: int, truth: _Room) -> None:
        """Let time pass."""
        share, hours, course = (until - at) / self._slot_us, (until - at) / HOUR_US, self.course
        firm = dict.fromkeys(course.used, 0)
        for one in let:
            job, option, n = one.job, one.option, one.accelerators
            job.done += min(n, job.loaded(option, at)[0]) * option.rate * hours
            course.used[option.key][slot] += n * share
            course.work_kw[option.key[0]][slot] += n * option.import_kw * share
            if not job.workload.preemptible:
                firm[option.key] += n
        for key, n in firm.items():
            course.denied[key][slot] += max(0.0, n - max(0.0, truth.accelerators[key])) * share
            course.in_reserve[key][slot] += max(0.0, n - self._firm_room[key][slot]) * share
        for id, job in list(self.running.items()):
            if not job.left:
                job.finished_us, job.lanes, job.option = until, {}, None
            if job.is_done or job.deadline_us <= until:
                job.lanes, job.option = {}, None
                del self.running[id]


def _best(job: Job, request: Request, room: _Room, most: int) -> _Let | None:
    """The option that does most in the room that there is; where that is as much, the one that it runs in."""
    best, worth = None, (0.0, False)
    for option, width in request.options:
        wanted = min(width, most) // option.replica * option.replica
        fits = min(wanted, room.fits(option)) // option.replica * option.replica
        if fits < wanted and not job.workload.interruptible:
            continue
        found = (fits * option.rate, serving(option) in job.lanes)
        if fits and found > worth:
            best, worth = _Let(job, option, fits), found
    return best


def _yield(let: list[_Let], room: _Room) -> None:
    """Take from preemptible work what real-time load needs, the last that came first. `let` is written to."""
    for one in let:
        room.take(one.option, one.accelerators)
    for one in reversed(let):
        short = room.short(one.option) if one.job.workload.preemptible else 0
        if short:
            keep = max(0, one.accelerators - short) // one.option.replica * one.option.replica
            keep = keep if one.job.workload.interruptible else 0
            room.take(one.option, keep - one.accelerators)
            one.accelerators = keep
    let[:] = [one for one in let if one.accelerators]


def base_kw(site: Site, load: Mapping[str, float]) -> float:
    """What a site imports without deferrable work, by the real-time load of each of its pools [kW]."""
    busy = sum(p.idle_kw * p.count + p.dynamic_kw * load.get(p.name, 0.0) for p in site.pools)
    return site.pue * busy
