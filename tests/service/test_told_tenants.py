"""What an explanation says of the quota of a workload's tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shifter.clock import ManualClock
from shifter.domain.tenant import Tenant
from tests.service.world import FLEET, T0, job, service


@pytest.mark.parametrize("tenant", ["search", "other"])
def test_a_quota_that_binds_is_told_with_its_price(sqlite_url: str, tenant: str) -> None:
    """Four of the quota at a time, and all day the prices rise and fall: more of it would be worth something."""
    fleet = replace(FLEET, tenants=(Tenant("search", quota_accelerators=4.0),))
    made = service(sqlite_url, ManualClock(T0), fleet=fleet)
    made.submit([job(f"w{i}", 20, 4, 23, tenant=tenant) for i in range(3)], "ann")
    made.cycle()
    limits = [limit for limit in made.explain("w1").limits if limit.kind == "quota"]
    made.core.db.close()
    if tenant == "other":
        assert limits == []
        return
    [quota] = limits
    assert (quota.site, quota.pool) == (None, None)
    assert quota.mean_price > 0
    assert quota.text.startswith("The quota of tenant search is used up in ")
