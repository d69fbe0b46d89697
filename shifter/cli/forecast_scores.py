"""`shifter forecasts score` and `compare`: how good forecasts were, and which of two is better."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.text import Text

from shifter.cli import forecast_inputs as given_as
from shifter.cli.console import Column, out, print_json, print_table, say, styled, working
from shifter.cli.options import Json
from shifter.cli.text import local, number, percent, plural
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.scores.compare import Beside, Comparison
    from forecasts.scores.decision import DecisionScores
    from forecasts.scores.report import Part, SourceScores
    from forecasts.scores.subject import Subject

Signals = Annotated[
    str | None, typer.Option("--signal", help="price or carbon; default: all that were forecast.")
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Write PNGs into this directory.")]


def score(
    *,
    zone: given_as.ScoredZone,
    signal: Signals = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only these sources (repeat for more).")
    ] = None,
    forecasts: given_as.Files = None,
    actuals: given_as.Actuals = None,
    database: given_as.DatabaseUrl = None,
    back: given_as.Days = "30d",
    as_of: given_as.AsOf = None,
    outcomes: given_as.Outcomes = None,
    slot: given_as.Slot = None,
    job: given_as.JobHours = "4h",
    within: given_as.Within = "24h",
    rule: given_as.Rule = "day",
    currency: given_as.Currency = "EUR",
    seed: given_as.Seed = 0,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """How good forecasts were: errors by lead time, bands, order within the day, and what deciding by them was worth.

    From files with vintages and what came of them, or from a daemon's database. What was cleared or measured when a
    forecast was made is not scored. docs/concepts/scores.md says what each figure means.
    """
    from forecasts.scores.report import score as score_of

    where = given_as.Given(zone, forecasts or (), actuals, database, back, as_of, slot, currency)
    chosen, judged_by = given_as.job_of(job, within), given_as.rule_of(rule)
    with working("scoring …"):
        found = given_as.subjects(
            where, given_as.signals_of(signal), sources=source or (), outcomes_of=outcomes
        )
        scores: list[SourceScores] = []
        for one in found:
            for name, said in one.forecasts.items():
                made = score_of(said, one.known[name], job=chosen, rule=cast("Any", judged_by), seed=seed)
                if made is not None:
                    scores.append(made)
    _say_unjudged(found, scores)
    if not scores:
        raise InputError(
            f"nothing has come yet of what was forecast of {zone}.",
            field="--actuals" if forecasts else "--database",
            hint="Give what was measured or cleared, of slots that were forecast before it was known.",
        )
    written = []
    if plot is not None:
        from shifter.cli.forecast_plots import write_plots

        with working("drawing …"):
            written = write_plots(plot, found, scores)
    if as_json:
        from forecasts.scores.report import to_dict

        print_json([to_dict(s) for s in scores])
    else:
        for one_score in scores:
            _print_score(one_score)
    for path in written:
        say(f"Wrote {path}.", "green")


def _say_unjudged(found: Sequence[Subject], scores: Sequence[SourceScores]) -> None:
    scored = {(s.zone, s.signal, s.source) for s in scores}
    for one in found:
        silent = [n for n in one.forecasts if (one.zone, one.signal, n) not in scored]
        for name in (*one.unjudged, *silent):
            say(f"{one.zone} {one.signal} by {name}: nobody says yet what came of it.", "yellow")


def _print_score(s: SourceScores) -> None:
    kinds = {round(b.nominal, 4) for p in s.by_lead for b in p.bands.bands}
    bands = sorted(kinds)[-1:]  # the widest: all of them are in --json
    columns = [
        Column("lead (h)", "right"),
        Column("cases", "right", expendable=110),
        Column("MAE", "right"),
        Column("bias", "right", expendable=60),
        Column("RMSE", "right", expendable=90),
        Column("rMAE", "right"),
        Column("CRPS", "right", expendable=80),
        *(Column(f"in {percent(b, 0)} band", "right", expendable=70) for b in bands),
        *(Column("width", "right", expendable=75) for _ in bands),
        Column("rank", "right", expendable=40),
        Column("available", "right", expendable=100),
    ]
    rows = [_row(f"{p.from_h}–{p.to_h}", p, bands) for p in s.by_lead]
    rows.append(_row("all", s.overall, bands, "bold"))
    out().print(styled(_title(s), "bold"), soft_wrap=True)
    print_table(columns, rows)
    _say_decision(s)


def _title(s: SourceScores) -> str:
    made_up = " SYNTHETIC, not the real grid." if s.synthetic else ""
    return (
        f"{s.zone} {s.signal} [{s.unit}] by {s.source}: {plural(s.vintages, 'vintage')}, "
        f"{local(s.start)} to {local(s.end)}, judged by {s.outcomes_of}.{made_up}"
    )


def _row(label: str, p: Part, bands: Sequence[float], style: str = "") -> list[Text]:
    held = {round(b.nominal, 4): b for b in p.bands.bands}
    point = p.point
    ratio = styled(number(point.rmae, 2), "green" if (point.rmae or 0) < 1 else "yellow")
    texts: list[str | Text] = [
        label,
        f"{point.n:,}",
        number(point.mae, 1),
        number(point.bias, 1),
        number(point.rmse, 1),
        ratio if point.rmae is not None else "–",
        number(p.crps, 1),
        *(percent(held[b].coverage) if b in held else "–" for b in bands),
        *(number(held[b].width, 1) if b in held else "–" for b in bands),
        number(p.rank_correlation, 2),
        percent(getattr(p, "availability", None), 0),
    ]
    return [t if isinstance(t, Text) else styled(t, style) for t in texts]


def _say_decision(s: SourceScores) -> None:
    d, test = s.decision, s.against_persistence
    if d.origins:
        say(f"{_job(d)}: {_captured(d)}, regret {number(d.regret, 2)} {s.unit}.")
    else:
        say(f"{_job(d)}: no window of which enough was forecast and is known.", "yellow")
    if test is not None:
        better = "better" if test.mean_difference < 0 else "worse"
        sure = (
            f"{better} than persistence"
            if test.p_value < 0.05
            else "no different from persistence, as far as this tells"
        )
        say(f"Mean error {sure} (Diebold-Mariano p {_p(test.p_value, '= ')}, {test.n_days} days).", "dim")


def _job(d: DecisionScores) -> str:
    return f"A job of {d.job_hours:g} h within {d.within_hours:g} h, at {plural(d.origins, 'origin')}"


def _captured(d: DecisionScores) -> str:
    if d.captured is None:
        return "nothing to gain"
    sure = (
        ""
        if d.captured_low is None
        else f" ({percent(d.captured_low)} to {percent(d.captured_high)} with 90 %)"
    )
    return f"captured {percent(d.captured)}{sure}, persistence {percent(d.persistence_captured)}"


def _p(value: float, equals: str = "") -> str:
    return "< 0.001" if value < 0.001 else f"{equals}{value:.3f}"


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A source.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    *,
    zone: given_as.ScoredZone,
    signal: Signals = None,
    forecasts: given_as.Files = None,
    actuals: given_as.Actuals = None,
    database: given_as.DatabaseUrl = None,
    back: given_as.Days = "30d",
    as_of: given_as.AsOf = None,
    outcomes: given_as.Outcomes = None,
    slot: given_as.Slot = None,
    job: given_as.JobHours = "4h",
    within: given_as.Within = "24h",
    every: Annotated[str, typer.Option("--every", help="How often both are asked.")] = "6h",
    currency: given_as.Currency = "EUR",
    seed: given_as.Seed = 0,
    as_json: Json = False,
) -> None:
    """Two sources of a zone beside each other: asked at the same moments, of the same slots.

    Who errs less by lead time, who is worth more to a decision, and whether that is more than noise.
    """
    from datetime import timedelta

    from forecasts.scores.compare import compare as compare_of
    from forecasts.scores.report import to_dict
    from shifter.cli.text import parse_duration

    if first == second:
        raise InputError("that is one source twice.", field="B", hint="Name another.")
    where = given_as.Given(zone, forecasts or (), actuals, database, back, as_of, slot, currency)
    chosen = given_as.job_of(job, within)
    every_us = parse_duration(every, "--every") // timedelta(microseconds=1)
    if every_us < 60_000_000:
        raise InputError("both cannot be asked so often.", field="--every", hint="Write 1h or 6h.")
    found: list[Comparison] = []
    with working("comparing …"):
        told = given_as.subjects(
            where, given_as.signals_of(signal), sources=(first, second), outcomes_of=outcomes
        )
        for one in told:
            if {first, second} <= set(one.forecasts):
                _check_judge(one, first, second)
                made = compare_of(
                    one.forecasts[first],
                    one.forecasts[second],
                    one.known[first],
                    job=chosen,
                    every_us=every_us,
                    seed=seed,
                )
                found += [made] if made is not None else []
    if not found:
        raise InputError(
            f"{first} and {second} share no slot of {zone} of which it is known what came.",
            field="--zone",
            hint="See `shifter forecasts score` for what each of them has.",
        )
    if as_json:
        print_json([to_dict(c) for c in found])
        return
    for c in found:
        _print_comparison(c)


def _check_judge(one: Subject, first: str, second: str) -> None:
    """Raises InputError where each is judged by its own last word: neither says what came of the other."""
    judges = [one.known[name].source for name in (first, second)]
    if judges[0] != judges[1]:
        raise InputError(
            f"{first} is judged by {judges[0]}, {second} by {judges[1]}.",
            field="--outcomes",
            hint="Name the one source that says what came, of both.",
        )


def _print_comparison(c: Comparison) -> None:
    title = (
        f"{c.zone} {c.signal} [{c.unit}], {local(c.start)} to {local(c.end)}, judged by {c.outcomes_of}: "
        f"both at {plural(c.moments, 'moment')}."
    )
    names = {"first": c.first, "second": c.second, "neither": "neither"}
    columns = (
        Column("lead (h)", "right"),
        Column("cases", "right", expendable=50),
        Column(f"MAE {c.first}", "right"),
        Column(f"MAE {c.second}", "right"),
        Column("skill", "right", expendable=30),
        Column("p", "right", expendable=20),
        Column("better"),
    )
    rows = [_beside(f"{b.from_h}–{b.to_h}", b, names) for b in c.by_lead]
    rows.append(_beside("all", c.overall, names))
    out().print(styled(title, "bold"), soft_wrap=True)
    print_table(columns, rows)
    say(
        f"A job of {c.job_hours:g} h within {c.within_hours:g} h, at {plural(c.origins, 'origin')}: {c.first} captured "
        f"{percent(c.captured_first)}, {c.second} {percent(c.captured_second)}{_sure(c)}."
    )
    say(_verdict(c, names), "bold")


def _beside(label: str, b: Beside, names: dict[str, str]) -> list[Text]:
    p = "–" if b.test is None else _p(b.test.p_value)
    who = styled(names[b.better], "" if b.better == "neither" else "bold green")
    texts: list[str | Text] = [
        label,
        f"{b.n:,}",
        number(b.mae_first, 1),
        number(b.mae_second, 1),
        percent(b.skill),
        p,
        who,
    ]
    return [t if isinstance(t, Text) else styled(t) for t in texts]


def _sure(c: Comparison) -> str:
    if c.captured_low is None or c.captured_high is None:
        return ""
    return f"; the difference is {percent(c.captured_low)} to {percent(c.captured_high)} with 90 %"


def _verdict(c: Comparison, names: dict[str, str]) -> str:
    errs, decides = c.overall.better, c.better_decisions
    if errs == decides == "neither":
        return "Neither is better by more than noise."
    if errs == decides:
        return f"{names[errs]} is better, in its errors and in decisions."
    parts = []
    if errs != "neither":
        parts.append(f"{names[errs]} errs less")
    if decides != "neither":
        parts.append(f"{names[decides]} is worth more to decisions")
    undecided = "" if "neither" not in {errs, decides} else " The other difference may be noise."
    return f"{', '.join(parts)}.{undecided}"
