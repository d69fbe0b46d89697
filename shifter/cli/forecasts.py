"""`shifter forecasts`: which sources there are, what one says, and what the daemon uses."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import Column, err, out, print_json, print_table, say, styled, working
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import LocalTimes, duration, local, number, parse_duration, parse_time, sparkline
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.series import ForecastSeries

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What the grid will do: sources, fetch, show."
)

Zone = Annotated[str, typer.Option("--zone", help="Grid zone, such as GB or DE-LU.")]
Start = Annotated[str | None, typer.Option("--start", help="From here on; default: now.")]
Span = Annotated[str, typer.Option("--for", help="How far ahead.")]


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
        Column("what it is", wrap=True, expendable=70),
        Column("tells"),
        Column("zones", wrap=True),
        Column("every", "right", expendable=100),
        Column("key", expendable=90),
        Column("licence", wrap=True, expendable=140),
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
            told = asdict(cls(cls.Options(**options)).info)
        except Exception:
            continue
        told["units"] = {str(k): v for k, v in told["units"].items()}
        for key in ("horizon", "poll"):
            span = told.pop(key)
            told[f"{key}_s"] = None if span is None else span.total_seconds()
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
        ", ".join(info.get("signals", ())),
        "any" if "*" in zones else some,
        duration(info["poll_s"]) if "poll_s" in info else "–",
        "needed" if info.get("key_needed") else "none",
        info.get("licence", ""),
    )


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A source, as `shifter forecasts sources` lists them.")],
    *,
    zone: Zone,
    start: Start = None,
    span: Span = "48h",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="KEY=VALUE for the source (repeat for more).")
    ] = None,
    to_file: Annotated[Path | None, typer.Option("--out", "-o", help="Write a forecasts.csv.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a source now, and show or keep what it says.

    Needs no daemon and changes nothing but the file that --out names, which `shifter plan --forecasts` reads.
    """
    from forecasts.series import Signal
    from forecasts.sources.base import FetchRequest
    from forecasts.sources.registry import make_source

    now = datetime.now(UTC)
    begin = parse_time(start, "--start") if start else now
    made = make_source(source, dict(_pair(text) for text in option or ()))
    request = FetchRequest(zone, tuple(Signal), begin, begin + parse_duration(span, "--for"))
    with working(f"asking {source} about {zone} …"):
        series = made.fetch(request, now=now)
    if not series:
        raise InputError(
            f"{source} has nothing about {zone} in that window.",
            field="--zone",
            hint="Try another --start or --for.",
        )
    if to_file is not None:
        write_forecasts(to_file, series)
        say(f"Wrote {to_file}.", "green")
    if as_json:
        print_json([_series_to_dict(s) for s in series])
        return
    rows = [
        (
            s.zone,
            f"{s.signal} ({s.unit})",
            sparkline(s.values.tolist(), 48),
            f"{number(float(s.values.min()), 0)} to {number(float(s.values.max()), 0)}",
            styled(str(s.kind), "bold yellow" if s.kind == "synthetic" else ""),
            local(_moment(s.start[0])),
            local(_moment(s.end[-1])),
            str(len(s)),
        )
        for s in series
    ]
    columns = (
        Column("zone"),
        Column("signal"),
        Column("course"),
        Column("range", "right"),
        Column("kind", expendable=100),
        Column("from", expendable=110),
        Column("to", expendable=130),
        Column("values", "right", expendable=140),
    )
    print_table(columns, rows)
    for text in dict.fromkeys(f"{s.attribution} ({s.licence})" for s in series if s.attribution):
        say(text, "dim")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{text!r} is no option.", field="--option", hint="Write it as KEY=VALUE.")
    return key, value


def _moment(value: Any) -> datetime:
    import numpy as np

    moment: datetime = value.astype(np.dtype("datetime64[us]")).astype(datetime)
    return moment.replace(tzinfo=UTC)


def _series_to_dict(s: ForecastSeries) -> dict[str, Any]:
    return {
        "zone": s.zone,
        "signal": str(s.signal),
        "unit": s.unit,
        "source": s.source,
        "kind": str(s.kind),
        "basis": None if s.basis is None else str(s.basis),
        "known_at": s.known_at,
        "issued_at": s.issued_at,
        "licence": s.licence,
        "attribution": s.attribution,
        "values": [
            {"start": _moment(a), "end": _moment(b), "value": float(v)}
            for a, b, v in zip(s.start, s.end, s.values, strict=True)
        ],
    }


def write_forecasts(path: Path, series: list[ForecastSeries]) -> None:
    """The contract's forecasts.csv, whole or not at all; what one signal does not say is left empty."""
    from forecasts.slots import isoformat_z

    columns = {"price": "price_per_mwh", "carbon": "carbon_g_per_kwh"}
    rows: dict[tuple[str, datetime, datetime, datetime], dict[str, float]] = {}
    for s in series:
        issued = s.issued_at or s.known_at
        for a, b, value in zip(s.start, s.end, s.values, strict=True):
            row = rows.setdefault((s.zone, issued, _moment(a), _moment(b)), {})
            row[columns[str(s.signal)]] = float(value)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["zone", "issued_at", "start", "end", *columns.values()])
    for (zone, *moments), found in sorted(rows.items()):
        values = [f"{found[c]:.10g}" if c in found else "" for c in columns.values()]
        writer.writerow([zone, *map(isoformat_z, moments), *values])
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text.getvalue(), "utf-8")
    partial.replace(path)


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

    With --as-of: what it believed at that moment.
    """
    begin = parse_time(start, "--start") if start else None
    client = connect(url)
    origin = begin or parse_time(client.health()["now"], "health.now")
    end = origin + parse_duration(span, "--for")
    then = parse_time(as_of, "--as-of") if as_of else None
    frame = client.forecasts(zone, start=origin, end=end, as_of=then)
    if as_json:
        print_json(frame)
        return
    _print_frame(frame)


def _print_frame(frame: dict[str, Any]) -> None:
    for signal in frame["signals"]:
        known = [v for v in signal["values"] if v is not None]
        span = f"{number(min(known), 0)} to {number(max(known), 0)}" if known else "nothing known"
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
    for text in _attributions(frame):
        say(text, "dim")
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
            cells += [number(signal["values"][i], 1), styled(who, style)]
        rows.append(tuple(cells))
    return rows


def _attributions(frame: dict[str, Any]) -> list[str]:
    runs = [run for s in frame["signals"] for run in s["provenance"]]
    return list(dict.fromkeys(run["attribution"] for run in runs if run["attribution"]))
