"""The report: one page that needs nothing beside it, with a table and plots as inline SVG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shifter.backtest.results import INSTALL, Row
from shifter.backtest.summary import (
    AT_ONCE,
    BEST,
    Total,
    about,
    captured_carbon_ratio,
    captured_ratio,
    made_up,
    saved_ratio,
    totals,
)
from shifter.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "run_now": "run now",
    "cheapest_window": "cheapest window",
    "threshold": "threshold",
    "ours": "shifter",
    "ours_uncertain": "shifter, uncertain",
    "perfect": "perfect foresight",
}
_COLOURS = {
    "run_now": "#767676",
    "cheapest_window": "#b8860b",
    "threshold": "#a0522d",
    "ours": "#00796b",
    "ours_uncertain": "#4527a0",
    "perfect": "#1565c0",
}
_MARKS = {
    "run_now": "o",
    "cheapest_window": "s",
    "threshold": "^",
    "ours": "D",
    "ours_uncertain": "P",
    "perfect": "*",
}


def write_report(path: Path, rows: Sequence[Row], title: str) -> None:
    """The page. Raises InputError where matplotlib is not installed."""
    path.write_text(report_html(rows, title), encoding="utf-8")


def report_html(rows: Sequence[Row], title: str) -> str:
    """The page as text: the same rows are the same text."""
    found = totals(rows)
    currency = rows[0].currency
    plots = [
        ("Cost and carbon", "", _plot(lambda ax: _cost_carbon(ax, found, currency))),
        ("Saved, of what perfect foresight saves", "", _plot(lambda ax: _captured(ax, found))),
        ("Highest import", "", _plot(lambda ax: _bars(ax, found, lambda t: t.peak_kw, "kW"))),
        ("Saved on an hour of work, by month", "wide", _plot(lambda ax: _by_month(ax, rows), (16.0, 3.6))),
    ]
    figures = "\n".join(
        f'<figure class="{kind}"><figcaption>{escape(head)}</figcaption>{svg}</figure>'
        for head, kind, svg in plots
        if svg
    )
    assumed = sum(row.assumed_slots for row in rows)
    notes = [f"{assumed:,} slots had no outcome, and were taken as the day before."] if assumed else []
    said = "".join(f"<p>{escape(note)}</p>" for note in (*notes, *_of_less_work(found)))
    tables = _table(found, currency) + _by_group(rows)
    warned = f'<p class="made-up">{escape(made_up(rows))}</p>' if made_up(rows) else ""
    head = f'<p class="about">{escape(about(rows))}</p>{warned}'
    return _PAGE.format(title=escape(title), head=head, table=tables, notes=said, plots=figures)


def _of_less_work(found: dict[str, Total]) -> list[str]:
    short = [t for t in found.values() if t.done_hours < t.asked_hours * (1 - 1e-6)]
    return [
        f"{LABELS[t.policy]} left {t.asked_hours - t.done_hours:,.0f} of {t.asked_hours:,.0f} accelerator-hours undone "
        "at their deadlines, and its cost is of less work: compare what an hour of work costs."
        for t in short
    ]


def _table(found: dict[str, Total], currency: str) -> str:
    head = [
        "policy",
        f"cost [{currency}]",
        f"an hour of work [{currency}]",
        "saved",
        "of perfect",
        "carbon [kg]",
        "an hour of work [g]",
        "of perfect in carbon",
    ]
    head += [
        "peak [kW]",
        "in time",
        "undone [h]",
        "real-time kept",
        "in reserve [h]",
        "over power [slots]",
        "pieces",
    ]
    rows = [
        (
            LABELS[name],
            f"{t.cost:,.2f}",
            "–" if t.hour_cost is None else f"{t.hour_cost:.4f}",
            percent(saved_ratio(t, found.get(AT_ONCE))),
            percent(captured_ratio(t, found)),
            f"{t.carbon_kg:,.0f}",
            "–" if t.hour_carbon_g is None else f"{t.hour_carbon_g:,.1f}",
            percent(captured_carbon_ratio(t, found)),
            f"{t.peak_kw:,.1f}",
            percent(t.met_ratio),
            f"{max(0.0, t.asked_hours - t.done_hours):,.0f}",
            percent(t.kept_ratio, 3),
            f"{t.reserve_hours:,.0f}",
            f"{t.over_power_slots:,}",
            f"{t.starts:,}",
        )
        for name, t in found.items()
    ]
    return _as_table(head, rows)


def _by_group(rows: Sequence[Row]) -> str:
    """What each policy saves on an hour of work, group by group; "" for one group."""
    groups = sorted({row.group for row in rows})
    names = [name for name in totals(rows) if name != AT_ONCE]
    if len(groups) < 2 or not names:
        return ""
    lines = []
    for group in groups:
        found = totals(row for row in rows if row.group == group)
        saved = (saved_ratio(found[name], found.get(AT_ONCE)) if name in found else None for name in names)
        lines.append((group, *map(percent, saved)))
    return _as_table(["saved in", *(LABELS[name] for name in names)], lines)


def _as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def percent(ratio: float | None, digits: int = 1) -> str:
    """`12.3 %`; `–` for what is not known.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return "–" if ratio is None else f"{100 * ratio:.{digits}f} %"


