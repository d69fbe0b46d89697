"""The options of a workload: in which pools, and by which models, its work can be done, how fast and at what power.

A workload may give `alternatives`: the same useful outcome by another model or quantization, each with the tokens that
it takes. Rates are in the workload's own unit whatever the option: an alternative that takes half the tokens does the
workload's tokens twice as fast as it does its own. So parts done in different ways add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import zip_longest

from shifter.domain.capping import import_kw, used_caps
from shifter.domain.fleet import Fleet, Pool, PoolKey, PowerCap, Site
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload

LONGEST_HOURS = 1e6
"""A run longer than this century is as good as endless, and dates end before it does."""


@dataclass(frozen=True)
class Option:
    """One pool, model and cap that a workload's work may be done with."""

    key: PoolKey
    rate: float
    """Work per accelerator-hour [the workload's unit/h]."""
    import_kw: float
    """What one busy accelerator adds to the site's import [kW]."""
    replica: int
    """It runs on whole multiples of this many accelerators."""
    load: timedelta
    """From allocated to serving: the first part of each piece, which does no work."""
    model: str | None
    """Named where the workload gives alternatives; else it is the one that was asked for, if any."""
    cap_kw: float | None = None
    """What one accelerator is capped to [kW]; None where it is not."""


def options_of(workload: Workload, fleet: Fleet) -> tuple[Option, ...]:
    """What was asked for at full power first, then under the pools' caps, then the alternatives in their order.

    Each is in the fleet's order of pools. Empty when nothing in the fleet may run it. An accelerator-hour is one
    wherever it runs at full power.
    """
    found: list[Option] = []
    for model, ratio in _models(workload):
        capped: list[Option] = []
        for site, pool in fleet.pools.values():
            option = _option(workload, fleet, site, pool, model, ratio)
            if option is not None:
                found.append(option)
                capped += [_under(cap, option, site, pool) for cap in used_caps(pool)]
        found += capped
    return tuple(found)


def option_of(workload: Workload, fleet: Fleet, held: Allocation) -> Option | None:
    """The option that an allocation of the workload uses; None where that is none of its options."""
    place = fleet.pools.get((held.site, held.pool))
    if place is None:
        return None
    named = held.model or workload.model
    ratios = [ratio for model, ratio in _models(workload) if model == named]
    option = _option(workload, fleet, *place, named, ratios[0]) if ratios else None
    if option is None or held.cap_kw is None:
        return option
    caps = (cap for cap in place[1].power_caps if cap.busy_kw == held.cap_kw)
    return next((_under(cap, option, *place) for cap in caps), None)


def least_run(workload: Workload, fleet: Fleet, amount: float | None = None) -> timedelta | None:
    """A time in which no plan does `amount` (default: all of it), but for rounding; None when nothing can run it.

    Work that may be interrupted may use several options at once. Those that take less to load begin before the others.
    """
    if not workload.interruptible:
        return shortest_run(workload, fleet, amount)
    left = workload.amount if amount is None else amount
    paces = _paces(workload, fleet)
    for (load, speed), (faster_from, _) in zip_longest(paces, paces[1:], fillvalue=(timedelta.max, 0.0)):
        run = load + timedelta(hours=min(left / speed, LONGEST_HOURS))
        if run <= faster_from:
            return run
        left -= speed * ((faster_from - load) / timedelta(hours=1))
    return None


def _paces(workload: Workload, fleet: Fleet) -> tuple[tuple[timedelta, float], ...]:
    """From when after its start the most work per hour is this; kept for work that is alike."""
    kind = ("paces", kind_of(workload), workload.max_accelerators)
    found: tuple[tuple[timedelta, float], ...] | None = fleet.memory.get(kind)
    if found is None:
        options = [o for o in options_of(workload, fleet) if o.replica <= _widest(workload, fleet, o)]
        options.sort(key=lambda option: -option.rate)
        loads = sorted({option.load for option in options})
        found = fleet.memory[kind] = tuple(
            (load, _speed_together([o for o in options if o.load <= load], workload, fleet)) for load in loads
        )
    return found


