"""What is to be replayed, cut into cases: by the sites that share work, and by month.

Sites belong together where some work may run at more than one of them, where a quota counts all of them, or where
they are in one zone. A month's work is what was submitted in it; it is followed to its last deadline.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from forecasts.assemble import in_currency
from forecasts.extend import LOOKBACK
from forecasts.history import VintageHistory
from forecasts.outcomes import outcomes
from forecasts.series import FACTS, PLANNED, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, SlotGrid, as_datetime64, floor_to_slot, isoformat_z
from shifter.backtest.case import Case, Outcome, Rules, Task
from shifter.backtest.knowledge import part
from shifter.backtest.learnt import Learnt, learn
from shifter.classify.policy import default_policy
from shifter.classify.rules import classify
from shifter.cycle import Submission
from shifter.domain.chains import check_chains
from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.options import options_of
from shifter.domain.workload import Workload, WorkloadClass
from shifter.errors import InputError
from shifter.realtime.load import RealtimeLoad

SUBMITTED = "submitted_at"
"""The label that says when a workload was submitted; without it, it was at its earliest start."""

BACK = timedelta(days=35)
"""How long before a case's start vintages are kept for it: what fills in a forecast looks back no further."""


@dataclass(frozen=True, eq=False)
class Everything:
    """All that is given. `expected` begins with the replay's first slot; its grid ends where nothing more is foreseen.

    `measured` are arrays on its grid. `vintages` may be known when they were; `actuals` only tell what came.
    """

    fleet: Fleet
    vintages: Sequence[ForecastSeries]
    actuals: Sequence[ForecastSeries]
    workloads: Sequence[Workload]
    expected: RealtimeLoad
    measured: Mapping[PoolKey, Floats]
    start: datetime
    end: datetime
    rules: Rules


@dataclass(frozen=True)
class Cut:
    """The cases, and what is in none: real-time work (it is part of the real-time load), work that was not submitted in
    the time that is replayed, and work with a deadline after the end of the data."""

    cases: tuple[Case, ...]
    real_time: int
    outside: int
    beyond: int


def cut(
    given: Everything, *, workers: int = 1, told: Callable[[str, float], None] = lambda _what, _share: None
) -> Cut:
    """Cases by group and month. Raises InputError where something is missing or does not fit.

    What is learnt is made by `workers` processes; `told` hears how far that is.
    """
    _check(given)
    grid = given.expected.grid
    submissions = [Submission(w, moment) for w, moment in _submitted(given.workloads)]
    classified = classify(submissions, default_policy(), given.fleet, given.start)
    tasks, real_time, outside = list[Task](), 0, 0
    for submission, c in zip(submissions, classified, strict=True):
        if c.decided is not WorkloadClass.DEFERRABLE or c.deadline is None:
            real_time += 1
        elif not given.start <= submission.submitted_at < given.end:
            outside += 1
        else:
            tasks.append(Task(c.workload, submission.submitted_at, c.earliest_start, c.deadline))
    history = VintageHistory([*given.vintages, *given.actuals])
    came = {zone: _outcome(history, zone, grid, given.fleet.currency) for zone in given.fleet.zones}
    data_end = _known_until(came, grid, given.end)
    within = [task for task in tasks if task.deadline <= data_end]
    rules = given.rules
    last = max([given.end, *(task.deadline for task in within)])
    learnt = learn(
        given.vintages,
        given.fleet.zones,
        given.start,
        last,
        rules.learn_hours,
        order=rules.order,
        rules=rules.learning,
        workers=workers,
        told=told,
    )
    cases = [
        _case(given, group, month, within, came, learnt)
        for group in groups(given.fleet, [task.workload for task in within])
        for month in months(given.start, given.end)
    ]
    return Cut(tuple(cases), real_time, outside, len(tasks) - len(within))


