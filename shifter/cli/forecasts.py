"""`shifter forecasts`: which sources there are, what one says, and what the daemon uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    from forecasts.sources.base import ForecastSource

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What the grid will do: sources, fetch, show."
)

Zone = Annotated[str, typer.Option("--zone", help="Grid zone, such as GB or DE-LU.")]
Zones = Annotated[list[str], typer.Option("--zone", help="Grid zone, such as GB or DE-LU (repeat for more).")]
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
        info.get("attribution", ""),
    )


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A source, as `shifter forecasts sources` lists them.")],
    *,
    zone: Zones,
    start: Start = None,
    span: Span = "48h",
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="As if asked then: of what is made up or in a file; default: now."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="KEY=VALUE for the source (repeat for more).")
    ] = None,
    to_file: Annotated[Path | None, typer.Option("--out", "-o", help="Write a forecasts.csv.")] = None,
    currency: Annotated[
        str | None, typer.Option("--currency", help="Of the prices in it; default: the source's own.")
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option("--fx", help="USD=0.86: what one of another currency is worth in it (repeat for more)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a source now, and show or keep what it says.

    Needs no daemon and changes nothing but the file that --out names, which `shifter plan --forecasts` and
    `shifter run --forecasts` read. Each signal of each zone is asked for by itself: where one fails, the
    others are kept.
    """
    from forecasts.series import Signal
    from forecasts.sources.asking import ask, one_by_one
    from forecasts.sources.registry import make_source

    made = make_source(source, dict(_pair(text, "--option") for text in option or ()))
    then = _asked_at(made, as_of)
    begin = parse_time(start, "--start") if start else then
    requests = one_by_one(made, zone, tuple(Signal), begin, begin + parse_duration(span, "--for"))
    with working(f"asking {source} about {', '.join(zone)} …"):
        answers = ask(made, requests, now=then).or_raise()
    for failure in answers.failures:
        say(str(failure), "bold yellow")
    if not answers.series:
        raise InputError(
            f"{source} has nothing about {', '.join(zone)} in that window.",
            field="--zone",
            hint="Try another --start or --for.",
        )
    if to_file is not None:
        _write(to_file, answers.series, currency, rate or ())
    if as_json:
        print_json([_series_to_dict(s) for s in answers.series])
    else:
        _print_series(answers.series)
    _say_terms((s.attribution, s.licence, s.restricted) for s in answers.series)


def _asked_at(source: ForecastSource, as_of: str | None) -> datetime:
    if as_of is None:
        return datetime.now(UTC)
    if source.info.url.startswith("http"):
        raise InputError(
            f"{source.info.name} cannot be asked what it said then.",
            field="--as-of",
            hint="Leave it out; `shifter forecasts show --as-of` tells what a daemon believed.",
        )
    return parse_time(as_of, "--as-of")


def _write(path: Path, series: Sequence[ForecastSeries], currency: str | None, rates: Sequence[str]) -> None:
    """The forecasts.csv; raises InputError where its prices would be in more than one currency."""
    from forecasts.export import in_one_currency, to_csv
    from forecasts.series import Signal
    from forecasts.units import currency_of
    from shifter.files.plans import write_atomically

    fx = {name: _rate(name, text) for name, text in (_pair(pair, "--fx") for pair in rates)}
    own = sorted({currency_of(s.unit) for s in series if s.signal is Signal.PRICE})
    target = currency or (own[0] if len(own) == 1 else None)
    missing = [name for name in own if name not in {target, *fx}]
    if own and (target is None or missing):
        raise InputError(
            f"prices are in {' and '.join(own)}, and those of a forecasts.csv are in one currency.",
            field="--fx" if target else "--currency",
            hint=f"As in --currency {target or own[0]} --fx {(missing or own)[-1]}=0.86.",
        )
    write_atomically(to_csv(in_one_currency(series, target, fx) if target else series), path)
    say(f"Wrote {path}{f', prices in {target}' if own else ''}.", "green")


def _rate(name: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InputError(f"{text!r} is no rate.", field="--fx", hint=f"Write {name}=0.86.")
    return rate


def _print_series(series: Sequence[ForecastSeries]) -> None:
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


def _say_terms(terms: Iterable[tuple[str, str, bool]]) -> None:
    """What has to be said with values: each attribution, its licence, and whether that is restricted."""
    for attribution, licence, restricted in dict.fromkeys(terms):
        told = [attribution, licence and f"({licence})", "Not to be passed on." if restricted else ""]
        if any(told):
            say(" ".join(filter(None, told)), "bold yellow" if restricted else "dim")


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{text!r} is no pair.", field=option, hint="Write it as KEY=VALUE.")
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
        "restricted": s.restricted,
        "values": [
            {"start": _moment(a), "end": _moment(b), "value": float(v)}
            for a, b, v in zip(s.start, s.end, s.values, strict=True)
        ],
    }


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
    _say_terms((run["attribution"], run["licence"], run["restricted"]) for run in runs)
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
