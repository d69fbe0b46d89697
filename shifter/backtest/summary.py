"""Policies side by side: the rows of many units, added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shifter.backtest.replay import POLICIES
from shifter.backtest.results import Row

AT_ONCE, BEST = "run_now", "perfect"


@dataclass(frozen=True)
class Total:
    """What a policy came to over some units. Of work that it left undone it pays nothing, so that costs compare by the
    hour: `hour_cost` is what the work costs over what was done in time.
    """

    policy: str
    cost: float
    work_cost: float
    """What the work costs: all, less what real-time load alone would have [currency]."""
    refill_cost: float
    """What of it is for batteries as full as at the start [currency]."""
    carbon_kg: float
    work_carbon_kg: float
    """What the work caused: all, less what real-time load alone would have."""
    peak_kw: float
    """The highest of any month, of each group, summed [kW]."""
    workloads: int
    deadlines_met: int
    asked_hours: float
    done_hours: float
    starts: int
    realtime_hours: float
    denied_hours: float
    reserve_hours: float
    over_power_slots: int
    failed_cycles: int
    wait_hours: float

    @property
    def hour_cost(self) -> float | None:
        """What an accelerator-hour of work costs [currency]; None where none was done."""
        return self.work_cost / self.done_hours if self.done_hours > 0 else None

    @property
    def hour_carbon_g(self) -> float | None:
        """What an accelerator-hour of work causes [gCO2e]; None where none was done."""
        return 1e3 * self.work_carbon_kg / self.done_hours if self.done_hours > 0 else None

    @property
    def kept_ratio(self) -> float:
        """How much of real-time load had its accelerators (0..1)."""
        return 1 - self.denied_hours / self.realtime_hours if self.realtime_hours > 0 else 1.0

    @property
    def met_ratio(self) -> float:
        """How many of the workloads were done in time (0..1)."""
        return self.deadlines_met / self.workloads if self.workloads else 1.0


def totals(rows: Iterable[Row]) -> dict[str, Total]:
    """By policy, in the order that policies have."""
    by_policy: dict[str, list[Row]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
    return {name: _total(name, by_policy[name]) for name in POLICIES if name in by_policy}


def about(rows: Sequence[Row]) -> str:
    """What was replayed: `DE-LU; 2020-03 to 2020-05; 15 replays`."""
    groups, months = sorted({r.group for r in rows}), sorted({r.month for r in rows})
    span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    count = "1 replay" if len(rows) == 1 else f"{len(rows):,} replays"
    return f"{', '.join(groups)}; {span}; {count}"


def made_up(rows: Sequence[Row]) -> str:
    """`SYNTHETIC, not the real grid.`, with the groups of which it is true where it is not of all; "" where of none."""
    groups = sorted({r.group for r in rows if r.synthetic})
    if not groups:
        return ""
    where = "" if all(r.synthetic for r in rows) else f" in {', '.join(groups)}"
    return f"SYNTHETIC, not the real grid{where}."


def _total(policy: str, rows: Sequence[Row]) -> Total:
    def add(name: str) -> Any:
        return sum(getattr(row, name) for row in rows)

    peaks: dict[str, float] = {}
    for row in rows:
        peaks[row.group] = max(peaks.get(row.group, 0.0), row.peak_kw)
    met = add("deadlines_met")
    return Total(
        policy=policy,
        cost=add("cost"),
        work_cost=add("cost") - add("base_cost"),
        refill_cost=add("refill_cost"),
        carbon_kg=add("carbon_kg"),
        work_carbon_kg=add("carbon_kg") - add("base_carbon_kg"),
        peak_kw=sum(peaks.values()),
        workloads=add("workloads"),
        deadlines_met=met,
        asked_hours=add("asked_hours"),
        done_hours=add("done_hours"),
        starts=add("starts"),
        realtime_hours=add("realtime_hours"),
        denied_hours=add("denied_hours"),
        reserve_hours=add("reserve_hours"),
        over_power_slots=add("over_power_slots"),
        failed_cycles=add("failed_cycles"),
        wait_hours=sum(row.wait_hours * row.deadlines_met for row in rows) / met if met else 0.0,
    )


def saved_ratio(total: Total, at_once: Total | None) -> float | None:
    """How much less an hour of work costs than at once; None where there is nothing to compare with."""
    if at_once is None or not at_once.hour_cost or total.hour_cost is None or at_once.hour_cost <= 0:
        return None
    return 1 - total.hour_cost / at_once.hour_cost


def captured_ratio(total: Total, found: dict[str, Total]) -> float | None:
    """How much of what perfect foresight saves against running at once; None where that is nothing, or not there."""
    at_once, best = found.get(AT_ONCE), found.get(BEST)
    if at_once is None or best is None:
        return None
    saved, most = saved_ratio(total, at_once), saved_ratio(best, at_once)
    return saved / most if saved is not None and most is not None and most > 1e-9 else None


def captured_carbon_ratio(total: Total, found: dict[str, Total]) -> float | None:
    """The same of carbon: of what an hour of work causes less by perfect foresight, that goes by cost, than at once."""
    at_once, best = found.get(AT_ONCE), found.get(BEST)
    if at_once is None or best is None:
        return None
    own, most, least = total.hour_carbon_g, at_once.hour_carbon_g, best.hour_carbon_g
    if own is None or most is None or least is None or most - least <= 1e-9 * abs(most):
        return None
    return (most - own) / (most - least)
