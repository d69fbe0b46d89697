"""Large plans: the coarse problem's prices, everybody's answer to them, whole accelerators for any number of jobs."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import shifter.schedule.schedule as planning
from shifter.cycle import CycleInputs, plan_cycle, problem_of, verify_plan
from shifter.domain.fleet import Pool, Site
from shifter.domain.resilience import Resilience
from shifter.domain.workload import Workload
from shifter.schedule import scaled
from shifter.schedule.answer import cheapest, least_cost, segments
from shifter.schedule.classes import merge
from shifter.schedule.clusters import Clusters
from shifter.schedule.coarse import coarsen, coarsest_minutes
from shifter.schedule.columns import Columns, Meter, slot_means
from shifter.schedule.jobs import HOUR_US, Way
from shifter.schedule.lay import Levels, lay
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import work_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.program import Capacity
from shifter.schedule.solve import solve
from tests.schedule.build import START, at, cycle_inputs, site
from tests.schedule.build import work as job_of


@pytest.fixture
def always_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan is made as if it were too large to be solved exactly, and for true slots."""
    monkeypatch.setattr(planning, "EXACT_COLUMNS", 0)
    monkeypatch.setattr(scaled, "FINE_COLUMNS", 0)


def crowd(n: int = 150, seed: int = 0, slot_minutes: int = 30) -> CycleInputs:
    """Two sites with a demand charge and a limit, and jobs of all windows that use about half of them."""
    draw = np.random.default_rng(seed)
    sites = [
        Site(
            name,
            zone,
            (Pool("p", "X", 40, failure_domains=4, idle_kw=0.1, busy_kw=0.8), *more),
            jurisdiction=jurisdiction,
            power_limit_kw=60,
            demand_charge_per_kw=0.3,
            peak_so_far_kw=12,
            resilience=Resilience(0.99, 1),
        )
        for name, zone, jurisdiction, more in (
            ("a", "Z", "DE", (Pool("q", "Y", 30, idle_kw=0.05, busy_kw=0.3),)),
            ("b", "Y", "FR", ()),
        )
    ]
    jobs = []
    for i in range(n):
        start = 0.0 if draw.random() < 0.5 else float(draw.uniform(0, 24))
        window = float(draw.uniform(4, 46 - start))
        hours = float(draw.lognormal(0.6, 0.8))
        over: dict[str, Any] = {
            "earliest_start": at(start),
            "deadline": at(start + window),
            "max_accelerators": int(np.ceil(hours / (0.4 * window))),
            "preemptible": bool(draw.random() < 0.8),
            "data_boundary": ("DE",) if draw.random() < 0.3 else None,
            "accelerators": ("X",) if draw.random() < 0.5 else None,
        }
        jobs.append(Workload(f"w{i}", accelerator_hours=hours, **over))
    n_slots = 48 * 60 // slot_minutes
    hour = np.arange(n_slots) * slot_minutes / 60
    return cycle_inputs(
        jobs,
        sites=sites,
        prices={
            "Z": (80 + 40 * np.sin(hour / 3.8)).tolist(),
            "Y": (90 + 30 * np.cos(hour / 3.0)).tolist(),
        },
        load={
            ("a", "p"): {0.5: 8, 0.99: 11.3},
            ("a", "q"): {0.5: 5, 0.99: 8.2},
            ("b", "p"): {0.5: 9, 0.99: 12.6},
        },
        slot_minutes=slot_minutes,
        hours=48,
    )


@pytest.mark.usefixtures("always_large")
@pytest.mark.parametrize(("seed", "slot_minutes"), [(0, 30), (1, 30), (2, 15), (3, 60)])
def test_a_large_plan_keeps_the_contract_and_is_near_its_bound(seed: int, slot_minutes: int) -> None:
    inputs = crowd(seed=seed, slot_minutes=slot_minutes)
    plan = plan_cycle(inputs)
    assert verify_plan(plan, inputs) == []
    assert plan.unplaced == ()
    assert plan.relative_gap < 0.03  # of a hundred jobs; of ten thousand it is a tenth of that
    assert plan_cycle(inputs).to_json() == plan.to_json()


