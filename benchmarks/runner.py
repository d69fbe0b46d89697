"""The command line of the benchmarks: which ones, on what data, printed how."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figure import Options, Run, Skipped
from benchmarks.table import Outcome, print_json, print_table, progress_bar

NAMES = (
    *("plan_quality", "seeds", "pieces", "peers", "gaia", "zones"),
    *("cycle_speed", "replan", "stages", "naive", "scale", "cli_startup", "first_plan", "ingest", "guard"),
    *("sizing", "load_forecast", "realtime_first", "demand_response"),
    *("forecast_skill", "fleet_replay", "backtest"),
)
"""Every benchmark is the module of its name, in the order in which they run."""


def main(arguments: Sequence[str] | None = None, names: Sequence[str] = NAMES) -> int:
    """Run and print; 1 when a benchmark could not be carried out. A target that is missed is no error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="shifter's figures, side by side."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(names)} (default: all)")
    parser.add_argument(
        "--data", type=Path, help="folder of the data for replays; without it they are skipped"
    )
    parser.add_argument("--cases", type=Path, help="folder of cases (default: cases beside the data)")
    parser.add_argument("--judge", type=Path, help="a check_plan.py that judges plans independently")
    parser.add_argument("--generator", type=Path, help="makes cases that are not there: KIND SEED OUT_DIR")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=600.0,
        metavar="S",
        help="for one run of naive, scale and stages [s]",
    )
    parser.add_argument(
        "--memory-limit", type=float, default=12.0, metavar="GIB", help="the same [GiB of memory]"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="how many further seeds of each kind (default: 3)"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="how often scale plans each case (default: once)"
    )
    parser.add_argument(
        "--ingest",
        type=store_size,
        action="append",
        metavar="ZONESxDAYS",
        help="a store that ingest fills, several times for several; 50x365 is the whole year (default: 2x35)",
    )
    parser.add_argument("--processes", type=int, default=2, help="for what can run side by side (default: 2)")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in names]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}: choose from {', '.join(names)}")
    for path in (given.data, given.cases, given.judge, given.generator):
        if path is not None and not path.exists():
            parser.error(f"there is no {path}")
    cases = given.cases or (given.data and given.data.resolve().parent / "cases")
    options = Options(
        given.data,
        cases,
        given.judge,
        max(1, given.processes),
        given.generator,
        given.time_limit,
        1024 * given.memory_limit,
        max(1, given.seeds),
        max(1, given.repeat),
        tuple(given.ingest or Options.ingest),
    )
    outcomes = [carry_out(name, options) for name in given.names or names]
    (print_json if given.json else print_table)(outcomes)
    return int(any(outcome.failed for outcome in outcomes))


def store_size(text: str) -> tuple[int, int]:
    """Zones and days, from `2x35`. Raises ArgumentTypeError."""
    zones, _, days = text.partition("x")
    if not (zones.isdecimal() and days.isdecimal() and int(zones) > 0 and int(days) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no size of a store: write ZONESxDAYS, such as 2x35")
    return int(zones), int(days)


def carry_out(name: str, options: Options) -> Outcome:
    """One benchmark. What goes wrong in it is told, and the others still run."""
    module = importlib.import_module(f"benchmarks.{name}")
    run: Run = module.run
    outcome = Outcome(name, " ".join((module.__doc__ or "").partition("\n\n")[0].split()))
    begun = time.perf_counter()
    with progress_bar(name) as tell:
        try:
            outcome.lines.extend(run(options, tell))
        except Skipped as reason:
            outcome.skipped = str(reason)
        except Exception as error:  # the figures so far still count, and so do the other benchmarks
            outcome.failed = f"{type(error).__name__}: {error}"
    outcome.wall_s = time.perf_counter() - begun
    return outcome


def alone(name: str) -> None:
    """`python -m benchmarks.NAME`: that one."""
    sys.exit(main([*sys.argv[1:], name], names=(name,)))
