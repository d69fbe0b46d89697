"""Plans that are wrong in what further terms ask of a site: its own plant, what it exports, what it powers down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from shifter.domain.fleet import Budget, Pool
from shifter.domain.plan import Plan
from shifter.domain.plant import Generation, GenerationWindow
from shifter.domain.resilience import Resilience
from shifter.domain.rows import Allocation, Held
from shifter.realtime.load import RealtimeLoad
from tests.schedule.build import at, cycle_inputs, site, with_budgets, work
from tests.schedule.spoil import Spoiled, made_of, priced, row

PRICES = [30.0 + 20 * (i % 5) for i in range(24)]
SOLD: dict[str, Any] = {"export_limit_kw": 3.0, "export_price_per_mwh": 20.0}
SUN = Generation((GenerationWindow(at(2), at(8), 6.0),), cost_per_kwh=0.01)


def piece(start: float, end: float, accelerators: int) -> Allocation:
    return Allocation("w", "a", "p", at(start), at(end), accelerators)


def sunny(generated_kw: Any = None, *, beside: Any = None, **over: Any) -> Spoiled:
    """Two sites: one with a plant that may export 3 kW, on which real-time load draws 1 kW; one without."""
    given: dict[str, Any] = {"generation": SUN, **SOLD}
    inputs = cycle_inputs(
        [work("w", 8, 20)],
        sites=[site(**{**given, **over}), site("b")],
        prices=PRICES,
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
    )
    generated = {} if generated_kw is None else {"a": [generated_kw(hour) for hour in range(24)]}
    return made_of(inputs, [piece(2, 4, 4)], generated=generated), inputs


def changed(change: Callable[[Plan], Plan]) -> Callable[[], Spoiled]:
    def spoiled() -> Spoiled:
        plan, inputs = sunny()
        return change(plan), inputs

    return spoiled


def power(i: int, **over: Any) -> Callable[[], Spoiled]:
    return changed(lambda p: replace(p, power=row(p.power, i, **over)))


def cost(**over: float) -> Callable[[], Spoiled]:
    return changed(
        lambda p: priced(p, cost=replace(p.cost, **{k: getattr(p.cost, k) + v for k, v in over.items()}))
    )


def ramped(*pieces: Allocation, load: Any = 0.0) -> Spoiled:
    """A site that may go up and down by 2 kW from hour to hour."""
    hours = sum(a.accelerators * (a.end - a.start) / (at(1) - at(0)) for a in pieces)
    inputs = cycle_inputs(
        [work("w", hours, 20)], sites=[site(ramp_limit_kw_per_minute=2 / 60)], prices=PRICES
    )
    kw = np.broadcast_to(load, 24).astype(float)
    inputs = replace(inputs, realtime=RealtimeLoad(inputs.frame.grid, {("a", "p"): {0.5: kw, 0.99: kw}}))
    return priced(made_of(inputs, pieces), lower_bound=0.0), inputs


RISES = [0.0] * 4 + [4.0] * 20
FALLS = [4.0] * 10 + [0.0] * 14


def resting(off: Any, pieces: Any = None, **over: Any) -> Spoiled:
    """Ten accelerators of which real-time load keeps 2 at the quantile and 4 in reserve; work holds 3 and 1 of it."""
    given: dict[str, Any] = {"failure_domains": 2, "idle_kw": 0.4, "busy_kw": 1.0, "off_kw": 0.1}
    pool = Pool("p", "X", 10, **{**given, **over})
    inputs = cycle_inputs(
        [work("w", 6, 20), work("firm", 2, 20, preemptible=False)],
        sites=[site(pools=(pool,), resilience=Resilience(0.99, lose_domains=1))],
        prices=PRICES,
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
    )
    pieces = [*(pieces or [piece(2, 4, 3)]), replace(piece(2, 4, 1), workload_id="firm")]
    return made_of(inputs, pieces, off={"p": [off(hour) for hour in range(24)]}), inputs


def budgeted(*budgets: Budget) -> Spoiled:
    """Work of 8 kWh, 2.4 kg and 0.32 in its slots, beside real-time load of 1 kW."""
    inputs = cycle_inputs([work("w", 8, 20)], prices=PRICES, load={("a", "p"): {0.5: 1.0, 0.99: 2.0}})
    inputs = with_budgets(inputs, *budgets)
    return made_of(inputs, [piece(1, 3, 4)]), inputs


def beside_a_plant(limit: float, generated_kw: Any, *, budget: Any = None, **over: Any) -> Spoiled:
    """The same work at a site whose plant could carry all of it, and real-time load at any time."""
    plant = Generation((GenerationWindow(at(0), at(24), 5.0),), cost_per_kwh=0.2)
    inputs = cycle_inputs(
        [work("w", 8, 20)],
        sites=[site(generation=plant, **over)],
        prices=PRICES,
        load={("a", "p"): {0.5: 1.0, 0.99: 2.0}},
    )
    inputs = with_budgets(inputs, budget or carbon(limit, 0, 24))
    generated = {"a": [generated_kw(hour) for hour in range(24)]}
    # A plan that breaks a limit may cost less than the bound of those that do not.
    return priced(made_of(inputs, [piece(1, 3, 4)], generated=generated), lower_bound=-9.0), inputs


def told(**over: Any) -> Callable[[], Spoiled]:
    """Something else of the one budget."""

    def spoiled() -> Spoiled:
        plan, inputs = budgeted(carbon(4.0))
        return replace(plan, budgets=row(plan.budgets, 0, **over)), inputs

    return spoiled


def carbon(limit: float, start: float = 0, end: float = 4) -> Budget:
    return Budget("carbon_kg", limit, at(start), at(end))


def unpriced(made: Callable[[], Spoiled], share: float) -> Callable[[], Spoiled]:
    """A plan without prices of work, which claims that share of its cost as its bound."""

    def spoiled() -> Spoiled:
        plan, inputs = made()
        bare = replace(plan, duals=replace(plan.duals, work={}))
        return priced(bare, lower_bound=share * plan.cost.total), inputs

    return spoiled


SPOILINGS: dict[str, tuple[set[str], Callable[[], Spoiled]]] = {
    "says that it holds what nobody announced": (
        {"held"},
        changed(lambda p: replace(p, held=Held("another", 0.0))),
    ),
    "a plant gives more than it could": ({"generation"}, lambda: sunny(lambda h: 6.1 if h == 2 else 0.0)),
    "a plant runs at night": ({"generation"}, lambda: sunny(lambda h: 0.5)),
    "a plant that is not there": ({"generation"}, power(24 + 3, generated_kw=0.0)),
    "a plant draws": ({"generation"}, lambda: sunny(lambda h: -1.0 if h == 3 else 0.0)),
    "a row says less generation": ({"import", "cost", "carbon_kg"}, power(3, generated_kw=4.0)),
    "a row says less export": ({"import"}, power(5, export_kw=2.0)),
    "it exports more than it may": ({"export"}, lambda: sunny(lambda h: 6.0 if h == 5 else 0.0)),
    "it exports where it may not": (
        {"export"},
        lambda: sunny(lambda h: 1.5 if h == 5 else 0.0, export_limit_kw=0.0, export_price_per_mwh=None),
    ),
    "generation costs nothing, it says": ({"cost"}, cost(generation=-0.01)),
    "export earns more, it says": ({"cost"}, cost(export=-0.01)),
    "what is in reserve is powered down": (
        {"powered_down"},
        lambda: resting(lambda h: 5.1 if h == 2 else 6.0),
    ),
    "what work stands on is powered down": (
        {"powered_down"},
        lambda: resting(lambda h: 4.5 if h == 2 else 0.0, failure_domains=4),
    ),
    "more is powered down than is idle": (
        {"powered_down"},
        lambda: resting(lambda h: 6.5 if h == 9 else 0.0),
    ),
    "it is off while work runs, though not on average": (
        {"powered_down"},
        # In half of the hour 8 of 10 are needed, and in the other half 4.
        lambda: resting(lambda h: 4.0 if h == 2 else 0.0, pieces=[piece(2, 2.5, 6), piece(3, 4, 3)]),
    ),
    "less than nothing is powered down": (
        {"powered_down"},
        lambda: resting(lambda h: -1.0 if h == 9 else 0.0),
    ),
    "a pool that may not be powered down is": (
        {"powered_down"},
        changed(lambda p: replace(p, slots=row(p.slots, 3, off=1.0))),
    ),
    "a slot says that less is powered down": (
        {"import", "cost", "carbon_kg"},
        lambda: (
            replace(plan := resting(lambda _: 4.0)[0], slots=row(plan.slots, 9, off=2.0)),
            resting(lambda _: 4.0)[1],
        ),
    ),
    "it ramps up too fast": ({"ramp_limit"}, lambda: ramped(piece(2, 4, 4), piece(4, 5, 1))),
    "it ramps down too fast": (
        {"ramp_limit"},
        lambda: ramped(piece(2, 3, 2), piece(3, 4, 4), piece(4, 5, 1), piece(5, 6, 1)),
    ),
    "it falls too fast while real-time load rises": (
        {"ramp_limit"},
        lambda: ramped(piece(0, 1, 2), piece(1, 2, 4), piece(2, 3, 6), piece(3, 4, 8), load=RISES),
    ),
    "it rises too fast while real-time load falls": (
        {"ramp_limit"},
        lambda: ramped(piece(10, 11, 8), piece(11, 12, 6), piece(12, 13, 4), piece(13, 14, 2), load=FALLS),
    ),
    "it emits more than the budget": ({"budget"}, lambda: budgeted(carbon(3.59))),
    "it emits more in a part of a slot": ({"budget"}, lambda: budgeted(carbon(2.24, 0.5, 2.5))),
    "it costs more than the budget": ({"budget"}, lambda: budgeted(Budget("money", 0.715, at(0), at(4)))),
    "real-time load alone is over the budget, and work adds to it": (
        {"budget"},
        lambda: budgeted(carbon(1.0)),
    ),
    "its plant could have kept the budget": (
        {"budget"},
        lambda: beside_a_plant(0.5, lambda h: 4.0 if 1 <= h < 3 else 0.0),
    ),
    "what its plant has too much could have been sold": (
        {"budget"},
        lambda: beside_a_plant(0.0, lambda _: 0.0, budget=Budget("money", 0.0, at(3), at(24)), **SOLD),
    ),
    "less of the budget is used, it says": ({"budget"}, told(used=3.5)),
    "the budget is larger, it says": ({"budget"}, told(limit=5.0)),
    "the budget is of money, it says": ({"budget"}, told(unit="EUR")),
    "another budget, it says": ({"budget"}, told(name="budgets[1]")),
    "more of the budget is worth something, it says": ({"budget"}, told(price=1.0)),
    "it says nothing of the budget": (
        {"budget"},
        lambda: (replace((made := budgeted(carbon(4.0)))[0], budgets=()), made[1]),
    ),
    "a price of a budget is negative": (
        {"duals", "budget"},
        lambda: (
            replace(plan := budgeted(carbon(4.0))[0], duals=replace(plan.duals, budget=(-1.0,))),
            budgeted(carbon(4.0))[1],
        ),
    ),
    "a price of a budget is far above what it would save": (
        {"bound", "budget"},
        lambda: (
            replace(plan := budgeted(carbon(8.0))[0], duals=replace(plan.duals, budget=(1e9,))),
            budgeted(carbon(8.0))[1],
        ),
    ),
    "a price of a budget that is not there": (
        {"duals"},
        changed(lambda p: replace(p, duals=replace(p.duals, budget=(0.0,)))),
    ),
    "its bound is of a fleet without its plant": (
        {"bound"},
        unpriced(lambda: sunny(lambda _: 0.0), 0.5),
    ),
    "its bound is of a fleet that powers nothing down": (
        {"bound"},
        unpriced(lambda: resting(lambda _: 0.0), 0.9),
    ),
    "running at once costs less than its plant could save": (
        {"baseline"},
        changed(lambda p: replace(p, baseline=replace(p.baseline, total=p.baseline.total - 5))),
    ),
}

GOOD: dict[str, Callable[[], Spoiled]] = {
    "a site with a plant": sunny,
    "a plant that is curtailed": lambda: sunny(lambda h: 2.0 if 2 <= h < 5 else 0.0),
    "a plant that stands still": lambda: sunny(lambda _: 0.0),
    "it ramps as fast as it may": lambda: ramped(piece(2, 3, 2), piece(3, 4, 4), piece(4, 5, 2)),
    "it rises with real-time load": lambda: ramped(
        piece(2, 3, 2), piece(3, 5, 4), piece(5, 6, 2), load=RISES
    ),
    "as much as the budgets allow": lambda: budgeted(carbon(3.6), Budget("money", 0.72, at(0), at(4))),
    "a plant that keeps the budget": lambda: beside_a_plant(0.5, lambda h: 5.0 if 1 <= h < 3 else 1.0),
    "a plant that need not run under a ramp limit": lambda: beside_a_plant(
        0.5, lambda h: 4.0 if 1 <= h < 3 else 0.0, ramp_limit_kw_per_minute=1.0
    ),
    "a budget of other sites": lambda: budgeted(replace(carbon(0.0), sites=())),
    "all that is idle is powered down": lambda: resting(lambda h: 4.0 if 2 <= h < 4 else 6.0),
    "nothing is powered down": lambda: resting(lambda _: 0.0),
    "a site with a plant, and no prices of work": unpriced(lambda: sunny(lambda _: 0.0), -1.0),
}