def months(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The calendar months (UTC) of `[start, end)`, the first and the last as far as they are in it."""
    found = []
    while start < end:
        first = start.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        after = (first + timedelta(days=32)).replace(day=1)
        found.append((start, min(end, after)))
        start = after
    return found


def groups(fleet: Fleet, work: Sequence[Workload]) -> list[tuple[str, ...]]:
    """Names of sites that are replayed together, in the fleet's order."""
    root = {site.name: site.name for site in fleet.sites}

    def of(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    def join(names: Iterable[str]) -> None:
        for one, other in pairwise(names):
            root[of(other)] = of(one)

    by_zone = defaultdict[str, list[str]](list)
    for site in fleet.sites:
        by_zone[site.zone].append(site.name)
    for names in by_zone.values():
        join(names)
    if any(tenant.quota_accelerators is not None for tenant in fleet.tenants):
        join([site.name for site in fleet.sites])
    at = {w.id: list(dict.fromkeys(o.key[0] for o in options_of(w, fleet))) for w in work}
    for w in work:
        join([*at[w.id], *(name for d in w.depends_on for name in at.get(d, ())[:1])])
    found = defaultdict[str, list[str]](list)
    for site in fleet.sites:
        found[of(site.name)].append(site.name)
    return [tuple(names) for names in found.values()]


def _check(given: Everything) -> None:
    minutes, rules = given.expected.grid.slot_minutes, given.rules
    if given.end <= given.start:
        raise InputError("the end is not after the start.", field="--end", hint="The end is exclusive.")
    for name, moment in (("--start", given.start), ("--end", given.end)):
        if (slot := floor_to_slot(moment, minutes)) != moment:
            raise InputError(
                f"{isoformat_z(moment)} lies inside a slot.", field=name, hint=f"Use {isoformat_z(slot)}."
            )
    if rules.replan_minutes % minutes or rules.replan_minutes < minutes:
        raise InputError(
            f"{rules.replan_minutes} minutes are not a whole number of slots of {minutes}.", field="--replan"
        )
    if given.fleet.objective.budgets:
        raise InputError(
            "a fleet with budgets cannot be replayed: they would start anew with every plan.",
            field="objective.budgets",
            hint="Leave them out of the fleet file for the replay.",
        )
    if given.expected.grid.end < given.end:
        raise InputError(
            f"real-time load is given to {isoformat_z(given.expected.grid.end)} only.",
            field="--realtime",
            hint="Give it for all of the time that is replayed, or end earlier.",
        )
    check_chains(given.workloads)


def _submitted(work: Sequence[Workload]) -> Iterator[tuple[Workload, datetime]]:
    """Each workload, and when it was submitted; never before what it waits for."""
    by_id, found = {w.id: w for w in work}, dict[str, datetime]()

    def of(w: Workload) -> datetime:
        if w.id not in found:
            found[w.id] = max([_own(w), *(of(by_id[d]) for d in w.depends_on if d in by_id)])
        return found[w.id]

    for w in work:
        yield w, of(w)


def _own(w: Workload) -> datetime:
    said = w.labels.get(SUBMITTED)
    if said is None and w.earliest_start is None:
        raise InputError(
            "nothing says when it was submitted.",
            field=f"{w.id}.earliest_start",
            hint=f'Give earliest_start, or the label {SUBMITTED}: {{"{SUBMITTED}": "2026-01-10T00:00:00Z"}}.',
        )
    if said is None:
        assert w.earliest_start is not None
        return w.earliest_start
    try:
        moment: datetime | None = datetime.fromisoformat(said)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        hint = "Write it with its zone, like 2026-01-10T00:00:00Z."
        raise InputError(f"{said[:40]!r} is not a time.", field=f"{w.id}.labels.{SUBMITTED}", hint=hint)
    return moment.astimezone(UTC)


def _outcome(history: VintageHistory, zone: str, grid: SlotGrid, currency: str) -> tuple[Floats, Floats]:
    """What came of a zone's price and carbon, each (n_slots,); NaN where it is not known."""
    price, carbon = (_came(history, zone, signal, grid, currency) for signal in PLANNED)
    return price, carbon


def _came(history: VintageHistory, zone: str, signal: Signal, grid: SlotGrid, currency: str) -> Floats:
    """The word of those that measured before that of those that cleared, and theirs before all others'."""
    ranks = {Kind.ACTUAL: 0, Kind.CLEARED: 1}
    told = [history.vintages(zone, signal, name) for name in history.sources(zone, signal)]
    told.sort(key=lambda series: min(ranks.get(s.kind, 2) for s in series))
    found = np.full(grid.n_slots, np.nan)
    for series in told:
        own = [in_currency(s, currency, {}) if signal is Signal.PRICE else s for s in series]
        found = np.where(np.isfinite(found), found, outcomes(own, grid))
    if not np.isfinite(found).any():
        raise InputError(
            f"nothing says what came of the {signal} in {zone}.",
            field="--actuals",
            hint=f"Give rows with the kind {' or '.join(sorted(FACTS))}, or issued when their interval was over.",
        )
    return found


def _known_until(came: Mapping[str, tuple[Floats, Floats]], grid: SlotGrid, end: datetime) -> datetime:
    """Until when all zones' outcomes are known. Raises InputError where that is before the replay's end."""
    ends = {
        (zone, signal): grid.moment(int(np.flatnonzero(np.isfinite(values))[-1]) + 1)
        for zone, both in came.items()
        for signal, values in zip(PLANNED, both, strict=True)
    }
    (zone, signal), first = min(ends.items(), key=lambda item: item[1])
    if first < end:
        raise InputError(
            f"what came of the {signal} in {zone} is known to {isoformat_z(first)} only.",
            field="--actuals",
            hint="Give it for all of the time that is replayed, or end earlier.",
        )
    return first


def _case(
    given: Everything,
    sites: Sequence[str],
    month: tuple[datetime, datetime],
    tasks: Sequence[Task],
    came: Mapping[str, tuple[Floats, Floats]],
    learnt: Learnt,
) -> Case:
    start, end = month
    fleet = replace(given.fleet, sites=tuple(s for s in given.fleet.sites if s.name in sites))
    mine = [t for t in tasks if start <= t.submitted_at < end and options_of(t.workload, fleet)]
    whole = given.expected.grid
    last = max([end, *(t.deadline for t in mine)])
    grid = SlotGrid.covering(start, last - start, whole.slot_minutes)
    first = round(whole.position(start))
    looked = timedelta(hours=given.rules.max_horizon_hours)
    n_reach = min(
        whole.n_slots - first, SlotGrid.covering(start, last + looked - start, grid.slot_minutes).n_slots
    )
    reach = SlotGrid(start, grid.slot_minutes, n_reach)
    expected = part(given.expected, reach)
    n_billed = round((end - start) / grid.slot)
    return Case(
        group="+".join(fleet.zones),
        month=f"{start:%Y-%m}",
        fleet=fleet,
        tasks=tuple(mine),
        vintages=tuple(_near(given.vintages, fleet.zones, start, grid.end, reach.end)),
        outcomes={zone: _filled(came[zone], first, grid, reach) for zone in fleet.zones},
        expected=RealtimeLoad(reach, {k: v for k, v in expected.quantiles.items() if k in fleet.pools}),
        measured={k: v[first : first + grid.n_slots] for k, v in given.measured.items() if k in fleet.pools},
        grid=grid,
        billed_slots=n_billed,
        rules=given.rules,
        learnt=learnt.within(fleet.zones, start, grid.end),
        synthetic=any(
            s.kind is Kind.SYNTHETIC and s.zone in fleet.zones and s.signal in PLANNED
            for s in (*given.vintages, *given.actuals)
        ),
    )


def _near(
    vintages: Iterable[ForecastSeries], zones: Sequence[str], start: datetime, last: datetime, reach: datetime
) -> Iterator[ForecastSeries]:
    """Those that any question of the case may be answered by."""
    earliest, latest = as_datetime64(start - max(BACK, LOOKBACK)), as_datetime64(reach)
    for s in vintages:
        of_case = s.zone in zones and s.signal in PLANNED and s.known_at < last and len(s)
        if of_case and s.end[-1] > earliest and s.start[0] < latest:
            yield s


def _filled(came: tuple[Floats, Floats], first: int, grid: SlotGrid, reach: SlotGrid) -> Outcome:
    """The outcomes on `reach`; a hole in the replayed slots is taken to be as a day before, else the mean."""
    day = round(timedelta(days=1) / grid.slot)
    arrays, assumed = [], np.zeros(grid.n_slots, dtype=bool)
    for values in came:
        own: Floats = values[first : first + reach.n_slots].copy()
        holes = np.flatnonzero(~np.isfinite(own[: grid.n_slots]))
        assumed[holes] = True
        mean = float(np.nanmean(values[: first + reach.n_slots]))
        for i in holes:
            before = values[first + i - day] if first + i >= day else np.nan
            before = own[i - day] if i >= day else before
            own[i] = before if np.isfinite(before) else mean
        arrays.append(own)
    return Outcome(arrays[0], arrays[1], int(assumed.sum()))
