"""A plan, told to a person: what it costs beside running at once, what runs where, and what cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from shifter.cli.console import Column, out, print_table, say, spark_width, styled
from shifter.cli.limited import print_budgets, print_promises, print_tenants
from shifter.cli.text import (
    LEAST_SHOWN,
    LocalTimes,
    by,
    gap,
    local,
    money,
    number,
    plural,
    saving,
    sparkline,
)

if TYPE_CHECKING:
    from shifter.domain.plan import Plan

MOST_WORKLOADS = 40
COST_ITEMS = {
    "energy": "energy",
    "carbon": "carbon at its price",
    "demand_charge": "demand charge",
    "battery_wear": "battery wear",
    "generation": "own generation",
    "export": "export",
    "over_quota": "use beyond quotas",
}
"""Items of a plan's cost, as a person calls them; a new one is called by its name."""

ALWAYS = {"energy", "carbon", "demand_charge"}
MOST_HELPED = 10
"""Workloads of which it is told what would help them."""

MOST_LIMITS = 2
"""Limits that are told of work that has no place in time: those that would help most."""

NOT_WHOLE = {"partly_placed", "unplaced"}
"""Of these the plan does less than running at once would: a saving would be a comparison of unlike things."""


def shown_part(plan: Plan) -> dict[str, Any]:
    """`plan.json` with no more workloads than are shown: all of a large plan would take long to make, and much room."""
    shown = plan.workloads[:MOST_WORKLOADS]
    ids = {w.workload_id for w in shown}
    places = tuple(a for a in plan.allocations if a.workload_id in ids)
    return replace(plan, workloads=shown, allocations=places).to_dict()


def print_summary(
    plan: dict[str, Any],
    real_time: Sequence[tuple[str, str]] = (),
    *,
    sites: bool = True,
    workload_count: int | None = None,
) -> None:
    """`plan` is `plan.json`, or the part of it that is shown, of `workload_count` in all; `real_time` are the workloads
    that are not shifted, each with its reason.
    """
    _print_heading(plan)
    _print_money(plan)
    if sites:
        _print_sites(plan)
    _print_workloads(plan, len(plan["workloads"]) if workload_count is None else workload_count)
    print_budgets(plan)
    print_tenants(plan)
    print_promises(plan)
    if real_time:
        columns = (Column("real-time, never moved"), Column("because", wrap=True))
        print_table(columns, [(styled(name, "magenta"), why) for name, why in real_time])
    _print_unplaced(plan)
    for warning in plan["warnings"]:
        if not (plan["synthetic"] and "synthetic" in warning):  # the heading says that once for all
            say(f"warning: {warning}", "yellow")


def _print_heading(plan: dict[str, Any]) -> None:
    horizon = plan["horizon"]
    line = Text.assemble(
        ("Plan ", "bold"),
        (plan["plan_id"][:12], "bold cyan"),
        f"  {local(horizon['start'])} to {local(horizon['end'])}, slots of {horizon['slot_minutes']} min",
    )
    if plan["synthetic"]:
        line.append("  prices and carbon are synthetic", "bold yellow")
    out().print(line, soft_wrap=True)


def _print_money(plan: dict[str, Any]) -> None:
    cost, baseline, currency = plan["cost"], plan["baseline"], plan["currency"]
    peak_kw = _peak_kw(plan)
    rows: list[tuple[str | Text, ...]] = [
        _compared(f"deferrable work ({currency})", plan["deferrable_total"], baseline["deferrable_total"]),
        _compared(f"whole fleet ({currency})", cost["total"], baseline["total"]),
        _compared("whole fleet (kg CO2e)", plan["carbon_kg"], baseline["carbon_kg"]),
        _compared("peak of the fleet (kW)", peak_kw, baseline["peak_kw"]),
    ]
    columns = (Column(""), *(Column(name, "right") for name in ("planned", "run at once", "saved", "")))
    print_table(columns, rows)
    made_of = ", ".join(f"{label} {number(amount)}" for label, amount in cost_items(cost))
    late = baseline["late_accelerator_hours"]
    out().print(f"The plan costs {made_of} {currency}; {best(plan)}.", style="dim", soft_wrap=True)
    if plan.get("risk"):
        out().print(uncertain(plan["risk"], currency), style="dim", soft_wrap=True)
    if late > 0.05:
        out().print(
            f"Run at once, {number(late, 1)} accelerator-h would be late.", style="dim", soft_wrap=True
        )
    undone = baseline["unfinished_accelerator_hours"]
    if undone > 0.05:
        told = f"Not like for like: run at once, {number(undone, 1)} accelerator-h would not be done at all."
        out().print(told, style="dim", soft_wrap=True)
    if plan["unplaced"]:
        told = "What has no place in time (below) counts on neither side."
        out().print(told, style="dim", soft_wrap=True)
    out().print()


