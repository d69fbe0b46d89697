"""Measurements that come in: checked, kept together with what waits, and held against the plan in the same moment.

A thousand of them a second cannot each have a transaction of its own. Who sends one waits until it is kept; what came
while the last were being written is written next, all in one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from forecasts.slots import isoformat_z
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.grid_event import most_kw
from shifter.errors import InputError, NotFound, NotReady
from shifter.service import guard, metering, peaks, played
from shifter.service.core import Core
from shifter.service.gate import gate_of
from shifter.service.level import Level
from shifter.service.sized import arrived, sized
from shifter.service.state import State
from shifter.store import inputs, loads, traffic
from shifter.views import TelemetrySample

CLOCK_SKEW = timedelta(minutes=1)
ABSURD = 10
"""What is measured to be so many times the pool, or all that a site could draw, was measured in another unit."""


_HEARD = ("levels", "missing", "real_levels", "aside", "planned_levels", "measured", "available")
"""What samples change of the state, in the order in which it is seen: no sample without its level."""


@dataclass
class _Waiting:
    samples: list[TelemetrySample]
    arrived: list[traffic.Arrived]
    kept: Future[int] = field(default_factory=Future)


class Ear:
    """Takes measurements; one thread keeps them, for as long as there are any."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._queue: list[_Waiting] = []
        self._lock = threading.Lock()
        self._busy = False
        self._writer = ThreadPoolExecutor(1, "shifter-telemetry")

    def hear(self, samples: Sequence[TelemetrySample]) -> Future[int]:
        """How many were taken, once they are kept. Raises InputError, NotFound; the future raises NotReady."""
        now = self._core.now()
        taken = [checked(self._core, sample, f"[{i}].", now) for i, sample in enumerate(samples)]
        fleet = self._core.fleet
        told = (arrived(fleet, sample, one.at) for sample, one in zip(samples, taken, strict=True))
        waiting = _Waiting(taken, [one for one in told if one is not None])
        if not taken:
            waiting.kept.set_result(0)
            return waiting.kept
        with self._lock:
            self._queue.append(waiting)
            starts, self._busy = not self._busy, True
        if starts:
            try:
                self._writer.submit(self._keep_all)
            except RuntimeError:  # no thread to be had: the next that comes tries again, and keeps this, too
                with self._lock:
                    self._busy = False
                raise
        return waiting.kept

    def _keep_all(self) -> None:
        while True:
            with self._lock:
                batch, self._queue = self._queue, []
                self._busy = bool(batch)
            if not batch:
                return
            # Who hung up is not answered; what they sent is kept.
            listening = [waiting for waiting in batch if waiting.kept.set_running_or_notify_cancel()]
            try:
                keep(
                    self._core,
                    [sample for waiting in batch for sample in waiting.samples],
                    [one for waiting in batch for one in waiting.arrived],
                )
            except BaseException as error:  # each of them has to hear of it, whatever it is
                for waiting in listening:
                    waiting.kept.set_exception(error)
            else:
                for waiting in listening:
                    waiting.kept.set_result(len(waiting.samples))


def keep(core: Core, samples: Sequence[TelemetrySample], told: Sequence[traffic.Arrived] = ()) -> None:
    """Answers look at these from now on; write them, the traffic that they were `told` as, and what follows from them,
    in one transaction.

    Raises NotReady where the store is away. They are not kept then, and whoever sent them hears that; but they count
    all the same, since real-time load does not wait for a database. Nor does it wait for what else is being written.
    """
    state, ordered = core.state, sorted(samples, key=lambda s: s.at)
    sites = {s.site for s in ordered if s.pool is not None}
    with state.changed:
        matters = _take(core, state, ordered)
        newest = {(one.site, one.pool): one for one in sorted(told, key=lambda one: one.at)}
        now, before = core.now(), state.arrived  # a clock that was set back since must not make it deaf
        later = {k: a for k, a in newest.items() if k not in before or a.at >= min(before[k].at, now)}
        state.arrived = {**before, **later}
    with core.writing:
        try:
            with core.change() as change:
                counted, imports = dict(state.meters), dict(state.measured_import)
                real = [s for s in ordered if not s.drill]
                inputs.add_telemetry(change.db, real)
                loads.count(change.db, real)
                traffic.count(change.db, told)
                metered: list[metering.Span] = []
                for s in ordered:
                    metered += metering.spans(core, imports.get(s.site), s)
                    peaks.hear(core, counted, imports, s)
                metering.keep(change, metered)
                change.set(measured_import=imports, meters=counted)
                change.replan = "telemetry" if matters else ""
                played_of = {(s.site, s.pool) for s in ordered if s.drill and s.pool is not None}
                guard.react(core, change, gate_of(core, change.at), sites, played_of)
        except NotReady:
            guard.remember(core, gate_of(core), sites)
            raise


def _take(core: Core, state: State, samples: Sequence[TelemetrySample]) -> bool:
    """Into the state; whether a plan should be made for it: more is measured than the plan holds for it."""
    now, hold = core.now(), timedelta(seconds=core.config.guard_hold_s)
    draft = copy(state)  # whoever reads meanwhile has what was there before
    for name in _HEARD:
        setattr(draft, name, dict(getattr(state, name)))
    matters = False
    for s in samples:
        if s.pool is None:
            continue
        key = (s.site, s.pool)
        matters |= played.take(draft, s) if s.drill else False
        matters |= take_sample(draft, s, now, hold)
        if s.realtime_accelerators is not None and state.published is not None:
            row, level = state.published.row_at(key, now), draft.levels[key].at(now, hold)
            # A plan that was asked for at this level is not asked for again: it would be the same.
            asked = draft.planned_levels.get(key, 0.0)
            matters |= (row is None or level > row.realtime_q + 1e-6) and level > asked
            draft.planned_levels[key] = level
    for name in _HEARD:
        setattr(state, name, getattr(draft, name))
    return matters


