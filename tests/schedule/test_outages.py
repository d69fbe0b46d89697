"""Riding through an outage: on battery and UPS, until the generator carries the load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shifter.cycle import CycleInputs, plan_cycle, problem_of
from shifter.domain.fleet import Pool
from shifter.domain.plant import Battery, Generator, Ups
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
        ({"ups": Ups(1, 2), "generator": Generator(6, 2)}, "the generator gives 6 kW: 2.0 kW are missing"),
    ],
)
def test_what_is_missing_is_told(over: dict[str, Any], said: str) -> None:
    [warning] = [w for w in plan_cycle(case(30, **over)).warnings if said in w]
    assert warning.startswith("a: ")


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
    assert "60 minutes without the grid would take 20.0 kWh: 8.0 kWh more than battery and UPS hold" in detail
    larger = replace(fleet.sites[0], ups=Ups(10, 10))
    assert not list(fleet_warnings(replace(fleet, sites=(larger,))))
