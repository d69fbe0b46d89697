"""`shifter forecasts backtest`: what the daemon would have believed in the past, and how good that was."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli import forecast_options as given_as
from shifter.cli.console import print_json, progress, say, working
from shifter.cli.forecast_inputs import (
    ACTUALS,
    all_stored,
    check_named,
    files_of,
    in_order,
    nothing_came,
    replayable,
)
from shifter.cli.options import Json
from shifter.cli.text import duration, parse_duration, parse_time, plural
from shifter.errors import InputError, NotReady

if TYPE_CHECKING:
    from forecasts.replay import Replay
    from forecasts.replayed import Outcome
    from forecasts.scores.decision import Job
    from forecasts.series import ForecastSeries


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
    plot: given_as.Plot = None,
    as_json: Json = False,
) -> None:
    """What the daemon would have planned by, and how good that was, beside each source and the past repeated.

    From files with vintages, or from a daemon's database. Each moment knows what was known then, and nothing later.
    docs/concepts/scores.md says what each figure means, and docs/concepts/forecasting.md how it is made.
    """
    where = given_as.Given(zone, forecasts or (), actuals, database, currency=currency)
    where.check()
    given_as.check_plots(plot)
    chosen, signals = given_as.job_of(job, within), given_as.planned_signals(signal)
    begin, last = (parse_time(start, "--start") if start else None, parse_time(end, "--end") if end else None)
    given_as.check_span(begin, last)
    how: dict[str, Any] = {
        "start": begin,
        "end": last,
        "every": parse_duration(every, "--every"),
        "ahead": parse_duration(ahead, "--ahead"),
        "currency": currency,
        "fx": given_as.rates_of(rate or ()),
        "shadow": shadow or (),
        "outcomes_of": outcomes or (ACTUALS if actuals else None),
        "max_age": parse_duration(max_age, "--max-age"),
    }
    with working("reading …"):
        from forecasts.replay import prepare

        told = files_of(where) if forecasts else all_stored(where)
        vintages = [v for said in told.values() for v in said]
        named = {**dict.fromkeys(source or (), "--source"), **dict.fromkeys(shadow or (), "--shadow")}
        named |= {outcomes: "--outcomes"} if outcomes else {}
        check_named(named, {v.source for v in vintages if v.zone == zone}, zone)
        order = source or (in_order(told, zone) if forecasts else ())
        order = [name for name in order if name not in (shadow or ())]
        replays: list[Replay] = []
        for s in signals:
            with replayable(vintages, [(zone, s)], how, "--database" if database else "--forecasts"):
                made = prepare(vintages, zone, s, order=order, **how)
            replays += [made] if made is not None else []
    if not replays:
        _check_shadow(vintages, zone, shadow or ())
        raise nothing_came(signals, [zone], "--actuals" if forecasts else "--database")
    began = time.monotonic()
    with given_as.as_options():
        done = _replayed(replays, workers, chosen, seed)
    if not any(one.scores for one in done):
        raise NotReady(
            "nothing that was said of these moments can be scored: it is not known what came.",
            field="--start" if start else "--end" if end else "--actuals" if forecasts else "--database",
            hint="Choose --start and --end where something was forecast, and is over.",
        )
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


def _check_shadow(vintages: Sequence[ForecastSeries], zone: str, shadow: Sequence[str]) -> None:
    """Raises InputError where nobody is left that could say what came."""
    heard = {v.source for v in vintages if v.zone == zone}
    if heard <= set(shadow):
        raise InputError(
            f"all sources are in shadow ({', '.join(sorted(heard))}), and none of them says what came.",
            field="--shadow",
            hint="Leave one out of it, or give what came: --actuals FILE, or --outcomes SOURCE.",
        )


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