def cost_items(cost: dict[str, Any]) -> list[tuple[str, float]]:
    """The items of a plan's cost with their names: the first three always, others where they are in use."""
    cost = {key: amount for key, amount in cost.items() if key != "further"} | cost.get("further", {})
    further = [key for key in cost if key not in {*COST_ITEMS, "total"}]
    named = {**COST_ITEMS, **{key: key.replace("_", " ") for key in further}}
    return [(label, cost[key]) for key, label in named.items() if key in ALWAYS or cost.get(key)]


def saved(plan: dict[str, Any]) -> str:
    """What it costs less or more than running at once, and by what: deferrable work, or what else the fleet has."""
    baseline, currency = plan["baseline"], plan["currency"]
    less = baseline["total"] - plan["cost"]["total"]
    by_work = baseline["deferrable_total"] - plan["deferrable_total"]
    share = saving(plan["deferrable_total"], baseline["deferrable_total"]).lstrip("-")
    means = means_besides(plan)
    if not plan["workloads"]:
        if abs(less) < LEAST_SHOWN:
            return "the same, because no deferrable work is planned"
        return f"{_less(less, currency)}, all of it by {means}; no deferrable work is planned"
    if abs(less - by_work) >= LEAST_SHOWN:
        of = "" if share == "–" else f", {share} of what that costs"
        besides = f"by {means} it {_less(less - by_work, currency)}"
        # What work takes of the site's own power counts there as if it were the grid's.
        priced = " at the grid's price" if any(row.get("generated_kw") for row in plan["power"]) else ""
        return f"{_less(less, currency)}: by deferrable work{priced} it {_less(by_work, currency)}{of}; {besides}"
    return _less(less, currency) + ("" if share == "–" else f", {share} of what deferrable work costs")


