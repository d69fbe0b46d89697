"""`shifter forecasts backtest`: what the daemon would have believed in the past, and how good that was."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli import forecast_inputs as given_as
from shifter.cli.console import print_json, progress, say, working
from shifter.cli.options import Json
from shifter.cli.text import duration, parse_duration, parse_time, plural
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.replay import Replay
    from forecasts.replayed import Outcome
    from forecasts.scores.decision import Job
    from forecasts.series import ForecastSeries, Signal


def backtest(
    *,
    zone: given_as.ScoredZone,
    signal: given_as.PlannedSignal = None,
    forecasts: given_as.Files = None,
    actuals: given_as.Actuals = None,
    database: given_as.DatabaseUrl = None,
    start: Annotated[
        str | None, typer.Option("--start", help="The first moment asked; default: 30 days before the end.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="No moment from here on; default: the last outcome.")
    ] = None,
    every: Annotated[str, typer.Option("--every", help="How often it is asked.")] = "6h",
    ahead: Annotated[str, typer.Option("--ahead", help="About how much of the future; up to 7d.")] = "7d",
    source: given_as.InOrder = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            "--shadow", help="This source is scored, and neither planned by nor learnt from (repeat)."
        ),
    ] = None,
    outcomes: given_as.Outcomes = None,
    job: given_as.JobHours = "4h",
    within: given_as.Within = "24h",
    max_age: Annotated[
        str, typer.Option("--max-age", help="What is older yields to the next source, as in the daemon.")
    ] = "48h",
    currency: given_as.Currency = "EUR",
    rate: given_as.Rates = None,
    seed: given_as.Seed = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes; the result is the same.", min=1)] = 1,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write PNGs into this directory.")] = None,
    as_json: Json = False,
) -> None:
    """What the daemon would have planned by, and how good that was, beside each source and the past repeated.

    From files with vintages, or from a daemon's database. Each moment knows what was known then, and nothing later.
    docs/concepts/scores.md says what each figure means, and docs/concepts/forecasting.md how it is made.
    """
    where = given_as.Given(zone, forecasts or (), actuals, database, currency=currency)
    where.check()
    chosen, signals = given_as.job_of(job, within), planned_signals(signal)
    asked = partial(
        _prepared,
        zone=zone,
        start=parse_time(start, "--start") if start else None,
        end=parse_time(end, "--end") if end else None,
        every=parse_duration(every, "--every"),
        ahead=parse_duration(ahead, "--ahead"),
        currency=currency,
        fx=given_as.rates_of(rate or ()),
        shadow=shadow or (),
        outcomes_of=outcomes or (given_as.ACTUALS if actuals else None),
        max_age=parse_duration(max_age, "--max-age"),
    )
    with working("reading …"):
        told = given_as.files_of(where) if forecasts else all_stored(where)
        order = source or (in_order(told, zone) if forecasts else ())
        order = [name for name in order if name not in (shadow or ())]
        vintages = [s for said in told.values() for s in said]
        replays = [r for s in signals if (r := asked(vintages, signal=s, order=order)) is not None]
    if not replays:
        raise InputError(
            f"of no {' or '.join(signals)} of {zone} that was forecast is it known what came.",
            field="--actuals" if forecasts else "--database",
            hint="Give forecasts with their vintages, and what was measured or cleared of the same slots.",
        )
    began = time.monotonic()
    done = _replayed(replays, workers, chosen, seed)
    took_s = math.ceil(time.monotonic() - began)
    written = _drawn(plot, done) if plot is not None else []
    if as_json:
        from forecasts.scores.report import to_dict

        print_json([to_dict(one.summary()) for one in done])
    else:
        from shifter.cli.forecast_backtest_tables import print_outcome

        for one in done:
            print_outcome(one)
    for path in written:
        say(f"Wrote {path}.", "green")
    count = sum(len(r.origins) for r in replays)
    by = "one process" if workers == 1 else f"{workers} processes"
    say(f"{plural(count, 'moment')} replayed in {duration(took_s)}, by {by}.", "dim")


def _prepared(vintages: Sequence[ForecastSeries], zone: str, signal: Signal, **given: Any) -> Replay | None:
    """`forecasts.replay.prepare`, whose mistakes are those of options here."""
    from forecasts.replay import prepare

    try:
        return prepare(vintages, zone, signal, **given)
    except InputError as e:
        raise as_option(e) from None


def as_option(e: InputError) -> InputError:
    """A mistake, of an option where it would be of a setting in the daemon."""
    if e.field != "forecasts.fx":
        return e
    return InputError(e.detail, field="--fx", hint="Say what one is worth, as in --fx GBP=1.17.")


def in_order(told: Mapping[str, Sequence[ForecastSeries]], zone: str) -> list[str]:
    """Of files the first one given goes first, as does the first source in a configuration."""
    return [n for n, said in told.items() if n != given_as.ACTUALS and any(s.zone == zone for s in said)]


def planned_signals(text: str | None) -> tuple[Signal, ...]:
    from forecasts.series import PLANNED

    wanted = PLANNED if text is None else given_as.signals_of(text)
    if not set(wanted) <= set(PLANNED):
        raise InputError(f"nothing is planned by {text}.", field="--signal", hint="Use price or carbon.")
    return wanted


def all_stored(given: given_as.Given) -> dict[str, list[ForecastSeries]]:
    """Every vintage that a store holds of the zone, by source, without what its daemon said: that is replayed."""
    from forecasts.heeded import OWN
    from forecasts.scores.stored import MOST_VINTAGES
    from forecasts.series import PLANNED
    from forecasts.store import ForecastStore
    from shifter.store.db import Database

    assert given.database is not None
    database = Database(given.database)
    store = ForecastStore(database.engine)
    told: dict[str, list[ForecastSeries]] = {}
    try:
        with database.errors():
            for signal in PLANNED:
                infos = store.vintages(zone=given.zone, signal=signal, limit=MOST_VINTAGES)
                if len(infos) == MOST_VINTAGES:
                    say(f"Of {signal} only the newest {MOST_VINTAGES:,} vintages are looked at.", "yellow")
                for info in infos:
                    if info.source not in OWN and (said := store.read(info.id)) is not None:
                        told.setdefault(info.source, []).append(said)
    finally:
        database.close()
    return told


def _replayed(replays: Sequence[Replay], workers: int, job: Job, seed: int) -> list[Outcome]:
    from forecasts.replayed import Outcome, beliefs

    done = []
    with progress("replaying", sum(len(r.origins) for r in replays)) as told:
        for replay in replays:
            believed = beliefs(replay, workers=workers, done=told)
            done.append(Outcome.of(replay, believed, job=job, seed=seed))
    return done


def _drawn(folder: Path, done: Sequence[Outcome]) -> list[Path]:
    from shifter.cli.forecast_backtest_plots import write_plots

    with working("drawing …"):
        return [path for one in done for path in write_plots(folder, one)]
