"""Riding through an outage: on battery and UPS, until the generator carries the load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.fleet import Pool
from shifter.domain.plant import Battery, Generator, Ups, most_carried_kwh
from shifter.domain.resilience import Resilience
from shifter.errors import InputError
from shifter.files import parse_fleet
from shifter.files.fleet import fleet_warnings
from tests.schedule.build import cycle_inputs, site, work
from tests.schedule.spoil import codes, made_of

PRICES = [80.0, 70.0, 60.0, 20.0] * 3


def case(minutes: float | None, **over: Any) -> CycleInputs:
    """Real-time load of 4 kW, 8 kW at the meter at the quantile, of which the battery can hold 10 kWh."""
    given: dict[str, Any] = {
        "pools": (Pool("p", "X", 10),),
        "pue": 2.0,
        "battery": Battery(10, 10, 1.0, 1.0, 6),
    }
    house = site(resilience=Resilience(ride_through_minutes=minutes), **{**given, **over})
    load = {("a", "p"): {0.5: 2.0, 0.99: 4.0}}
    return cycle_inputs([work("w", 6, 12)], sites=[house], prices=PRICES, load=load, hours=12)


def lowest_kwh(inputs: CycleInputs) -> float:
    plan = plan_cycle(inputs)
    return min(r.stored_kwh for r in plan.power)


def test_a_ups_lowers_what_the_battery_must_hold() -> None:
    assert lowest_kwh(case(45)) == pytest.approx(6.0)  # 8 kW for 45 minutes
    assert lowest_kwh(case(45, ups=Ups(2.5, 100))) == pytest.approx(3.5)
    assert lowest_kwh(case(45, ups=Ups(100, 2))) == pytest.approx(4.5)  # 2 of 8 kW, however much it holds
    assert lowest_kwh(case(45, ups=Ups(100, 100))) == pytest.approx(0.0)


def test_null_is_until_the_generator_carries_the_load() -> None:
    assert lowest_kwh(case(None, generator=Generator(50, 30))) == pytest.approx(4.0)
    assert lowest_kwh(case(15, generator=Generator(50, 30))) == pytest.approx(2.0)  # what is asked for counts


def test_a_ups_alone_is_enough() -> None:
    inputs = case(30, battery=None, ups=Ups(4, 8))
    plan = plan_cycle(inputs)
    assert not any("kWh" in said for said in plan.warnings)
    assert problem_of(inputs).sites[0].ride_through_kwh == pytest.approx(np.zeros(12))


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"battery": None, "ups": Ups(3, 8)}, "for 30 minutes: up to 1.0 kWh are missing, in 12 slots"),
        ({"battery": None, "ups": Ups(4, 7)}, "draws up to 8.0 kW, and battery and UPS give 7 kW"),
        # 8 kW for 30 minutes are 4 kWh, of which this battery gives 2 and this UPS 0.5: empty, it leaves 8 kW to 4 kW.
        ({"battery": Battery(100, 4, 1.0, 1.0, 50), "ups": Ups(0.5, 4)}, "up to 1.5 kWh are missing"),
        ({"battery": Battery(4, 100, 1.0, 0.5, 4), "ups": Ups(0.1, 100)}, "up to 1.9 kWh are missing"),
        ({"battery": Battery(100, 1, 1.0, 1.0, 50)}, "up to 3.5 kWh are missing, in 12 slots"),
        ({"battery": Battery(100, 1, 1.0, 1.0, 50)}, "draws up to 8.0 kW, and battery and UPS give 1 kW"),
        ({"battery": Battery(3, 100, 1.0, 1.0, 3)}, "up to 1.0 kWh are missing"),
        ({"ups": Ups(1, 2), "generator": Generator(6, 2)}, "the generator gives 6 kW: 2.0 kW are missing"),
    ],
)
def test_what_is_missing_is_told(over: dict[str, Any], said: str) -> None:
    [warning] = [w for w in plan_cycle(case(30, **over)).warnings if said in w]
    assert warning.startswith("a: ")


@pytest.mark.parametrize(
    "over",
    [{}, {"battery": Battery(5, 9, 1.0, 0.8, 5)}, {"battery": Battery(4, 6, 1.0, 1.0, 4), "ups": Ups(1, 2)}],
)
def test_nothing_is_said_to_be_missing_where_it_is_there(over: dict[str, Any]) -> None:
    inputs = case(30, **over)
    assert not [w for w in plan_cycle(inputs).warnings if "without the grid" in w]


@given(
    battery=st.tuples(*[st.floats(0.1, 20)] * 2, st.floats(0.1, 1.0)),
    ups=st.tuples(*[st.floats(0.1, 20)] * 2),
    load_kw=st.floats(0, 30),
    hours=st.floats(0.01, 4),
)
@settings(max_examples=30, deadline=None)
def test_the_most_that_is_carried_is_what_minutes_one_by_one_come_to(
    battery: tuple[float, float, float], ups: tuple[float, float], load_kw: float, hours: float
) -> None:
    """Whoever gives as long as it can: no order of the two carries more, and sparing the UPS carries that much."""
    energy_kwh, power_kw, efficiency = battery
    kwh, steps = [energy_kwh * efficiency, ups[0]], 400
    most = float(
        most_carried_kwh(Battery(energy_kwh, power_kw, 1.0, efficiency), Ups(*ups), np.array(load_kw), hours)
    )
    given_kwh = 0.0
    for i in range(steps):
        left_h = hours * (steps - i) / steps
        gives_kw = [min(kw, of / left_h) for kw, of in zip((power_kw, ups[1]), kwh, strict=True)]
        share = min(1.0, load_kw / sum(gives_kw))
        for k, kw in enumerate(gives_kw):
            kwh[k] -= share * kw * hours / steps
        given_kwh += share * sum(gives_kw) * hours / steps
    assert given_kwh == pytest.approx(most, rel=1e-6)
    greedy = [energy_kwh * efficiency, ups[0]]
    carried_kwh = 0.0
    for _ in range(steps):
        wanted = load_kw * hours / steps
        for k, kw in ((1, ups[1]), (0, power_kw)):
            gives = min(wanted, greedy[k], kw * hours / steps)
            greedy[k], wanted, carried_kwh = greedy[k] - gives, wanted - gives, carried_kwh + gives
    assert carried_kwh <= most + 1e-9


def test_the_verifier_holds_the_battery_to_what_the_ups_does_not_give() -> None:
    inputs = case(45, ups=Ups(2.5, 100))
    empties = np.array([[0.0] * 12, [2.0, *[0.0] * 11]]), np.array([[0.0] * 12, [3.0, *[0.0] * 11]])
    ends = np.zeros((2, 12))
    ends[0, 11] = 3.0
    found = [
        codes(made_of(inputs, [], batteries={"a": kw + ends * (kw.sum() / 3)}), inputs) for kw in empties
    ]
    assert "battery_floor" not in found[0]
    assert "battery_floor" in found[1]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (
            {"resilience": {"ride_through_minutes": None}},
            "null is until .* takes over, and the site has neither",
        ),
        (
            {"resilience": {"ride_through_minutes": None}, "generator": {"power_kw": 9, "start_minutes": 2}},
            "no battery to ride through until something takes over",
        ),
        ({"ups": {"energy_kwh": 0, "power_kw": 1}}, r"ups\.energy_kwh"),
    ],
)
def test_what_contradicts_itself(over: dict[str, Any], said: str) -> None:
    raw = {"name": "a", "zone": "Z", "pools": [{"name": "p", "accelerator": "X", "count": 1}], **over}
    with pytest.raises(InputError, match=said):
        parse_fleet({"currency": "EUR", "sites": [raw]})


def test_a_check_of_the_fleet_says_how_many_kwh_a_full_site_would_lack() -> None:
    fleet = case(60, ups=Ups(2, 4)).fleet
    [(loc, detail, _)] = list(fleet_warnings(fleet))
    assert loc == ("sites", 0, "resilience", "ride_through_minutes")
    assert "60 minutes without the grid would take 20.0 kWh: 8.0 kWh more than battery and UPS give" in detail
    weak = replace(fleet.sites[0], battery=Battery(100, 1, 1.0, 1.0, 50), ups=None)
    [(_, detail, _)] = list(fleet_warnings(replace(fleet, sites=(weak,))))
    assert "19.0 kWh more than battery and UPS give" in detail
    larger = replace(fleet.sites[0], ups=Ups(10, 10))
    assert not list(fleet_warnings(replace(fleet, sites=(larger,))))
