"""What contradicts itself in a fleet's `objective.risk`, and what is probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from forecasts.trust import EVERY_ZONE
from shifter.domain.fleet import Fleet
from shifter.files.places import Finding, Loc, suggestion

AT: Loc = ("objective", "risk")


def risk_mistakes(fleet: Fleet) -> Iterator[Finding]:
    """Two measures at once, rows of trust that contradict each other, and zones that no site is in."""
    risk = fleet.objective.risk
    if risk.cvar_weight > 0 and risk.robust_quantile is not None:
        both = f"robust_quantile {risk.robust_quantile:g} and cvar_weight {risk.cvar_weight:g}"
        yield (
            (*AT, "robust_quantile"),
            f"{both} are two measures of risk, and one is minimised.",
            "Keep one: the quantile plans as if all came out high, the weight looks at the worst paths together.",
        )
    seen: dict[tuple[object, ...], int] = {}
    for i, row in enumerate(risk.trust):
        first = seen.setdefault((row.zone, row.signal, row.source, row.lead_hours), i)
        if first < i:
            yield (
                (*AT, "trust", i, "lead_hours"),
                f"trust[{first}] already says how much is believed {row.lead_hours:g} h ahead.",
                "Give one row a zone, signal, source and lead time.",
            )
        if row.zone not in {EVERY_ZONE, *fleet.zones}:
            yield (
                (*AT, "trust", i, "zone"),
                f"no site is in the zone `{row.zone}`.",
                suggestion(row.zone, fleet.zones, "zones of the fleet"),
            )


def risk_warnings(fleet: Fleet) -> Iterator[Finding]:
    """A tail that is thinner than one path."""
    risk = fleet.objective.risk
    tail = 1 - risk.cvar_level
    if risk.cvar_weight > 0 and risk.scenarios * tail < 1 - 1e-9:
        of_them = f"{100 * tail:.3g} % of {risk.scenarios} scenarios"
        yield (
            (*AT, "cvar_level"),
            f"the worst {of_them} is less than one of them: what counts is the worst one.",
            f"Give {ceil(1 / tail - 1e-6)} scenarios or more, or lower the level.",
        )
