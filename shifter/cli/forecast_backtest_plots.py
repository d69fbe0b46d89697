"""A replay of forecasts as pictures: error by lead time, reliability, and what was believed at some of its moments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasts.heeded import MODELS_ALONE, PLANNED_BY
from forecasts.replay import REPEATED
from forecasts.replayed import Outcome
from forecasts.scores.cases import HOUR_US, standing_cases
from shifter.cli.forecast_plots import (
    COLOURS,
    INK,
    MUTED,
    STYLE,
    UNITS,
    error_by_lead,
    load,
    reliability,
    save,
    times,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 4
"""Moments that are drawn, spread over the replay."""
BACK_H = 24
"""What came so long before each of them is drawn, too."""
BANDS = ((0.05, 0.95), (0.1, 0.9), (0.25, 0.75))


def write_plots(folder: Path, done: Outcome) -> list[Path]:
    """The pictures of a replay, as PNGs in `folder`; answers their paths. Raises InputError without matplotlib."""
    load()
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    name = f"{done.replay.zone}-{done.replay.signal}"
    # What repeats the past is the broken line in the picture of errors, and has no bands.
    scores = [s for s in done.scores if s.source not in REPEATED.values()]
    written: list[Path] = []
    if not scores:
        return written
    with mpl.rc_context(STYLE):
        written.append(save(error_by_lead(scores), folder, f"{name}-error-by-lead"))
        banded = [s for s in scores if any(p.bands.levels for p in s.by_lead)]
        written += [save(reliability(s), folder, f"{name}-{s.source}-reliability") for s in banded]
        written.append(save(moments(done), folder, f"{name}-moments"))
    return written


def moments(done: Outcome) -> Figure:
    """What was planned by at some moments, with its bands, beside our models, each source and what came."""
    from matplotlib import pyplot as plt

    r = done.replay
    stood = done.stood[PLANNED_BY]
    judged = np.unique(standing_cases(stood, r.known).origin_us)
    which = np.searchsorted(
        stood.origin_us, judged[np.linspace(0, len(judged) - 1, SHOWN).round().astype(int)]
    )
    figure, rows = plt.subplots(SHOWN, 1, figsize=(9.6, 2.2 * SHOWN + 0.9), layout="constrained")
    for axes, i in zip(rows, which, strict=True):
        _moment(axes, done, int(i))
    made_up = "SYNTHETIC, not the real grid. " if r.synthetic else ""
    figure.suptitle(
        f"{r.zone} {r.signal}: what would have been planned by, and what came",
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
    )
    figure.supylabel(UNITS.get(r.unit, r.unit), fontsize=9, color=MUTED)
    handles, labels = rows[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        fontsize=8.5,
        title=f"{made_up}Times in UTC; judged by {r.known.source}.",
        title_fontsize=8.5,
    )
    return figure


def _moment(axes: Axes, done: Outcome, i: int) -> None:
    stood, known = done.stood[PLANNED_BY], done.replay.known
    at = int(stood.origin_us[i])
    hour = at + np.arange(stood.values.shape[1]) * HOUR_US
    for shade, (low, high) in zip((0.12, 0.2, 0.3), BANDS, strict=True):
        if low in stood.quantiles:
            axes.fill_between(
                times(hour),
                stood.quantiles[low][i],
                stood.quantiles[high][i],
                step="post",
                color=COLOURS[0],
                alpha=shade,
                linewidth=0,
                label=f"{high - low:.0%} band",
            )
    sources = [MODELS_ALONE, *done.replay.sources]
    for k, name in enumerate(sources):
        axes.step(
            times(hour), done.stood[name].values[i], where="post", linewidth=1, label=name, color=_colour(k)
        )
    axes.step(times(hour), stood.values[i], where="post", linewidth=2, color=COLOURS[0], label=PLANNED_BY)
    starts = known.starts_us()
    near = (starts >= at - BACK_H * HOUR_US) & (starts < hour[-1] + HOUR_US)
    axes.step(
        times(starts[near]), known.values[near], where="post", linewidth=1.8, color=INK, label="what came"
    )
    axes.axvline(times([at])[0], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
    axes.set_title(
        f"asked {done.replay.origins[i]:%a %d %b %Y %H:%M}", fontsize=9, fontweight="normal", pad=4
    )
    axes.margins(x=0.01)
    axes.grid(visible=False, axis="x")
    _dates(axes)


def _colour(k: int) -> str:
    return COLOURS[1 + k % (len(COLOURS) - 1)]


def _dates(axes: Axes) -> None:
    from matplotlib import dates

    made: Any = dates  # untyped
    axes.xaxis.set_major_locator(made.DayLocator())
    axes.xaxis.set_major_formatter(made.DateFormatter("%a %d %b"))
