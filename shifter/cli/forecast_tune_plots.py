"""Tuning as a picture: what each setting came to on the days that choose, and the chosen one on those that judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forecasts.gain import Gain
from forecasts.trials import Parts
from forecasts.tuning import Tuning
from shifter.cli.forecast_plots import COLOURS, INK, MARKERS, STYLE, load, save
from shifter.cli.forecast_tune_tables import label, signed
from shifter.cli.text import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shifter.backtest.tuning import RiskTuning

Row = tuple[str, Gain]
FAR = 6
"""What is worse by so many times what is usual is told in figures: drawn, it would squeeze all others."""


def write_plots(folder: Path, parts: Sequence[Parts], found: Tuning, risk: RiskTuning | None) -> list[Path]:
    """The pictures as PNGs in `folder`; answers their paths. Raises InputError without matplotlib."""
    load()
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        written = [save(_settings(parts, found), folder, "tuning")]
        if risk is not None:
            written.append(save(_weights(risk), folder, "tuning-risk"))
    return written


def _settings(parts: Sequence[Parts], found: Tuning) -> Figure:
    of = ", ".join(f"{p.judging.zone} {p.judging.signal}" for p in parts)
    made_up = "SYNTHETIC, not the real grid. " if any(p.judging.synthetic for p in parts) else ""
    tried = [(label(one.rules, found.present), one.gain) for one in found.tried if one.rules != found.present]
    judged = [] if found.judged is None else [(label(found.chosen, found.present), found.judged.gain)]
    return _gains(
        f"{of}: CRPS by setting", made_up, "change, in % of the CRPS of what is in force", tried, judged
    )


def _weights(risk: RiskTuning) -> Figure:
    tried = [(f"cvar_weight {one.weight:g}", one.gain) for one in risk.tried if one.weight != risk.present]
    judged = [] if risk.judged is None else [(f"cvar_weight {risk.chosen:g}", risk.judged[1].gain)]
    return _gains(
        "Cost of work by weight on the worst outcomes",
        "",
        f"change, in % of a day's cost, half of it that of the dearest days, with cvar_weight {risk.present:g}",
        tried,
        judged,
    )


def _gains(title: str, note: str, axis: str, tried: Sequence[Row], judged: Sequence[Row]) -> Figure:
    """Settings from the best on top to the worst, in per cent of what is in force."""
    rows = sorted(tried, key=lambda row: -row[1].ratio)
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9.6, 1.9 + 0.32 * max(len(rows), 3)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    at = {name: i for i, (name, _) in enumerate(rows)}
    ends = [abs(end) for _, g in rows for end in (g.low, g.high, g.ratio) if end is not None]
    far = max(0.01, FAR * float(np.median(ends)))
    off = [row for row in rows if row[1].ratio > far]
    for name, g in off:
        axes.annotate(
            f"{signed(g.ratio)} \N{RIGHTWARDS ARROW}",
            (0.99, at[name]),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            color=COLOURS[0],
        )
    near = [row for row in rows if row not in off]
    for k, (part, some, shift) in enumerate((("choose", near, 0.0), ("judge", judged, -0.28))):
        if some:
            axes.errorbar(
                [100 * g.ratio for _, g in some],
                [at[name] + shift for name, _ in some],
                xerr=[[100 * _reach(g)[i] for _, g in some] for i in (0, 1)],
                fmt=MARKERS[k],
                color=COLOURS[k],
                markersize=5,
                elinewidth=1.4,
                label=f"the {plural(some[0][1].n_days, 'day')} that {part}",
            )
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.7, len(rows) - 0.4)
    axes.set_xlabel(axis)
    axes.grid(visible=False, axis="y")
    figure.legend(
        loc="outside lower center",
        ncols=2,
        title=f"{note}Left of the line: better than what is in force. Bars: 90 % intervals.",
        title_fontsize=8.5,
    )
    return figure


def _reach(gain: Gain) -> tuple[float, float]:
    """How far the interval goes to either side."""
    low, high = (gain.ratio if end is None else end for end in (gain.low, gain.high))
    return max(0.0, gain.ratio - low), max(0.0, high - gain.ratio)