def take_sample(state: State, s: TelemetrySample, now: datetime, hold: timedelta) -> bool:
    """Into the state; whether it tells of something that was never told of, or that has changed for good.

    One that comes late counts for what the load was then, and no more for what it is.
    """
    assert s.pool is not None
    key, news = (s.site, s.pool), False
    if s.realtime_accelerators is not None:
        before = state.measured.get(key)
        news |= before is None
        # A clock that was set back since must not make it deaf.
        if before is None or s.at >= min(before.at, now):
            state.measured[key] = s
        _hear(state, state.levels, "realtime_accelerators", s, s.realtime_accelerators, now, hold)
    if s.available_accelerators is not None:
        told, counted = state.available.get(key), state.missing.get(key, Level()).at(now, hold)
        if told is None or s.at >= min(told.at, now):
            state.available[key] = s
        _hear(state, state.missing, "available_accelerators", s, -float(s.available_accelerators), now, hold)
        # What is back counts later, and is news only then: hardware that flaps is no reason for a plan each time.
        news |= told is None or state.missing[key].at(now, hold) != counted
    return news


def _hear(
    state: State,
    levels: dict[PoolKey, Level],
    name: str,
    s: TelemetrySample,
    value: float,
    now: datetime,
    hold: timedelta,
) -> None:
    assert s.pool is not None
    key = (s.site, s.pool)
    levels[key] = levels.get(key, Level()).heard(s.at, value, hold, now)
    if not s.drill and (*key, name) in state.real_levels:
        real = state.real_levels[*key, name].heard(s.at, value, hold, now)
        state.real_levels = {**state.real_levels, (*key, name): real}


def checked(core: Core, sample: TelemetrySample, where: str, now: datetime) -> TelemetrySample:
    """The sample as it is taken: one whose clock is a little ahead counts as of now, traffic as accelerators."""
    if sample.site not in core.fleet.by_site:
        known = ", ".join(core.fleet.by_site)
        raise NotFound(f"there is no site {sample.site}.", field=f"{where}site", hint=f"Sites are {known}.")
    if sample.pool is not None and (sample.site, sample.pool) not in core.fleet.pools:
        known = ", ".join(p.name for p in core.fleet.by_site[sample.site].pools)
        raise NotFound(
            f"{sample.site} has no pool {sample.pool}.", field=f"{where}pool", hint=f"Its pools are {known}."
        )
    of_pool = {
        "realtime_accelerators": sample.realtime_accelerators,
        "available_accelerators": sample.available_accelerators,
        "traffic": sample.traffic,
    }
    given = next((name for name, value in of_pool.items() if value is not None), None)
    if sample.pool is None and given is not None:
        raise InputError(
            f"{given} and pool belong together.", field=f"{where}{given}", hint="Say in which pool that is."
        )
    if sample.pool is not None and given is None and not sample.drill:
        raise InputError(
            "realtime_accelerators and pool belong together.",
            field=f"{where}realtime_accelerators",
            hint="Say how many accelerators real-time load uses in which pool, or what arrives there as traffic.",
        )
    if sample.drill and (sample.pool is None or sample.import_kw is not None):
        raise InputError(
            "a drill plays the load of a pool, or what there is of it.",
            field=f"{where}{'pool' if sample.pool is None else 'import_kw'}",
            hint="Give pool, and no import_kw: what is billed for is never played.",
        )
    if given is None and sample.import_kw is None and not sample.drill:
        raise InputError(
            "the sample measures nothing.",
            field=where.rstrip("."),
            hint="Give realtime_accelerators of a pool, or import_kw of the site.",
        )
    _refuse_absurd(core.fleet, sample, where)
    if sample.at > now + CLOCK_SKEW:
        raise InputError(
            f"{isoformat_z(sample.at)} has not come yet: it is {isoformat_z(now)}.",
            field=f"{where}at",
            hint="Check the clock of the meter.",
        )
    sample = sized(core.fleet, sample, where)
    return sample if sample.at <= now else replace(sample, at=now)


def _refuse_absurd(fleet: Fleet, sample: TelemetrySample, where: str) -> None:
    """What nothing real can be: it was measured in another unit, or the fleet file is not what there is."""
    if sample.pool is not None:
        count = fleet.pools[sample.site, sample.pool][1].count
        load, there = sample.realtime_accelerators, sample.available_accelerators
        if load is not None and load > ABSURD * count:
            raise InputError(
                f"{load:g} is no load of {count} accelerators.",
                field=f"{where}realtime_accelerators",
                hint=f"Give accelerators in use; more than {ABSURD} times the pool is taken for a mistake.",
            )
        if there is not None and there > count:
            raise InputError(
                f"there cannot be {there} of {count} accelerators.",
                field=f"{where}available_accelerators",
                hint=f"Give how many of {sample.site}/{sample.pool} there are now; where it has grown, raise its count "
                "in the fleet file first.",
            )
    if sample.import_kw is not None:
        site = fleet.by_site[sample.site]
        most = max(most_kw(site), site.power_limit_kw or 0.0)
        if sample.import_kw > ABSURD * most:
            raise InputError(
                f"{sample.import_kw:g} kW is no import of a site that draws {most:.4g} kW at the most.",
                field=f"{where}import_kw",
                hint=f"Give kW; more than {ABSURD} times that is taken for a mistake.",
            )
