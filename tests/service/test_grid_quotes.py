"""What a grid event would cost, who pays, and what can be met where it cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from forecasts.slots import SlotGrid
from shifter.client import SLOW_TIMEOUT_S
from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.errors import Conflict, InputError, NotFound, SolverFailed
from shifter.planner import InProcessPlanner
from shifter.realtime.load import RealtimeLoad
from shifter.service import Service, grid_quotes
from tests.service.world import FLEET, HOUR, POOL, T0, job, live_until, realtime, service

IDLE_KW, BUSY_KW = 1.6, 0.6
"""All sixteen idle, and one that is busy on top of that."""


def world(url: str, clock: ManualClock, **changes: Any) -> Service:
    made = service(url, clock, realtime=changes.pop("realtime", realtime(4.0, 5.0)), **changes)
    made.submit([job("w1", hours=40, width=11, due_h=24, preemptible=True)], "ann")
    made.cycle()
    return made


def steps(start: datetime, end: datetime) -> Any:
    """Less real-time load from one moment to another than before and after."""

    def make(grid: SlotGrid) -> RealtimeLoad:
        high = np.array([4.0 if start <= e < end else 5.0 for e in grid.edges[:-1]])
        return RealtimeLoad(grid, {POOL: {0.5: 0.8 * high, 0.99: high}})

    return make


def event(start: float = 17, hours: float = 3, **asked: Any) -> GridEvent:
    return GridEvent(
        "g1", "fra", T0 + start * HOUR, T0 + (start + hours) * HOUR, **(asked or {"cut_ratio": 0.25})
    )


def test_a_cut_that_can_be_met_says_who_pays_and_accepts_nothing(sqlite_url: str, clock: ManualClock) -> None:
    made = world(sqlite_url, clock)
    quote = made.quote_grid_event(event())
    assert (quote.met, quote.on_time, quote.realtime_untouched, quote.missing_kw) == (True, True, True, 0.0)
    assert [s.part for s in quote.slots] == ["event"] * 3
    for s in quote.slots:
        assert s.requested_kw == pytest.approx(0.25 * (s.baseline_kw or 0.0))
        assert s.limit_kw == pytest.approx(0.75 * (s.baseline_kw or 0.0) + BUSY_KW), (
            "with one more real-time one"
        )
        assert s.with_kw <= 0.75 * (s.baseline_kw or 0.0) + 1e-3
        assert s.at_quantile_kw == pytest.approx(s.with_kw + BUSY_KW)
        assert s.at_quantile_kw <= s.limit_kw + 1e-3
        assert s.realtime_kw == pytest.approx(IDLE_KW + 5 * BUSY_KW)
    assert quote.realtime_limit_ratio == pytest.approx(max(s.realtime_kw / s.limit_kw for s in quote.slots))
    assert quote.not_drawn_kwh >= (quote.asked_kwh or 0.0) > 0
    [pays] = quote.workloads
    assert pays.workload_id == "w1"
    assert pays.deadline_kept
    assert pays.out_of_window_accelerator_hours > 0
    assert pays.cost == pytest.approx(quote.extra_cost, abs=1e-6)
    assert pays.cost > 0
    assert quote.cost_per_kwh_not_drawn == pytest.approx(quote.extra_cost / quote.not_drawn_kwh)
    assert quote.would_meet is None
    assert quote.notice_minutes == 17 * 60
    assert made.grid_events() == []
    assert "all deadlines are kept" in " ".join(quote.sentences)
    accepted = made.add_grid_event(event(), "dso")
    assert accepted == quote.event, "what was quoted is what is accepted"
    made.cycle()
    drawn = {r.start: r.import_kw for r in made.plan().power}
    assert all(drawn[s.start] <= s.limit_kw for s in quote.slots)
    again = made.quote_grid_event(event())
    assert again.event == accepted
    assert again.not_drawn_kwh == pytest.approx(quote.not_drawn_kwh, rel=0.05)
    with pytest.raises(Conflict):
        made.quote_grid_event(event(cut_ratio=0.5))


def test_what_real_time_load_alone_exceeds_is_said_by_how_much_and_what_could_be_met(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = world(sqlite_url, clock)
    quote = made.quote_grid_event(event(limit_kw=4.0))
    least = IDLE_KW + 5 * BUSY_KW
    assert not quote.met
    assert quote.realtime_untouched
    assert quote.missing_kw == pytest.approx(least - 4.0)
    assert quote.realtime_limit_ratio == pytest.approx(least / 4.0)
    assert quote.would_meet is not None
    assert quote.would_meet.limit_kw == pytest.approx(least, abs=0.01)
    assert made.quote_grid_event(event(limit_kw=quote.would_meet.limit_kw)).met
    assert quote.would_meet.window_start is None
    text = " ".join(quote.sentences)
    assert "0.6 kW are missing" in text
    assert "at most 4.6 kW" in text
    cut = made.quote_grid_event(event(cut_ratio=0.9))
    assert cut.would_meet is not None
    assert cut.would_meet.cut_ratio is not None
    assert 0 < cut.would_meet.cut_ratio < 0.9
    assert made.quote_grid_event(event(cut_ratio=cut.would_meet.cut_ratio - 1e-3)).met


@pytest.mark.parametrize(("limit_kw", "lowest_kw"), [(3.9, 4.0), (4.1, 4.1)])
@pytest.mark.parametrize(
    "after",
    [
        {"rebound_minutes": 120, "rebound_limit_kw": 4.2},
        {"ramp_kw_per_minute": 0.001},
        {"rebound_minutes": 120, "rebound_limit_kw": 4.2, "ramp_kw_per_minute": 0.001},
    ],
    ids="+".join,
)
def test_advice_is_kept_where_what_was_asked_around_the_window_cannot_be(
    sqlite_url: str, clock: ManualClock, after: dict[str, float], limit_kw: float, lowest_kw: float
) -> None:
    """Real-time load alone draws 4.0 kW in the window and up to 4.6 kW around it."""
    made = service(sqlite_url, clock, realtime=steps(T0 + 17 * HOUR, T0 + 20 * HOUR))
    if "ramp_kw_per_minute" not in after:
        made.submit([job("w1", hours=40, width=11, due_h=24, preemptible=True)], "ann")
    made.cycle()
    quote = made.quote_grid_event(event(limit_kw=limit_kw, **after))
    found = quote.would_meet
    assert found is not None
    assert found.limit_kw == pytest.approx(lowest_kw, abs=0.01), (
        "the lowest, and no lower than what was asked"
    )
    eased: dict[str, Any] = {"ramp_kw_per_minute": None} if found.without_ramp else {}
    eased |= {"rebound_limit_kw": found.rebound_limit_kw} if found.rebound_limit_kw else {}
    assert made.quote_grid_event(replace(quote.event, limit_kw=found.limit_kw, **eased)).met
    assert bool(found.rebound_limit_kw) == ("rebound_limit_kw" in after)
    assert found.without_ramp == ("ramp_kw_per_minute" in after)
    text = " ".join(quote.sentences)
    assert ("in the rebound" in text) == ("rebound_limit_kw" in after)
    assert ("without the ramp" in text) == ("ramp_kw_per_minute" in after)


def test_a_cut_whose_rebound_alone_cannot_be_kept_stays_as_large_as_it_was_asked(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = world(sqlite_url, clock, realtime=steps(T0 + 17 * HOUR, T0 + 20 * HOUR))
    quote = made.quote_grid_event(event(cut_ratio=0.25, rebound_minutes=120, rebound_limit_kw=4.2))
    assert not any(s.over_kw for s in quote.slots if s.part == "event")
    found = quote.would_meet
    assert found is not None
    assert found.cut_ratio == pytest.approx(0.25)
    assert found.rebound_limit_kw == pytest.approx(4.6, abs=0.01)
    assert "no cut at all" not in " ".join(quote.sentences)


def test_a_limit_that_its_ramp_alone_does_not_keep_is_eased_no_further_than_the_ramp_needs(
    sqlite_url: str, clock: ManualClock
) -> None:
    """Beside the window real-time load alone draws 4.6 kW, and the ramp allows 0.3 kW above its limit there."""
    made = world(sqlite_url, clock, realtime=steps(T0 + 17 * HOUR, T0 + 20 * HOUR))
    quote = made.quote_grid_event(event(limit_kw=4.1, ramp_kw_per_minute=0.01))
    found = quote.would_meet
    assert found is not None
    assert not found.without_ramp
    highest_kw = max(s.without_kw for s in quote.slots if s.part == "event") + BUSY_KW
    assert 4.3 - 1e-3 <= found.limit_kw <= 4.3 + (highest_kw - 4.1) / 32
    assert made.quote_grid_event(replace(quote.event, limit_kw=found.limit_kw)).met


class Counted(InProcessPlanner):
    """Keeps what it planned, and fails after so many plans."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.most = 1000

    def plan(self, inputs_text: str, deadline_s: float) -> Plan:
        if len(self.texts) >= self.most:
            raise SolverFailed("the cycle took too long.")
        self.texts.append(inputs_text)
        return super().plan(inputs_text, deadline_s)


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        ({"limit_kw": 4.0}, 5),  # without it, with it, the least, that least as a limit, and a shorter window
        ({"limit_kw": 4.1, "rebound_minutes": 120, "rebound_limit_kw": 4.2}, 6),
        ({"limit_kw": 3.9, "rebound_minutes": 120, "rebound_limit_kw": 4.2}, 7),
    ],
)
def test_a_quote_makes_no_plan_twice_and_few(
    sqlite_url: str, clock: ManualClock, asked: dict[str, float], most: int
) -> None:
    planner = Counted()
    made = world(sqlite_url, clock, realtime=steps(T0 + 17 * HOUR, T0 + 20 * HOUR), planner=planner)
    planner.texts.clear()
    made.quote_grid_event(event(**asked))
    assert len(planner.texts) == len(set(planner.texts)) <= most


