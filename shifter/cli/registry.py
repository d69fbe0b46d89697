"""Every command with its one-line help and the place it is loaded from.

The command line answers `--help` and completes names from this table alone; a command's own module, and the
slow libraries that it needs, are imported when that command is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One command: `target` is `module:function`, or `module:app` for a group of commands."""

    name: str
    target: str
    help: str
    panel: str

    def load(self) -> Any:
        """The function or Typer app behind it; imports its module."""
        module, attribute = self.target.split(":")
        return getattr(import_module(module), attribute)


_RUN = "Run it"
_FILES = "Work on files"
_WORK = "Hand in work, to a running daemon"
_LOOK = "See what it does and why, from a running daemon"

COMMANDS: tuple[Entry, ...] = (
    Entry("demo", "shifter.cli.demo:demo", "Start it on bundled data: nothing to configure.", _RUN),
    Entry("run", "shifter.cli.serve:run", "Start the daemon: ingest, classify, reserve, plan, serve.", _RUN),
    Entry("plan", "shifter.cli.plan:plan", "Make one plan from files, or verify one; no daemon.", _FILES),
    Entry(
        "size",
        "shifter.cli.size:size",
        "How many accelerators real-time requests need to be answered in time.",
        _FILES,
    ),
    Entry(
        "backtest",
        "shifter.cli.backtest:backtest",
        "Replay policies over history, and compare what each came to.",
        _FILES,
    ),
    Entry(
        "config",
        "shifter.cli.config:app",
        "Check a configuration; its schema; the settings in force.",
        _FILES,
    ),
    Entry(
        "forecasts",
        "shifter.cli.forecasts:app",
        "What the grid will do: sources, fetch, show, score, compare, backtest, tune.",
        _FILES,
    ),
    Entry("submit", "shifter.cli.work:submit", "Hand in workloads from a file.", _WORK),
    Entry(
        "quote", "shifter.cli.quote:quote", "What a workload would cost, by deadline; submits nothing.", _WORK
    ),
    Entry(
        "grid-events",
        "shifter.cli.grid_events:app",
        "What the grid asks: quote it before accepting, add, list, withdraw, report.",
        _WORK,
    ),
    Entry("cancel", "shifter.cli.work:cancel", "Cancel a workload.", _WORK),
    Entry(
        "override", "shifter.cli.work:override", "Decide a workload's class yourself; it is recorded.", _WORK
    ),
    Entry(
        "drill",
        "shifter.cli.drill:drill",
        "Play a failure on a running daemon, and see whether its promises are kept.",
        _LOOK,
    ),
    Entry("status", "shifter.cli.status:status", "What runs now and why, and whether all is well.", _LOOK),
    Entry("workloads", "shifter.cli.work:workloads", "List workloads, or show one.", _LOOK),
    Entry("explain", "shifter.cli.explain:explain", "Why this class, why these hours, what it saves.", _LOOK),
    Entry("admission", "shifter.cli.explain:admission", "May this workload run now?", _LOOK),
    Entry(
        "slots",
        "shifter.cli.slots:slots",
        "What each slot holds: real-time, reserved, deferrable, free.",
        _LOOK,
    ),
    Entry(
        "realtime",
        "shifter.cli.announcements:app",
        "What real-time load is expected, and how often that held; announce what is to come.",
        _LOOK,
    ),
    Entry(
        "value",
        "shifter.cli.value:value",
        "What one more kW, accelerator, battery kWh or hour of slack is worth.",
        _LOOK,
    ),
    Entry("capacity", "shifter.cli.slots:capacity", "What each pool may dispatch now.", _LOOK),
    Entry(
        "events", "shifter.cli.events:events", "What happened: plans, admissions, grid events, faults.", _LOOK
    ),
)
