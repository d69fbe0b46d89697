"""Budgets, tenants and promises, told to a person: how much of what is limited is used, by whom, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from shifter.cli.console import Column, out, print_table, say, styled
from shifter.cli.text import number, percent, unit_price

MOST_TENANTS = 20


def print_budgets(plan: Mapping[str, Any]) -> None:
    """What is used of each budget, where the fleet has any, and what one more unit would save."""
    rows: list[tuple[str | Text, ...]] = [
        (
            styled(budget["name"], "bold"),
            budget["unit"],
            number(budget["used"]),
            number(budget["limit"]),
            percent(_share(budget["used"], budget["limit"])),
            unit_price(budget["price"]),
        )
        for budget in plan.get("budgets", ())
    ]
    columns = (
        Column("budget"),
        Column("unit"),
        Column("used", "right"),
        Column("of", "right"),
        Column("", "right", expendable=60),
        Column(f"one more would save ({plan['currency']})", "right"),
    )
    print_table(columns, rows)


def print_promises(plan: Mapping[str, Any]) -> None:
    """What each promise to real-time load costs a day, where the fleet has failover groups."""
    said = plan.get("resilience")
    if said is None:
        return
    rows: list[tuple[str | Text, ...]] = [
        (
            styled(_promised(one), "bold"),
            one["group"] or "the site itself",
            "unknown" if one["cost_per_day"] is None else number(one["cost_per_day"]),
            {"at_most": "at most", "solved": ""}.get(one["basis"] or "", ""),
            number(one["late_accelerator_hours"], 1),
            styled(_missing(one), "bold yellow" if one["missing_slots"] else ""),
        )
        for one in said["promises"]
    ]
    columns = (
        Column("promised"),
        Column("held by", expendable=60),
        Column(f"a day ({plan['currency']})", "right"),
        Column(""),
        Column("late for it (accelerator-h)", "right", expendable=40),
        Column("held by nobody"),
    )
    print_table(columns, rows)


def say_promises(plan: Mapping[str, Any]) -> None:
    """The same in a line each."""
    for one in _promises(plan):
        said, style = ("not kept", "bold yellow") if one["missing_slots"] else ("kept", "")
        out().print(styled(f"promise {said}: {one['text']}", style), soft_wrap=True)


def say_own_promises(worth: Mapping[str, Any]) -> None:
    """What sites promise by themselves where the plan does not tell of it: `worth` is a `FleetWorth` as JSON."""
    for one in (one for site in worth["sites"] for one in site["promises"]):
        out().print(f"promise: {one['text']}", soft_wrap=True)


def not_kept(plan: Mapping[str, Any]) -> str:
    """How many promises to real-time load the plan cannot keep whole; empty where it keeps all."""
    every = _promises(plan)
    broken = sum(one["missing_slots"] > 0 for one in every)
    return f"{broken} of {len(every)} {'is' if broken == 1 else 'are'} not kept whole" if broken else ""


def _promises(plan: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    said: Sequence[Mapping[str, Any]] = (plan.get("resilience") or {}).get("promises", ())
    return said


def _promised(promise: Mapping[str, Any]) -> str:
    kind, name = promise["kind"], promise["name"]
    others = {
        "domains": f"loss of failure domains of {name}",
        "ride_through": f"no grid for a while at {name}",
        "strict": f"idle reserve of {name}",
    }
    return others.get(kind, f"loss of {kind} {name}")


def _missing(promise: Mapping[str, Any]) -> str:
    most, slots = promise["missing_accelerators"], promise["missing_slots"]
    if most is None:
        return "unknown"
    kwh = promise.get("missing_kwh", 0.0)
    amount = f"{number(kwh, 1)} kWh" if kwh else number(most, 1)
    return f"up to {amount} in {slots} slots" if slots else "–"


def print_tenants(plan: Mapping[str, Any]) -> None:
    """How each tenant is served, where quotas or fairness count: those with most late work first."""
    tenants = sorted(plan.get("tenants", ()), key=lambda t: (-t["short_accelerator_hours"], t["tenant"]))
    if not tenants:
        return
    currency = plan["currency"]
    columns = (
        Column("tenant"),
        Column("weight", "right", expendable=80),
        Column("most used", "right"),
        Column("of quota", "right"),
        Column("asked (h)", "right", expendable=60),
        Column("late (h)", "right"),
        Column("late", "right"),
        Column("beyond quota (h)", "right", expendable=90),
        Column(f"for that ({currency})", "right", expendable=100),
        Column(f"fairness ({currency})", "right", expendable=70),
        Column(f"next late hour ({currency})", "right", expendable=110),
        Column(f"one more of quota saves ({currency})", "right", expendable=50),
    )
    print_table(columns, [_tenant_row(tenant) for tenant in tenants[:MOST_TENANTS]])
    if len(tenants) > MOST_TENANTS:
        say(f"and {len(tenants) - MOST_TENANTS} tenants more, with no more late.", "dim")


def _tenant_row(tenant: Mapping[str, Any]) -> Sequence[str | Text]:
    asked, late = tenant["asked_accelerator_hours"], tenant["short_accelerator_hours"]
    return (
        styled(tenant["tenant"], "magenta"),
        f"{tenant['weight']:g}",
        number(tenant["used_accelerators"], 1),
        number(tenant["quota_accelerators"], 1),
        number(asked, 1),
        number(late, 1),
        percent(_share(late, asked)),
        number(tenant["over_quota_accelerator_hours"], 1),
        number(tenant["over_quota_cost"]),
        number(tenant["fairness_cost"]),
        unit_price(tenant["next_short_hour_cost"]),
        unit_price(tenant["quota_price"]),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
