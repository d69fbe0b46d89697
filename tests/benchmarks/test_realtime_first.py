"""Two hours of real-time load through the service: what is counted happened, and what is done to it is felt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.figure import Options, Skipped, quiet
from benchmarks.llm_week import HOUR, START, STEP, STEP_S, STEPS_AN_HOUR, Trace
from benchmarks.realtime_first import at_once, chosen, rows, run, span_of
from benchmarks.realtime_replay import Came, _Replay, replayed
from benchmarks.realtime_world import (
    AS_PLANNED,
    BARE,
    COUNT,
    DOMAINS,
    LOSS,
    SCENARIOS,
    SITES,
    SURGE,
    SURGED,
    WEEK,
    Scenario,
    Span,
    World,
)
from shifter.domain.fleet import PoolKey
from shifter.domain.workload import Workload

SPAN = Span(timedelta(), 2 * HOUR)
MAIN, BAY = SITES
LOST_DOMAIN, LOST_SITE = (next(s for s in SCENARIOS if s.lost == lost) for lost in ("domain", "site"))
LOSS_STEPS, SURGE_STEPS = LOSS // STEP, SURGE // STEP


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of two zones, as the data of replays are kept; nothing gets cheaper, so work runs at once."""
    data = tmp_path_factory.mktemp("grid")
    hours = [START + (h - 24) * HOUR for h in range(72)]
    for folder, currency in (("grid_de_lu", "eur"), ("grid_caiso_np15", "usd")):
        (data / folder).mkdir()
        table = {
            "ts_utc": [f"{hour:%Y-%m-%dT%H:%M:%SZ}" for hour in hours],
            f"price_dayahead_{currency}_per_mwh": [40.0 + h for h in range(72)],
            "carbon_g_per_kwh": [200.0 + h for h in range(72)],
            "carbon_interpolated": 0,
        }
        pd.DataFrame(table).to_csv(data / folder / "panel_hourly.csv.gz", index=False)
    return data


def job(name: str, accelerator_hours: float, hour: int = 0, most: int = 64) -> Workload:
    start = START + hour * HOUR
    return Workload(
        name,
        accelerator_hours=accelerator_hours,
        earliest_start=start,
        deadline=start + 3 * HOUR,
        max_accelerators=most,
        preemptible=True,
        mode="batch",
    )


def trace(main: Sequence[float], bay: Sequence[float]) -> Trace:
    """The load of each hour, and work that keeps all that is left busy for longer than that."""
    loads = (np.repeat(np.array(hours, dtype=float), STEPS_AN_HOUR) for hours in (main, bay))
    return Trace(dict(zip(SITES, loads, strict=True)), tuple(job(f"w{i}", 64 * 2.9) for i in range(4)))


def burst() -> Trace:
    """A load of 20, as declared, that for ten minutes is nearly what it may reach."""
    found = trace([20], [20])
    for load in found.realtime.values():
        load[70:90] = 60
    return found


class Watched(_Replay):
    """A replay of which each step is kept: load, accelerators that are there, and those that work was let in to."""

    def run(self) -> Came:
        self.steps: list[dict[str, tuple[float, int, int]]] = []
        return super().run()

    def _judge(self, step: int, loads: dict[PoolKey, float]) -> None:  # type: ignore[override]
        super()._judge(step, loads)
        self.steps.append(
            {k[0]: (load, self.world.available(k[0], step), self.before[k]) for k, load in loads.items()}
        )


def test_a_burst_finds_room_with_reserve_and_guard_and_without_them_none(grid: Path) -> None:
    span = Span(timedelta(), HOUR)
    kept, bare = (replayed(scenario, grid, burst(), span) for scenario in (AS_PLANNED, BARE))
    assert kept.over_ratio == 0
    # Work is let in to all that the median leaves, at one site at least, for the whole burst.
    assert bare.over_ratio == 20 / span.judged_steps
    assert bare.over_longest_s == 20 * STEP_S
    assert 0 < kept.used_hours < bare.used_hours
    assert kept.held_ratio > bare.held_ratio
    assert (kept.failed, bare.failed) == (0, 0)
    assert kept.cycles >= 2


