"""What sites promise by themselves: a ride-through, and a reserve that is idle; each with what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from shifter.cycle import CycleInputs, plan_cycle
from shifter.domain.effort import Effort
from shifter.domain.plant import Battery
from shifter.domain.resilience import FailoverGroup, Resilience
from tests.schedule.build import work
from tests.schedule.test_failover import FIRM, case, house, promise, said


def riding(minutes: float, **over: Any) -> CycleInputs:
    """Two sites; the first has a battery that buys at 20 and gives at 200, where it need not hold a ride-through."""
    own = Battery(energy_kwh=12, power_kw=8, charge_efficiency=1.0, discharge_efficiency=1.0, initial_kwh=10)
    first = house("a", battery=own, resilience=Resilience(ride_through_minutes=minutes))
    prices = {"Z": [20.0, 200.0, 20.0, 200.0], "Y": [90.0] * 4}
    jobs = [work("w", 30, 4, **FIRM)]
    return case(
        [first, house("b", "Y")], jobs, FailoverGroup("eu", ("a", "b")), load=8.0, prices=prices, **over
    )


def test_a_ride_through_costs_what_the_battery_earns_less() -> None:
    plan, without = plan_cycle(riding(60)), plan_cycle(riding(0))
    one = promise(plan, "a", "ride_through")
    assert (one.group, one.basis, one.missing_slots) == (None, "solved", 0)
    more = (said(plan).joint_optimum or 0.0) - (said(without).joint_optimum or 0.0)
    assert more > 0.1
    assert one.cost_per_day == pytest.approx(more * 24 / 4)
    assert one.text == (
        f"carrying real-time load at a for 60 minutes without the grid costs {more * 6:.2f} EUR a day"
    )
    assert [p.kind for p in said(without).promises] == ["site", "site"]


def test_a_ride_through_that_is_not_carried_whole_says_so() -> None:
    one = promise(plan_cycle(riding(120)), "a", "ride_through")
    assert "; up to 4.0 kWh of it are missing, in 4 slots" in one.text
    assert (one.missing_kwh, one.missing_slots) == (4.0, 4)


def idle_reserves(hours: float, *modes: str) -> CycleInputs:
    """Two sites that hold 4 accelerators for each other, and work that may be preempted for the cheap one."""
    sites = [
        house(name, zone, resilience=Resilience(mode=mode))  # type: ignore[arg-type]
        for name, zone, mode in zip("ab", "ZY", modes, strict=True)
    ]
    jobs = [work("w", hours, 4, max_accelerators=40)]
    return case(sites, jobs, FailoverGroup("eu", ("a", "b")), prices={"Z": [20.0] * 4, "Y": [90.0] * 4})


def test_an_idle_reserve_costs_what_work_pays_that_would_stand_in_it() -> None:
    plan, shared = (plan_cycle(idle_reserves(64, mode, "shared")) for mode in ("strict", "shared"))
    one = promise(plan, "a", "strict")
    assert one.cost_per_day == pytest.approx(4 * 4 * 0.070 * 24 / 4)  # 4 of them go to b, for 4 hours
    assert (said(plan).joint_optimum or 0.0) - (said(shared).joint_optimum or 0.0) == pytest.approx(1.12)
    assert one.basis == "solved"
    assert one.text == "keeping what is reserved at a idle costs 6.72 EUR a day"
    late = promise(plan_cycle(idle_reserves(120, "strict", "shared")), "a", "strict")
    assert late.late_accelerator_hours == pytest.approx(8.0)
    assert "8.0 accelerator-hours of work are late for it" in late.text


@pytest.mark.parametrize("effort", [Effort.WHOLE, Effort.COARSE])
def test_what_sites_keep_by_themselves_is_priced_without_solving_where_prices_say_it(
    effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shifter.schedule import promises

    dear = promise(plan_cycle(riding(60), effort), "a", "ride_through")
    monkeypatch.setattr(promises, "SOLVED_COLUMNS", 0)
    one = promise(plan_cycle(riding(60), effort), "a", "ride_through")
    assert one.basis == "at_most"
    assert one.cost_per_day is not None
    assert one.cost_per_day >= (dear.cost_per_day or 0.0) - 1e-6
    idle = promise(plan_cycle(idle_reserves(64, "strict", "shared"), effort), "a", "strict")
    assert (idle.cost_per_day, idle.basis) == (None, None)
    assert idle.text == "keeping what is reserved at a idle has a cost that no program says"
