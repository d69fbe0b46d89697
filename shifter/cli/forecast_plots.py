"""Scores as pictures: forecast against what came by vintage, error by lead, reliability, skill against persistence.

matplotlib is imported here and nowhere else; whoever does not plot needs none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasts.scores.cases import DAY_US, HOUR_US, Known, grid_of
from forecasts.scores.report import LeadPart, SourceScores
from forecasts.scores.subject import Subject
from forecasts.series import ForecastSeries
from forecasts.spans import time_us, to_us
from shifter.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""After Okabe and Ito: apart for every kind of colour sight; each source has its own marker besides."""
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, MUTED, GRID = "#18212c", "#57636f", "#d9dfe5"
SHOWN_DAYS = 7
UNITS = {"gCO2e/kWh": "g CO₂e/kWh"}
STYLE: Any = {
    "figure.dpi": 150,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 22,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


def write_plots(folder: Path, subjects: Sequence[Subject], scores: Sequence[SourceScores]) -> list[Path]:
    """The pictures of all scores, as PNGs in `folder`; answers their paths. Raises InputError without matplotlib."""
    load()
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(STYLE):
        for (zone, signal), group in groupby(scores, key=lambda s: (s.zone, s.signal)):
            some = list(group)
            [subject] = [one for one in subjects if (one.zone, one.signal) == (zone, signal)]
            name = f"{zone}-{signal}"
            written.append(save(error_by_lead(some), folder, f"{name}-error-by-lead"))
            if any(p.point.skill is not None for s in some for p in s.by_lead):
                written.append(save(skill_by_lead(some), folder, f"{name}-skill"))
            for s in some:
                said, known = subject.forecasts[s.source], subject.known[s.source]
                written.append(save(by_vintage(s, said, known), folder, f"{name}-{s.source}-vintages"))
                if any(p.bands.levels for p in s.by_lead):
                    written.append(save(reliability(s), folder, f"{name}-{s.source}-reliability"))
    return written


def load() -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        raise InputError(
            "drawing needs matplotlib, which is not installed.",
            field="--plot",
            hint="Run `pip install 'inference-shifter[bench]'`, or leave --plot out.",
        ) from None
    mpl.use("Agg")


def save(figure: Figure, folder: Path, name: str) -> Path:
    from matplotlib import pyplot as plt

    path = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.png"
    figure.savefig(path)
    plt.close(figure)
    return path


def new_figure(title: str, note: str, *, size: tuple[float, float] = (8.0, 4.2)) -> tuple[Figure, Axes]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=size, layout="constrained")
    axes.set_title(title, pad=STYLE["axes.titlepad"] + 11 * note.count("\n"))
    axes.text(0, 1.02, note, transform=axes.transAxes, color=MUTED, fontsize=8.5, va="bottom")
    return figure, axes


def note_of(s: SourceScores) -> str:
    made_up = "SYNTHETIC, not the real grid. " if s.synthetic else ""
    return f"{made_up}{s.start:%d %b %Y} to {s.end:%d %b %Y}, UTC; judged by {s.outcomes_of}"


def unit_of(s: SourceScores) -> str:
    return UNITS.get(s.unit, s.unit)


def _positions(scores: Sequence[SourceScores]) -> dict[tuple[int, int], int]:
    buckets = sorted({(p.from_h, p.to_h) for s in scores for p in s.by_lead})
    return {bucket: i for i, bucket in enumerate(buckets)}


def _lead_axis(axes: Axes, at: dict[tuple[int, int], int]) -> None:
    axes.set_xticks(list(at.values()), [f"{a}–{b}" for a, b in at])
    axes.set_xlabel("hours ahead")
    axes.grid(visible=False, axis="x")


def error_by_lead(scores: Sequence[SourceScores]) -> Figure:
    """Mean absolute error by lead time of every source, and of persistence in the same cases."""
    first = scores[0]
    figure, axes = new_figure(
        f"{first.zone} {first.signal}: mean absolute error by lead time", note_of(first)
    )
    at = _positions(scores)
    for i, s in enumerate(scores):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        x = [at[p.from_h, p.to_h] for p in s.by_lead]
        axes.plot(
            x,
            [p.point.mae or 0.0 for p in s.by_lead],
            color=colour,
            marker=marker,
            linewidth=2,
            label=s.source,
        )
        naive = [
            (k, p.point.persistence_mae) for k, p in zip(x, s.by_lead, strict=True) if p.point.persistence_mae
        ]
        if naive and i == 0:
            # Sources may stand on different cases; one line of persistence, that of the first, is enough to see by.
            label = "persistence" if len(scores) == 1 else f"persistence (cases of {s.source})"
            axes.plot(
                *zip(*naive, strict=True), color=MUTED, linestyle=(0, (4, 2)), linewidth=1.6, label=label
            )
    _lead_axis(axes, at)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit_of(first))
    axes.legend(loc="upper left")
    return figure