def _speed_together(fastest_first: Sequence[Option], workload: Workload, fleet: Fleet) -> float:
    """The most work per hour of these options at once, in fractions of replicas but for what each pool can hold."""
    left, speed = workload.max_accelerators, 0.0
    room = {option.key: fleet.pools[option.key][1].count for option in fastest_first}
    for option in fastest_first:
        width = min(
            left, room[option.key], _widest(workload, fleet, option) // option.replica * option.replica
        )
        speed += option.rate * width
        left, room[option.key] = left - width, room[option.key] - width
    return speed


def _widest(workload: Workload, fleet: Fleet, option: Option) -> int:
    """Accelerators that it may use in an option's pool."""
    return min(workload.max_accelerators, fleet.pools[option.key][1].count)


def shortest_run(workload: Workload, fleet: Fleet, amount: float | None = None) -> timedelta | None:
    """The least time that `amount` (default: all of it) takes in any one option; None when nothing can run it.

    However little it is, it takes a microsecond: no plan has less.
    """
    work = workload.amount if amount is None else amount
    least = timedelta(microseconds=1 if work > 0 else 0)
    runs = (
        max(least, timedelta(hours=min(work / speed, LONGEST_HOURS))) + load
        for load, speed in _fastest(workload, fleet)
    )
    return min(runs, default=None)


def _fastest(workload: Workload, fleet: Fleet) -> tuple[tuple[timedelta, float], ...]:
    """Each load time of its options, and the most work per hour that one with it does; kept for work that is alike."""
    kind = (kind_of(workload), workload.max_accelerators)
    found: tuple[tuple[timedelta, float], ...] | None = fleet.memory.get(kind)
    if found is None:
        best: dict[timedelta, float] = {}
        for option in options_of(workload, fleet):
            width = _widest(workload, fleet, option)
            speed = option.rate * (width // option.replica * option.replica)
            if speed:
                best[option.load] = max(speed, best.get(option.load, 0.0))
        found = fleet.memory[kind] = tuple(best.items())
    return found


def kind_of(workload: Workload) -> tuple[object, ...]:
    """Workloads of one kind have the same options."""
    w = workload
    of_tokens = w.tokens if w.alternatives else w.tokens is None
    return w.model, of_tokens, w.alternatives, w.accelerators, w.data_boundary, w.sites


def _under(cap: PowerCap, option: Option, site: Site, pool: Pool) -> Option:
    """The same under a cap."""
    return replace(
        option,
        rate=option.rate * cap.throughput_ratio,
        import_kw=import_kw(site, pool, cap.busy_kw),
        cap_kw=cap.busy_kw,
    )


def _models(workload: Workload) -> Iterator[tuple[str | None, float]]:
    """Each model that may do the work, and how much of the workload's own unit one of its tokens does."""
    yield workload.model, 1.0
    for other in workload.alternatives:
        yield other.model, workload.amount / other.tokens


def _option(
    workload: Workload, fleet: Fleet, site: Site, pool: Pool, model: str | None, ratio: float
) -> Option | None:
    if workload.sites is not None and site.name not in workload.sites:
        return None
    if workload.data_boundary is not None and site.jurisdiction not in workload.data_boundary:
        return None
    found, accelerator = fleet.by_model.get(model or ""), pool.accelerator
    if workload.tokens is None:
        if workload.accelerators and accelerator not in workload.accelerators:
            return None
        rate = 1.0
    elif found is None or accelerator not in found.throughput_tokens_per_s:
        return None
    else:
        rate = found.throughput_tokens_per_s[accelerator] * 3600.0 * ratio
    return Option(
        (site.name, pool.name),
        rate,
        import_kw(site, pool, None),
        1 if found is None else found.accelerators_per_replica.get(accelerator, 1),
        timedelta(minutes=0 if found is None else found.load_minutes),
        model if workload.alternatives else None,
    )
