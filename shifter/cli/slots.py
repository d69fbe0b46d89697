"""`shifter slots` and `shifter capacity`: what the pools hold."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import Column, print_json, print_table, say, spark_width, styled, utc
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import LocalTimes, local, number, parse_duration, parse_time, percent, sparkline

Site = Annotated[str | None, typer.Option("--site", help="Only this site.")]
Pool = Annotated[str | None, typer.Option("--pool", help="Only this pool.")]
BAR_CELLS = 24
_BLOCKS = (("█", "magenta"), ("▓", "dim magenta"), ("▒", "cyan"), ("·", "dim"))


def slots(
    *,
    site: Site = None,
    pool: Pool = None,
    start: Annotated[str | None, typer.Option("--start", help="From here on; default: now.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Up to here.")] = None,
    span: Annotated[str, typer.Option("--for", help="How far, where --end is not given.")] = "12h",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What each slot holds: real-time, reserved, deferrable, free.

    In accelerators, means over the slot. The bar shows the pool: █ real-time load, ▓ reserved beside it,
    ▒ deferrable work, · free.
    """
    client = connect(url)
    now = parse_time(client.health()["now"], "health.now")
    first = parse_time(start, "--start") if start else now
    last = parse_time(end, "--end") if end else first + parse_duration(span, "--for")
    client.options = {"end": "--end" if end else "--for"}
    rows = client.slots(site=site, pool=pool, start=first, end=last)
    if as_json:
        print_json(rows)
        return
    _print_signals(client, rows, first, last, now)
    times = LocalTimes(r["start"] for r in rows)
    columns = (
        Column(times.header("slot")),
        Column("pool"),
        Column("real-time p50", "right", expendable=100),
        Column("reserved", "right", expendable=70),
        Column("deferrable", "right"),
        Column("free", "right"),
        Column("of", "right", expendable=60),
        Column("", expendable=90),
    )
    print_table(columns, [_row(r, times) for r in rows], empty="The plan has no slots there.")
    if rows:
        say("█ real-time  ▓ reserved beside it  ▒ deferrable  · free", "dim")


def capacity(
    place: Annotated[
        str | None, typer.Argument(metavar="SITE/POOL", help="Only this pool; default: all of them.")
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What each pool may dispatch now.

    The numbers that a gate or an autoscaler reads. They hold until `valid until`; stale ones free nothing.
    """
    client = connect(url)
    if place is not None and place.count("/") != 1:
        raise typer.BadParameter(f"{place!r} is no pool: write it as SITE/POOL.", param_hint="SITE/POOL")
    pools = [tuple(place.split("/"))] if place else sorted({(r["site"], r["pool"]) for r in client.slots()})
    answers = [client.capacity(site, pool) for site, pool in pools]
    if as_json:
        print_json(answers[0] if place else answers)
        return
    columns = (
        Column("pool"),
        Column("deferrable now", "right"),
        Column("measured", "right", expendable=60),
        Column("counts", "right", expendable=70),
        Column("reserved", "right"),
        Column("accelerators", "right", expendable=80),
        Column("dispatch budget", "right"),
        Column("valid until", expendable=100),
        Column("", expendable=60),
    )
    rows = [
        (
            f"{a['site']}/{a['pool']}",
            number(a["deferrable_accelerators"], 0),
            number(a.get("measured_accelerators"), 1),  # a daemon of before says nothing of it
            number(a["realtime_accelerators"], 1),
            number(a["reserved_accelerators"], 1),
            number(a.get("count"), 0),
            percent(a["dispatch_budget"]),
            local(a["valid_until"]),
            _standing(a),
        )
        for a in answers
    ]
    print_table(columns, rows)
    say(
        "measured: the last sample of real-time load; counts: the highest of late, or else the load at the site's "
        "quantile; slots and status show the median (p50).",
        "dim",
    )
    if any("synthetic" in view["basis"] for view in client.realtime(days=1)):
        say("Real-time load is synthetic: made up for a demonstration.", "yellow")


def _standing(answer: dict[str, Any]) -> Text:
    """Whether its figures may be believed; what nobody measures is neither fresh nor stale."""
    if answer["stale"]:
        return styled("stale", "bold red")
    return styled("unmetered", "dim") if answer["last_sample_at"] is None else styled("fresh", "green")


def _row(r: dict[str, Any], times: LocalTimes) -> tuple[str | Text, ...]:
    return (
        times(r["start"]),
        f"{r['site']}/{r['pool']}",
        number(r["realtime_p50"], 1),
        number(r["reserved"], 1),
        number(r["deferrable"], 1),
        number(r["free"], 1),
        number(r["count"], 0),
        bar(r["realtime_p50"], r["reserved"], r["deferrable"], r["count"]),
    )


def bar(realtime: float, reserved: float, deferrable: float, count: float, cells: int = BAR_CELLS) -> Text:
    """One pool in one slot as a line of blocks.

    >>> bar(8, 12, 6, 24, cells=12).plain
    '████▓▓▒▒▒···'
    """
    edges = [0.0, realtime, max(realtime, reserved), max(realtime, reserved) + deferrable]
    at = [round(min(1.0, e / count) * cells) if count else 0 for e in edges] + [
        cells
    ]  # all of it may be lost
    line = Text()
    for (char, style), (a, b) in zip(_BLOCKS, pairwise(at), strict=True):
        line.append(char * (b - a), style)
    return line


def _print_signals(
    client: Any, rows: list[dict[str, Any]], start: datetime, end: datetime, now: datetime
) -> None:
    """Price, carbon and free capacity of each site as sparklines, with their range."""
    if not rows:
        return
    plan = client.plan()
    sites = list(dict.fromkeys(r["site"] for r in rows))
    power = [p for p in plan["power"] if p["site"] in sites and _within(p, start, end)]
    columns = (Column("site"), Column("what"), Column("course"), Column("range", "right"))
    width = spark_width(58)
    table: list[tuple[str | Text, ...]] = []
    for name in sites:
        mine = [p for p in power if p["site"] == name]
        price = [p["price_per_mwh"] for p in mine]
        carbon = [p["carbon_g_per_kwh"] for p in mine]
        free: dict[str, float] = {}
        for r in rows:
            if r["site"] == name:
                free[r["start"]] = free.get(r["start"], 0.0) + r["free"]
        table += [
            (styled(name, "bold"), f"price ({plan['currency']}/MWh)", sparkline(price, width), _range(price)),
            ("", "carbon (gCO2e/kWh)", sparkline(carbon, width), _range(carbon)),
            ("", "free (accelerators)", sparkline(free.values(), width), _range(list(free.values()))),
        ]
    print_table(columns, table)
    marks = []
    if plan.get("synthetic"):
        marks.append("Prices and carbon are synthetic: made up for a demonstration.")
    marks.append(f"Plan {plan['plan_id'][:12]} of {local(plan['created_at'])}; now {local(now)}.")
    say(" ".join(marks), "dim")


def _range(values: list[Any]) -> str:
    known = [v for v in values if v is not None]
    return f"{number(min(known), 0)} to {number(max(known), 0)}" if known else "unknown"


def _within(row: dict[str, Any], start: datetime, end: datetime) -> bool:
    first, last = (utc(t) for t in (start, end))
    return bool(row["end"] > first[:19] and row["start"] < last)
