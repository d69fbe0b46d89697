"""What a replay does: no policy sees the future, the bill is the plan's own, and no work is lost or invented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.learning import BY_DEFAULT, Learning
from forecasts.outlooks import Outlooks
from forecasts.series import Signal
from shifter.backtest import learnt
from shifter.backtest import ours as ours_module
from shifter.backtest import replay as module
from shifter.backtest.case import Case, Rules, Unit
from shifter.backtest.knowledge import Knowledge
from shifter.backtest.ours import Ours
from shifter.backtest.policies import Decision, RunNow, State
from shifter.backtest.replay import POLICIES, Replayed, replay
from shifter.backtest.results import result_of
from shifter.backtest.settle import Bill, Storage, settle
from shifter.backtest.summary import totals
from shifter.cycle import plan_cycle
from shifter.domain.fleet import Model, Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.domain.resilience import Resilience
from shifter.domain.risk import Risk, Trust
from shifter.domain.workload import Workload
from shifter.errors import InputError, SolverFailed
from tests.backtest.world import (
    DAY,
    HOUR,
    POOL,
    RULES,
    START,
    day_ahead,
    fleet,
    hourly_prices,
    job,
    one_case,
    series,
    site,
    some_work,
    with_rules,
)

NOT_SEERS = [name for name in POLICIES if name != "perfect"]
ALL_KNOWN = Rules(replan_minutes=120, horizon_hours=48, deadline_margin_minutes=0, hold_gap_ratio=-1)


def replayed(case: Case, policy: str) -> Replayed:
    return replay(Unit(case, policy))


def cost_of(done: Replayed) -> float:
    return sum(bill.total for bill, _ in done.bills.values())


def watched(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[int, Decision]]:
    """Every decision of a policy, and when it was made."""
    seen: list[tuple[int, Decision]] = []
    make = POLICIES[name]

    class Watching:
        def __init__(self, case: Case) -> None:
            self.policy = make(case)

        def decide(self, state: State) -> Decision:
            decision = self.policy.decide(state)
            seen.append((state.now_us, decision))
            return decision

    monkeypatch.setattr(module, "POLICIES", {**POLICIES, name: Watching})
    return seen


class TestNoLookAhead:
    """Everything that is learnt after a moment is changed: prices, carbon, load. Until then all is as it was."""

    MOMENT = START + 20 * HOUR

    def two(self, changed_from: Any) -> tuple[Case, Case]:
        told = day_ahead(5)
        others = [s if s.known_at <= changed_from else replace(s, values=400 - s.values) for s in told]
        load = 3 + np.sin(np.arange(240))
        other_load = np.where(np.arange(240) < 40, load, 9.0)
        rules = replace(ALL_KNOWN, hold_gap_ratio=0.0025)
        risk = Risk(trust=(Trust(Signal.PRICE, 0, 1.0), Trust(Signal.PRICE, 30, 0.4)))
        first, second = (
            one_case(some_work(), vintages=v, measured=m, rules=rules, of=fleet(risk=risk))
            for v, m in ((told, load), (others, other_load))
        )
        return first, second

    @pytest.mark.parametrize("name", NOT_SEERS)
    def test_decisions_up_to_a_moment_hang_on_nothing_after_it(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = self.two(self.MOMENT)
        at = first.us(self.MOMENT)
        with monkeypatch.context() as patch:
            seen = watched(patch, name)
            a = replayed(first, name)
        with monkeypatch.context() as patch:
            others = watched(patch, name)
            b = replayed(second, name)
        assert [d for d in seen if d[0] <= at] == [d for d in others if d[0] <= at]
        assert (a.course.used[POOL][:40] == b.course.used[POOL][:40]).all()
        assert cost_of(a) != cost_of(b), "what came after it is another"

    @pytest.mark.parametrize("name", ["cheapest_window", "threshold", "ours", "ours_uncertain"])
    def test_and_do_hang_on_what_was_known(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or the test above could not fail."""
        first, second = self.two(START - DAY)
        seen: list[list[tuple[int, Decision]]] = []
        for case in (first, second):
            with monkeypatch.context() as patch:
                seen.append(watched(patch, name))
                replayed(case, name)
        assert seen[0] != seen[1]


