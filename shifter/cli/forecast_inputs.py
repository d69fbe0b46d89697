"""What `shifter forecasts score`, `compare`, `backtest` and `tune` read: vintages in files, or in a daemon's store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shifter.cli.console import say
from shifter.cli.forecast_options import Given, as_options
from shifter.cli.text import local
from shifter.errors import InputError, NotReady

if TYPE_CHECKING:
    from forecasts.series import ForecastSeries, Signal
    from forecasts.store import ForecastStore

ACTUALS = "actuals"
"""The name of the source that `--actuals` is."""
SPAN = ("zone", "start", "end")
VALUES = ("price_per_mwh", "carbon_g_per_kwh")


def check_named(named: Mapping[str, str], there: Collection[str], what: str) -> None:
    """Raises InputError for a source that is not `there`, among those that speak of `what`; `named` has the option of
    each.
    """
    for name, option in named.items():
        if name not in there:
            hint = f"There are {', '.join(sorted(there))}." if there else "Nobody does."
            raise InputError(f"{name} says nothing of {what}.", field=option, hint=hint)


def in_order(told: Mapping[str, Sequence[ForecastSeries]], zone: str) -> list[str]:
    """Of files the first one given goes first, as does the first source in a configuration."""
    return [n for n, said in told.items() if n != ACTUALS and any(s.zone == zone for s in said)]


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


def named_file(text: str) -> tuple[str, Path]:
    """`[NAME=]FILE`: the source, and its file."""
    name, equals, path = text.partition("=")
    return (
        (name, Path(path)) if equals and name and not Path(text).exists() else (Path(text).stem, Path(text))
    )


def _is_there(path: Path) -> None:
    if path.is_dir():
        raise InputError("it is a folder.", field=str(path), hint="Name the file in it.")
    if not path.is_file():  # a source that does not answer is another matter than a wrong path
        raise InputError("there is no such file.", field=str(path), hint="Check the path.")


def read_vintages(path: Path, name: str, currency: str) -> list[ForecastSeries]:
    """Every vintage of a forecasts.csv, as of the source `name`."""
    from forecasts.sources.csv import CsvOptions, CsvSource

    _is_there(path)
    _columns(path, *SPAN, "issued_at")
    options = CsvOptions(path=path, name=name.replace(":", "-"), currency=currency)
    return CsvSource(options).read(now=datetime.now(UTC))


def _columns(path: Path, *needed: str) -> list[str]:
    """The names in its first line. Raises InputError, once, for a file that is another one; its columns cannot be
    mapped on a command line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = [cell.strip().strip('"') for cell in file.readline().split(",")]
    except UnicodeDecodeError:
        return [*needed]  # whoever reads it whole says what is wrong with it
    missing = [name for name in needed if name not in header]
    if not set(VALUES) & set(header):
        missing.append(" or ".join(VALUES))
    if missing:
        raise InputError(
            f"this is no forecasts.csv: it has no column {', '.join(missing)}.",
            field=str(path),
            hint=f"Its first line names {', '.join(needed)} and {' or '.join(VALUES)}, with commas between them.",
        )
    return header


def read_actuals(path: Path, currency: str) -> list[ForecastSeries]:
    """What came of it: what is said to be measured or cleared, and what was over when it was issued. Where there is no
    `issued_at`, all of it, each interval known when it was over. Raises InputError where nothing came.
    """
    from forecasts.outcomes import over
    from forecasts.series import Kind
    from forecasts.slots import as_datetime
    from forecasts.sources.csv import Columns, CsvOptions, CsvSource

    _is_there(path)
    timed = "issued_at" in _columns(path, *SPAN)
    columns = Columns(issued_at="issued_at" if timed else None)
    options = CsvOptions(
        path=path,
        name=ACTUALS,
        currency=currency,
        columns=columns,
        kind="forecast" if timed else "cleared",  # of rows that do not say: a history is full of forecasts
    )
    read = CsvSource(options).read(now=datetime.now(UTC))
    if timed:
        came = [replace(part, kind=Kind.ACTUAL) for s in read if (part := over(s)) is not None]
        if not came:
            raise InputError(
                "none of its rows was over when it was issued: all of it is forecast.",
                field=str(path),
                hint="Give what came: rows that were issued when they were over, or of kind actual or cleared, or a "
                "file without issued_at.",
            )
        return came
    return [
        replace(
            s,
            kind=Kind.ACTUAL,
            known_at=as_datetime(s.end[i]),
            start=s.start[i : i + 1],
            end=s.end[i : i + 1],
            values=s.values[i : i + 1],
            quantiles={},
        )
        for s in read
        for i in range(len(s))
    ]