def drawing() -> tuple[Any, Any]:
    """matplotlib and its Figure. Raises InputError with the command that installs it."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "the report is drawn with matplotlib, which is not installed.",
            field="--out",
            hint=f"Run {INSTALL}.",
        ) from None
    return mpl, Figure


def _plot(draw: Callable[[Axes], bool], size: tuple[float, float] = (5.4, 3.8)) -> str:
    """One plot as SVG, the same text every time; "" where there is nothing to draw."""
    mpl, figure_of = drawing()
    style: Any = {
        "svg.hashsalt": "shifter",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
    }
    with mpl.rc_context(style):
        figure = figure_of(figsize=size, layout="constrained")
        ax = figure.add_subplot()
        ax.spines[["top", "right"]].set_visible(False)
        if not draw(ax):
            return ""
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return re.sub(r"^.*?(?=<svg)", "", text.getvalue(), flags=re.DOTALL)


def _cost_carbon(ax: Axes, found: dict[str, Total], currency: str) -> bool:
    scale, unit = (1e3, "t") if max(t.carbon_kg for t in found.values()) > 1e4 else (1.0, "kg")
    for name, t in found.items():
        ax.scatter(
            t.carbon_kg / scale, t.cost, s=70, color=_COLOURS[name], marker=_MARKS[name], label=LABELS[name]
        )
    ax.set_xlabel(f"carbon [{unit} CO₂e]")
    ax.set_ylabel(f"cost [{currency}]")
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.margins(0.15)
    ax.legend(frameon=False, fontsize=9)
    return True


def _by_month(ax: Axes, rows: Sequence[Row]) -> bool:
    months = sorted({row.month for row in rows})
    lines: dict[str, list[float]] = {}
    for month in months:
        found = totals(row for row in rows if row.month == month)
        for name, t in found.items():
            if name != AT_ONCE:
                saved = saved_ratio(t, found.get(AT_ONCE))
                lines.setdefault(name, []).append(float("nan") if saved is None else 100 * saved)
    if not any(math.isfinite(v) for values in lines.values() for v in values):
        return False
    for name, values in lines.items():
        ax.plot(months[: len(values)], values, color=_COLOURS[name], marker=_MARKS[name], label=LABELS[name])
    ax.axhline(0, color="#767676", linewidth=0.8)
    ax.set_ylabel("saved [%]")
    ax.tick_params(axis="x", rotation=45 if len(months) > 8 else 0)
    ax.legend(
        frameon=False, fontsize=9, ncols=min(5, max(1, len(lines))), loc="lower left", bbox_to_anchor=(0, 1)
    )
    return True


def _captured(ax: Axes, found: dict[str, Total]) -> bool:
    shares = {name: share for name, t in found.items() if (share := captured_ratio(t, found)) is not None}
    shares = {name: share for name, share in shares.items() if name not in (AT_ONCE, BEST)}
    return bool(shares) and _draw_bars(ax, {name: 100 * share for name, share in shares.items()}, "%")


def _bars(ax: Axes, found: dict[str, Total], value: Callable[[Total], float], unit: str) -> bool:
    return _draw_bars(ax, {name: value(t) for name, t in found.items()}, unit)


def _draw_bars(ax: Axes, values: dict[str, float], unit: str) -> bool:
    names = list(values)[::-1]
    bars: Any = ax.barh(
        [LABELS[name] for name in names],
        [values[name] for name in names],
        color=[_COLOURS[name] for name in names],
    )
    ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.set_xlabel(f"[{unit}]")
    ax.margins(x=0.15)
    return True


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 2rem auto; max-width: 78rem;
  padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
p.about {{ color: #555; margin-top: 0.2rem; }}
p.made-up {{ color: #8a4b00; font-weight: 700; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin-bottom: 1rem; font-variant-numeric: tabular-nums; font-size: 0.9rem; }}
th, td {{ padding: 0.35rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; }}
td {{ white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
th {{ font-weight: 600; vertical-align: bottom; }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1.5rem;
  margin-top: 1.5rem; }}
figure {{ margin: 0; }}
figure.wide {{ grid-column: 1 / -1; overflow-x: auto; }}
figure.wide svg {{ min-width: 44rem; }}
figcaption {{ font-weight: 600; margin-bottom: 0.3rem; }}
svg {{ width: 100%; height: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
{head}
<div class="scroll">{table}</div>
<p class="about">An hour of work is an accelerator-hour that was done by its deadline, and costs what the sites paid
more for the work; savings are on it. In reserve is work that cannot yield, on accelerators reserved for real-time
load. Pieces beyond one a workload are interruptions, or parts at several places.</p>
{notes}
<div class="plots">
{plots}
</div>
</body>
</html>
"""
