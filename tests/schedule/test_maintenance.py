"""Accelerators that are away, for maintenance or because they are lost: less capacity, more reserve, less power."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, verify_plan
from shifter.domain.fleet import Fleet, Pool
from shifter.domain.lost import LostCapacity, without_lost
from shifter.domain.resilience import Maintenance, Resilience
from shifter.errors import InputError
from shifter.files import parse_fleet
from shifter.realtime.reserve import reserved_accelerators, sizes_without
from tests.realtime.test_domains import least
from tests.schedule.build import at, cycle_inputs, site, work
from tests.schedule.spoil import codes, row


def pool(*windows: Maintenance, **over: Any) -> Pool:
    given: dict[str, Any] = {"count": 10, "idle_kw": 0.2, "busy_kw": 1.0}
    return Pool("p", "X", maintenance=windows, **{**given, **over})


def case(*windows: Maintenance, hours: float = 40, lose: int = 0, **over: Any) -> CycleInputs:
    house = site(pools=(pool(*windows, **over),), resilience=Resilience(lose_domains=lose))
    jobs = [work("w", hours, 8, preemptible=False)]
    return cycle_inputs(jobs, sites=[house], load={("a", "p"): {0.5: 1.0, 0.99: 2.0}}, hours=8)


def test_what_is_away_holds_no_work_and_the_rows_say_what_is_there() -> None:
    inputs = case(Maintenance(at(2), at(4), 6))
    plan = plan_cycle(inputs)
    assert [r.count for r in plan.slots] == [10, 10, 4, 4, 10, 10, 10, 10]
    assert [r.deferrable for r in plan.slots][2:4] == [2.0, 2.0]
    assert [r.reserved for r in plan.slots] == [2.0] * 8
    assert plan.unplaced == ()
    spoiled = replace(plan, slots=row(plan.slots, 2, count=10))
    assert codes(spoiled, inputs) == {"slot_row"}
    assert {"capacity", "reserve", "slot_row"} <= {v.code for v in verify_plan(plan_cycle(case()), inputs)}


def test_a_slot_has_what_is_there_all_through_it() -> None:
    """Windows that meet inside a slot are not both away at once; those that overlap are."""
    meeting = pool(Maintenance(at(1.25), at(1.5), 3), Maintenance(at(1.5), at(1.75), 4))
    assert [meeting.present(at(h), at(h + 1)) for h in range(3)] == [10, 6, 10]
    overlapping = pool(Maintenance(at(0), at(1.5), 3), Maintenance(at(1.25), at(2), 4))
    assert [overlapping.present(at(h), at(h + 1)) for h in range(3)] == [7, 3, 10]
    assert overlapping.present(at(1)) == 7


@pytest.mark.parametrize(("powered", "idle_kw"), [(True, 2.0), (False, 0.8)])
def test_what_is_switched_off_draws_nothing(powered: bool, idle_kw: float) -> None:
    inputs = case(Maintenance(at(2), at(4.5), 6, powered=powered), hours=1)
    plan = plan_cycle(inputs)
    drawn = [
        r.import_kw - 0.8 * (1.0 + slot.deferrable) for r, slot in zip(plan.power, plan.slots, strict=True)
    ]
    assert drawn == pytest.approx(
        [2.0, 2.0, idle_kw, idle_kw, 2.0, 2.0, 2.0, 2.0]
    )  # in part of a slot: not off


def test_of_what_is_away_the_worst_is_assumed_before_a_domain_is_lost_on_top_of_it() -> None:
    """Of four domains of 4, one may be away whole: three are left, and losing one of them leaves two thirds."""
    there = np.array([16.0, 14.0, 12.0, 8.0])
    given, q = Resilience(lose_domains=1), np.full(4, 6.0)
    reserved = reserved_accelerators(q, Pool("p", "X", 16, failure_domains=4), given, there)
    assert reserved == pytest.approx(
        [8.0, 8.0, 9.0, 8.0]
    )  # 6 / (1 - 1/4); 2, 4, 4, 4 filled to 2; 6 / (1 - 1/3); all


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.data())
@settings(max_examples=40)
def test_no_other_way_to_be_away_needs_more(sizes: list[int], data: st.DataObject) -> None:
    lost, q = data.draw(st.integers(0, len(sizes) - 1)), data.draw(st.floats(0, 12))
    left = [data.draw(st.integers(0, size)) for size in sizes]
    there = np.array([float(sum(left))])
    whole = Pool("p", "X", sum(sizes), failure_domain_sizes=tuple(sizes))
    reserved = reserved_accelerators(np.array([q]), whole, Resilience(lose_domains=lost), there)[0]
    assert sum(sizes_without(sizes, sum(sizes) - sum(left))) == sum(left)
    needed = least(q, left, lost)
    assert reserved == sum(left) if needed is None else reserved >= min(needed, sum(left)) - 1e-6


def test_domains_are_lost_on_top_in_a_plan_too() -> None:
    inputs = case(Maintenance(at(0), at(4), 2), lose=1, failure_domains=5)
    plan = plan_cycle(inputs)
    assert [r.reserved for r in plan.slots] == pytest.approx([2 / (1 - 1 / 4)] * 4 + [2.5] * 4)


class TestLost:
    fleet = Fleet("EUR", (site(pools=(pool(Maintenance(at(0), at(2), 3)),)),))

    def there(self, lost: LostCapacity, hour: float) -> int:
        return without_lost(self.fleet, [lost], at(1)).pools["a", "p"][1].present(at(hour))

    def test_it_is_away_until_it_is_believed_no_more(self) -> None:
        lost = LostCapacity("a", "p", 5, at(3))
        assert [self.there(lost, hour) for hour in (0.5, 1, 2, 3)] == [7, 5, 8, 10]

    def test_what_is_away_anyhow_is_counted_once(self) -> None:
        assert without_lost(self.fleet, [LostCapacity("a", "p", 3, at(3))], at(1)) is self.fleet

    def test_no_more_is_lost_than_there_is(self) -> None:
        assert self.there(LostCapacity("a", "p", 99, at(3)), 1) == 0

    def test_what_is_over_or_of_no_pool_changes_nothing(self) -> None:
        lost = [LostCapacity("a", "p", 5, at(1)), LostCapacity("a", "q", 5, at(3))]
        assert without_lost(self.fleet, lost, at(1)) is self.fleet


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (
            [("2026-01-10T04:00:00Z", "2026-01-10T04:00:00Z", 2)],
            r"maintenance\[0\]\.end: .*not after its start",
        ),
        (
            [
                ("2026-01-10T04:00:00Z", "2026-01-10T06:00:00Z", 6),
                ("2026-01-10T05:00:00Z", "2026-01-10T07:00:00Z", 5),
            ],
            r"maintenance\[0\]\.accelerators: 11 accelerators would be away at a time, and the pool has 10",
        ),
    ],
)
def test_what_contradicts_itself(windows: list[tuple[str, str, int]], said: str) -> None:
    given = [{"start": start, "end": end, "accelerators": n} for start, end, n in windows]
    raw = {"name": "p", "accelerator": "X", "count": 10, "maintenance": given}
    with pytest.raises(InputError, match=said):
        parse_fleet({"currency": "EUR", "sites": [{"name": "a", "zone": "Z", "pools": [raw]}]})
