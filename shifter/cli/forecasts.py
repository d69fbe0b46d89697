"""`shifter forecasts`: which sources there are, what one says, and what the daemon uses."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from shifter.cli import forecast_backtest, forecast_compare, forecast_fetch, forecast_scores, forecast_tune
from shifter.cli.console import Column, err, out, print_json, print_table, styled
from shifter.cli.forecast_fetch import Span, Start, say_terms
from shifter.cli.forecast_options import span_of
from shifter.cli.learnt import print_learnt
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import LocalTimes, number, parse_time, sparkline

if TYPE_CHECKING:
    from forecasts.sources.base import SourceInfo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What the grid will do: sources, fetch, show, score, compare, backtest, tune.",
)

Zone = Annotated[str, typer.Option("--zone", help="Grid zone, such as GB or DE-LU.")]


@app.command()
def sources(as_json: Json = False) -> None:
    """List the sources of price and carbon that can be asked.

    Installed packages may add their own; --json tells all that a source says about itself.
    """
    from forecasts.sources.registry import source_class, source_names

    infos = [_info(source_class(name), name) for name in source_names()]
    if as_json:
        print_json(infos)
        return
    columns = (
        Column("source"),
        Column("what it is", wrap=True, expendable=140),
        Column("tells"),
        Column("zones", wrap=True),
        Column("new values", expendable=130),
        Column("key", expendable=120),
        Column("licence", wrap=True, expendable=110),
        Column("attribution", wrap=True, expendable=150),
    )
    print_table(columns, [_source_row(i) for i in infos])


def _info(cls: Any, name: str) -> dict[str, Any]:
    """What a source says about itself, as plain values; its name and what it is where it cannot be made."""
    from dataclasses import asdict

    for options in (
        {},
        {"path": "forecasts.csv"},
    ):  # a source of files needs to be told of one, and opens none yet
        try:
            info: SourceInfo = cls(cls.Options(**options)).info
        except Exception:
            continue
        told = asdict(info)
        told["units"] = {str(k): v for k, v in told["units"].items()}
        horizon = told.pop("horizon")
        told["horizon_s"] = None if horizon is None else horizon.total_seconds()
        past = told.pop("past")
        told["past_s"] = None if past is None else past.total_seconds()
        told["publication"] = str(info.publication)
        told["publications"] = {str(k): str(v) for k, v in info.publications.items()}
        told["poll_s"] = info.publication.every.total_seconds()
        return dict(told)
    return {"name": name, "title": (cls.__doc__ or "").strip().partition("\n")[0]}


def _source_row(info: dict[str, Any]) -> tuple[str | Text, ...]:
    zones = info.get("zones", ())
    some = ", ".join(zones[:8]) + (f" and {len(zones) - 8} more" if len(zones) > 8 else "")
    name = styled(info["name"], "bold")
    if info.get("synthetic"):
        name.append(" synthetic", "yellow")
    return (
        name,
        info["title"],
        ", ".join(info.get("signals", ("by its options",))),
        "any" if "*" in zones else some,
        info.get("publication", "–").partition(", ")[0],
        "needed" if info.get("key_needed") else "none",
        info.get("licence", ""),
        info.get("attribution", ""),
    )


@app.command()
def show(
    *,
    zone: Zone,
    start: Start = None,
    span: Span = "48h",
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="What was known then, and nothing later; default: now.")
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What the daemon believes about a zone, and where each value came from.

    And who counts for how much in it, as was learnt from what came of forecasts. With --as-of: what it
    believed at that moment.
    """
    begin = parse_time(start, "--start") if start else None
    client = connect(url)
    origin = begin or parse_time(client.health()["now"], "health.now")
    end = origin + span_of(span, "--for")
    then = parse_time(as_of, "--as-of") if as_of else None
    client.options = {"end": "--for"}
    frame = client.forecasts(zone, start=origin, end=end, as_of=then)
    learnt = [] if then else client.learnt(zone)
    if as_json:
        print_json(frame if then else {**frame, "learnt": learnt})
        return
    _print_frame(frame)
    print_learnt(learnt)


def _print_frame(frame: dict[str, Any]) -> None:
    for signal in frame["signals"]:
        known = [v for v in signal["values"] if v is not None]
        withheld = any(run["restricted"] for run in signal["provenance"])
        nothing = "withheld" if withheld else "nothing known"
        span = f"{number(min(known), 0)} to {number(max(known), 0)}" if known else nothing
        line = Text.assemble(
            (f"{signal['zone']} {signal['signal']:<7}", "bold"),
            f"{sparkline(signal['values'], 60)}  {span} {signal['unit']}",
        )
        out().print(line, soft_wrap=True)
    rows = _frame_rows(frame)
    times = LocalTimes(r[0] for r in rows)
    heads = [f"{s['zone']} {s['signal']} ({s['unit']})" for s in frame["signals"]]
    columns = [Column(times.header("slot"))]
    for head in heads:
        columns += [Column(head, "right"), Column("from", expendable=100)]
    print_table(columns, [(times(r[0]), *r[1:]) for r in rows], empty="Nobody says anything about it.")
    runs = [run for s in frame["signals"] for run in s["provenance"] if run["source"]]
    say_terms((run["attribution"], run["licence"], run["restricted"]) for run in runs)
    for warning in frame["warnings"]:
        err().print(styled(f"warning: {warning}", "yellow"), soft_wrap=True)


def _frame_rows(frame: dict[str, Any]) -> list[tuple[Any, ...]]:
    from datetime import timedelta

    grid = frame["grid"]
    first = datetime.fromisoformat(grid["start"])
    said = [[run for run in s["provenance"] for _ in range(run["n_slots"])] for s in frame["signals"]]
    rows = []
    for i in range(grid["n_slots"]):
        cells: list[Any] = [first + timedelta(minutes=i * grid["slot_minutes"])]
        for signal, runs in zip(frame["signals"], said, strict=True):
            style = "bold yellow" if runs[i]["kind"] in {"synthetic", "missing"} else ""
            who = f"{runs[i]['source']} {runs[i]['kind']}".strip()
            if runs[i]["restricted"] and signal["values"][i] is None:
                who, style = f"{who}, withheld", "bold yellow"
            cells += [number(signal["values"][i], 1), styled(who, style)]
        rows.append(tuple(cells))
    return rows


app.command("fetch")(forecast_fetch.fetch)
app.command("score")(forecast_scores.score)
app.command("compare")(forecast_compare.compare)
app.command("backtest")(forecast_backtest.backtest)
app.command("tune")(forecast_tune.tune)
