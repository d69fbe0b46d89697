"""`shifter forecasts fetch`: what a source says now, or said again and again in the past, shown or kept in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli.configured import source_of
from shifter.cli.console import Column, print_json, print_table, say, styled, working
from shifter.cli.forecast_options import Rates, check_currency, rates_of, span_of
from shifter.cli.options import Json, told_by
from shifter.cli.text import local, number, parse_duration, parse_time, plural, sparkline
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.series import ForecastSeries, Signal
    from forecasts.sources.asking import Answers, Failure
    from forecasts.sources.base import ForecastSource
    from forecasts.sources.pace import Retry

RETRIES = 2

Zones = Annotated[list[str], typer.Option("--zone", help="Grid zone, such as GB or DE-LU (repeat for more).")]
Start = Annotated[str | None, typer.Option("--start", help="From here on; default: now.")]
Span = Annotated[str, typer.Option("--for", help="How far ahead.")]


def fetch(
    source: Annotated[str, typer.Argument(help="A source, as `shifter forecasts sources` lists them.")],
    *,
    zone: Zones,
    signal: Annotated[
        list[str] | None,
        typer.Option(
            "--signal",
            help="price, carbon, load, wind or solar (repeat for more); default: price and carbon.",
        ),
    ] = None,
    start: Start = None,
    span: Span = "48h",
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="As if asked then: of what is made up or in a file; default: now."),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option("--every", help="Ask again so often, from --as-of until --until: vintages, for scores."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="With --every: not from here on.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="KEY=VALUE for the source (repeat for more).")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The source as this shifter.yaml has it, by its name there."),
    ] = None,
    to_file: Annotated[Path | None, typer.Option("--out", "-o", help="Write a forecasts.csv.")] = None,
    currency: Annotated[
        str | None, typer.Option("--currency", help="Of the prices in it; default: the source's own.")
    ] = None,
    rate: Rates = None,
    as_json: Json = False,
) -> None:
    """Ask a source now, and show or keep what it says.

    Needs no daemon and changes nothing but the file that --out names, which `shifter plan --forecasts` and
    `shifter run --forecasts` read. Each signal of each zone is asked for by itself: where one fails, the
    others are kept.
    """
    made, configured = source_of(source, config, option or ())
    wanted = _wanted(made, signal or configured, to_file)
    _check_file(to_file, currency, rate or ())
    then = _asked_at(made, as_of)
    ahead = span_of(span, "--for")
    with (
        working(f"asking {source} about {', '.join(zone)} …"),
        _told_of_retries(),
        told_by({"zone": "--zone"}),
    ):
        if every is None and until is None:
            begin = parse_time(start, "--start") if start else then
            answers = _ask(made, zone, wanted, [_Question(then, begin, begin + ahead)])
        else:
            answers = _ask(made, zone, wanted, _again(as_of, every, until, start, then, ahead))
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
        newest = max(s.known_at for s in answers.series)
        last = [s for s in answers.series if s.known_at == newest] if every else answers.series
        _print_series(last)
        if every:
            first = min(s.known_at for s in answers.series)
            told = plural(len(answers.series), "vintage")
            say(f"{told}, known from {local(first)} to {local(newest)}; the last is shown.")
    say_terms((s.attribution, s.licence, s.restricted) for s in answers.series)


@dataclass(frozen=True)
class _Question:
    """Asked at `then` about `[start, end)`."""

    then: datetime
    start: datetime
    end: datetime


def _again(
    as_of: str | None,
    every: str | None,
    until: str | None,
    start: str | None,
    then: datetime,
    ahead: timedelta,
) -> list[_Question]:
    """The same question again and again, each time also about what came since the time before. Raises InputError."""
    if every is None or until is None or as_of is None:
        given = {"--as-of": as_of, "--until": until, "--every": every}
        missing = " and ".join(name for name, text in given.items() if text is None)
        raise InputError(
            f"a history needs {missing}, too.",
            field="--until" if every is None else "--every",
            hint="It is asked for again and again: --every so often, from --as-of until --until.",
        )
    if start is not None:
        raise InputError(
            "each answer of a history begins with what came since the one before.",
            field="--start",
            hint="Leave it out; --as-of says from when on it is asked.",
        )
    step, last = parse_duration(every, "--every"), parse_time(until, "--until")
    if last <= then:
        raise InputError("the end is not after --as-of.", field="--until", hint="Give a later one.")
    if step < timedelta(hours=1):
        raise InputError(
            f"a history is asked for once an hour at most, and {every} is more often.",
            field="--every",
            hint="Write 1h or 12h.",
        )
    n = -((then - last) // step)
    return [_Question(t, t - step, t + ahead) for t in (then + i * step for i in range(n))]


def _ask(
    source: ForecastSource, zones: Sequence[str], signals: Sequence[Signal], questions: Iterable[_Question]
) -> Answers:
    """All answers, each vintage once. Raises the first failure where there is nothing else."""
    from forecasts.sources.asking import Answers, ask, one_by_one

    series: dict[tuple[str, datetime], list[ForecastSeries]] = {}
    failures: list[Failure] = []
    for q in questions:
        said = ask(source, one_by_one(source, zones, signals, q.start, q.end), now=q.then)
        failures += said.failures
        new: dict[tuple[str, datetime], list[ForecastSeries]] = {}
        for s in said.series:
            new.setdefault((s.key, s.known_at), []).append(s)
        series = {**new, **series}
    told = tuple(s for _, some in sorted(series.items(), key=lambda item: item[0][1]) for s in some)
    return Answers(told, tuple(failures)).or_raise()


@contextmanager
def _told_of_retries() -> Iterator[None]:
    """Somebody waits: what goes wrong is said at once, and given up sooner than by a daemon, which has time."""
    from forecasts.sources.http import HttpClient, sharing
    from forecasts.sources.pace import RetryPolicy

    client = HttpClient(
        retry=RetryPolicy(attempts=1 + RETRIES, unreached_to_open=1),
        told=_say_retry,
        hint="Check the network, a proxy (HTTPS_PROXY) and the source's option base_url; or try again later.",
    )
    with sharing(client):
        yield


def _say_retry(retry: Retry) -> None:
    tries = "once more" if retry.left == 1 else f"{retry.left} times at most"
    say(f"{retry.host}: {retry.why}. It is tried {tries}, in {max(1, round(retry.wait_s))} s.", "yellow")


def _check_file(path: Path | None, currency: str | None, rates: Sequence[str]) -> None:
    """Raises InputError for what is noticed before anybody is asked."""
    if path is not None and path.is_dir():
        raise InputError(
            f"{path} is a folder.", field="--out", hint=f"Name the file, as --out {path / 'forecasts.csv'}."
        )
    for option, given in (("--currency", currency is not None), ("--fx", bool(rates))):
        if given and path is None:
            raise InputError(
                "it is of the prices in a file, and none is written.",
                field=option,
                hint="Name the file with --out, or leave it out.",
            )
    if currency is not None:
        check_currency(currency, "--currency")


def _wanted(source: ForecastSource, named: Sequence[str], to_file: Path | None) -> tuple[Signal, ...]:
    """The signals to ask about. Raises InputError for one that the source has not, or that a file does not hold."""
    from forecasts.series import PLANNED, Signal

    if unknown := [name for name in named if name not in set(Signal)]:
        raise InputError(
            f"{unknown[0]!r} is no signal.", field="--signal", hint=f"There are {', '.join(Signal)}."
        )
    wanted = tuple(signal for signal in Signal if signal in named) or PLANNED
    for signal in wanted if named else ():
        if signal not in source.info.signals:
            raise InputError(
                f"{source.info.name} tells no {signal}.",
                field="--signal",
                hint=f"It tells {', '.join(source.info.signals)}.",
            )
        if to_file is not None and signal not in PLANNED:
            raise InputError(
                f"a forecasts.csv holds no {signal}.",
                field="--signal",
                hint="Leave out --out, and print it with --json.",
            )
    return wanted


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

    fx = rates_of(rates)
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


def say_terms(terms: Iterable[tuple[str, str, bool]]) -> None:
    """What has to be said with values: each attribution, its licence, and whether that is restricted."""
    for attribution, licence, restricted in dict.fromkeys(terms):
        told = [attribution, licence and f"({licence})", "Not to be passed on." if restricted else ""]
        if any(told):
            say(" ".join(filter(None, told)), "bold yellow" if restricted else "dim")


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
