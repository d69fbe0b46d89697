"""What `shifter forecasts score` and `compare` read: vintages in files, or in a daemon's database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shifter.cli.text import parse_duration, parse_minutes, parse_time
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.scores.decision import Job
    from forecasts.scores.subject import Subject
    from forecasts.series import ForecastSeries, Signal
    from forecasts.vintage import VintageInfo

ACTUALS = "actuals"
"""The name of the source that `--actuals` is."""

ScoredZone = Annotated[str, typer.Option("--zone", help="Grid zone, such as GB or DE-LU.")]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--forecasts", help="[NAME=]FILE: a forecasts.csv with vintages, one source (repeat for more)."
    ),
]
Actuals = Annotated[
    Path | None,
    typer.Option("--actuals", help="What came of it, in the same columns; issued_at may be missing."),
]
DatabaseUrl = Annotated[
    str | None, typer.Option("--database", help="Or a daemon's store, as sqlite:///shifter.db; only read.")
]
Days = Annotated[str, typer.Option("--for", help="Of a database: how far back.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Of a database: by what was known then; default: now.")
]
Outcomes = Annotated[
    str | None,
    typer.Option("--outcomes", help="The source that says what came; default: measured, then cleared."),
]
Slot = Annotated[str | None, typer.Option("--slot", help="Slot length; default: that of the forecasts.")]
JobHours = Annotated[str, typer.Option("--job", help="Length of the job that decides by the forecast.")]
Within = Annotated[str, typer.Option("--within", help="The window that it may choose from.")]
Rule = Annotated[
    str,
    typer.Option("--persistence", help="day: the same time of the latest day known; week: the weekly rule."),
]
Currency = Annotated[str, typer.Option("--currency", help="Of prices in files.")]
Rates = Annotated[
    list[str] | None,
    typer.Option("--fx", help="USD=0.86: what one of another currency is worth in it (repeat for more)."),
]
InOrder = Annotated[
    list[str] | None,
    typer.Option("--source", help="Only these sources, the first one goes first (repeat for more)."),
]
PlannedSignal = Annotated[
    str | None, typer.Option("--signal", help="price or carbon; default: both, where they were forecast.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of the bootstrap.", min=0)]


@dataclass(frozen=True)
class Given:
    """Where to read from, as the options say it."""

    zone: str
    files: Sequence[str] = ()
    actuals: Path | None = None
    database: str | None = None
    back: str = "30d"
    as_of: str | None = None
    slot: str | None = None
    currency: str = "EUR"

    def check(self) -> None:
        """Raises InputError unless there is one place to read from."""
        if bool(self.files) == bool(self.database):
            raise InputError(
                "forecasts come from files or from a database.",
                field="--forecasts",
                hint="Give --forecasts FILE with --actuals FILE, or --database URL.",
            )
        if self.database and self.actuals:
            raise InputError(
                "a database has its own outcomes.",
                field="--actuals",
                hint="Leave it out, or give the forecasts as files, too.",
            )

    @property
    def slot_minutes(self) -> int | None:
        """Length of a slot; None for that of the forecasts."""
        if self.slot is None:
            return None
        return parse_minutes(self.slot, "--slot")


def job_of(hours: str, within: str) -> Job:
    """The job that `--job` and `--within` tell."""
    from forecasts.scores.decision import Job

    hour = timedelta(hours=1)
    return Job(parse_duration(hours, "--job") / hour, parse_duration(within, "--within") / hour)


def rule_of(text: str) -> str:
    """`--persistence`. Raises InputError."""
    if text not in {"day", "week"}:
        raise InputError(f"{text!r} is no rule.", field="--persistence", hint="Use day or week.")
    return text


def rates_of(texts: Sequence[str]) -> Mapping[str, float]:
    """What `--fx` says of each currency. Raises InputError."""
    rates = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            rate = float(value)
        except ValueError:
            rate = 0.0
        if not name or not 0 < rate < float("inf"):
            raise InputError(f"{text!r} is no rate.", field="--fx", hint="Write it as USD=0.86.")
        rates[name] = rate
    return rates


def signals_of(text: str | None) -> tuple[Signal, ...]:
    """`--signal`, or all there are. Raises InputError."""
    from forecasts.series import Signal

    if text is None:
        return tuple(Signal)
    if text not in set(Signal):
        raise InputError(f"{text!r} is no signal.", field="--signal", hint=f"Use one of {', '.join(Signal)}.")
    return (Signal(text),)


def subjects(
    given: Given, signals: Sequence[Signal], *, sources: Sequence[str] = (), outcomes_of: str | None = None
) -> list[Subject]:
    """Each of the signals of the zone of which anything was forecast. Raises InputError where there is none."""
    given.check()
    found = (
        _stored(given, signals, sources, outcomes_of)
        if given.database
        else _filed(given, signals, sources, outcomes_of)
    )
    if not found:
        raise InputError(
            f"nobody forecast {' or '.join(signals)} of {given.zone}.",
            field="--zone",
            hint="What was cleared or measured is no forecast; `shifter forecasts fetch` and a daemon keep vintages.",
        )
    return found


def files_of(given: Given) -> dict[str, list[ForecastSeries]]:
    """Every vintage in the files by source, what came among them as of `ACTUALS`. Raises InputError where none of them
    speaks of the zone.
    """
    told: dict[str, list[ForecastSeries]] = {}
    for text in given.files:
        name, path = named_file(text)
        if name in told:
            raise InputError(
                f"two files are named {name}.", field="--forecasts", hint="Name them apart: NAME=FILE."
            )
        told[name] = read_vintages(path, name, given.currency)
    if given.actuals is not None:
        told[ACTUALS] = read_actuals(given.actuals, given.currency)
    zones = sorted({s.zone for said in told.values() for s in said})
    if given.zone not in zones:
        raise InputError(
            f"the files say nothing about the zone {given.zone}.",
            field="--zone",
            hint=f"They have {', '.join(zones)}.",
        )
    return told


def _filed(
    given: Given, signals: Sequence[Signal], sources: Sequence[str], outcomes_of: str | None
) -> list[Subject]:
    from forecasts.scores.subject import from_series

    told = files_of(given)
    if given.actuals is not None:
        outcomes_of = outcomes_of or ACTUALS
    wanted = [
        s
        for s in signals
        if any(x.signal is s for said in told.values() for x in said if x.zone == given.zone)
    ]
    found = []
    for signal in wanted:
        silent = not any(
            (x.zone, x.signal) == (given.zone, signal) for name in told if name != ACTUALS for x in told[name]
        )
        if silent:
            continue
        found.append(
            from_series(
                given.zone,
                signal,
                told,
                slot_minutes=given.slot_minutes,
                sources=sources,
                outcomes_of=outcomes_of,
            )
        )
    return [s for s in found if s.forecasts or s.unjudged]


def named_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    return (
        (name, Path(path)) if equals and name and not Path(text).exists() else (Path(text).stem, Path(text))
    )


def _is_there(path: Path) -> None:
    if not path.is_file():  # a source that does not answer is another matter than a wrong path
        raise InputError("there is no such file.", field=str(path), hint="Check the path.")


def read_vintages(path: Path, name: str, currency: str) -> list[ForecastSeries]:
    """Every vintage of a forecasts.csv, as of the source `name`."""
    from forecasts.sources.csv import CsvOptions, CsvSource

    _is_there(path)
    options = CsvOptions(path=path, name=name.replace(":", "-"), currency=currency)
    return CsvSource(options).read(now=datetime.now(UTC))


def read_actuals(path: Path, currency: str) -> list[ForecastSeries]:
    """What came of it. Without an `issued_at` each interval was known when it was over."""
    from forecasts.series import Kind
    from forecasts.slots import as_datetime
    from forecasts.sources.csv import Columns, CsvOptions, CsvSource

    _is_there(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = [cell.strip().strip('"') for cell in file.readline().split(",")]
    except UnicodeDecodeError:
        header = ["issued_at"]  # whoever reads it whole says what is wrong with it
    timed = "issued_at" in header
    columns = Columns(issued_at="issued_at" if timed else None)
    options = CsvOptions(path=path, name=ACTUALS, currency=currency, columns=columns, kind="cleared")
    read = [replace(s, kind=Kind.ACTUAL) for s in CsvSource(options).read(now=datetime.now(UTC))]
    if timed:
        return read
    return [
        replace(
            s,
            known_at=as_datetime(s.end[i]),
            start=s.start[i : i + 1],
            end=s.end[i : i + 1],
            values=s.values[i : i + 1],
            quantiles={},
        )
        for s in read
        for i in range(len(s))
    ]


def _stored(
    given: Given, signals: Sequence[Signal], sources: Sequence[str], outcomes_of: str | None
) -> list[Subject]:
    from forecasts.scores.subject import from_store
    from forecasts.store import ForecastStore
    from shifter.store.db import Database

    assert given.database is not None
    back = parse_duration(given.back, "--for")
    database = Database(given.database)
    store = ForecastStore(database.engine)
    try:
        with database.errors():
            spoken: dict[Signal, VintageInfo] = {
                s: newest[0]
                for s in signals
                if (newest := store.vintages(zone=given.zone, signal=s, limit=1))
            }
            found = []
            for signal, last in spoken.items():
                # A store of a simulated clock may be ahead of this machine's.
                now = (
                    parse_time(given.as_of, "--as-of")
                    if given.as_of
                    else max(datetime.now(UTC), last.known_at)
                )
                found.append(
                    from_store(
                        store,
                        given.zone,
                        signal,
                        since=now - back,
                        now=now,
                        slot_minutes=given.slot_minutes or 30,
                        sources=sources,
                        outcomes_of=outcomes_of,
                    )
                )
            return [s for s in found if s.forecasts or s.unjudged]
    finally:
        database.close()
