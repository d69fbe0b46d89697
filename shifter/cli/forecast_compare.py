"""`shifter forecasts compare`: which of two sources is better, and whether that is more than noise."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from shifter.cli import forecast_options as given_as
from shifter.cli.console import Column, out, print_json, print_table, say, styled, working
from shifter.cli.forecast_scores import p_value
from shifter.cli.forecast_subjects import subjects
from shifter.cli.options import Json
from shifter.cli.text import duration, local, number, parse_duration, percent, plural
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.scores.compare import BandsBeside, Beside, Comparison
    from forecasts.scores.subject import Subject


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A source.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    *,
    zone: given_as.ScoredZone,
    signal: given_as.Signals = None,
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
    from forecasts.scores.compare import compare as compare_of

    if first == second:
        raise InputError("that is one source twice.", field="B", hint="Name another.")
    where = given_as.Given(zone, forecasts or (), actuals, database, back, as_of, slot, currency)
    chosen = given_as.job_of(job, within)
    often = parse_duration(every, "--every")
    if often < timedelta(minutes=1):
        raise InputError("both cannot be asked so often.", field="--every", hint="Write 1h or 6h.")
    found: list[tuple[Comparison, bool]] = []
    with working("comparing …"), given_as.as_options():
        named = {first: "A", second: "B"}
        told = subjects(where, given_as.signals_of(signal), sources=named, outcomes_of=outcomes)
        for one in told:
            if {first, second} <= set(one.forecasts):
                _check_judge(one, first, second)
                made = compare_of(
                    one.forecasts[first],
                    one.forecasts[second],
                    one.known[first],
                    job=chosen,
                    every_us=often // timedelta(microseconds=1),
                    seed=seed,
                )
                found += [(made, _is_made_up(one, first, second))] if made is not None else []
    if not found:
        raise InputError(
            f"{first} and {second} share no slot of {zone} of which it is known what came.",
            field="--zone",
            hint="See `shifter forecasts score` for what each of them has.",
        )
    if as_json:
        from forecasts.scores.report import to_dict

        print_json([{**to_dict(c), "synthetic": made_up} for c, made_up in found])
        return
    for c, made_up in found:
        _print_comparison(c, made_up)
    say(
        f"Both are asked every {duration(often.total_seconds())}, and what each said last counts; `score` asks at each "
        "vintage.",
        "dim",
    )


def _is_made_up(one: Subject, *names: str) -> bool:
    return any(s.kind == "synthetic" for name in names for s in one.forecasts[name])


def _check_judge(one: Subject, first: str, second: str) -> None:
    """Raises InputError where each is judged by its own last word: neither says what came of the other."""
    judges = [one.known[name].source for name in (first, second)]
    if judges[0] != judges[1]:
        raise InputError(
            f"{first} is judged by {judges[0]}, {second} by {judges[1]}.",
            field="--outcomes",
            hint="Name the one source that says what came, of both.",
        )


def _print_comparison(c: Comparison, made_up: bool) -> None:
    title = (
        f"{c.zone} {c.signal} [{c.unit}], {local(c.start)} to {local(c.end)}, judged by {c.outcomes_of}: "
        f"both at {plural(c.moments, 'moment')}.{' SYNTHETIC, not the real grid.' if made_up else ''}"
    )
    names = {"first": c.first, "second": c.second, "neither": "neither", "too few": "too few"}
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
    if c.bands is not None:
        say(_bands(c.bands, c))
    say(
        f"A job of {c.job_hours:g} h within {c.within_hours:g} h, at {plural(c.origins, 'origin')}: {c.first} captured "
        f"{percent(c.captured_first)}, {c.second} {percent(c.captured_second)}{_sure(c)}."
    )
    say(_verdict(c, names), "bold")


def _beside(label: str, b: Beside, names: dict[str, str]) -> list[Text]:
    p = "–" if b.test is None else p_value(b.test.p_value)
    who = styled(names[b.better], "bold green" if b.better in {"first", "second"} else "")
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


def _bands(b: BandsBeside, c: Comparison) -> str:
    p = "" if b.test is None else f" (p {p_value(b.test.p_value, '= ')})"
    return (
        f"CRPS of {plural(b.n, 'case')} with quantiles of both: {c.first} {number(b.crps_first, 2)}, {c.second} "
        f"{number(b.crps_second, 2)}{p}."
    )


def _sure(c: Comparison) -> str:
    if c.captured_low is None or c.captured_high is None:
        return ""
    return f"; the difference is {percent(c.captured_low)} to {percent(c.captured_high)} with 90 %"


def _verdict(c: Comparison, names: dict[str, str]) -> str:
    """Who is better in what, and of what there are too few days to say."""
    told = {"first", "second"}
    errs, decides = c.overall.better, c.better_decisions
    spreads = "neither" if c.bands is None else c.bands.better
    if errs == decides and errs in told and spreads not in told - {errs}:
        return f"{names[errs]} is better, in its errors and in decisions."
    parts = []
    if errs in told:
        parts.append(f"{names[errs]} errs less")
    if spreads in told:
        parts.append(f"{names[spreads]} has the better quantiles")
    if decides in told:
        parts.append(f"{names[decides]} is worth more to decisions")
    if not parts and errs == "too few":
        return "Which is better: too few days to say."
    few = [what for what, better in (("errors", errs), ("decisions", decides)) if better == "too few"]
    open_ = f" Of {few[0]}: too few days to say." if few else ""
    if not parts:
        return f"Neither is better by more than noise.{open_}"
    undecided = " What is not named may be noise." if "neither" in {errs, decides} else ""
    return f"{', '.join(parts)}.{undecided}{open_}"