def test_where_half_hours_differ_a_coarse_plan_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """On hours, prices that jump from slot to slot prove little."""
    draw = np.random.default_rng(1)
    prices = (60 + 20 * np.sin(np.arange(96) / 7) + draw.normal(size=96) * 9).tolist()
    jobs = [job_of(f"w{i}", 5.0 + i, 24.0 + i % 24, max_accelerators=6) for i in range(20)]
    plant = site(pools=(Pool("p", "X", 40, busy_kw=0.7),), demand_charge_per_kw=0.3)
    inputs = cycle_inputs(jobs, sites=[plant], prices=prices, slot_minutes=30, hours=48)
    exact = plan_cycle(inputs)
    monkeypatch.setattr(planning, "EXACT_COLUMNS", 0)
    fine = plan_cycle(inputs)
    monkeypatch.setattr(scaled, "FINE_COLUMNS", 0)
    rough = plan_cycle(inputs)
    assert fine.status == rough.status == "coarse"
    assert rough.lower_bound < 0.985 * exact.lower_bound
    assert fine.lower_bound == pytest.approx(exact.lower_bound, rel=2e-3)
    assert fine.relative_gap < 0.7 * rough.relative_gap


def test_coarse_prices_prove_nearly_as_much_as_exact_ones() -> None:
    inputs = crowd()
    problem = problem_of(inputs)
    capacity = Capacity.of(problem)
    exact = solve(problem, merge(problem.jobs), capacity, time_limit_s=60)
    coarse = coarsen(problem, capacity, Clusters(problem.jobs).about(60), slot_minutes=coarsest_minutes(30))
    assert len(coarse.work) <= 60
    rough = solve(coarse.problem, coarse.work, coarse.capacity, time_limit_s=60)
    import_exact, import_rough = (s.values["import"].reshape(2, -1).mean(axis=1) for s in (exact, rough))
    assert import_rough == pytest.approx(import_exact, rel=0.02)
    assert rough.values["peak"] == pytest.approx(exact.values["peak"], rel=0.1, abs=0.5)


def test_clusters_hold_all_work_and_keep_apart_what_differs() -> None:
    problem = problem_of(crowd())
    groups = Clusters(problem.jobs).about(40)
    assert sum(c.hours for c in groups) == pytest.approx(sum(j.hours for j in problem.jobs))
    assert sum(c.max_accelerators for c in groups) == sum(j.max_accelerators for j in problem.jobs)
    kinds = {(j.ways, j.firm) for j in problem.jobs}
    assert {(c.ways, c.firm) for c in groups} == kinds
    windows = {(j.ways, j.firm, j.start_us, j.end_us) for j in problem.jobs}
    assert all((c.ways, c.firm, c.start_us, c.end_us) in windows for c in groups), "windows of real jobs"


def test_more_clusters_are_the_same_whether_or_not_fewer_were_asked_for_before() -> None:
    def seen(clusters: Clusters, most: int) -> list[tuple[float, int, int]]:
        return [(one.hours, one.start_us, one.end_us) for one in clusters.about(most)]

    jobs = problem_of(crowd()).jobs
    again = Clusters(jobs)
    assert len(seen(again, 10)) < len(seen(again, 40))
    assert seen(again, 40) == seen(Clusters(jobs), 40)


@pytest.mark.parametrize("minutes_before", [0, 30])
def test_a_coarse_grid_starts_on_its_own_multiples(minutes_before: int) -> None:
    inputs = crowd(30)
    problem = problem_of(inputs)
    coarse = coarsen(problem, Capacity.of(problem), Clusters(problem.jobs).about(10), slot_minutes=60)
    assert coarse.problem.grid.slot_minutes == 60
    assert coarse.problem.grid.start <= problem.grid.start + timedelta(minutes=minutes_before)
    assert len(coarse.slot_of) == problem.grid.n_slots
    assert (np.diff(coarse.slot_of) >= 0).all()


PRICE = st.floats(-2, 5).map(lambda v: round(v, 3))


@st.composite
def priced(draw: st.DrawFn) -> tuple[list[Way], list[Any], Any, float, tuple[int, int]]:
    n = draw(st.integers(2, 7))
    ways = [
        Way(i, speed, 1.0)
        for i, speed in enumerate(draw(st.sampled_from([(1.0,), (1.0, 0.4), (1.0, 1.0, 0.3)])))
    ]
    prices = [np.array(draw(st.lists(PRICE, min_size=n, max_size=n))) for _ in ways]
    hours = np.array(draw(st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=n, max_size=n)))
    first = draw(st.integers(0, n - 1))
    last = draw(st.integers(first + 1, n))
    return ways, prices, hours, draw(st.floats(0.01, float(hours[first:last].sum()))), (first, last)


