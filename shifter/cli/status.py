"""`shifter status`: what runs now and why, how old the plan is, and what is wrong, in one glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from shifter.cli.console import Column, out, print_json, print_table, say
from shifter.cli.fields import print_fields
from shifter.cli.limited import not_kept, print_budgets, print_tenants, say_own_promises, say_promises
from shifter.cli.options import DEFAULT_URL, EVERY, Json, Url, connect
from shifter.cli.program import command
from shifter.cli.slots import bar
from shifter.cli.summary import best, saved
from shifter.cli.text import duration, local, moment, money, number, percent, plural, saving, sparkline

HEALTH_STYLES = {"ok": "bold green", "degraded": "bold yellow", "failing": "bold red"}
MOST_SHOWN = 8
_NEVER = datetime.max.replace(tzinfo=UTC)


def status(as_json: Json = False, url: Url = DEFAULT_URL) -> None:
    """What runs now and why, and whether all is well.

    Exit code 0 whatever the health is; it is in the first line, and in `health.status` with --json.
    """
    client = connect(url)
    health = client.health()
    plan = client.plan() if health["plan_id"] else None
    running = client.workloads(state="running", limit=EVERY)
    planned = client.workloads(state="planned", limit=EVERY)
    late = client.workloads(state="late", limit=EVERY)
    if as_json:
        work = {"running": running, "planned": planned, "late": late}
        print_json({"health": health, "plan": _summary(plan), **work})
        return
    _print_health(health, url)
    if plan is None:
        say("There is no plan yet.", "yellow")
        _print_trouble(health, planned + running, late)
        return
    _print_plan(plan)
    _print_places(plan, health["now"])
    _print_running(running, plan, health["now"], url)
    _print_next(planned, plan, health["now"], url)
    print_budgets(plan)
    print_tenants(plan)
    say_promises(plan)
    if not plan.get("resilience"):
        say_own_promises(client.value())
    _print_trouble(health, planned + running, late, plan["warnings"])


def _summary(plan: dict[str, Any] | None) -> dict[str, Any] | None:
    """The plan without its long tables."""
    if plan is None:
        return None
    long = {"slots", "power", "allocations", "duals", "workloads"}
    return {k: v for k, v in plan.items() if k not in long}


def _print_health(health: dict[str, Any], url: str) -> None:
    clock = f"simulated clock, {health['speed']:g} times as fast" if health["simulated_clock"] else "clock"
    line = Text.assemble(
        ("● ", HEALTH_STYLES.get(health["status"], "")),
        (health["status"], HEALTH_STYLES.get(health["status"], "")),
        f"  shifter {health['version']} at {url}  ",
        (f"{local(health['now'])} ({clock})", "bold yellow" if health["simulated_clock"] else ""),
    )
    out().print(line, soft_wrap=True)


def _print_plan(plan: dict[str, Any]) -> None:
    currency, baseline = plan["currency"], plan["baseline"]
    synthetic = "  prices and carbon are synthetic" if plan.get("synthetic") else ""
    fields: list[tuple[str, str | Text]] = [
        ("plan", f"{plan['plan_id'][:12]} of {local(plan['created_at'])}{synthetic}"),
        (
            "cost",
            (
                f"{money(plan['cost']['total'], currency)}, at once {money(baseline['total'], currency)}: "
                f"{saved(plan)}; {best(plan)}"
            ),
        ),
        ("carbon", f"{number(plan['carbon_kg'], 0)} kg, at once {number(baseline['carbon_kg'], 0)} kg"),
    ]
    if broken := not_kept(plan):
        fields.append(("promises", Text(broken, "bold yellow")))
    print_fields(out(), "", fields)


def _print_places(plan: dict[str, Any], now_text: str) -> None:
    now = moment(now_text)
    assert now is not None
    rows: list[tuple[str | Text, ...]] = []
    for site in dict.fromkeys(r["site"] for r in plan["slots"]):
        power = [p for p in plan["power"] if p["site"] == site]
        at = _now_row(power, now)
        course = sparkline([p["price_per_mwh"] for p in power], 32)
        for pool in dict.fromkeys(r["pool"] for r in plan["slots"] if r["site"] == site):
            r = _now_row([r for r in plan["slots"] if (r["site"], r["pool"]) == (site, pool)], now)
            first = not rows or rows[-1][0] != site
            rows.append(
                (
                    site,
                    pool,
                    number(r["realtime_p50"], 0),
                    number(r["reserved"], 0),
                    number(r["deferrable"], 0),
                    str(r["count"]),
                    bar(r["realtime_p50"], r["reserved"], r["deferrable"], r["count"], 16),
                    _import(at) if first else "",
                    number(at["price_per_mwh"], 0) if first else "",
                    number(at["carbon_g_per_kwh"], 0) if first else "",
                    course if first else "",
                )
            )
    columns = (
        Column("site"),
        Column("pool"),
        Column("real-time p50", "right", expendable=90),
        Column("reserved", "right", expendable=90),
        Column("deferrable", "right"),
        Column("of", "right", expendable=60),
        Column("this slot", expendable=110),
        Column("import (kW)", "right", expendable=100),
        Column(f"{plan['currency']}/MWh", "right"),
        Column("gCO2e/kWh", "right", expendable=80),
        Column("price ahead", expendable=120),
    )
    print_table(columns, rows)


def _import(row: dict[str, Any]) -> Text:
    """What a site draws of what it may [kW], marked where that is more."""
    drawn, limit = row["import_kw"], row["limit_kw"]
    text = f"{_kw(drawn)} of {_kw(limit)}"
    over = limit is not None and drawn > limit + 1e-6
    return Text(f"{text}, over", "bold red") if over else Text(text)


def _kw(value: float | None) -> str:
    """Whole, but for what is so small that it would be lost: 0.5 is not 0."""
    return number(value, 0) if value is None or value >= 10 or value == round(value) else f"{value:.2g}"


def _now_row(rows: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """The row whose slot holds `now`, or the nearest one."""
    past = [r for r in rows if (moment(r["start"]) or now) <= now]
    return past[-1] if past else rows[0]


def _print_running(running: list[dict[str, Any]], plan: dict[str, Any], now_text: str, url: str) -> None:
    now = moment(now_text)
    why = {w["workload_id"]: w["reason"] for w in plan["workloads"]}
    rows = []
    for view in running[:MOST_SHOWN]:
        held: Counter[str] = Counter()
        for a in plan["allocations"]:
            if a["workload_id"] == view["id"] and moment(a["start"]) <= now < moment(a["end"]):  # type: ignore[operator]
                held[f"{a['site']}/{a['pool']}"] += a["accelerators"]
        places = ", ".join(f"{count} on {pool}" for pool, count in held.items()) or "–"
        finish, done = local(view["planned_finish"]), percent(view["progress_ratio"])
        rows.append((view["id"], places, done, finish, why.get(view["id"], "")))
    columns = (
        Column("running now"),
        Column("accelerators"),
        Column("done", "right"),
        Column("finish", expendable=80),
        Column("why now", expendable=110, wrap=True),
    )
    print_table(columns, rows, empty="No deferrable work runs now.")
    if len(running) > MOST_SHOWN:
        _say_more(len(running), "running", url)


def _print_next(planned: list[dict[str, Any]], plan: dict[str, Any], now_text: str, url: str) -> None:
    starts = _next_starts(plan, now_text)
    waiting = sorted((v for v in planned if v["planned_start"]), key=lambda v: starts.get(v["id"], _NEVER))
    rows = [
        (
            v["id"],
            local(starts.get(v["id"])),
            local(v["deadline"]),
            saving(v["cost"], v["run_now_cost"]),
            v["note"],
        )
        for v in waiting[:MOST_SHOWN]
    ]
    columns = (
        Column("waiting"),
        Column("starts"),
        Column("deadline", expendable=80),
        Column("saved", "right"),
        Column("note", expendable=120, wrap=True),
    )
    print_table(columns, rows)
    if len(waiting) > MOST_SHOWN:
        _say_more(len(waiting), "planned", url)


def _next_starts(plan: dict[str, Any], now_text: str) -> dict[str, datetime]:
    """When each workload starts, or goes on after a pause: its first piece that begins now or later."""
    now, found = moment(now_text), dict[str, datetime]()
    for a in plan["allocations"]:
        start = moment(a["start"])
        if start is not None and now is not None and start >= now:
            found[a["workload_id"]] = min(start, found.get(a["workload_id"], start))
    return found


def _say_more(count: int, state: str, url: str) -> None:
    every = command("workloads", "--state", state, url=url)
    say(f"… and {count - MOST_SHOWN} more: {every}", "dim")


def _print_trouble(
    health: dict[str, Any],
    live: list[dict[str, Any]],
    late: list[dict[str, Any]],
    warnings: Sequence[str] = (),
) -> None:
    """Of sources, of work that is not done in time, of the daemon, and what the plan warns of."""
    now = moment(health["now"])
    for source in health["sources"]:
        seen = moment(source["last_success_at"])
        age = f"last answer {duration((now - seen).total_seconds())} ago" if now and seen else "no answer yet"
        style = "dim" if source["up"] else "bold yellow"
        due = moment(source.get("next_due_at"))
        wait_s = (due - now).total_seconds() if now and due else 0.0
        next_ask = f", next in {duration(wait_s)}" if wait_s > 0 else ""
        failed = "" if source["up"] else f": down, {plural(source['failures'], 'failure')}. {source['error']}"
        trial = " (in shadow)" if source.get("shadow") else ""
        say(f"source {source['name']}{trial}: {age}{next_ask}{failed}", style)
    infeasible = [v["id"] for v in live if not v["feasible"]]
    if infeasible:
        say(f"Cannot finish in time: {', '.join(infeasible[:MOST_SHOWN])}.", "bold yellow")
    if late:
        say(f"Late: {', '.join(v['id'] for v in late[:MOST_SHOWN])}.", "bold red")
    for fault in health["faults"]:
        say(f"fault: {fault}", "bold red")
    for warning in warnings:
        # What is a fault is said, and the first lines say once for all that prices and carbon are synthetic.
        if warning not in health["faults"] and not (health["synthetic"] and "synthetic" in warning):
            say(f"warning: {warning}", "yellow")
    failed = (health["last_cycle"] or {}).get("error") or ""
    if failed and not any(failed in fault for fault in health["faults"]):
        say(f"The last planning cycle failed: {failed}", "bold red")
