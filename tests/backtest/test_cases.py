"""What is replayed is cut into cases: which sites, which month, which work, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from forecasts.series import Kind, Signal
from shifter.backtest.case import Rules, Unit
from shifter.backtest.cases import cut, groups, months
from shifter.domain.fleet import Budget
from shifter.domain.tenant import Tenant
from shifter.errors import InputError
from tests.backtest.world import (
    DAY,
    HOUR,
    START,
    day_ahead,
    everything,
    fleet,
    hourly_prices,
    job,
    one_case,
    series,
    site,
    some_work,
)


def test_months_are_calendar_months_in_utc() -> None:
    start, end = datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 2, 3, 12, tzinfo=UTC)
    found = months(start, end)
    assert [(a.isoformat()[:10], b.isoformat()[:13]) for a, b in found] == [
        ("2025-12-30", "2026-01-01T00"),
        ("2026-01-01", "2026-02-01T00"),
        ("2026-02-01", "2026-02-03T12"),
    ]


class TestGroups:
    THREE = fleet(site("a", "DE-LU"), site("b", "GB"), site("c", "DE-LU"), site("d", "FR"))

    def test_sites_of_one_zone_are_together_and_others_apart(self) -> None:
        assert groups(self.THREE, []) == [("a", "c"), ("b",), ("d",)]

    def test_work_that_may_run_at_two_sites_joins_them(self) -> None:
        assert groups(self.THREE, [job("j", 1, 0, 9, sites=("b", "d"))]) == [("a", "c"), ("b", "d")]
        assert groups(self.THREE, [job("j", 1, 0, 9)]) == [("a", "b", "c", "d")]

    def test_so_does_work_that_waits_for_other_work_whatever_their_order(self) -> None:
        first, then = job("x", 1, 0, 9, sites=("a",)), job("y", 1, 0, 9, sites=("b",), depends_on=("x",))
        assert (
            groups(self.THREE, [then, first])
            == groups(self.THREE, [first, then])
            == [("a", "b", "c"), ("d",)]
        )

    def test_and_a_quota(self) -> None:
        with_quota = replace(self.THREE, tenants=(Tenant("t", quota_accelerators=4),))
        assert groups(with_quota, []) == [("a", "b", "c", "d")]


class TestWork:
    def test_a_month_s_work_is_what_was_submitted_in_it(self) -> None:
        start = datetime(2026, 3, 31, tzinfo=UTC)
        hours = (start - START) / HOUR
        work = [job("march", 4, hours + 20, 12), job("april", 4, hours + 30, 12)]
        given = everything(work, vintages=day_ahead(6, begin=start), days=2, tail_days=4)
        grid = replace(given.expected.grid, start=start)
        given = replace(given, expected=replace(given.expected, grid=grid), start=start, end=start + 2 * DAY)
        first, second = cut(given).cases
        assert (first.month, [t.workload.id for t in first.tasks]) == ("2026-03", ["march"])
        assert (second.month, [t.workload.id for t in second.tasks]) == ("2026-04", ["april"])
        assert (first.billed_slots, second.billed_slots) == (48, 48)
        assert first.grid.end == start + 32 * HOUR, "to its last deadline"

    def test_a_label_says_when_it_was_submitted(self) -> None:
        early = (START + HOUR).isoformat()
        case = one_case([job("j", 4, 6, 12, labels={"submitted_at": early})])
        assert case.tasks[0].submitted_at == START + HOUR
        assert case.tasks[0].earliest_start == START + 6 * HOUR

    @pytest.mark.parametrize("said", ["yesterday", "2026-03-02T01:00:00"])
    def test_a_label_that_is_no_moment_is_named(self, said: str) -> None:
        with pytest.raises(InputError, match=r"j.labels.submitted_at: .* is not a time"):
            one_case([job("j", 4, 6, 12, labels={"submitted_at": said})])

    def test_nothing_is_submitted_before_what_it_waits_for(self) -> None:
        work = [job("b", 4, 0, 40, depends_on=("a",)), job("a", 4, 6, 12)]
        assert {t.submitted_at for t in one_case(work).tasks} == {START + 6 * HOUR}

    def test_what_is_in_no_case_is_counted(self) -> None:
        work = [
            job("now", 4, 0, 12),
            job("chat", 4, 0, 12, latency_slo_ms=300.0),
            job("before", 4, -5, 30),
            job("after", 4, 60, 12),
            job("too far", 4, 40, 24 * 9),
        ]
        found = cut(everything(work))
        assert [t.workload.id for case in found.cases for t in case.tasks] == ["now"]
        assert (found.real_time, found.outside, found.beyond) == (1, 2, 1)

    def test_without_any_moment_it_is_refused(self) -> None:
        with pytest.raises(InputError, match="nothing says when it was submitted"):
            one_case([replace(job("j", 4, 0, 12), earliest_start=None)])


class TestOutcomes:
    def test_the_measured_goes_before_the_cleared_and_is_never_a_forecast(self) -> None:
        came = [series(START + 9 * DAY, START, [7.0] * 120, kind=Kind.ACTUAL, source="came")]
        given = replace(everything([]), actuals=tuple(came))
        case = cut(given).cases[0]
        assert (case.outcomes["DE-LU"].price_per_mwh[: case.grid.n_slots] == 7.0).all()
        assert {s.source for s in case.vintages} == {"told", "meter"}

    def test_a_forecast_alone_is_no_outcome(self) -> None:
        told = [s for s in day_ahead(5) if s.signal is Signal.PRICE or s.kind is Kind.FORECAST]
        with pytest.raises(InputError, match="nothing says what came of the carbon in DE-LU"):
            cut(everything([], vintages=told))

    def test_it_must_reach_to_the_end(self) -> None:
        with pytest.raises(InputError, match="is known to 2026-03-03T00:00:00Z only"):
            cut(everything([], vintages=day_ahead(1)))

    def test_a_hole_is_taken_to_be_as_the_day_before_and_counted(self) -> None:
        told = [
            s
            for s in day_ahead(5)
            if not (s.source == "meter" and s.start[0] == np.datetime64("2026-03-03T06:00"))
        ]
        outcome = cut(everything([], vintages=told)).cases[0].outcomes["DE-LU"]
        assert outcome.assumed_slots == 2
        assert outcome.carbon_g_per_kwh[60:62] == pytest.approx(outcome.carbon_g_per_kwh[12:14])

    def test_prices_in_another_currency_are_refused(self) -> None:
        told = [replace(s, unit="USD/MWh") if s.signal is Signal.PRICE else s for s in day_ahead(5)]
        with pytest.raises(InputError, match="priced in USD"):
            cut(everything([], vintages=told))


class TestMistakes:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"start": START + timedelta(minutes=10)}, "--start: 2026-03-02T00:10:00Z lies inside a slot"),
            ({"end": START}, "--end: the end is not after the start"),
            (
                {"rules": Rules(replan_minutes=45)},
                "--replan: 45 minutes are not a whole number of slots of 30",
            ),
            ({"end": START + 9 * DAY}, "--realtime: real-time load is given to 2026-03-07T00:00:00Z only"),
        ],
    )
    def test_of_the_window_are_named(self, change: dict[str, Any], told: str) -> None:
        with pytest.raises(InputError) as caught:
            cut(replace(everything([]), **change))
        assert told in str(caught.value)

    def test_budgets_are_refused(self) -> None:
        budget = Budget("carbon_kg", 10.0, START, START + DAY)
        with pytest.raises(InputError, match="budgets cannot be replayed"):
            one_case([], of=fleet(budgets=(budget,)))

    def test_work_that_waits_for_nothing_there_is_named(self) -> None:
        with pytest.raises(InputError, match="ghost"):
            one_case([job("j", 4, 0, 12, depends_on=("ghost",))])


class TestDigest:
    def test_is_the_same_for_the_same_inputs_made_anew(self) -> None:
        first, second = (Unit(one_case(some_work()), "ours").digest() for _ in range(2))
        assert first == second

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"work": some_work(13)}, id="work"),
            pytest.param({"of": fleet(site(count=17))}, id="fleet"),
            pytest.param({"vintages": day_ahead(5, hourly_prices(5) + 1e-9)}, id="vintages"),
            pytest.param({"measured": 3.5}, id="measured load"),
            pytest.param({"expected": {0.5: 3.0, 0.9: 4.6}}, id="expected load"),
            pytest.param({"rules": Rules(replan_minutes=120)}, id="rules"),
            pytest.param({"days": 1}, id="window"),
        ],
    )
    def test_is_another_for_any_other(self, change: dict[str, Any]) -> None:
        before = Unit(one_case(some_work()), "ours").digest()
        given = {"work": some_work(), **change}
        assert Unit(one_case(**given), "ours").digest() != before

    def test_and_for_another_policy(self) -> None:
        case = one_case(some_work())
        assert Unit(case, "ours").digest() != Unit(case, "perfect").digest()
