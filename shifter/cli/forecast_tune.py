"""`shifter forecasts tune`: would other rules of learning have served better, by more than noise."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli import forecast_options as given_as
from shifter.cli.console import print_json, progress, say, silent_libraries, working
from shifter.cli.forecast_inputs import (
    ACTUALS,
    all_stored,
    check_named,
    files_of,
    in_order,
    named_file,
    nothing_came,
    replayable,
)
from shifter.cli.options import Json
from shifter.cli.text import duration, parse_duration, parse_minutes, parse_time
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.learning import Learning
    from forecasts.scores.decision import Job
    from forecasts.series import ForecastSeries
    from forecasts.trials import Parts
    from forecasts.tuning import Tuning
    from shifter.backtest.case import Rules
    from shifter.backtest.tuning import RiskTuning
    from shifter.settings import Settings

_RISK = "The weight on the worst outcomes, too (objective.risk.cvar_weight)"


def tune(
    *,
    zone: Annotated[
        list[str], typer.Option("--zone", help="Grid zone, such as GB or DE-LU (repeat for more).")
    ],
    signal: given_as.PlannedSignal = None,
    forecasts: given_as.Files = None,
    actuals: given_as.Actuals = None,
    database: given_as.DatabaseUrl = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="SHIFTER_CONFIG",
            help="shifter.yaml with what is in force; default: the defaults.",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="The first moment asked; default: --for before the end.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="No moment from here on; default: the last outcome.")
    ] = None,
    back: Annotated[
        str, typer.Option("--for", help="How far back; the first two thirds choose, the rest judges.")
    ] = "90d",
    every: Annotated[str, typer.Option("--every", help="How often it is asked.")] = "18h",
    ahead: Annotated[str, typer.Option("--ahead", help="About how much of the future; up to 7d.")] = "48h",
    source: given_as.InOrder = None,
    outcomes: given_as.Outcomes = None,
    job: given_as.JobHours = "4h",
    within: given_as.Within = "24h",
    currency: given_as.Currency = "EUR",
    rate: given_as.Rates = None,
    seed: given_as.Seed = 0,
    fleet: Annotated[
        Path | None, typer.Option("--fleet", help="fleet.yaml, with --workloads.", rich_help_panel=_RISK)
    ] = None,
    workloads: Annotated[
        Path | None,
        typer.Option("--workloads", help="workloads.jsonl: all of the time's.", rich_help_panel=_RISK),
    ] = None,
    realtime: Annotated[
        Path | None,
        typer.Option("--realtime", help="realtime.csv: the load expected.", rich_help_panel=_RISK),
    ] = None,
    replan: Annotated[
        str, typer.Option("--replan", help="How often plans are made.", rich_help_panel=_RISK)
    ] = "2h",
    workers: Annotated[int, typer.Option("--workers", help="Processes; the result is the same.", min=1)] = 1,
    plot: given_as.Plot = None,
    as_json: Json = False,
) -> None:
    """Would other rules of learning (forecasts.learning) have served better, by more than noise.

    Replays them at the same moments, knowing what was known then. The first two thirds of the time choose; what is
    chosen is held against what is in force in the last third, once, and suggested only where it is better there by
    more than noise. With --fleet and --workloads plans are replayed, too, with other weights on the worst outcomes.
    """
    where = [given_as.Given(z, forecasts or (), actuals, database, currency=currency) for z in zone]
    where[0].check()
    given_as.check_plots(plot)
    _check_risk(fleet, workloads, realtime, forecasts)
    if fleet is not None:
        _check_same(fleet, outcomes, rate, currency)
    plans_every = parse_minutes(replan, "--replan")
    chosen, signals = given_as.job_of(job, within), given_as.planned_signals(signal)
    how: dict[str, Any] = {
        "start": parse_time(start, "--start") if start else None,
        "end": parse_time(end, "--end") if end else None,
        "back": given_as.span_of(back, "--for"),
        "every": parse_duration(every, "--every"),
        "ahead": parse_duration(ahead, "--ahead"),
        "currency": currency,
        "fx": given_as.rates_of(rate or ()),
        "outcomes_of": outcomes or (ACTUALS if actuals else None),
    }
    given_as.check_span(how["start"], how["end"])
    settings = _settings(config)
    present = settings.forecasts.learning.rules
    began = time.monotonic()
    with working("reading …"):
        from forecasts.trials import divide

        vintages, order = _read(where, source, outcomes)
        wanted = [(z, s) for z in zone for s in signals]
        with replayable(vintages, wanted, how, "--database" if database else "--forecasts"):
            parts = divide(vintages, wanted, order=order, **how)
    if not parts:
        raise nothing_came(signals, zone, "--actuals" if forecasts else "--database")
    with given_as.as_options():
        found = _searched(parts, present, chosen, workers, seed)
    risk = None
    if fleet is not None and workloads is not None:
        paths = (fleet, _only(forecasts or (), source), workloads, actuals, realtime)
        risk = _weighed(parts, paths, _rules(settings, plans_every), workers)
    written = []
    if plot is not None:
        from shifter.cli.forecast_tune_plots import write_plots

        with working("drawing …"):
            written = write_plots(plot, parts, found, risk)
    from shifter.cli import forecast_tune_tables as tables

    if as_json:
        print_json(tables.to_json(parts, found, risk))
    else:
        tables.print_tuning(parts, found, database)
        if risk is not None:
            tables.print_risk(risk)
    for path in written:
        say(f"Wrote {path}.", "green")
    by = "one process" if workers == 1 else f"{workers} processes"
    say(f"{len(found.tried)} settings tried in {duration(time.monotonic() - began)}, by {by}.", "dim")


def _check_risk(
    fleet: Path | None, workloads: Path | None, realtime: Path | None, forecasts: list[str] | None
) -> None:
    if (fleet is None) != (workloads is None) or (realtime is not None and fleet is None):
        raise InputError(
            "plans are replayed with a fleet and its workloads.",
            field="--fleet",
            hint="Give both --fleet and --workloads, or neither.",
        )
    if fleet is not None and not forecasts:
        raise InputError(
            "plans are replayed from files.",
            field="--fleet",
            hint="Give --forecasts FILE and --actuals FILE.",
        )


def _check_same(fleet: Path, outcomes: str | None, rate: list[str] | None, currency: str) -> None:
    """Raises InputError for what the replay of plans would take otherwise."""
    from shifter.files import read_fleet

    own = read_fleet(fleet).currency
    for field, given, why in (
        ("--outcomes", outcomes is not None, "what came is measured, then cleared, where plans are replayed"),
        ("--fx", bool(rate), f"prices in files are in {own}, the fleet's currency, where plans are replayed"),
        ("--currency", currency != own, f"prices are in {currency}, and the fleet pays in {own}"),
    ):
        if given:
            hint = f"Give --currency {own}." if field == "--currency" else "Leave it out, or --fleet."
            raise InputError(f"{why}.", field=field, hint=hint)


def _settings(config: Path | None) -> Settings:
    """Those in force: of the configuration, and of the environment."""
    from shifter.settings import load_settings

    return load_settings(config, environ=dict(os.environ))


def _rules(settings: Settings, plans_every: int) -> Rules:
    """How plans are replayed, but for the order of sources: that is of the files."""
    from dataclasses import replace

    from shifter.cli.backtest import rules_of

    return replace(rules_of(settings), replan_minutes=plans_every, learn_hours=6, order={})


def _only(forecasts: Sequence[str], source: list[str] | None) -> list[str]:
    """The files of these sources, in their order."""
    of = {named_file(text)[0]: text for text in forecasts}
    return [of[name] for name in source if name in of] if source else list(forecasts)


def _read(
    where: Sequence[given_as.Given], source: list[str] | None, outcomes: str | None
) -> tuple[list[ForecastSeries], list[str]]:
    """All vintages, and the sources in their order. Raises InputError for a zone or a source that is not there."""
    told: dict[str, list[ForecastSeries]] = {}
    files = bool(where[0].files)
    if files:
        told = files_of(where[0])
    else:
        for given in where:
            for name, said in all_stored(given).items():
                told.setdefault(name, []).extend(said)
    zones = {s.zone for said in told.values() for s in said}
    for given in where:
        if given.zone not in zones:
            raise InputError(
                f"nothing is said about the zone {given.zone}.",
                field="--zone",
                hint=f"There are {', '.join(sorted(zones))}." if zones else "",
            )
    named = {**dict.fromkeys(source or (), "--source"), **({outcomes: "--outcomes"} if outcomes else {})}
    check_named(named, told, " or ".join(given.zone for given in where))
    order = source or list(dict.fromkeys(n for g in where for n in in_order(told, g.zone)) if files else ())
    return [s for said in told.values() for s in said], order


def _searched(parts: Sequence[Parts], present: Learning, job: Job, workers: int, seed: int) -> Tuning:
    from forecasts.tuning import GRID, tune
    from forecasts.worlds import Worlds

    replays = [r for p in parts for r in (p.choosing, p.judging)]
    choosing, judging = (sum(len(r.origins) for r in replays[i::2]) for i in (0, 1))
    # What is in force, every other value of each rule, and two that are judged; a second time around may come.
    settings = 1 + sum(len(values) - 1 for values in GRID.values())
    with (
        progress("replaying", settings * choosing + 2 * judging) as told,
        Worlds(replays, workers=workers, told=told) as worlds,
    ):
        return tune(parts, worlds.believed, present=present, grid=GRID, job=job, seed=seed)


def _weighed(parts: Sequence[Parts], paths: tuple[Any, ...], rules: Rules, workers: int) -> RiskTuning:
    """Plans replayed from the first moment that chooses to a day before those that judge, and from there on."""
    from dataclasses import replace

    from shifter.backtest.case import Case
    from shifter.backtest.cases import cut
    from shifter.backtest.executors import Processes, Serial
    from shifter.backtest.inputs import Files, read
    from shifter.backtest.tuning import WEIGHTS, tune_risk

    fleet, forecasts, workloads, actuals, realtime = paths
    files = Files(
        fleet,
        [named_file(text)[1] for text in forecasts],
        workloads,
        () if actuals is None else (actuals,),
        realtime,
    )
    first, middle, last = (
        moment.replace(hour=0)  # replays ask on whole hours
        for moment in (
            min(p.choosing.origins[0] for p in parts),
            min(p.judging.origins[0] for p in parts),
            max(p.judging.origins[-1] for p in parts),
        )
    )

    def judging() -> tuple[Case, ...]:
        with working("learning from what came …"):
            return cut(read(files, middle, last, 30, rules), workers=workers).cases

    with working("reading, and learning from what came …"):
        # By the last day's end nothing is known of what judges: the day before it is the last one that is asked.
        given = read(files, first, middle - timedelta(days=1), 30, rules)
        vintages, came = (
            [s for s in said if s.known_at <= middle] for said in (given.vintages, given.actuals)
        )
        choosing = cut(replace(given, vintages=vintages, actuals=came), workers=workers).cases
    executor = Processes(workers) if workers > 1 else Serial()
    with progress("planning", len(choosing) * len(WEIGHTS)) as told, silent_libraries():
        return tune_risk(choosing, judging, executor, lambda _: told(1))
