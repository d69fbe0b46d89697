"""Plans that are wrong in what sites draw, in what batteries do, in what it costs, or in the proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shifter.domain.fleet import Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Battery
from shifter.domain.resilience import Resilience
from shifter.domain.rows import Allocation
from tests.schedule.build import at, cycle_inputs, site, work
from tests.schedule.spoil import Spoiled, made_of, priced, row

NAN = float("nan")
BATTERY = Battery(20, 5, 0.9, 0.9, initial_kwh=5, min_kwh=2, wear_cost_per_kwh=0.01)
PRICES = [30.0 + 20 * (i % 5) for i in range(24)]


def piece(start: float, end: float, accelerators: int) -> Allocation:
    return Allocation("w", "a", "p", at(start), at(end), accelerators)


def plant(*pieces: Allocation, battery_kw: Any = None, now: float = 0.0, **over: Any) -> Spoiled:
    """A site with everything, on which real-time load draws 2 kW and 3 kW at the quantile; and one without."""
    given: dict[str, Any] = {
        "pools": (Pool("p", "X", 10, idle_kw=0.1, busy_kw=1.1),),
        "battery": BATTERY,
        "resilience": Resilience(0.99, ride_through_minutes=30),
        "power_limit_kw": 9.0,
        "demand_charge_per_kw": 1.0,
        "peak_so_far_kw": 3.0,
    }
    inputs = cycle_inputs(
        [work("w", 8, 20)],
        sites=[site(**{**given, **over}), site("b")],
        prices=PRICES,
        carbon_price=50.0,
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
        now=at(now),
    )
    batteries = {} if battery_kw is None else {"a": battery_kw}
    return made_of(inputs, pieces or [piece(2, 4, 4)], batteries), inputs


def charging(at_hour: dict[int, float]) -> tuple[list[float], list[float]]:
    """A battery's charge and discharge [kW]: what it adds to the import in some hours, and nothing in others."""
    added = [at_hour.get(hour, 0.0) for hour in range(24)]
    return [max(0.0, kw) for kw in added], [max(0.0, -kw) for kw in added]


def changed(change: Callable[[Plan], Plan]) -> Callable[[], Spoiled]:
    """The good plan, changed in what it says."""

    def spoiled() -> Spoiled:
        plan, inputs = plant()
        return change(plan), inputs

    return spoiled


def slot(i: int, **over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, slots=row(p.slots, i, **over)))


def power(i: int, **over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, power=row(p.power, i, **over)))


def cost(**over: float) -> Callable[[], Spoiled]:
    """Another item of the bill; the gap follows."""
    return changed(
        lambda p: priced(p, cost=replace(p.cost, **{k: getattr(p.cost, k) + v for k, v in over.items()}))
    )


def said(**over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, **over))


def baseline(**over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, baseline=replace(p.baseline, **over)))


def workload(**over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, workloads=row(p.workloads, 0, **over)))


def duals(**over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, duals=replace(p.duals, **over)))


def limited_for_real_time_load() -> Spoiled:
    """At 6 kW, four accelerators beside real-time load fit at its median (6.0), and not at its quantile (7.0)."""
    return plant(power_limit_kw=6.5)


def limited_in_the_running_slot() -> Spoiled:
    """Eight accelerators in the last quarter of a slot are 2 kW of its mean, and 8 kW while they run."""
    return plant(piece(0.75, 1, 8), piece(3, 4.5, 4), now=0.75)


def two_limits() -> Spoiled:
    """Where real-time load alone is over the limit, nothing may be added to it."""
    return plant(piece(2, 4, 4), power_limit_kw=2.5, battery=None)


def cheap() -> Spoiled:
    """The good plan with a bound that lies below its cost, and above what its prices prove."""
    plan, inputs = plant()
    return priced(plan, lower_bound=plan.lower_bound + 0.9 * (plan.cost.total - plan.lower_bound)), inputs


SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "a slot says more than runs": ({"slot_row"}, slot(2, deferrable=5.0)),
    "a slot says that less may be preempted": ({"slot_row"}, slot(2, preemptible=3.0)),
    "a slot says less real-time load": ({"slot_row"}, slot(2, realtime_p50=0.5)),
    "a slot says less at the quantile": ({"slot_row"}, slot(2, realtime_q=1.5)),
    "a slot says less reserve": ({"slot_row"}, slot(2, reserved=1.0)),
    "a slot says more accelerators": ({"slot_row"}, slot(2, count=11)),
    "a slot says no number": ({"slot_row"}, slot(2, deferrable=NAN)),
    "a slot is missing": ({"slot_row"}, changed(lambda p: replace(p, slots=p.slots[1:]))),
    "a slot is there twice": ({"slot_row"}, changed(lambda p: replace(p, slots=(*p.slots, p.slots[0])))),
    "a slot is of another pool": (
        {"slot_row"},
        changed(lambda p: replace(p, slots=(*p.slots, replace(p.slots[0], pool="x")))),
    ),
    "a site's row is missing": ({"power_row"}, changed(lambda p: replace(p, power=p.power[1:]))),
    "a site's row is there twice": (
        {"power_row"},
        changed(lambda p: replace(p, power=(*p.power, p.power[0]))),
    ),
    "two rows are swapped": (
        {"power_row"},
        changed(lambda p: replace(p, power=(p.power[1], p.power[0], *p.power[2:]))),
    ),
    "a row is of another site": (
        {"power_row"},
        changed(lambda p: replace(p, power=(*p.power, replace(p.power[0], site="x")))),
    ),
    "a row says no number": ({"power_row"}, power(1, import_kw=NAN)),
    "a row says another price": ({"power_row"}, power(1, price_per_mwh=1.0)),
    "a row says that the price is unknown": ({"power_row"}, power(1, price_per_mwh=None)),
    "a row says another carbon": ({"power_row"}, power(1, carbon_g_per_kwh=1.0)),
    "a row says another limit": ({"power_row"}, power(1, limit_kw=10.0)),
    "a row says that there is no limit": ({"power_row"}, power(1, limit_kw=None)),
    "a row says less import": ({"import"}, power(2, import_kw=5.9)),
    "it draws more than the limit": ({"power_limit"}, lambda: plant(piece(2, 3, 7), piece(3, 4, 1))),
    "it draws more than the limit at the quantile": ({"power_limit"}, limited_for_real_time_load),
    "it draws more in what is left of a slot": ({"power_limit"}, limited_in_the_running_slot),
    "charging draws more than the limit": (
        {"power_limit"},
        lambda: plant(piece(2, 3, 5), piece(3, 4, 3), battery_kw=charging({2: 2.0})),
    ),
    "it adds to what is over the limit": ({"power_limit"}, two_limits),
    "it exports": ({"export"}, lambda: plant(battery_kw=charging({6: 3.0, 7: -2.1}))),
    "its battery exports": (
        {"export"},
        lambda: plant(battery_kw=charging({6: 3.0, 7: -2.1}), export_limit_kw=5.0, export_price_per_mwh=20.0),
    ),
    "a battery that is not there": ({"battery"}, power(30, charge_kw=1.0, discharge_kw=1.0)),
    "a battery that is not there holds energy": ({"battery"}, power(30, stored_kwh=1.0)),
    "stored energy comes from nowhere": ({"battery_balance"}, power(5, stored_kwh=5.5)),
    "stored energy starts with more": ({"battery_balance"}, power(0, stored_kwh=5.5)),
    "it ends with less": ({"battery_end"}, lambda: plant(battery_kw=charging({23: -1.0}))),
    "it holds too little for the ride-through": (
        {"battery_floor"},
        lambda: plant(
            battery_kw=charging({2: -2.0, 3: -2.0, 5: 4.0, 6: 2.0}),
            resilience=Resilience(0.99, ride_through_minutes=60),
        ),
    ),
    "it holds less than its minimum": (
        {"battery_floor"},
        lambda: plant(battery_kw=charging({2: -3.0, 5: 4.0}), battery=replace(BATTERY, min_kwh=3)),
    ),
    "it charges too fast": (
        {"battery_limits"},
        lambda: plant(battery_kw=charging({6: 5.1})),
    ),
    "it discharges too fast": (
        {"battery_limits"},
        lambda: plant(
            battery_kw=charging({0: 4.0, 2: -2.1, 3: -1.0}),
            battery=replace(BATTERY, power_kw=2.0, initial_kwh=5),
        ),
    ),
    "it charges and discharges at once": (
        {"battery_limits"},
        lambda: plant(battery_kw=([0.0] * 6 + [4.0] + [0.0] * 17, [0.0] * 6 + [3.24] + [0.0] * 17)),
    ),
    "it holds too much": (
        {"battery_limits"},
        lambda: plant(battery_kw=charging({6: 5, 7: 5, 8: 5, 9: 5, 10: -2})),
    ),
    "it holds too much at the very end": (
        {"battery_limits"},
        lambda: plant(battery_kw=charging({20: 5, 21: 5, 22: 5, 23: 5})),
    ),
    "energy costs less, it says": ({"cost"}, cost(energy=-0.01)),
    "carbon costs more, it says": ({"cost"}, cost(carbon=0.01)),
    "the peak costs less, it says": ({"cost"}, cost(demand_charge=-0.01)),
    "wear costs nothing, it says": ({"cost"}, cost(battery_wear=0.01)),
    "it emits less, it says": ({"carbon_kg"}, changed(lambda p: replace(p, carbon_kg=0.99 * p.carbon_kg))),
    "it emits no number": ({"carbon_kg"}, said(carbon_kg=NAN)),
    "its work costs no number": ({"deferrable_total"}, said(deferrable_total=NAN)),
    "its work costs less": (
        {"deferrable_total"},
        changed(lambda p: replace(p, deferrable_total=p.deferrable_total - 0.01)),
    ),
    "running at once costs more, it says": (
        {"baseline"},
        changed(lambda p: replace(p, baseline=replace(p.baseline, total=p.baseline.total + 1))),
    ),
    "running at once leaves more than is late": ({"baseline"}, baseline(unfinished_accelerator_hours=1.0)),
    "a workload's row is missing": ({"workload_row"}, said(workloads=())),
    "a workload's row is there twice": (
        {"workload_row"},
        changed(lambda p: replace(p, workloads=(*p.workloads, *p.workloads))),
    ),
    "a workload starts later, it says": ({"workload_row"}, workload(start=at(3))),
    "a workload ends earlier, it says": ({"workload_row"}, workload(finish=at(3))),
    "a workload costs less, it says": ({"workload_row"}, workload(cost=0.1)),
    "a workload draws less, it says": ({"workload_row"}, workload(energy_kwh=7.9)),
    "a workload emits no number": ({"workload_row"}, workload(carbon_kg=NAN)),
    "a price of a limit is negative": ({"duals"}, duals(power={"a": (-1.0,) * 24})),
    "a price of a limit is no number": ({"duals"}, duals(capacity={("a", "p"): (NAN,) * 24})),
    "a price is of no pool": ({"duals"}, duals(reserve={("a", "x"): (0.0,) * 24})),
    "a price is missing in a slot": ({"duals"}, duals(power={"a": (0.0,) * 23})),
    "the peak's prices exceed the charge": ({"duals"}, duals(peak={"a": (0.05,) * 24})),
    "the bound exceeds the cost": ({"bound"}, changed(lambda p: priced(p, lower_bound=1.1 * p.cost.total))),
    "the bound exceeds what its prices prove": ({"bound"}, cheap),
    "the bound is no number": ({"bound", "gap"}, said(lower_bound=NAN)),
    "the gap is smaller, it says": ({"gap"}, said(relative_gap=0.0)),
}

GOOD: dict[str, Callable[[], Spoiled]] = {
    "a site with everything": plant,
    "a battery that works": lambda: plant(battery_kw=charging({0: 2.0, 2: -1.0, 3: -0.5})),
    "no battery": lambda: plant(battery=None),
    "as much as the limit leaves": lambda: plant(piece(2, 3, 6), piece(3, 4, 2)),
    "as much as is left of the running slot": lambda: plant(
        piece(0.75, 1, 6), piece(3, 4, 6), piece(4, 5, 1), now=0.75
    ),
}