@given(priced())
@settings(deadline=None)
def test_an_answer_is_the_cheapest_there_is(
    case: tuple[list[Way], list[Any], Any, float, tuple[int, int]],
) -> None:
    """Against a linear program of the same: one accelerator, in one way at a time, so much work to do."""
    ways, prices, hours, need, (first, last) = case
    n = len(hours)
    inside = (np.arange(n) >= first) & (np.arange(n) < last)
    found = linprog(
        np.concatenate(prices),
        A_ub=np.hstack([np.eye(n)] * len(ways)),
        b_ub=inside.astype(float),
        A_eq=[np.concatenate([way.speed * hours for way in ways])],
        b_eq=[need],
    )
    seen = segments(ways, prices, hours)
    window = (np.array([first]), np.array([last]))
    uses = cheapest(seen, np.array([way.speed for way in ways]), hours, np.array([need]), window)
    work = sum(ways[w].speed * hours[c] * s for w, c, s in zip(uses.way, uses.cell, uses.share, strict=True))
    assert work == pytest.approx(need, rel=1e-6)
    assert len(set(uses.cell.tolist())) == len(uses.cell), "one way a cell"
    cost = sum(prices[w][c] * s for w, c, s in zip(uses.way, uses.cell, uses.share, strict=True))
    # A job does not change over inside a cell, which may cost it a part of one; the bound has it change over.
    assert found.fun is not None
    assert cost >= found.fun - 1e-6
    if (hours == hours[0]).all():
        seen = segments(ways, prices, hours)
        [least] = least_cost(seen, np.array([need]), np.array([float(first)]), np.array([float(last)]))
        assert least == pytest.approx(found.fun, abs=1e-6)


@st.composite
def used(draw: st.DrawFn) -> tuple[Levels, int, int]:
    n_jobs, n_cells = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    rows: list[tuple[int, int, float, bool]] = []
    capacity, firm_capacity = draw(st.integers(1, 9)), 0
    for cell in range(n_cells):
        free = float(capacity)
        for job in range(n_jobs):
            amount = draw(st.floats(0, 1)) * min(free, 3.0)
            if amount > 1e-3:
                rows.append((job, cell, amount, job % 3 == 0))
                free -= amount
    firm_capacity = capacity
    columns: list[list[Any]] = [[row[i] for row in rows] for i in range(4)]
    zeros = np.zeros(len(rows), dtype=np.int64)
    levels = Levels(
        np.array(columns[0], dtype=np.int64),
        zeros,
        zeros,
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=float),
        np.array(columns[3], dtype=bool),
    )
    return levels, capacity, firm_capacity


@given(used())
@settings(deadline=None)
def test_whole_accelerators_do_what_the_fractions_do_within_capacity(case: tuple[Levels, int, int]) -> None:
    levels, capacity, firm_capacity = case
    n_cells = int(levels.cell.max(initial=0)) + 1
    edges = np.arange(n_cells + 1) * HOUR_US
    counts = np.full((1, n_cells), capacity), np.full((1, n_cells), firm_capacity)
    table = lay(levels, edges, *counts)
    for job in set(levels.job.tolist()):
        mine = table.job == job
        done = ((table.end_us - table.start_us) * table.accelerators)[mine].sum() / HOUR_US
        assert done == pytest.approx(levels.accelerators[levels.job == job].sum(), abs=1e-5 * n_cells)
        most = levels.accelerators[levels.job == job].max()
        assert highest(table, mine) <= np.ceil(most - 1e-9)
    assert highest(table, np.ones(len(table.job), dtype=bool)) <= capacity


def highest(table: Any, chosen: Any) -> int:
    columns = (table.start_us, table.end_us, table.accelerators)
    pieces = list(zip(*(column[chosen].tolist() for column in columns), strict=True))
    changes = sorted(
        (moment, change) for a, b, count in pieces for moment, change in ((a, count), (b, -count))
    )
    level = most = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most


