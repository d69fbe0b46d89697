"""`shifter realtime`: what real-time load is expected, on what basis, and how often that held."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import Column, print_json, print_table, say, spark_width, styled
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import LocalTimes, duration, number, percent, sparkline


def realtime(
    place: Annotated[
        str | None, typer.Argument(metavar="SITE/POOL", help="This pool, slot by slot; default: all of them.")
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=60, help="Over how many days it is told how often it held.")
    ] = 14,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What real-time load is expected, and how often that held.

    In accelerators: the median, and the load at the site's quantile (real-time q), for which accelerators are reserved;
    what was measured last, and what counts now: the highest measured lately, and where nothing was, the quantile.
    `held` is how often the load stayed within it, as it was said so many hours ahead. Where meters tell requests, below
    that: what arrived last, by model.
    """
    client = connect(url)
    client.options = dict.fromkeys(("site", "pool"), "SITE/POOL")
    if place is not None and place.count("/") != 1:
        raise typer.BadParameter(f"{place!r} is no pool: write it as SITE/POOL.", param_hint="SITE/POOL")
    site, pool = place.split("/") if place else (None, None)
    found = client.realtime(site, pool, days)
    if as_json:
        print_json(found[0] if place else found)
        return
    _print_pools(found, days)
    _print_models(found)
    if place:
        _print_slots(found[0])


def _print_pools(found: list[dict[str, Any]], days: int) -> None:
    leads = [
        (c["lead_hours_from"], c["lead_hours_to"])
        for c in next((v["coverage"] for v in found if v["coverage"]), ())
    ]
    columns = (
        Column("pool"),
        Column("real-time p50", "right"),
        Column("quantile", "right", expendable=60),
        Column("real-time q", "right"),
        Column("q at most", "right"),
        Column("course", expendable=90),
        Column("measured", "right"),
        Column("last sample", "right", expendable=80),
        Column("counts", "right"),
        *(Column(f"held, {low}-{high} h", "right", expendable=70) for low, high in leads),
    )
    width = spark_width(96, most=24)
    print_table(columns, [_row(view, width, len(leads)) for view in found])
    for view in found:
        say(f"{view['site']}/{view['pool']}: {view['basis']}.", "yellow" if view["silent"] else "dim")
    if leads:
        said = "at the site's quantile q of the load, over"
        say(f"held: how often what was said so many hours ahead was enough, {said} {days} days.", "dim")


def _print_models(found: list[dict[str, Any]]) -> None:
    """What arrived last, of the pools of which traffic is told."""
    told = [view for view in found if view.get("by_model")]  # a daemon of before says nothing of it
    if not told:
        return
    times = LocalTimes(view["by_model_at"] for view in told)
    columns = (
        Column("pool"),
        Column("model"),
        Column(times.header("at"), expendable=80),
        Column("requests/s", "right"),
        Column("prompt tokens", "right", expendable=60),
        Column("output tokens", "right", expendable=60),
        Column("accelerators", "right"),
    )
    rows = [
        (
            f"{view['site']}/{view['pool']}",
            m["model"],
            times(view["by_model_at"]),
            number(m["requests_per_s"], 2),
            *("–" if m[name] is None else number(m[name], 0) for name in ("prompt_tokens", "output_tokens")),
            number(m["accelerators"], 0),
        )
        for view in told
        for m in view["by_model"]
    ]
    print_table(columns, rows)
    say("requests: what arrived last, and what that needs.", "dim")


def _row(view: dict[str, Any], width: int, n_leads: int) -> tuple[str | Text, ...]:
    high = held(view)
    age = view["last_sample_age_s"]
    last = "never" if age is None else duration(age)
    shares = [percent(c["held_ratio"]) for c in view["coverage"]] or ["–"] * n_leads
    return (
        f"{view['site']}/{view['pool']}",
        number(view["slots"][0]["accelerators"]["p50"], 1),
        number(100 * view["quantile"], 1) + " %",
        number(high[0], 1),
        number(max(high), 1),
        sparkline(high, width),
        number(view.get("measured_accelerators"), 1),  # a daemon of before says nothing of it
        styled(last, "bold red") if view["silent"] else last,
        number(view.get("realtime_accelerators"), 1),
        *shares,
    )


def held(view: dict[str, Any]) -> list[float]:
    """The load of each slot at the site's quantile, or the next higher that is given."""
    names = view["slots"][0]["accelerators"]
    levels = sorted((float(name[1:]) / 100, name) for name in names)
    name = next((name for p, name in levels if p >= view["quantile"] - 1e-9), levels[-1][1])
    return [slot["accelerators"][name] for slot in view["slots"]]


def _print_slots(view: dict[str, Any]) -> None:
    times = LocalTimes(slot["start"] for slot in view["slots"])
    names = list(view["slots"][0]["accelerators"])
    columns = (Column(times.header("slot")), *(Column(name, "right") for name in names))
    print_table(
        columns,
        [
            (times(slot["start"]), *(number(slot["accelerators"][name], 1) for name in names))
            for slot in view["slots"]
        ],
    )
