"""A replay of forecasts as tables: errors by lead time of all forecasters side by side, and what each was worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from shifter.cli.console import Column, out, print_table, say, styled
from shifter.cli.text import local, number, percent, plural

if TYPE_CHECKING:
    from forecasts.replayed import Outcome
    from forecasts.scores.report import Part, SourceScores

LEAST_SPOKEN = 0.9
"""Who spoke of a smaller share of the cases is shown with that share, and is not called the best."""
SURE = 0.05


def print_outcome(done: Outcome) -> None:
    """Everything that is said of one signal: tables on stdout, what they mean on stderr."""
    from forecasts.heeded import MODELS_ALONE, PLANNED_BY

    r = done.replay
    made_up = " SYNTHETIC, not the real grid." if r.synthetic else ""
    title = (
        f"{r.zone} {r.signal} [{r.unit}]: {plural(len(r.origins), 'moment')}, {local(r.origins[0])} to "
        f"{local(r.origins[-1])}, judged by {r.known.source}.{made_up}"
    )
    out().print(styled(title, "bold"), soft_wrap=True)
    if r.left_out:
        say(f"Left out, of another basis than {r.basis}: {', '.join(r.left_out)}.", "yellow")
    if not done.scores:
        say("Nothing that was said of these moments can be scored: it is not known what came.", "yellow")
        return
    print_table(*_errors(done.scores), title="Mean absolute error by lead time; * the least")
    d = done.scores[0].decision
    job = f"a job of {d.job_hours:g} h within {d.within_hours:g} h that decides by each"
    print_table(*_worth(done.scores), title=f"All lead times, and {job}")
    say(
        f"{PLANNED_BY}: what would have been planned by, sources and our models by their records. {MODELS_ALONE}: "
        "these alone. A share in brackets: it spoke of no more than that.",
        "dim",
    )
    for line in _verdicts(done):
        say(line)


def _errors(scores: Sequence[SourceScores]) -> tuple[list[Column], list[list[Text]]]:
    columns = [Column("lead (h)", "right"), *(Column(s.source, "right") for s in scores)]
    buckets = sorted({(p.from_h, p.to_h) for s in scores for p in s.by_lead})
    by_lead = [{(p.from_h, p.to_h): p for p in s.by_lead} for s in scores]
    rows = [
        [styled(f"{low}–{high}"), *_marked([parts.get((low, high)) for parts in by_lead])]
        for low, high in buckets
    ]
    rows.append([styled("all", "bold"), *_marked([s.overall for s in scores])])
    return columns, rows


def _marked(parts: Sequence[Part | None]) -> list[Text]:
    """The errors of one row, the least of those that spoke of nearly all marked."""
    whole = [p.point.mae for p in parts if p is not None and _spoke(p) and p.point.mae is not None]
    cells = []
    for p in parts:
        best = p is not None and _spoke(p) and bool(whole) and p.point.mae == min(whole)
        cell = styled(number(None if p is None else p.point.mae, 1), "bold green" if best else "")
        cell.append(" *" if best else "  ")
        if p is not None and not _spoke(p):
            cell = styled(f"{number(p.point.mae, 1)} ({percent(p.availability, 0)})", "dim")
        cells.append(cell)
    return cells


def _spoke(p: Part) -> bool:
    return (p.availability or 0.0) >= LEAST_SPOKEN


def _worth(scores: Sequence[SourceScores]) -> tuple[list[Column], list[list[str | Text]]]:
    banded = sorted({round(b.nominal, 4) for s in scores for b in s.overall.bands.bands})
    columns = [
        Column("forecaster"),
        Column("MAE", "right"),
        Column("rMAE", "right"),
        Column("CRPS", "right", expendable=60),
        *(Column(f"in {percent(b, 0)} band", "right", expendable=50) for b in banded),
        *(Column(f"width of {percent(b, 0)}", "right", expendable=80) for b in banded),
        Column("rank", "right", expendable=45),
        Column("captured", "right"),
        Column("with 90 %", "right", expendable=35),
        Column("regret", "right", expendable=30),
        Column("moments", "right", expendable=90),
    ]
    rows: list[list[str | Text]] = []
    for s in scores:
        held = {round(b.nominal, 4): b for b in s.overall.bands.bands}
        ratio = s.overall.point.rmae
        rows.append(
            [
                styled(s.source, "bold" if s is scores[0] else ""),
                number(s.overall.point.mae, 1),
                styled(number(ratio, 2), "" if ratio is None else "green" if ratio < 1 else "yellow"),
                number(s.overall.crps, 1),
                *(percent(held[b].coverage) if b in held else "–" for b in banded),
                *(number(held[b].width, 1) if b in held else "–" for b in banded),
                number(s.overall.rank_correlation, 2),
                percent(s.decision.captured),
                _interval(s),
                number(s.decision.regret, 2),
                f"{s.decision.origins:,}",
            ]
        )
    return columns, rows


def _interval(s: SourceScores) -> str:
    low, high = s.decision.captured_low, s.decision.captured_high
    return "–" if low is None or high is None else f"{percent(low, 0)} to {percent(high, 0)}"


def _verdicts(done: Outcome) -> list[str]:
    """What would have been planned by against each source, where that spoke, and whether it is more than noise."""
    from forecasts.heeded import PLANNED_BY

    lines = []
    for name, v in done.beside.items():
        what = f"{PLANNED_BY} beside {name}, where that spoke ({plural(v.n, 'case')})"
        errors = f"mean error {number(v.mae_first, 1)} to {number(v.mae_second, 1)}"
        if v.test is None:
            sure = "too few days to say more"
        elif v.test.p_value >= SURE:
            sure = f"no different, as far as {plural(v.test.n_days, 'day')} tell"
        else:
            sure = f"{'better' if v.test.mean_difference < 0 else 'worse'}, by more than noise"
        lines.append(f"{what}: {errors}, {sure}.")
    return lines
