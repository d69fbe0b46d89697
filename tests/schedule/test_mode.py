"""Strict and shared: whether preemptible work may stand in what is held for the loss of hardware."""

from __future__ import annotations

import pytest

from shifter.cycle import CycleInputs, plan_cycle
from shifter.domain.fleet import Pool
from shifter.domain.resilience import Resilience
from shifter.errors import InputError
from shifter.files import parse_fleet
from shifter.service.capacity import slot_view
from tests.schedule.build import cycle_inputs, site, work
from tests.schedule.spoil import codes


def case(mode: str, **over: object) -> CycleInputs:
    """Ten accelerators, 5 for real-time load and 2.5 more through the loss of a third of them."""
    house = site(
        pools=(Pool("p", "X", 12, failure_domains=3, off_kw=0.0, idle_kw=0.1),),
        resilience=Resilience(lose_domains=1, mode=mode),  # type: ignore[arg-type]
    )
    jobs = [work("soft", 60, 10, max_accelerators=12), work("firm", 20, 24, preemptible=False)]
    return cycle_inputs(jobs, sites=[house], load={("a", "p"): {0.5: 2.0, 0.99: 4.0}}, **over)  # type: ignore[arg-type]


def test_preemptible_work_stands_in_the_margin_only_where_it_is_shared() -> None:
    shared, strict = plan_cycle(case("shared")), plan_cycle(case("strict"))
    assert {r.reserved for r in (*shared.slots, *strict.slots)} == {6.0}
    assert max(r.deferrable for r in shared.slots) == 8.0
    assert max(r.deferrable for r in strict.slots) == 6.0
    assert shared.unplaced == ()
    assert [w.workload_id for w in strict.unplaced] == []
    assert strict.cost.total >= shared.cost.total - 1e-9
    assert strict.lower_bound <= strict.cost.total + 1e-6


def test_what_stands_in_a_strict_reserve_is_found() -> None:
    assert "capacity" in codes(plan_cycle(case("shared")), case("strict"))
    # What is strict keeps every limit of what is shared; only its bound is one of fewer plans.
    assert codes(plan_cycle(case("strict")), case("shared")) == {"bound"}


def test_what_is_free_is_outside_a_strict_reserve() -> None:
    plan, inputs = plan_cycle(case("strict")), case("strict")
    busiest = max(plan.slots, key=lambda r: r.preemptible)
    assert busiest.deferrable == 6.0
    assert slot_view(busiest, inputs.fleet).free == 0.0
    assert slot_view(busiest, case("shared").fleet).free == min(6.0 - (6.0 - busiest.preemptible), 2.0)


@pytest.mark.parametrize("over", [{"mode": "lax"}, {"preemption_seconds": -1}])
def test_a_mode_that_is_none(over: dict[str, object]) -> None:
    raw = {
        "name": "a",
        "zone": "Z",
        "pools": [{"name": "p", "accelerator": "X", "count": 1}],
        "resilience": over,
    }
    with pytest.raises(InputError, match=rf"resilience\.{next(iter(over))}"):
        parse_fleet({"currency": "EUR", "sites": [raw]})