def means_besides(plan: dict[str, Any]) -> str:
    """What changes the bill besides deferrable work: what the sites have and the plan uses."""
    used = {
        "the battery": any(row["charge_kw"] or row["discharge_kw"] for row in plan["power"]),
        "its own plant": any(row.get("generated_kw") for row in plan["power"]),
        "export": any(row.get("export_kw") for row in plan["power"]),
        "powering down": any(row.get("off") for row in plan["slots"]),
        "moving what was announced": bool(plan["cost"].get("churn")),
    }
    names = [name for name, is_used in used.items() if is_used] or ["the sites"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _less(amount: float, currency: str) -> str:
    if amount <= -LEAST_SHOWN:
        return f"costs {money(-amount, currency)} more"
    return f"saves {money(max(0.0, amount), currency)}"


def uncertain(risk: dict[str, Any], currency: str) -> str:
    """What the plan may come to where prices are uncertain, and what was minimised in place of its cost."""
    amounts = {
        key: money(risk[key], currency) for key in ("objective", "expected", "tail", "worst", "premium")
    }
    if risk["measure"] == "quantile":
        return (
            f"It is planned for prices at which it costs {amounts['tail']}, {amounts['premium']} more than at the "
            "forecast; the gap is to the best for those."
        )
    paths, share = len(risk["paths"]), f"{100 * (1 - risk['level']):.3g} %"
    return (
        f"Over {paths} paths of price and carbon: {amounts['expected']} expected, {amounts['tail']} in the worst "
        f"{share}, {amounts['worst']} at worst. Minimised: {amounts['objective']}, and the gap is to the least of that."
    )


def best(plan: dict[str, Any]) -> str:
    """How far the plan is from the best possible for the same work."""
    above = gap(plan["relative_gap"])
    return f"{above if above.startswith('less') else f'at most {above}'} above the best possible"


def _peak_kw(plan: dict[str, Any]) -> float:
    """The highest slot-mean import of all sites together [kW], as the baseline counts it."""
    together: dict[str, float] = {}
    for row in plan["power"]:
        together[row["start"]] = together.get(row["start"], 0.0) + row["import_kw"]
    return max(together.values(), default=0.0)


def _compared(label: str, planned: float, at_once: float) -> tuple[str | Text, ...]:
    less = at_once - planned
    style = "bold green" if less > 0.005 else ""
    return (
        label,
        number(planned),
        number(at_once),
        styled(number(less), style),
        styled(saving(planned, at_once), style),
    )


def _print_sites(plan: dict[str, Any]) -> None:
    currency = plan["currency"]
    rows: list[tuple[str | Text, ...]] = []
    for site in dict.fromkeys(r["site"] for r in plan["power"]):
        power = [p for p in plan["power"] if p["site"] == site]
        work: dict[str, float] = {}
        for r in plan["slots"]:
            if r["site"] == site:
                work[r["start"]] = work.get(r["start"], 0.0) + r["deferrable"]
        rows += [
            _course(styled(site, "bold"), f"price ({currency}/MWh)", [p["price_per_mwh"] for p in power]),
            _course("", "carbon (gCO2e/kWh)", [p["carbon_g_per_kwh"] for p in power]),
            _course("", "deferrable (accelerators)", list(work.values())),
        ]
    columns = (
        Column("site"),
        Column("what"),
        Column("over the horizon"),
        Column("range", "right", expendable=60),
    )
    print_table(columns, rows)


def _course(site: str | Text, what: str, values: list[float | None]) -> tuple[str | Text, ...]:
    known = [v for v in values if v is not None]
    span = f"{number(min(known), 0)} to {number(max(known), 0)}" if known else "unknown"
    return (site, what, sparkline(values, spark_width(62)), span)


def _print_workloads(plan: dict[str, Any], count: int) -> None:
    shown = plan["workloads"][:MOST_WORKLOADS]
    times = LocalTimes(m for w in shown for m in (w["start"], w["finish"]))
    places: dict[str, dict[str, None]] = {}
    for a in plan["allocations"]:
        places.setdefault(a["workload_id"], {})[f"{a['site']}/{a['pool']}"] = None
    rows = [
        (
            w["workload_id"],
            times(w["start"]),
            times(w["finish"]),
            ", ".join(places.get(w["workload_id"], {})) or "–",
            number(w["cost"]),
            number(w["run_now_cost"]),
            "–" if w["reason_code"] in NOT_WHOLE else saving(w["cost"], w["run_now_cost"]),
            w["reason"],
        )
        for w in shown
    ]
    currency = plan["currency"]
    columns = (
        Column("deferrable"),
        Column(times.header("start"), expendable=60),
        Column(times.header("finish"), expendable=80),
        Column("where", expendable=110, wrap=True),
        Column(f"cost ({currency})", "right", expendable=70),
        Column("at once", "right", expendable=130),
        Column("saved", "right"),
        Column("why", expendable=150, wrap=True),
    )
    print_table(columns, rows, empty="No deferrable work.")
    if count > MOST_WORKLOADS:
        say(f"… and {plural(count - MOST_WORKLOADS, 'more workload')}.", "dim")


def _print_unplaced(plan: dict[str, Any]) -> None:
    rows = [
        (
            styled(u["workload_id"], "bold yellow"),
            number(u["accelerator_hours"], 1),
            by(u["earliest_feasible_deadline"]) or "beyond the horizon",
            u["reason"],
        )
        for u in plan["unplaced"]
    ]
    columns = (
        Column("cannot be done in time"),
        Column("accelerator-h left over", "right", expendable=60),
        Column("earliest deadline that works"),
        Column("because", expendable=120, wrap=True),
    )
    print_table(columns, rows)
    helped = [u for u in plan["unplaced"] if u.get("limits")]
    for u in helped[:MOST_HELPED]:
        texts = (limit["text"] for limit in u["limits"][:MOST_LIMITS])
        out().print(styled(u["workload_id"], "bold yellow"), " ".join(texts), soft_wrap=True)
    if len(helped) > MOST_HELPED:
        say(f"… and what would help {plural(len(helped) - MOST_HELPED, 'more workload')}.", "dim")