class TestTheBill:
    """Where forecasts come true and everything is known at once, the replay of one plan costs what the plan says."""

    def case(self, *, median: float = 3.0, **more: Any) -> Case:
        work = [
            job(f"j{i}", 8 + 2 * i, 0, 20 + 6 * (i % 5), preemptible=i % 2 == 0, interruptible=i % 3 != 2)
            for i in range(8)
        ]
        rules = replace(ALL_KNOWN, replan_minutes=2880, max_horizon_hours=48)
        given = {
            "work": work,
            "rules": rules,
            "vintages": true_forecasts(),
            "expected": {0.5: median, 0.9: 4.0},
        }
        return one_case(**{**given, **more})

    def plan_of(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Replayed]:
        made: list[Ours] = []

        def ours(case: Case) -> Ours:
            made.append(Ours(case))
            return made[0]

        monkeypatch.setattr(module, "POLICIES", {"ours": ours, "run_now": RunNow})
        done = replayed(case, "ours")
        plan = made[0]._plan
        assert plan is not None
        assert plan.horizon.end == case.grid.end
        return plan, done

    @pytest.mark.parametrize(
        "of",
        [
            pytest.param({}, id="plain"),
            pytest.param({"demand_charge_per_kw": 3.0}, id="demand charge"),
            pytest.param({"power_limit_kw": 8.0}, id="power limit"),
            pytest.param(
                {"battery": Battery(40, 10, initial_kwh=20, min_kwh=5, wear_cost_per_kwh=0.001)}, id="battery"
            ),
            pytest.param(
                {
                    "generation": Generation((GenerationWindow(START, START + 9 * DAY, 4.0),), 0.03),
                    "export_limit_kw": 3.0,
                    "export_price_per_mwh": 45.0,
                },
                id="own plant and export",
            ),
            pytest.param(
                {"pools": (Pool("h100", "H100", 16, 4, idle_kw=0.1, busy_kw=0.6, off_kw=0.01),)},
                id="powered down",
            ),
        ],
    )
    def test_is_the_plan_s(self, of: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        plan, done = self.plan_of(self.case(of=fleet(site(**of))), monkeypatch)
        bill = done.bills["here"][0]
        assert not plan.unplaced
        assert bill.refill == pytest.approx(0.0, abs=1e-6), "a plan leaves what it found"
        assert bill.total == pytest.approx(plan.cost.total, rel=1e-6)
        assert bill.demand_charge == pytest.approx(plan.cost.demand_charge, rel=1e-6, abs=1e-9)
        assert bill.carbon_kg == pytest.approx(plan.carbon_kg, rel=1e-6)
        assert all(job.is_done for job in done.jobs.values())

    def test_of_a_model_that_has_to_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        of = replace(fleet(), models=(Model("m", {"H100": 1000.0}, {"H100": 2}, load_minutes=12),))
        work = [
            Workload(
                f"m{i}",
                model="m",
                tokens=2e7,
                max_accelerators=4,
                mode="batch",
                earliest_start=START,
                deadline=START + DAY,
            )
            for i in range(4)
        ]
        plan, done = self.plan_of(self.case(work=work, of=of), monkeypatch)
        assert done.bills["here"][0].total == pytest.approx(plan.cost.total, rel=1e-6)
        assert all(job.is_done for job in done.jobs.values())

    @pytest.mark.parametrize(("count", "tolerance"), [(64, 1e-6), (16, 1e-3), (9, 1e-3)])
    def test_at_once_is_the_plan_s_own_baseline(
        self, count: int, tolerance: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the reserve is no more than the load: the baseline keeps it, and who runs at once knows of none.

        Where work waits for room they differ a little: to the baseline a slot's accelerators are a mean.
        """
        of = fleet(site(count=count, resilience=Resilience(0.5, 0), demand_charge_per_kw=1.0))
        work = [job(f"j{i}", 8 + 2 * i, 0, 40, preemptible=i % 2 == 0) for i in range(8)]
        case = self.case(work=work, of=of, expected={0.5: 3.0})
        plan, _ = self.plan_of(case, monkeypatch)
        assert cost_of(replayed(case, "run_now")) == pytest.approx(plan.baseline.total, rel=tolerance)

    def test_after_the_month_only_the_work_s_part_counts(self) -> None:
        work = [job("late", 8, 47, 20)]
        short, long = (
            result_of(replayed(one_case(w, expected={0.5: 3.0, 0.9: 3.0}), "run_now")).row for w in ([], work)
        )
        prices, kw = hourly_prices(5), 4 * 1.2 * 0.5
        unit = prices / 1e3 + 50 * (200 + 2 * prices) / 1e6
        assert short.cost == pytest.approx(short.base_cost)
        assert long.base_cost == pytest.approx(short.base_cost)
        assert long.cost - long.base_cost == pytest.approx(kw * float(unit[47] + unit[48]), rel=1e-9)

    def test_a_peak_after_the_month_is_paid_for(self) -> None:
        of = fleet(site(demand_charge_per_kw=10.0))
        case = one_case([job("late", 12, 47.5, 24, max_accelerators=8)], of=of)
        row = result_of(replayed(case, "cheapest_window")).row
        load_alone = result_of(replayed(one_case([], of=of), "run_now")).row
        assert load_alone.demand_charge == pytest.approx(10 * 1.2 * (1.6 + 0.5 * 3))
        assert row.demand_charge == pytest.approx(10 * 1.2 * (1.6 + 0.5 * (3 + 8)))


def true_forecasts(days: int = 5) -> list[Any]:
    """All of it known a day before the start, and nothing else ever said."""
    prices = hourly_prices(days)
    known = START - DAY
    return [
        series(known, START, prices, kind="cleared"),
        series(known, START, 200 + 2 * prices, Signal.CARBON, kind="cleared"),
    ]


class TestForesight:
    def test_none_beats_it_where_all_work_is_known(self) -> None:
        """Plain work, known at the start, no reserve beyond the load, nothing that a run less is worth."""
        rng = np.random.default_rng(5)
        prices = hourly_prices(5)
        wrong = [
            replace(s, values=s.values + rng.normal(0, 25, len(s)), kind="forecast") for s in true_forecasts()
        ]
        came = [series(START + 9 * DAY, START, prices, kind="actual", source="came")]
        came.append(
            series(START + 9 * DAY, START, 200 + 2 * prices, Signal.CARBON, kind="actual", source="came")
        )
        of = fleet(site(resilience=Resilience(0.5, 0)), cost_per_run=0.0, churn_cost_per_accelerator_hour=0.0)
        work = [job(f"j{i}", 10 + 3 * i, 0, 24 + 3 * i, preemptible=True) for i in range(7)]
        case = one_case(work, of=of, vintages=[*wrong, *came], expected={0.5: 3.0}, rules=ALL_KNOWN)
        done = {name: replayed(case, name) for name in POLICIES if name != "ours_uncertain"}
        rows = {name: result_of(one).row for name, one in done.items()}
        costs = {name: row.cost for name, row in rows.items() if row.deadlines_met == row.workloads}
        assert len(costs) == 4, "each window alone is too late for two of them, so that it pays for less work"
        assert all(costs["perfect"] <= cost * 1.002 for cost in costs.values())
        assert costs["perfect"] < 0.99 * costs["run_now"]
        assert costs["perfect"] < costs["ours"], "the forecast was wrong"


class TestConservation:
    @settings(max_examples=12, deadline=None)
    @given(
        seed=st.integers(0, 2**20),
        n=st.integers(1, 10),
        count=st.integers(5, 20),
        name=st.sampled_from(["run_now", "cheapest_window", "threshold", "ours"]),
    )
    def test_work_is_done_or_counted_as_undone(self, seed: int, n: int, count: int, name: str) -> None:
        rng = np.random.default_rng(seed)
        work = [
            job(
                f"j{i}",
                float(rng.uniform(1, 30)),
                float(rng.uniform(0, 40)),
                float(rng.uniform(2, 30)),
                max_accelerators=int(rng.integers(1, 7)),
                preemptible=bool(rng.integers(2)),
                interruptible=bool(rng.integers(2)),
            )
            for i in range(n)
        ]
        load = rng.uniform(0, 6, 240)
        limit_kw = 1.2 * (0.1 * count + 0.5 * 8)
        case = one_case(
            work,
            of=fleet(site(count=count, power_limit_kw=limit_kw)),
            measured=load,
            rules=replace(ALL_KNOWN, replan_minutes=240),
        )
        done = replayed(case, name)
        hours = {id: j.done for id, j in done.jobs.items()}
        used = float(done.course.used[POOL].sum()) * 0.5
        assert used == pytest.approx(sum(hours.values()), rel=1e-6, abs=1e-6), "no model has to load"
        for id, j in done.jobs.items():
            amount = j.workload.amount
            assert j.done <= amount * (1 + 1e-6), id
            assert j.is_done == (j.done >= amount * (1 - 1e-6)), id
            assert j.finished_us is None or j.finished_us <= j.deadline_us + 1
        row = result_of(done).row
        assert row.deadlines_met == sum(j.is_done for j in done.jobs.values())
        assert row.done_hours == pytest.approx(sum(hours.values()))
        n_slots = case.grid.n_slots
        kept = np.minimum(load[:n_slots], count) - done.course.denied[POOL]
        assert (done.course.used[POOL] + kept <= count + 1e-6).all(), "two never hold one accelerator"

    def test_what_cannot_be_done_is_told(self) -> None:
        case = one_case([job("too much", 100, 1, 10)])
        for name in POLICIES:
            row = result_of(replayed(case, name)).row
            assert (row.deadlines_met, row.workloads, row.asked_hours) == (0, 1, 100)
            assert 0 < row.done_hours <= 40.0 + 1e-6


class TestRealTimeFirst:
    """A burst that nobody foresaw: 14 of 16 accelerators, from 05:00 to 07:00."""

    def burst(self, **more: Any) -> Case:
        load = np.full(240, 3.0)
        load[10:14] = 14.0
        return one_case([job("a", 40, 4, 30, max_accelerators=12, **more)], measured=load)

    def test_preemptible_work_yields_at_once(self) -> None:
        done = replayed(self.burst(preemptible=True), "run_now")
        assert done.course.denied[POOL].sum() == 0
        assert done.course.used[POOL][8:16].tolist() == [12, 12, 2, 2, 2, 2, 2, 12]
        assert done.jobs["a"].is_done

    def test_other_work_yields_at_the_end_of_the_slot(self) -> None:
        done = replayed(self.burst(), "run_now")
        assert done.course.denied[POOL][8:16].tolist() == [0, 0, 10, 0, 0, 0, 0, 0]
        assert done.course.used[POOL][8:16].tolist() == [12, 12, 12, 2, 2, 2, 2, 12]
        assert result_of(done).row.denied_hours == 5.0

    def test_work_that_may_not_be_interrupted_stays(self) -> None:
        done = replayed(self.burst(interruptible=False), "run_now")
        assert done.course.denied[POOL][8:16].tolist() == [0, 0, 10, 10, 10, 10, 0, 0]

    def test_the_reserve_is_what_a_plan_keeps_and_others_do_not(self) -> None:
        """Of 16, 4.5 at the quantile and a domain of four to lose: 10 are free for work that cannot yield."""
        case = one_case([job(f"j{i}", 16, 4, 12) for i in range(4)])
        at_once, ours = (result_of(replayed(case, name)).row for name in ("run_now", "ours"))
        assert at_once.reserve_hours > 0
        assert ours.reserve_hours == 0
        assert ours.deadlines_met == at_once.deadlines_met == 4

    def test_power_is_a_limit_for_everybody(self) -> None:
        limit_kw = 1.2 * (1.6 + 0.5 * (3 + 5))
        case = one_case(some_work(), of=fleet(site(power_limit_kw=limit_kw)))
        for name in NOT_SEERS:
            done = replayed(case, name)
            assert result_of(done).row.over_power_slots == 0
            assert done.bills["here"][0].peak_kw <= limit_kw + 1e-6


class TestPolicies:
    def test_cheapest_window_takes_the_cheapest_contiguous_hours_of_its_forecast(self) -> None:
        prices = np.full(120, 80.0)
        prices[[10, 11]] = 20.0  # the cheapest pair
        prices[[20, 25]] = 1.0  # the cheapest single hours
        case = one_case([job("a", 8, 2, 40)], vintages=day_ahead(5, prices))
        used = replayed(case, "cheapest_window").course.used[POOL]
        assert np.flatnonzero(used).tolist() == [20, 21, 22, 23]

    def test_threshold_runs_in_cheap_slots_and_is_forced_by_the_deadline(self) -> None:
        prices = np.linspace(200.0, 50.0, 120)  # it is always cheaper later
        prices[5] = 10.0
        case = one_case([job("a", 12, 2, 20)], vintages=day_ahead(5, prices))
        case = with_rules(case, threshold_quantile=0.01)
        used = replayed(case, "threshold").course.used[POOL]
        assert np.flatnonzero(used).tolist() == [10, 11, 40, 41, 42, 43]

    @pytest.mark.parametrize("name", list(POLICIES))
    def test_work_that_may_not_be_interrupted_runs_in_one_piece(self, name: str) -> None:
        case = one_case([job(f"j{i}", 20, 3 * i, 30, interruptible=False) for i in range(4)])
        done = replayed(case, name)
        assert done.course.starts == 4
        assert all(j.is_done for j in done.jobs.values())
        for j in done.jobs.values():
            assert j.begun_us is not None
            assert j.finished_us is not None
            assert (j.finished_us - j.begun_us) * j.width / 3.6e9 == pytest.approx(20.0)

    @pytest.mark.parametrize("name", list(POLICIES))
    def test_what_waits_for_other_work_starts_when_that_is_done(self, name: str) -> None:
        case = one_case([job("a", 8, 0, 20), job("b", 8, 0, 30, depends_on=("a",))])
        done = replayed(case, name)
        first, then = done.jobs["a"], done.jobs["b"]
        assert first.finished_us is not None
        assert then.begun_us is not None
        assert then.begun_us >= first.finished_us
        assert then.is_done

    def test_models_load_once_where_a_plan_goes_on(self) -> None:
        """Replanned every hour while it runs: a load of 12 minutes is paid for once."""
        of = replace(fleet(), models=(Model("m", {"H100": 1000.0}, load_minutes=12),))
        tokens = 4 * 1000 * 3600 * 4.8
        work = Workload(
            "m",
            model="m",
            tokens=tokens,
            max_accelerators=4,
            mode="batch",
            earliest_start=START,
            deadline=START + 5 * HOUR,
        )
        for name in ("run_now", "ours"):
            done = replayed(
                one_case([work], of=of, rules=replace(ALL_KNOWN, replan_minutes=60, hold_gap_ratio=0.0025)),
                name,
            )
            assert done.jobs["m"].is_done, name
            assert done.course.starts == 1
            assert float(done.course.used[POOL].sum()) * 0.5 == pytest.approx(20.0, rel=1e-4)

    def test_a_cycle_that_fails_leaves_the_plan_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def sometimes(inputs: Any) -> Plan:
            calls.append(inputs.now)
            if len(calls) == 3:
                raise SolverFailed("no answer.")
            return plan_cycle(inputs)

        monkeypatch.setattr(ours_module, "plan_cycle", sometimes)
        row = result_of(replayed(one_case(some_work()), "ours")).row
        assert row.failed_cycles == 1
        assert row.deadlines_met == row.workloads

    def test_an_unknown_policy_is_named(self) -> None:
        with pytest.raises(InputError, match="no policy 'best'"):
            replayed(one_case([]), "best")

    def test_without_work_there_is_only_the_load(self) -> None:
        case = one_case([])
        rows = [result_of(replayed(case, name)).row for name in POLICIES]
        assert len({row.cost for row in rows}) == 1
        assert rows[0].cost == pytest.approx(rows[0].base_cost)


def test_batteries_go_on_with_what_they_hold() -> None:
    battery = Battery(40, 10, initial_kwh=20, min_kwh=5)
    case = one_case(
        some_work(6), of=fleet(site(battery=battery)), rules=replace(ALL_KNOWN, replan_minutes=120)
    )
    done = replayed(case, "ours")
    charge, discharge = done.storage.charge_kw["here"], done.storage.discharge_kw["here"]
    stored = 20 + np.cumsum(0.95 * charge - discharge / 0.95) * 0.5
    assert charge.sum() > 0
    assert stored.min() >= 5 - 1e-6
    assert stored.max() <= 40 + 1e-6
    without = replayed(one_case(some_work(6), rules=replace(ALL_KNOWN, replan_minutes=240)), "ours")
    assert cost_of(done) < cost_of(without)


class TestWhatIsStored:
    """Batteries end with less than they began with, or more: what is missing is bought, what is over has its worth."""

    BATTERY = Battery(200, 50, charge_efficiency=0.9, discharge_efficiency=0.8, initial_kwh=200)

    def case(self, battery: Battery = BATTERY, *, price: float = 100.0) -> Case:
        vintages = day_ahead(6, np.full(144, price))
        rules = replace(ALL_KNOWN, horizon_hours=24)
        return one_case([], of=fleet(site(battery=battery)), vintages=vintages, days=3, rules=rules)

    def settled(self, case: Case, charge_kwh: float, discharge_kwh: float) -> Bill:
        storage = Storage.idle(case)
        storage.charge_kw["here"][0] = charge_kwh / case.grid.slot_hours
        storage.discharge_kw["here"][2] = discharge_kwh / case.grid.slot_hours
        return settle(case, replayed(case, "run_now").course, storage)["here"][0]

    def test_plan_after_plan_that_never_refills_pays_for_it(self) -> None:
        case = one_case(
            [], of=fleet(site(battery=self.BATTERY)), vintages=day_ahead(6), days=3, rules=ALL_KNOWN
        )
        done = replayed(case, "ours")
        charge, discharge = done.storage.charge_kw["here"], done.storage.discharge_kw["here"]
        missing_kwh = 0.5 * float((discharge / 0.8 - 0.9 * charge).sum())
        assert missing_kwh > 10, "or nothing was to be settled"
        row = result_of(done).row
        assert row.refill_kwh == pytest.approx(missing_kwh / 0.9)
        assert row.refill_cost > 0
        parts = row.energy_cost + row.carbon_cost + row.demand_charge + row.other_cost + row.refill_cost
        assert row.cost == pytest.approx(parts)

    def test_what_is_missing_costs_what_charging_it_would_on_the_last_day(self) -> None:
        prices = np.full(144, 10.0)
        prices[48:72] = np.linspace(50, 150, 24)
        case = one_case(
            [], of=fleet(site(battery=self.BATTERY)), vintages=day_ahead(6, prices), days=3, rules=ALL_KNOWN
        )
        bill = self.settled(case, 0.0, 1.0)
        assert bill.refill_kwh == pytest.approx(1.0 / 0.8 / 0.9)
        assert bill.refill == pytest.approx(bill.refill_kwh * (100 / 1e3 + 50 * (200 + 2 * 100) / 1e6))
        without = self.settled(case, 0.0, 0.0)
        saved_kg = 1.0 * (200 + 2 * 10) / 1e3
        assert bill.carbon_kg == pytest.approx(without.carbon_kg - saved_kg + bill.refill_kwh * 400 / 1e3)
        assert bill.carbon == pytest.approx(without.carbon - 50 * saved_kg / 1e3), (
            "its carbon is in the refill"
        )

    def test_what_is_over_is_worth_what_it_would_save(self) -> None:
        case = self.case(replace(self.BATTERY, initial_kwh=0, wear_cost_per_kwh=0.02))
        bill = self.settled(case, 10.0, 0.0)
        assert bill.refill_kwh == pytest.approx(-10.0 * 0.9 * 0.8)
        assert bill.refill == pytest.approx(bill.refill_kwh * (100 / 1e3 + 50 * 400 / 1e6 - 0.02))

    @pytest.mark.parametrize("kwh", [(0.0, 1.0), (1.0, 0.0)])
    def test_below_nothing_it_is_worth_nothing(self, kwh: tuple[float, float]) -> None:
        case = self.case(replace(self.BATTERY, initial_kwh=100), price=-90.0)
        assert self.settled(case, *kwh).refill == 0.0


def test_carbon_of_the_work_is_that_beyond_the_load_s() -> None:
    with_work, without = (
        result_of(replayed(one_case(work), "run_now")).row for work in ([job("late", 8, 47, 20)], [])
    )
    assert without.carbon_kg == pytest.approx(without.base_carbon_kg)
    assert with_work.base_carbon_kg == pytest.approx(without.base_carbon_kg)
    carbon = 200 + 2 * hourly_prices(5)
    kg = 4 * 1.2 * 0.5 * (carbon[47] + carbon[48]) / 1e3
    total = totals([with_work])["run_now"]
    assert total.hour_carbon_g == pytest.approx(1e3 * kg / 8)


class TestWhoIsHeard:
    """As in the daemon: the first source of the order, unless what it says is older than it may be."""

    def spoke(self, *, at_slot: int = 0, **rules: Any) -> set[str | None]:
        told = [series(START + 9 * DAY, START, [60.0] * 120, kind="actual", source="came")]
        told.append(series(START - DAY, START, [200.0] * 120, Signal.CARBON, kind="cleared", source="came"))
        told += [
            series(START - back, START, [price] * 120, source=name)
            for name, back, price in (("slow", 40 * HOUR, 50.0), ("fast", HOUR, 70.0))
        ]
        case = one_case([], vintages=told, rules=replace(ALL_KNOWN, **rules))
        frame = Knowledge(case).at(at_slot, {}).near
        return {name for s in frame.signals if s.signal is Signal.PRICE for name in s.source[:24]}

    def test_the_first_of_the_order(self) -> None:
        order = {("*", Signal.PRICE): ("slow", "fast")}
        assert self.spoke(order=order) == {"slow"}
        assert self.spoke(order={("*", Signal.PRICE): ("fast", "slow")}) == {"fast"}

    def test_but_not_once_it_is_too_old(self) -> None:
        order = {("*", Signal.PRICE): ("slow", "fast")}
        assert self.spoke(order=order, at_slot=24) == {"fast"}, "after 52 hours"
        assert self.spoke(order=order, at_slot=24, max_age=60 * HOUR) == {"slow"}

    def test_outlooks_are_made_by_the_same_order_and_rules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[tuple[Any, Learning]] = []

        class Watching(Outlooks):
            def __init__(self, store: Any, order: Any = None, *, rules: Learning = BY_DEFAULT) -> None:
                made.append((order, rules))
                super().__init__(store, order, rules=rules)

        monkeypatch.setattr(learnt, "Outlooks", Watching)
        order, learning = {("*", Signal.PRICE): ("told",)}, Learning(past_days=30)
        one_case([], rules=replace(RULES, learn_hours=24, order=order, learning=learning))
        assert made == [(order, learning)] * 2

    def test_the_digest_hangs_on_them(self) -> None:
        case = one_case([])
        others = [
            with_rules(case, order={("*", Signal.PRICE): ("a",)}),
            with_rules(case, max_age=HOUR),
            with_rules(case, learning=Learning(past_days=30)),
        ]
        assert len({Unit(one, "ours").digest() for one in (case, *others)}) == 4
