"""What a plan's summary says of tenants, where quotas or fairness count."""

from __future__ import annotations

import pytest

from shifter.cli.summary import print_summary
from shifter.cycle import plan_cycle
from shifter.domain.tenant import Tenant
from tests.schedule.build import cycle_inputs, with_tenants, work

JOBS = [work("a", 24, 3, tenant="ads"), work("b", 24, 3, tenant="search")]


def test_each_tenant_has_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    inputs = with_tenants(cycle_inputs(JOBS), Tenant("ads", 3.0, 5.0, None, 0.25), fairness=1.0)
    plan = plan_cycle(inputs)
    print_summary(plan.to_dict())
    told = capsys.readouterr().out
    [ads] = [line.split() for line in told.splitlines() if line.strip().startswith("ads")]
    row = next(t for t in plan.tenants if t.tenant == "ads")
    assert ads[1:] == [
        "3",
        "24.0",
        f"{row.short_accelerator_hours:.1f}",
        f"{row.over_quota_accelerator_hours:.1f}",
        f"{row.over_quota_cost:.2f}",
    ]
    assert row.over_quota_cost > 0
    assert "use beyond quotas" in told
    assert "fairness" in told


def test_without_tenants_there_is_no_word_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(plan_cycle(cycle_inputs(JOBS)).to_dict())
    told = capsys.readouterr().out
    assert "tenant" not in told
    assert "fairness" not in told