def skill_by_lead(scores: Sequence[SourceScores]) -> Figure:
    """Share of persistence's error that each source avoids, by lead time."""
    first = scores[0]
    figure, axes = new_figure(f"{first.zone} {first.signal}: skill against persistence", note_of(first))
    at = _positions(scores)
    width = 0.8 / len(scores)
    for i, s in enumerate(scores):
        parts = [p for p in s.by_lead if p.point.skill is not None]
        x = [at[p.from_h, p.to_h] + (i - (len(scores) - 1) / 2) * width for p in parts]
        bars = axes.bar(
            x,
            [100 * (p.point.skill or 0) for p in parts],
            width * 0.92,
            color=COLOURS[i % len(COLOURS)],
            label=s.source,
        )
        if len(scores) <= 2:
            axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=8, color=MUTED)
    axes.axhline(0, color=INK, linewidth=1)
    _lead_axis(axes, at)
    axes.set_ylabel("% of persistence's error avoided")
    axes.margins(y=0.12)
    if len(scores) > 1:
        axes.legend(loc="best")
    else:
        axes.text(0.99, 0.97, first.source, transform=axes.transAxes, ha="right", va="top", color=MUTED)
    return figure


def reliability(s: SourceScores) -> Figure:
    """How often outcomes lay at or below each quantile, against how often they should have."""
    note = note_of(s).replace("; judged by", "\njudged by")  # a narrow picture
    figure, axes = new_figure(f"{s.zone} {s.signal} by {s.source}: reliability", note, size=(5.6, 5.4))
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 2)), linewidth=1.4)
    axes.annotate("reliable", (0.9, 0.9), (0.97, 0.86), color=MUTED, fontsize=8, ha="right", va="top")
    parts = [p for p in s.by_lead if p.bands.levels]
    for i, p in enumerate(parts):
        nominal, seen = [q.p for q in p.bands.levels], [q.below for q in p.bands.levels]
        shade = _shade(i, len(parts))
        axes.plot(
            nominal, seen, color=shade, marker=MARKERS[i % len(MARKERS)], linewidth=1.6, label=_lead_name(p)
        )
    axes.set(
        xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="quantile", ylabel="share of outcomes at or below it"
    )
    axes.legend(title="hours ahead", loc="upper left", title_fontsize=8.5)
    return figure


def _lead_name(p: LeadPart) -> str:
    return f"{p.from_h}–{p.to_h} ({p.bands.n:,} cases)"


def _shade(i: int, n: int) -> Any:
    """From light to dark along a map that is read alike by every kind of colour sight."""
    from matplotlib import colormaps

    return colormaps["viridis_r"](0.15 + 0.8 * (i / max(n - 1, 1)))


def by_vintage(s: SourceScores, said: Sequence[ForecastSeries], known: Known) -> Figure:
    """The last days that are known, and what was forecast of them day by day: the darker, the newer."""
    last = to_us(s.end)
    first = max(last - SHOWN_DAYS * DAY_US, to_us(s.start))
    figure, axes = new_figure(
        f"{s.zone} {s.signal} by {s.source}: what was forecast, and what came",
        f"{note_of(s)}; the last {SHOWN_DAYS} days",
        size=(9.6, 4.2),
    )
    shown = _one_a_day(said, first, last)
    for i, vintage in enumerate(shown):
        grid = grid_of(vintage, known.grid.slot_minutes)
        values = np.full(grid.n_slots, np.nan)
        for part in vintage:
            told = grid.average(part.start, part.end, part.values)
            values = np.where(np.isfinite(told), told, values)
        at = to_us(grid.start) + np.arange(grid.n_slots) * known.slot_us
        keep = (at >= max(first, to_us(vintage[0].known_at) // HOUR_US * HOUR_US)) & (at < last)
        axes.step(times(at[keep]), values[keep], where="post", color=_shade(i, len(shown)), linewidth=1.3)
    starts = known.starts_us()
    inside = (starts >= first) & (starts < last)
    axes.step(
        times(starts[inside]),
        known.values[inside],
        where="post",
        color=INK,
        linewidth=2.2,
        label="what came",
    )
    axes.plot([], [], color=_shade(0, 2), linewidth=1.3, label="older forecasts")
    axes.plot([], [], color=_shade(1, 2), linewidth=1.3, label="newer forecasts")
    axes.set_ylabel(unit_of(s))
    axes.margins(x=0.01)
    axes.grid(visible=False, axis="x")
    _date_axis(axes)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _date_axis(axes: Axes) -> None:
    from matplotlib import dates

    made: Any = dates  # untyped
    axes.xaxis.set_major_locator(made.DayLocator())
    axes.xaxis.set_major_formatter(made.DateFormatter("%a %d %b"))
    axes.tick_params(axis="x", labelrotation=0)


def times(us: Any) -> Any:
    return np.asarray(us).astype("datetime64[us]")


def _one_a_day(said: Sequence[ForecastSeries], first_us: int, last_us: int) -> list[list[ForecastSeries]]:
    """The first vintage of each day, of those that speak of the days shown; all its series."""
    by_day: dict[int, list[ForecastSeries]] = {}
    ordered = sorted(said, key=lambda s: s.known_at)
    for vintage in ordered:
        reaches = to_us(vintage.known_at) < last_us and time_us(vintage.end[-1]) > first_us
        day = by_day.setdefault(to_us(vintage.known_at) // DAY_US, [])
        if reaches and (not day or day[0].known_at == vintage.known_at):
            day.append(vintage)
    return [group for _, group in sorted(by_day.items()) if group]
