"""What a plan's summary says of budgets, and of tenants, where quotas or fairness count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shifter.cli.limited import not_kept, print_budgets, say_promises
from shifter.cli.summary import print_summary
from shifter.cycle import plan_cycle
from shifter.domain.fleet import Budget, Pool
from shifter.domain.resilience import FailoverGroup, Resilience
from shifter.domain.tenant import Tenant
from tests.schedule.build import at, cycle_inputs, site, with_budgets, with_tenants, work

JOBS = [work("a", 24, 3, tenant="ads"), work("b", 24, 3, tenant="search")]


def test_each_tenant_has_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    inputs = with_tenants(cycle_inputs(JOBS), Tenant("ads", 3.0, 5.0, None, 0.25), fairness=1.0)
    plan = plan_cycle(inputs)
    print_summary(plan.to_dict())
    told = capsys.readouterr().out
    [ads] = [line.split() for line in told.splitlines() if line.strip().startswith("ads")]
    row = next(t for t in plan.tenants if t.tenant == "ads")
    assert ads[1:6] == [
        "3",
        f"{row.used_accelerators:.1f}",
        "5.0",
        "24.0",
        f"{row.short_accelerator_hours:.1f}",
    ]
    assert ads[6:8] == [f"{100 * row.short_accelerator_hours / 24:.1f}", "%"]
    assert ads[8:] == [
        f"{row.over_quota_accelerator_hours:.1f}",
        f"{row.over_quota_cost:.2f}",
        f"{row.fairness_cost:.2f}",
        f"{row.next_short_hour_cost:.3g}",
        f"{row.quota_price:.3g}",
    ]
    assert row.over_quota_cost > 0
    assert "use beyond quotas" in told
    assert "fairness" in told


def test_each_budget_has_a_line_with_what_more_of_it_would_save(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    carbon = [400.0] * 12 + [100.0] * 12
    inputs = cycle_inputs([work("w", 20, 24)], prices=[20.0] * 12 + [60.0] * 12, carbon=carbon)
    plan = plan_cycle(with_budgets(inputs, Budget("carbon_kg", 5.0, at(0), at(24))))
    print_summary(plan.to_dict())
    print_budgets({**plan.to_dict(), "budgets": [{**plan.to_dict()["budgets"][0], "price": None}]})
    solved, greedy = [
        line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("budgets[0]")
    ]
    assert solved == [
        "budgets[0]",
        "kg",
        "CO2e",
        "5.00",
        "5.00",
        "100.0",
        "%",
        f"{plan.budgets[0].price:.3g}",
    ]
    assert greedy[-1] == "–", "no program says what more would save"


def test_without_tenants_there_is_no_word_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(plan_cycle(cycle_inputs(JOBS)).to_dict())
    told = capsys.readouterr().out
    assert "tenant" not in told
    assert "budget" not in told
    assert "fairness" not in told


HELD = {
    "site": ("loss of site", "near"),
    "domains": ("loss of failure domains of", "the site itself"),
    "ride_through": ("no grid for a while at", "the site itself"),
    "strict": ("idle reserve of", "the site itself"),
}


def test_each_promise_has_a_line_with_what_it_costs_a_day(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    load = {(name, "p"): {0.5: 1.0, 0.99: n} for name, n in (("a", 4.0), ("b", 2.0))}
    sites = [
        site("a", pools=(Pool("p", "X", 10, failure_domains=2),), resilience=Resilience(lose_domains=1)),
        site("b", resilience=Resilience(ride_through_minutes=30, mode="strict")),
    ]
    inputs = cycle_inputs([work("w", 120, 24, preemptible=False)], sites=sites, load=load)
    groups = (FailoverGroup("near", ("a", "b")),)
    plan = plan_cycle(replace(inputs, fleet=replace(inputs.fleet, failover_groups=groups)))
    print_summary(plan.to_dict())
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert plan.resilience is not None
    for promise in plan.resilience.promises:
        kind, by = (words.split() for words in HELD[promise.kind])
        missing = ["up", "to", "1.0", "kWh", "in", "24", "slots"] if promise.kind == "ride_through" else ["–"]
        assert [*kind, promise.name, *by, f"{promise.cost_per_day:.2f}", "0.0", *missing] in told
    say_promises(plan.to_dict())
    assert capsys.readouterr().out.splitlines() == [
        f"promise {'not kept' if p.kind == 'ride_through' else 'kept'}: {p.text}"
        for p in plan.resilience.promises
    ]


def test_promises_that_are_not_kept_whole_are_counted() -> None:
    kept, broken = {"missing_slots": 0}, {"missing_slots": 52}
    assert not_kept({"resilience": {"promises": [kept, kept]}}) == ""
    assert not_kept({"resilience": None}) == not_kept({}) == ""
    assert not_kept({"resilience": {"promises": [kept, broken]}}) == "1 of 2 is not kept whole"
    assert not_kept({"resilience": {"promises": [kept, broken, broken]}}) == "2 of 3 are not kept whole"


def test_nothing_is_said_of_promises_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    say_promises(plan_cycle(cycle_inputs(JOBS)).to_dict())
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
