"""The program of a battery alone, at prices: what one more kWh would save, and what a floor costs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from forecasts.slots import Floats
from shifter.domain.plant import Battery

SUPPOSED = Battery(energy_kwh=1.0, power_kw=0.5)
"""One kWh of a battery that a site does not have yet: it fills in two hours, and comes empty."""


def kwh_worth(battery: Battery, per_kw: Floats, floor_kwh: Floats, hours: float) -> Floats | None:
    """What one more kWh at the same power saves, by the slot at whose end it would be held, (n_slots,) [currency].

    `per_kw` is what a kW over each slot costs (n_slots,), `floor_kwh` what the battery must hold at the slots' starts.
    The battery runs alone, as in the plan's bound:

        least sum of per_kw*(charge - discharge) + wear*hours*discharge,
        stored[t+1] - stored[t] = hours*(ec*charge - discharge/ed),   floor <= stored <= energy,   stored[0] = initial,

    and it ends no lower than it began. The least cost is convex in `energy`, so its duals never say too little of what
    one more would save (Boyd and Vandenberghe 2004, 5.6.2). None where no program could be solved.
    """
    found = _solved(battery, per_kw, floor_kwh, hours)
    return None if found is None else -found.stored


def floor_cost(battery: Battery, per_kw: Floats, floor_kwh: Floats, hours: float) -> float | None:
    """What it costs a battery alone to hold that much at the slots' starts, beyond its own least [currency]."""
    free = np.full(len(per_kw), battery.min_kwh)
    held, not_held = (_solved(battery, per_kw, floor, hours) for floor in (np.maximum(free, floor_kwh), free))
    return None if held is None or not_held is None else held.cost - not_held.cost


def new_kwh_worth(per_kw: Floats, hours: float) -> Floats:
    """The same of a kWh of the `SUPPOSED` battery, (n_slots,): of its energy, and of the power that comes with it."""
    found = _solved(SUPPOSED, per_kw, np.zeros(len(per_kw)), hours)
    assert found is not None, "an empty battery may stay empty"
    return -(found.stored * SUPPOSED.energy_kwh + (found.charge + found.discharge) * SUPPOSED.power_kw)


class _Alone(NamedTuple):
    """What a battery costs alone [currency], and the duals of the upper limits of charge, discharge and what is stored
    at each slot's end, (n_slots,) each, <= 0."""

    cost: float
    charge: Floats
    discharge: Floats
    stored: Floats


def _solved(battery: Battery, per_kw: Floats, floor_kwh: Floats, hours: float) -> _Alone | None:
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, hstack

    n = len(per_kw)
    begun = np.zeros(n)
    begun[0] = battery.initial_kwh
    # What is stored at a slot's end, less what is at its start, is what is charged less what is discharged.
    change = eye_array(n) - eye_array(n, k=-1)
    balance: Any = hstack(
        [
            -hours * battery.charge_efficiency * eye_array(n),
            hours / battery.discharge_efficiency * eye_array(n),
            change,
        ]
    )
    lowest = np.append(floor_kwh[1:], max(battery.initial_kwh, 0.0))
    highest = np.full(n, float(battery.energy_kwh))
    rates = np.zeros(2 * n), np.full(2 * n, float(battery.power_kw))
    bounds: Any = np.column_stack(
        [np.append(rates[0], np.minimum(lowest, highest)), np.append(rates[1], highest)]
    )
    cost = np.concatenate([per_kw, battery.wear_cost_per_kwh * hours - per_kw, np.zeros(n)])
    found: Any = linprog(cost, A_eq=balance.tocsr(), b_eq=begun, bounds=bounds, method="highs")
    if found.status != 0:
        return None
    return _Alone(float(found.fun), *(np.array(part) for part in np.split(found.upper.marginals, 3)))
