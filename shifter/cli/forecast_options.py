"""What the options of `shifter forecasts score`, `compare`, `backtest` and `tune` say, and whether it makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shifter.cli.text import parse_duration, parse_minutes
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.scores.decision import Job
    from forecasts.series import Signal

FIELDS = {
    "forecasts.fx": "--fx",
    "source": "--forecasts",
    **{
        name: f"--{name}"
        for name in ("ahead", "database", "end", "every", "job", "outcomes", "slot", "start")
    },
}
"""Which option says what forecasts call so."""
PICTURES = {".png", ".svg", ".pdf", ".jpg", ".jpeg"}

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
Signals = Annotated[
    str | None, typer.Option("--signal", help="price or carbon; default: all that were forecast.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of the bootstrap.", min=0)]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Write PNGs into this folder, which is made where there is none."),
]


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
        if self.files and self.database:
            raise InputError(
                "forecasts come from files or from a database, and both are given.",
                field="--database",
                hint="Leave out --database, or --forecasts.",
            )
        if not self.files and not self.database:
            raise InputError(
                "nothing says where forecasts are.",
                field="--forecasts",
                hint="Give --forecasts FILE with --actuals FILE, or --database URL.",
            )
        if self.database and self.actuals:
            raise InputError(
                "a database has its own outcomes.",
                field="--actuals",
                hint="Leave it out, or give the forecasts as files, too.",
            )
        check_currency(self.currency, "--currency")

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
        check_currency(name, "--fx")
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


def planned_signals(text: str | None) -> tuple[Signal, ...]:
    """`--signal` of what is planned by, or both. Raises InputError."""
    from forecasts.series import PLANNED

    wanted = PLANNED if text is None else signals_of(text)
    if not set(wanted) <= set(PLANNED):
        raise InputError(f"nothing is planned by {text}.", field="--signal", hint="Use price or carbon.")
    return wanted


def check_currency(text: str, option: str) -> None:
    """Raises InputError for what is not the code of a currency."""
    from forecasts.units import CURRENCIES

    if text not in CURRENCIES:
        near = text.strip().upper()
        hint = f"Write {near}." if near in CURRENCIES else f"Known are {', '.join(sorted(CURRENCIES))}."
        raise InputError(f"{text!r} is not the code of a currency.", field=option, hint=hint)


def check_plots(folder: Path | None) -> None:
    """Raises InputError where `--plot` is not a folder, nor can become one: several pictures go into it; and where
    nothing can be drawn, which is better known before than after an hour of replays.
    """
    if folder is not None and not folder.is_dir() and (folder.exists() or folder.suffix.lower() in PICTURES):
        raise InputError(
            f"{folder} is a file, and several pictures are drawn.",
            field="--plot",
            hint="Name a folder, as --plot plots; it is made where there is none.",
        )
    if folder is not None:
        from shifter.cli.forecast_plots import load

        load()


def span_of(text: str, option: str) -> timedelta:
    """A length of time that is one. Raises InputError."""
    span = parse_duration(text, option)
    if not span:
        raise InputError(f"{text} is no time at all.", field=option, hint="Write it like 48h or 7d.")
    return span


def check_span(start: datetime | None, end: datetime | None) -> None:
    """Raises InputError where both are given, and leave nothing between them."""
    if start is not None and end is not None and end <= start:
        raise InputError("the end is not after the start.", field="--end", hint="Give a later one.")


@contextmanager
def as_options() -> Iterator[None]:
    """Meanwhile a mistake in what forecasts are told is told as one of the option that said so."""
    try:
        yield
    except InputError as e:
        if e.field not in FIELDS:
            raise
        hint = "Say what one is worth, as in --fx GBP=1.17." if e.field == "forecasts.fx" else e.hint
        raise InputError(e.detail, field=FIELDS[e.field], hint=hint) from None