def with_battery(url: str, clock: ManualClock, planner: Counted) -> Service:
    """What is stored does not carry real-time load of 4.6 kW through three hours under a limit of 1 kW."""
    [site] = FLEET.sites
    cell = Battery(energy_kwh=6, power_kw=4, initial_kwh=5)
    made = world(url, clock, fleet=replace(FLEET, sites=(replace(site, battery=cell),)), planner=planner)
    planner.texts.clear()
    return made


def test_a_search_that_fails_or_takes_too_long_ends_with_the_best_that_was_found(
    sqlite_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = Counted()
    made = with_battery(sqlite_url, clock, planner)
    whole = made.quote_grid_event(event(limit_kw=1.0))
    assert whole.would_meet is not None
    assert whole.all_tried
    assert len(planner.texts) == len(set(planner.texts)) <= 10
    planner.texts.clear()
    planner.most = 4
    part = made.quote_grid_event(event(limit_kw=1.0))
    assert part.would_meet is not None
    assert not part.all_tried
    assert part.would_meet.limit_kw >= whole.would_meet.limit_kw
    assert part.sentences[-1].startswith("Not all was tried")
    planner.texts.clear()
    planner.most = 1000
    monkeypatch.setattr(grid_quotes, "LOOKS_FOR_S", 0.0)
    none = made.quote_grid_event(event(limit_kw=1.0))
    assert len(planner.texts) == 2, "with it and without it"
    assert (none.met, none.missing_kw) == (False, whole.missing_kw)
    assert (none.would_meet, none.all_tried) == (None, False)
    assert none.sentences[-2] == "Nothing weaker was found that would be met in this window."
    assert none.sentences[-1].startswith("Not all was tried")


def test_a_client_waits_longer_than_a_quote_looks_for_more() -> None:
    assert grid_quotes.LOOKS_FOR_S < SLOW_TIMEOUT_S


def test_work_that_may_not_be_interrupted_stands_in_the_way_until_it_ends(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    made.submit([job("firm", hours=40, width=10, due_h=5, interruptible=False)], "ann")
    made.cycle()
    live_until(made, clock, T0 + HOUR)
    made.cycle()
    quote = made.quote_grid_event(event(1, 6, limit_kw=5.0))
    assert not quote.met
    assert quote.in_the_way == ("firm",)
    found = quote.would_meet
    assert found is not None
    assert found.from_start == T0 + 4 * HOUR
    assert found.window_end == T0 + 7 * HOUR
    assert made.quote_grid_event(replace(quote.event, start=found.window_start or T0)).met
    assert "may not be interrupted: firm" in " ".join(quote.sentences)


def test_a_cut_that_makes_work_late_says_which_and_what_would_not(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    made.submit([job("tight", hours=80, width=12, due_h=8, preemptible=True)], "ann")
    made.cycle()
    quote = made.quote_grid_event(event(1, 6, limit_kw=5.0))
    assert quote.met
    assert not quote.on_time
    [late] = [p for p in quote.workloads if not p.deadline_kept]
    assert late.workload_id == "tight"
    assert late.late_accelerator_hours > 1
    assert quote.would_meet is not None
    assert quote.would_meet.late_workloads == 0
    assert made.quote_grid_event(event(1, 6, limit_kw=quote.would_meet.limit_kw)).on_time
    assert "would miss its deadline" in " ".join(quote.sentences)


def test_a_battery_gives_what_it_holds(sqlite_url: str, clock: ManualClock) -> None:
    [site] = FLEET.sites
    cell = Battery(energy_kwh=12, power_kw=4, initial_kwh=10)
    made = world(sqlite_url, clock, fleet=replace(FLEET, sites=(replace(site, battery=cell),)))
    quote = made.quote_grid_event(event(limit_kw=4.0, hours=2))
    assert quote.with_event.battery_kwh >= quote.without.battery_kwh
    assert "The battery gives" in " ".join(quote.sentences)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"start": T0 - 9 * HOUR, "end": T0 - HOUR}, "end"),
        ({"end": T0 + 90 * HOUR}, "end"),
        ({"cut_kw": 1.0}, "cut_ratio"),
    ],
)
def test_bad_input_is_named(sqlite_url: str, clock: ManualClock, changes: dict[str, Any], field: str) -> None:
    made = service(sqlite_url, clock)
    with pytest.raises(InputError) as refused:
        made.quote_grid_event(replace(event(), **changes))
    assert refused.value.field == field
    with pytest.raises(NotFound):
        made.quote_grid_event(replace(event(), site="nowhere"))