@contextmanager
def opened(url: str) -> Iterator[ForecastStore]:
    """A daemon's store, to read. Raises InputError where there is no such file, NotReady where it is of no use."""
    from forecasts.store import ForecastStore
    from shifter.store.db import Database

    database = Database(url)
    path = Path(database.url.database or "").absolute()
    if database.is_sqlite and not path.is_file():
        hint = "Check the path; a daemon's is `database` of its shifter.yaml."
        if (database.url.database or "").startswith("file:"):
            hint = "Give the path alone, as sqlite:///shifter.db: SQLite's own file: URLs are not understood."
        raise InputError(f"there is no file {path}.", field="--database", hint=hint)
    try:
        with database.errors():
            yield ForecastStore(database.engine)
    except NotReady as e:
        raise NotReady(
            e.detail, field="--database", hint="Is it the store of a daemon of this version?"
        ) from e
    finally:
        database.close()


def all_stored(given: Given) -> dict[str, list[ForecastSeries]]:
    """Every vintage that a store holds of the zone, by source, without what its daemon said: that is replayed.

    Raises InputError where it holds none.
    """
    from forecasts.heeded import OWN
    from forecasts.scores.stored import MOST_VINTAGES
    from forecasts.series import PLANNED

    assert given.database is not None
    told: dict[str, list[ForecastSeries]] = {}
    with as_options(), opened(given.database) as store:
        for signal in PLANNED:
            infos = store.vintages(zone=given.zone, signal=signal, limit=MOST_VINTAGES)
            if len(infos) == MOST_VINTAGES:
                say(f"Of {signal} only the newest {MOST_VINTAGES:,} vintages are looked at.", "yellow")
            for info in infos:
                if info.source not in OWN and (said := store.read(info.id)) is not None:
                    told.setdefault(info.source, []).append(said)
        if not told:
            raise no_zone(store, given.zone)
    return told


def no_zone(store: ForecastStore, zone: str) -> InputError:
    """The zone is not there: which are."""
    zones = sorted({a.zone for a in store.ages(datetime.now(UTC))})
    if zone in zones:
        return InputError(f"the database has neither price nor carbon of {zone}.", field="--zone")
    hint = f"It has {', '.join(zones)}." if zones else "It is empty: a daemon that runs fills it."
    return InputError(f"the database says nothing about the zone {zone}.", field="--zone", hint=hint)


def nothing_came(signals: Sequence[Signal], zones: Sequence[str], place: str) -> InputError:
    """There are forecasts, and no outcomes, which the option `place` would bring."""
    return InputError(
        f"of no {' or '.join(signals)} of {' or '.join(zones)} that was forecast is it known what came.",
        field=place,
        hint="Give forecasts with their vintages, and what was measured or cleared of the same slots.",
    )


@contextmanager
def replayable(
    told: Sequence[ForecastSeries], wanted: Iterable[tuple[str, Signal]], how: Mapping[str, Any], place: str
) -> Iterator[None]:
    """Meanwhile mistakes are those of options, as in `as_options`; and where `how` leaves no moment to ask at, it is
    told what was read of the `wanted`, from the option `place`, and what it takes.
    """
    try:
        with as_options():
            yield
    except InputError as e:
        if e.field != "--end":
            raise
        given = next((f"--{name}" for name in ("start", "end") if how.get(name)), place)
        more = "Let the daemon run on, or choose" if place == "--database" else "Choose"
        raise InputError(
            f"there is no moment to replay: {'; '.join(_extents(told, wanted))}.",
            field=given,
            hint="A moment is a whole hour after the first and before the last of these, and what is learnt by then "
            f"takes some weeks. {more} --start and --end between them.",
        ) from None


def _extents(told: Sequence[ForecastSeries], wanted: Iterable[tuple[str, Signal]]) -> Iterator[str]:
    from forecasts.outcomes import over
    from forecasts.slots import as_datetime

    for zone, signal in wanted:
        mine = [s for s in told if (s.zone, s.signal) == (zone, signal) and len(s)]
        came = [as_datetime(part.end[-1]) for s in mine if (part := over(s)) is not None]
        if came:
            first = min(s.known_at for s in mine)
            yield f"the {signal} of {zone} is known from {local(first)}, and what came of it to {local(max(came))}"