def pieces_in(problem: ScheduleProblem, seed: int) -> list[Piece]:
    draw = np.random.default_rng(seed)
    horizon = int(problem.edges_us[-1])
    found = []
    for job in problem.jobs:
        for start, end in pairwise(sorted(draw.integers(0, horizon, 4).tolist())):
            way = int(draw.integers(len(job.ways)))
            found.append(Piece(job.id, job.ways[way].pool, way, start, end, int(draw.integers(1, 5))))
    return found


def test_columns_add_up_to_what_single_pieces_come_to() -> None:
    problem = problem_of(crowd(20))
    pieces = pieces_in(problem, 1)
    columns = Columns.of(problem, pieces)
    naive = np.zeros((len(problem.pools), problem.grid.n_slots))
    energy = []
    for piece in pieces:
        first, last = (moment / problem.slot_us for moment in (piece.start_us, piece.end_us))
        slots = np.arange(int(first), int(np.ceil(last)))
        share = np.minimum(last, slots + 1) - np.maximum(first, slots)
        naive[piece.pool, slots] += piece.accelerators * share
        kw = piece.accelerators * problem.ways[piece.job][piece.way].import_kw
        site = problem.sites[problem.pools[piece.pool].site]
        kwh = kw * share * problem.grid.slot_hours
        energy.append((kwh.sum(), kwh @ site.unit_cost_per_kwh[slots], kwh @ site.carbon_kg_per_kwh[slots]))
    means = slot_means(problem, columns, columns.pool, columns.accelerators, len(problem.pools))
    assert means == pytest.approx(naive, abs=1e-9)
    assert pytest.approx(np.array(energy), abs=1e-9) == np.array(Meter.of(problem).read(columns)).T
    done = columns.done_hours(len(problem.jobs))
    for job, hours in zip(problem.jobs, done, strict=True):
        assert hours == pytest.approx(work_hours(job, [p for p in pieces if p.job == job.id]))


@pytest.mark.usefixtures("always_large")
def test_a_ledger_holds_the_highest_level_of_each_cell_and_what_pieces_draw() -> None:
    problem = problem_of(crowd(20))
    pieces = pieces_in(problem, 2)
    ledger, before = Ledger(problem), Ledger(problem)
    ledger.hold(pieces)
    firm = {job.id for job in problem.jobs if job.firm}
    for kept, free, those in (
        (before.any, ledger.any, pieces),
        (before.firm, ledger.firm, [p for p in pieces if p.job in firm]),
    ):
        for pool in range(len(problem.pools)):
            own = [p for p in those if p.pool == pool]
            for cell, (begin, end) in enumerate(pairwise(problem.edges_us.tolist())):
                moments = [begin, *(p.start_us for p in own if begin <= p.start_us < end)]
                levels = [sum(p.accelerators for p in own if p.start_us <= t < p.end_us) for t in moments]
                assert kept[pool, cell] - free[pool, cell] == max(levels)
    kwh = sum(
        p.accelerators * problem.ways[p.job][p.way].import_kw * (p.end_us - p.start_us) / HOUR_US
        for p in pieces
    )
    assert ledger.placed_kw.sum() * problem.grid.slot_hours == pytest.approx(kwh)
    assert before.headroom_kw - ledger.headroom_kw == pytest.approx(ledger.placed_kw)
    assert firm
    ledger.release(pieces)
    assert (ledger.any == before.any).all()
    assert (ledger.firm == before.firm).all()
    assert ledger.headroom_kw == pytest.approx(before.headroom_kw)


def test_a_job_that_comes_late_to_a_full_hour_gets_room_from_one_that_can_move() -> None:
    """Ten accelerators, and the cheapest hour is the only one in which the small job may run."""
    flexible = [job_of(f"f{i}", 1.0, 24, max_accelerators=1) for i in range(10)]
    bound = job_of("bound", 1.0, 13, earliest_start=at(12), max_accelerators=1)
    prices = [50.0] * 24
    prices[12] = 5.0
    inputs = cycle_inputs([*flexible, bound], prices=prices)
    plan = plan_cycle(inputs)
    assert plan.unplaced == ()
    [own] = [a for a in plan.allocations if a.workload_id == "bound"]
    assert own.start == START + timedelta(hours=12)
    assert sum(a.start == own.start for a in plan.allocations) == 10, "the dear hours have the one that moved"
