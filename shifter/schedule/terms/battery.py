"""A battery behind the meter: charge and discharge are slot means [kW], stored energy is at each slot's start [kWh].

    stored[t+1] = stored[t] + slot_hours * (charge_efficiency * charge[t] - discharge[t] / discharge_efficiency)
    stored[0] = initial,  stored[n] >= initial,  floor[t] <= stored[t] <= energy_kwh
    charge[t] + discharge[t] <= power_kw      (it does one at a time: both means share the slot)
    discharge[t] - charge[t] <= what the site draws         (it exports nothing)

By the balance of the site, the last is `export - import <= generated`: a site sells no more than its own plant gives.
Where it has no export at all, import and generation are never negative, and no row is needed.

`floor` holds the minimum and the ride-through of real-time load. Where the battery cannot hold that much, `short_kwh`
says by how much, at a price above everything else; the load itself is never cut.
"""

from __future__ import annotations

import numpy as np

from shifter.schedule.program import LinearProgram, TermInputs, generated_of, net_import
from shifter.schedule.sites import SiteArrays

SHORT_PRICE_RATIO = 200.0
"""Against the price of lateness, for a kW over a slot: what must be held comes before work. It also comes before the
relief of an overload, which is a fault of the site and no reason to empty its battery."""


class BatteryTerm:
    """For each site i with a battery, the variables `charge.i`, `discharge.i`, `stored.i` and `short_kwh.i`."""

    name = "battery"

    def build(self, program: LinearProgram, given: TermInputs) -> None:
        """Add every battery."""
        for i, site in enumerate(given.problem.sites):
            if site.battery is not None:
                self._add(program, given, i, site)

    def _add(self, program: LinearProgram, given: TermInputs, i: int, site: SiteArrays) -> None:
        battery = site.battery
        assert battery is not None
        n, hours = given.problem.grid.n_slots, given.problem.grid.slot_hours
        charge = program.variables(f"charge.{i}", n, upper=battery.power_kw)
        wear = battery.wear_cost_per_kwh * hours
        discharge = program.variables(f"discharge.{i}", n, upper=battery.power_kw, cost=wear)
        lower, upper = np.zeros(n + 1), np.full(n + 1, float(battery.energy_kwh))
        lower[0] = upper[0] = lower[n] = battery.initial_kwh  # standing still keeps both ends
        stored = program.variables(f"stored.{i}", n + 1, lower=lower, upper=upper)

        slots = np.arange(n)
        balance = program.rows["import"]
        balance.add(i * n + slots, charge, -1.0)
        balance.add(i * n + slots, discharge, 1.0)

        change = program.equal(f"stored.{i}", np.zeros(n))
        change.add(slots, stored[1:], 1.0)
        change.add(slots, stored[:-1], -1.0)
        change.add(slots, charge, -hours * battery.charge_efficiency)
        change.add(slots, discharge, hours / battery.discharge_efficiency)

        one_at_a_time = program.at_most(f"battery_power.{i}", np.full(n, battery.power_kw))
        one_at_a_time.add(slots, charge, 1.0)
        one_at_a_time.add(slots, discharge, 1.0)

        if site.export_limit_kw > 0:
            at_home = program.at_most(f"battery_at_home.{i}", np.zeros(n))
            net_import(at_home, program, given.problem, [i], -1.0)
            generated = generated_of(program, given.problem, i)
            at_home.add(range(len(generated)), generated, -1.0)

        floor = site.battery_floor_kwh(n)
        price = SHORT_PRICE_RATIO * given.problem.physical_price / hours
        most = np.maximum(0.0, floor - site.reachable_kwh(hours))
        short = program.relief(f"short_kwh.{i}", n, price=price, most=most)
        held = program.at_most(f"battery_floor.{i}", -floor)
        held.add(slots, stored[:-1], -1.0)
        held.add(slots, short, -1.0)