def test_a_lost_domain_stops_work_and_counts_where_load_is_more_than_what_is_left(
    grid: Path, tmp_path: Path
) -> None:
    replay = Watched(LOST_DOMAIN, grid, trace([20, 30], [20, 150]), tmp_path, SPAN)
    came = replay.run()
    lost = replay.world.worst[0]
    assert lost == STEPS_AN_HOUR
    (_, there, let_in), (load, left, stays) = (replay.steps[step][MAIN] for step in (lost - 1, lost))
    assert (there, left) == (COUNT, COUNT - COUNT // DOMAINS)
    assert let_in > stays > 0
    assert load + stays <= left
    assert left < 150 < COUNT  # so the other site is over for the hour, whatever work does
    assert came.over_ratio == pytest.approx(0.5)
    assert came.over_longest_s == LOSS.total_seconds()
    pairs = [(a[site][2], b[site][2]) for a, b in pairwise(replay.steps) for site in SITES]
    assert came.stops == sum(after < before for before, after in pairs) >= 2
    used = sum(min(there, n) for step in replay.steps for _, there, n in step.values())
    assert came.used_hours == pytest.approx(used * STEP_S / 3600)


def test_a_surge_beyond_what_is_held_stops_work_within_a_step(grid: Path, tmp_path: Path) -> None:
    # Nothing is held above the median, or work would not have to stop.
    replay = Watched(replace(SURGED, quantile=0.5), grid, trace([20, 20], [20, 21]), tmp_path, SPAN)
    came = replay.run()
    surge = replay.world.worst[0]
    (usual, _, let_in), (load, _, stays) = (replay.steps[step][BAY] for step in (surge - 1, surge))
    assert usual == 20
    assert load == pytest.approx(2 * 20, rel=0.05)  # what is expected, of an hour that taught it
    assert let_in > stays
    assert load + stays <= COUNT
    assert came.stops >= 1
    assert 0 < came.over_ratio < SURGE / SPAN.judged


def never(site: str) -> float:
    raise AssertionError(site)


def test_what_is_done_is_done_in_the_hour_of_each_judged_day_in_which_load_is_highest() -> None:
    hours = np.tile(np.arange(24.0), 3)
    found = trace([*hours], [*np.zeros(72)])
    found.realtime[MAIN][(48 + 7) * STEPS_AN_HOUR] = 2000.0
    span = Span(timedelta(days=1), timedelta(days=2))
    surged, domain, site = (World.of(s, found, span) for s in (SURGED, LOST_DOMAIN, LOST_SITE))
    first, second = (24 + 23) * STEPS_AN_HOUR, (48 + 7) * STEPS_AN_HOUR
    assert surged.worst == domain.worst == {1: first, 2: second}
    taught = 23 * STEPS_AN_HOUR
    assert [domain.available(MAIN, s) for s in (taught, first - 1, first, first + LOSS_STEPS)] == [
        160,
        160,
        140,
        160,
    ]
    assert [site.available(place, first) for place in SITES] == [0, COUNT]
    assert (site.load(MAIN, first, never), site.load(BAY, first, never)) == (0, 23)
    assert [surged.load(MAIN, s, lambda _: 30.0) for s in (first - 1, first, first + SURGE_STEPS)] == [
        22,
        60,
        23,
    ]
    most, least = (World.of(SURGED, found, span) for _ in range(2))
    assert most.load(MAIN, first, lambda _: 100.0) == COUNT
    assert least.load(MAIN, first, lambda _: 1.0) == 23
    assert surged.available(MAIN, first) == COUNT


def test_a_surge_is_twice_what_was_expected_before_it_and_does_not_feed_on_itself() -> None:
    found = trace([*np.tile(np.arange(24.0), 2)], [*np.zeros(48)])
    world = World.of(SURGED, found, Span(timedelta(), timedelta(days=2)))
    expected = iter([30.0, 40.0, 20.0])
    for day, site, twice in ((0, MAIN, 60.0), (0, BAY, 80.0), (1, MAIN, 40.0)):
        first = world.worst[day]
        steps = (first, first + 1, first + SURGE_STEPS - 1)
        assert [world.load(site, s, lambda _: next(expected)) for s in steps] == [twice] * 3


def test_work_at_once_is_over_where_it_leaves_too_little() -> None:
    loads = {MAIN: np.full(2 * STEPS_AN_HOUR, 1.0), BAY: np.zeros(2 * STEPS_AN_HOUR)}
    both = float(2 * COUNT)
    full = at_once(Trace(loads, (job("a", both),)), SPAN)  # an hour on everything
    assert full.over_ratio == 0.5
    assert full.used_hours == pytest.approx(both)
    loads[BAY][:] = 80.0
    half = at_once(Trace(loads, (job("a", both), job("b", 0.5 * both, hour=1))), SPAN)
    assert half.over_ratio == 0.75  # both in the first hour, and half of the second
    assert half.used_hours == pytest.approx(1.5 * both)


def test_work_at_once_that_came_before_the_judged_days_still_runs_in_them() -> None:
    loads = {site: np.full(2 * STEPS_AN_HOUR, 100.0) for site in SITES}
    found = at_once(Trace(loads, (job("a", 2 * COUNT * 1.25),)), Span(HOUR, HOUR))
    assert found.over_ratio == 0.25
    assert found.used_hours == pytest.approx(2 * COUNT * 0.25)


def came(scenario: Scenario, done_hours: float, late: int) -> Came:
    return Came(scenario.name, over_ratio=0.0015, done_hours=done_hours, late=late, due_hours=120.0)


def test_a_row_has_its_targets_and_stands_beside_what_no_reserve_would_do() -> None:
    some = (AS_PLANNED, LOST_DOMAIN, BARE)
    told = {AS_PLANNED.name: came(AS_PLANNED, 92, 3), LOST_DOMAIN.name: came(LOST_DOMAIN, 80, 4)}
    told[BARE.name] = came(BARE, 100, 1)
    planned, lost, bare, last = rows(some, told, Came("run at once, unprotected", done_hours=120.0))
    assert [f.met for f in planned.figures[:5]] == [False, None, True, None, True]
    assert [f.met for f in lost.figures[:5]] == [True, None, None, None, False]
    assert all(f.target is None for row in (bare, last) for f in row.figures)
    assert [row.figures[2].measured for row in (planned, lost, bare, last)] == pytest.approx(
        [92, 80, 100, 120]
    )


def test_without_the_others_there_is_nothing_to_go_by() -> None:
    surged, last = rows((SURGED,), {SURGED.name: came(SURGED, 80, 4)}, Came("run at once, unprotected"))
    assert [f.measured for f in surged.figures[2:4]] == [None, None]
    assert [f.met for f in surged.figures[:5]] == [False, True, None, None, None]
    assert last.figures[2].measured is None


def test_scenarios_and_days_are_chosen_by_name_and_number() -> None:
    assert chosen("") == SCENARIOS
    assert chosen("a site lost; as planned") == (AS_PLANNED, LOST_SITE)
    assert [chosen(s.name) for s in SCENARIOS] == [(s,) for s in SCENARIOS]
    with pytest.raises(
        ValueError, match="'flood': choose from a failure domain lost; a site lost; as planned"
    ):
        chosen("as planned;flood")
    assert span_of("4") == WEEK
    assert span_of("1").judged == timedelta(days=1)
    for wrong in ("0", "5", "-1", "one"):
        with pytest.raises(ValueError, match="give 1 to 4 days"):
            span_of(wrong)
    with pytest.raises(ValueError, match="no whole hours"):
        Span(judged=timedelta(minutes=90))


def test_without_the_week_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="finds no llm_servegen_m_large_week1"):
        list(run(Options(data=tmp_path), quiet))


def test_what_was_due_is_counted_by_what_was_done_of_it_by_then(grid: Path) -> None:
    span = Span(HOUR, 3 * HOUR)
    loads = {site: np.full(4 * STEPS_AN_HOUR, 20.0) for site in SITES}
    work = (
        job("before", 10, hour=-2),  # due as the judging begins, and never submitted
        job("kept", 100),
        job("late", 64 * 3.5),  # wider than it may be
        job("after", 50, hour=2),
    )
    came = replayed(AS_PLANNED, grid, Trace(loads, work), span)
    assert came.due_hours == 100 + 64 * 3.5
    assert 100 + 64 * 2.5 < came.done_hours <= 100 + 64 * 3
    assert came.late == 1
    first = at_once(Trace(loads, work), span)
    assert (first.due_hours, first.done_hours) == pytest.approx((came.due_hours, came.due_hours))
