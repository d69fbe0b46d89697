"""`shifter value`: what one more kW, accelerator, kWh of battery or hour of slack would be worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import Column, print_json, print_table, say, spark_width, styled
from shifter.cli.limited import say_own_promises
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import LocalTimes, number, plural, sparkline, unit_price

BESIDE_SPARK = 96
"""Characters that the other columns take."""
MOST_DEADLINES = 20

Row = tuple[str | Text, ...]


def value(
    *,
    site: Annotated[str | None, typer.Option("--site", help="Only this site.")] = None,
    workloads: Annotated[
        bool,
        typer.Option("--workloads", help="What deadlines cost, and what an hour more would save, instead."),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="With --workloads: at most so many.")
    ] = MOST_DEADLINES,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What one more kW, accelerator, battery kWh or hour of slack is worth.

    By the prices of the current plan's limits, per site and over time, and where the next step is worth most. Every
    figure is the most that one more could save.
    """
    if site is not None and workloads:
        raise typer.BadParameter(
            "deadlines are of workloads, which run at any site: leave --site out.", param_hint="--site"
        )
    client = connect(url)
    if workloads:
        rows = client.deadlines(limit)
        print_json(rows) if as_json else print_deadlines(rows, client.value()["currency"])
        return
    told = client.value(site)
    print_json(told) if as_json else print_worth(told)


def print_worth(told: Mapping[str, Any]) -> None:
    """`told` is a `FleetWorth` as JSON."""
    currency = told["currency"]
    every = [each for site in told["sites"] for _, each, _ in _each(site)]
    times = LocalTimes(span["start"] for one in every for span in one["binds"][:1])
    late = any(one["late_accelerator_hours"] > 0 for one in every)
    columns = (
        Column("site"),
        Column("one more"),
        Column(f"saves a day ({currency})", "right"),
        Column(f"in this plan ({currency})", "right", expendable=80),
        *([Column("does late work (h)", "right")] if late else []),
        Column("binds (h)", "right"),
        Column(times.header("first at"), expendable=70),
        Column("when", expendable=60),
    )
    rows = [row for site in told["sites"] for row in _site_rows(site, times, late=late)]
    print_table(columns, rows, title="What one more would save, at the most")
    _print_steps(told["energise_next"], currency, late=late)
    say_own_promises(told)
    for note in told["notes"]:
        say(note, "yellow")
    if any(one["horizon"] < 0 for one in every):
        say("Below 0: idle, it would draw more than it saves.", "dim")
    if rows:
        above = number(told["above_bound"])
        say(
            f"A second one saves no more than the first. The plan is at most {above} {currency} above its bound.",
            "dim",
        )


def _each(site: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """What one more may be of at a site: its name, its worth, and whether that comes by the day."""
    battery = "kWh of a new battery, with 0.5 kW" if site["new_battery"] else "kWh of battery"
    limits = (("kW of power limit", "kw"), ("kW of peak", "peak"), (battery, "battery"))
    for name, key in limits:
        if site[key] is not None:
            yield name, site[key], key != "peak"
    for pool in site["pools"]:
        yield f"{pool['pool']} accelerator", pool["accelerator"], True
        yield f"{pool['pool']} no longer reserved", pool["held_back"], True


def _site_rows(site: Mapping[str, Any], times: LocalTimes, *, late: bool) -> Iterator[Row]:
    width = spark_width(BESIDE_SPARK)
    for i, (name, one, daily) in enumerate(_each(site)):
        binds = one["bound_hours"] > 0
        yield (
            styled("" if i else site["site"], "bold"),
            name,
            unit_price(one["per_day"]) if daily else f"{unit_price(one['horizon'])} once",
            unit_price(one["horizon"]),
            *([number(one["late_accelerator_hours"], 1)] if late else []),
            number(one["bound_hours"], 1) if binds else "never",
            times(one["binds"][0]["start"]) if binds else "–",
            sparkline(one["values"], width) if binds else "",
        )


def _print_steps(steps: Sequence[Mapping[str, Any]], currency: str, *, late: bool) -> None:
    columns = (
        Column("energise next"),
        Column("step"),
        Column(f"saves a day at most ({currency})", "right"),
        *([Column("does late work (h)", "right")] if late else []),
        Column("binds (h)", "right"),
    )
    rows: Iterable[Row] = [
        (
            styled(f"{i}. {step['site']}", "bold"),
            _step_name(step),
            number(step["per_day"]),
            *([number(step["late_accelerator_hours"], 1)] if late else []),
            number(step["bound_hours"], 1),
        )
        for i, step in enumerate(steps, 1)
    ]
    print_table(
        columns, list(rows), empty="No step is worth anything: no site is short of power or accelerators."
    )


def _step_name(step: Mapping[str, Any]) -> str:
    if step["pool"] is None:
        return f"{number(step['amount'], 0)} kW more"
    return f"{plural(int(step['amount']), 'accelerator')} like {step['pool']}"


def print_deadlines(rows: Sequence[Mapping[str, Any]], currency: str) -> None:
    """`rows` are `Slack`s as JSON."""
    times = LocalTimes(row["deadline"] for row in rows)
    columns = (
        Column("workload"),
        Column("tenant", expendable=80),
        Column(times.header("deadline")),
        Column(f"costs as planned ({currency})", "right", expendable=70),
        Column(f"the deadline costs ({currency})", "right"),
        Column(f"an hour more saves ({currency})", "right"),
    )
    shown: list[Row] = [
        (
            styled(row["workload_id"], "cyan"),
            row["tenant"],
            times(row["deadline"]),
            number(row["planned_cost"]),
            number(row["deadline_costs"]),
            number(row["hour_later_saves"]),
        )
        for row in rows
    ]
    print_table(columns, shown, empty="The plan shifts no work.")
    if rows:
        say(
            "At the plan's prices, which count what others would pay for the room; at the most. –: it does not fit "
            "before its deadline.",
            "dim",
        )
