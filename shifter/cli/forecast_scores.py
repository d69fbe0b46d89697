"""`shifter forecasts score`: how good forecasts were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.text import Text

from shifter.cli import forecast_options as given_as
from shifter.cli.console import Column, out, print_json, print_table, say, styled, working
from shifter.cli.forecast_subjects import subjects
from shifter.cli.options import Json
from shifter.cli.text import local, number, percent, plural
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.scores.decision import DecisionScores
    from forecasts.scores.report import Part, SourceScores
    from forecasts.scores.subject import Subject


def score(
    *,
    zone: given_as.ScoredZone,
    signal: given_as.Signals = None,
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
    plot: given_as.Plot = None,
    as_json: Json = False,
) -> None:
    """How good forecasts were: errors by lead time, bands, order within the day, and what deciding by them was worth.

    From files with vintages and what came of them, or from a daemon's database. What was cleared or measured when a
    forecast was made is not scored. docs/concepts/scores.md says what each figure means.
    """
    from forecasts.scores.report import score as score_of

    where = given_as.Given(zone, forecasts or (), actuals, database, back, as_of, slot, currency)
    chosen, judged_by = given_as.job_of(job, within), given_as.rule_of(rule)
    given_as.check_plots(plot)
    named = dict.fromkeys(source or (), "--source")
    with working("scoring …"), given_as.as_options():
        found = subjects(where, given_as.signals_of(signal), sources=named, outcomes_of=outcomes)
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
            hint="Give what was measured or cleared, of slots that were forecast before it was known."
            if forecasts
            else "Ask again when some of the slots are over, and somebody says what came of them.",
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
        each = "the first vintage of each hour" if database else "each vintage"
        say(f"Asked at {each} of a source, as it came; `compare` asks two at the same moments.", "dim")
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
        say(
            f"Mean error {sure} (Diebold-Mariano p {p_value(test.p_value, '= ')}, {test.n_days} days).", "dim"
        )


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


def p_value(value: float, equals: str = "") -> str:
    """`0.012`, `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{equals}{value:.3f}"
