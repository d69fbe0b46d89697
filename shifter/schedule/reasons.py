"""Why a workload's slots are these: a code of a closed list, and a sentence with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from shifter.schedule.jobs import Job
from shifter.schedule.place import DONE_RATIO

MATERIAL = 0.005
"""Of what running at once costs: a difference below this share is none."""


class ReasonCode(StrEnum):
    """Why a workload's slots are these. The closed list; each has a line in `docs/errors.md`."""

    CHEAPER_LATER = "cheaper_later"
    OWN_GENERATION = "own_generation"
    POWERED_ANYWAY = "powered_anyway"
    NO_GAIN = "no_gain"
    NO_SLACK = "no_slack"
    LESS_RISK = "less_risk"
    WITHIN_BUDGET = "within_budget"
    WITHIN_QUOTA = "within_quota"
    MADE_ROOM = "made_room"
    KEPT = "kept"
    PARTLY_PLACED = "partly_placed"
    UNPLACED = "unplaced"
    REST_LATER = "rest_later"
    RUNNING = "running"


@dataclass(frozen=True)
class Words:
    """Amounts in the fleet's currency."""

    currency: str

    def money(self, amount: float) -> str:
        """An amount of money."""
        return f"{amount:.2f} {self.currency}"

    def unit_cost(self, per_mwh: float) -> str:
        """A price of energy."""
        return f"{per_mwh:.2f} {self.currency}/MWh"


class Compared(NamedTuple):
    """A job in its slots and at once [currency]."""

    paid_per_mwh: float
    """What a MWh costs in its slots from the grid, carbon at its price included."""
    usual_per_mwh: float
    """The mean of its window."""
    cost: float
    """Its energy and carbon, were all of it from the grid."""
    there: float
    """What it really adds to the bill, all else as planned: `instead`."""
    at_once: float
    """What it would add at once."""
    powering: float
    """The part of that which accelerators make that would be powered for it."""
    now_cost: float | None
    """What `cost` would be at once; None where running at once has no place for it."""
    safer: float
    """How much its slots are cheaper at the risk-adjusted prices."""
    priced: float
    """How much they are cheaper with what the plan's limits are worth (`duals`)."""
    over_budget: str
    """The budget that it would break at once, in words; empty where there is none."""
    over_quota: str
    """The same of its tenant's quota."""
    kept: bool
    """Whether it is where an earlier plan announced it."""
    frozen: bool
    """Whether some of it is frozen there."""
    waits: bool
    """Whether it ends later than at once."""

    @property
    def is_dear(self) -> bool:
        """Whether its slots cost more than its window on average."""
        return self.paid_per_mwh > self.usual_per_mwh + MATERIAL * abs(self.usual_per_mwh)


def unfinished(job: Job, done: float) -> tuple[ReasonCode, str] | None:
    """Why a job is where it is that is not done in full; None where it is."""
    if done >= job.hours * (1 - DONE_RATIO):
        return None
    share = f"{100 * done / job.hours:.0f} % of it fits"
    if job.open_ended:
        return ReasonCode.REST_LATER, f"{share} before the plan ends; the rest is planned later."
    if done <= 0:
        return (
            ReasonCode.UNPLACED,
            "Nothing of it fits in its window; see `unplaced` for the earliest deadline that works.",
        )
    return ReasonCode.PARTLY_PLACED, f"{share} in its window, as early as there is room."


def why(job: Job, done: float, of: Compared, words: Words) -> tuple[ReasonCode, str]:
    """The reason for a job's slots: what it gains there, else what it would break elsewhere."""
    if (lacking := unfinished(job, done)) is not None:
        return lacking
    if job.least_us > 0.95 * (job.end_us - job.start_us):
        return ReasonCode.NO_SLACK, "It needs nearly all of its window, so there is no choice of slots."
    figures = (
        f"its slots cost {words.unit_cost(of.paid_per_mwh)} with carbon, "
        f"its window {words.unit_cost(of.usual_per_mwh)} on average"
    )
    material = MATERIAL * abs(of.now_cost or 0.0)
    saved = of.at_once - of.there
    return (
        (_stays(of, saved, material, figures, words) if of.frozen and of.kept and of.is_dear else None)
        or (_gained(of, saved, material, figures, words) if of.now_cost is not None else None)
        or _less_risk(of, material, words)
        or _within(of)
        or _beside_others(of, saved, material, figures, words)
    )


def _stays(of: Compared, saved: float, material: float, figures: str, words: Words) -> tuple[ReasonCode, str]:
    """It is where it was announced, and would be elsewhere if moving it were free."""
    costs = f"costs {words.money(-saved)} more than at once, and " if saved < -material else ""
    held = (
        f"it {costs}runs within the frozen window in part, where nothing moves"
        if of.frozen
        else f"it {costs}would gain less by moving than that is worth"
    )
    return ReasonCode.KEPT, f"Stays where it was announced: {held}: {figures}."


def _gained(
    of: Compared, saved: float, material: float, figures: str, words: Words
) -> tuple[ReasonCode, str] | None:
    """What it saves by its slots: by the grid's price, or by what the site itself has."""
    if saved <= material:
        return None
    by_grid = (of.now_cost or 0.0) - of.cost
    if by_grid > material and by_grid >= 0.5 * saved:
        if of.kept and of.is_dear:  # cheaper than at once, it may be, and not there for that
            return _stays(of, saved, material, figures, words)
        share = f" ({100 * by_grid / abs(of.now_cost):.0f} %)" if of.now_cost else ""
        told = f"Moved to cheaper or cleaner slots: {figures}; saves {words.money(by_grid)}{share}."
        return ReasonCode.CHEAPER_LATER, told
    both = (
        f"all else as planned, it costs {words.money(of.there)} there and would cost {words.money(of.at_once)} "
        "at once."
    )
    if of.powering > saved - of.powering:
        told = f"Runs on accelerators that are powered in any case, so that others may be off: {both}"
        return ReasonCode.POWERED_ANYWAY, told
    return ReasonCode.OWN_GENERATION, f"Moved to where the site has power of its own left: {both}"


def _less_risk(of: Compared, material: float, words: Words) -> tuple[ReasonCode, str] | None:
    """Where it gains nothing at the forecast, and is safer."""
    if of.safer <= material:
        return None
    dearer = max(0.0, of.cost - (of.now_cost or 0.0))
    return ReasonCode.LESS_RISK, (
        f"Moved to calmer slots: at the forecast they cost {words.money(dearer)} more than running at once, "
        f"and {words.money(of.safer)} less with what prices may come to."
    )


def _within(of: Compared) -> tuple[ReasonCode, str] | None:
    """What it would break at once, all else as planned."""
    if of.over_budget:
        return ReasonCode.WITHIN_BUDGET, of.over_budget
    return (ReasonCode.WITHIN_QUOTA, of.over_quota) if of.over_quota else None


def _beside_others(
    of: Compared, saved: float, material: float, figures: str, words: Words
) -> tuple[ReasonCode, str]:
    """It gains nothing by itself: it serves others, or stays where it was announced, or does not matter."""
    dearer = saved < -material
    if of.priced > material + 1e-9 or (dearer and not of.kept):
        costs = f"Costs {words.money(-saved)} more than at once" if dearer else "Costs no more than at once"
        return ReasonCode.MADE_ROOM, f"{costs}, to make room or to keep the peak down: {figures}."
    if of.kept and (dearer or of.waits):
        return _stays(of, saved, material, figures, words)
    return ReasonCode.NO_GAIN, f"No slot of its window is worth waiting for: {figures}."
