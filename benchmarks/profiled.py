"""`shifter` with a stopwatch at its stages: `python -m benchmarks.profiled PROFILE.json plan --fleet F ...`.

The command is the installed one, by its own entry point; only the functions that are the stages of a cycle are wrapped,
a dozen calls in all, so that what it takes stays what it takes. The profile is written whenever a stage begins or
ends: of a command that was stopped it tells what it was at.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STAGES = {
    "reading": ("shifter.cli.plan:read_inputs",),
    "classifying": ("shifter.cycle:classify", "shifter.cycle:split_windows", "shifter.cycle:reserve"),
    "building": (
        *("shifter.schedule.build:build", "shifter.schedule.exact:merge"),
        *(
            "shifter.schedule.exact:solve",
            "shifter.schedule.mend:solve",
            "shifter.schedule.solve:linear_program",
        ),
    ),
    "pricing": ("shifter.schedule.schedule:relax",),
    "solving": ("highspy:Highs.run",),
    "packing": ("shifter.schedule.schedule:schedule",),
    "baseline": ("shifter.schedule.baseline:run_now",),
    "assembling": ("shifter.schedule.assemble:assemble",),
    "proving": ("shifter.schedule.assemble:prove",),
    "verifying": ("shifter.cycle:verify_plan",),
    "writing": ("shifter.files:write_plan",),
    "showing": ("shifter.cli.summary:print_summary",),
}
"""The functions of each stage, in order. What one spends inside another counts for the other: `building` is what
`solve` does besides HiGHS, `pricing` (of what is too large to be solved whole) all but those two, and `packing` all
else of `schedule`."""
REST, IMPORTING = "between them", "importing"


class Stopwatch:
    """Seconds of stages that may lie inside one another, wall and CPU; each counts once, for the innermost."""

    def __init__(self, changed: Callable[[Stopwatch], None] = lambda _: None) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._open: list[str] = [REST]
        self._since, self._cpu_since = time.perf_counter(), time.process_time()
        self._changed = changed
        self._thread = threading.get_ident()

    @property
    def now_at(self) -> str:
        """The stage that has begun and not ended."""
        return self._open[-1]

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """A stage, from here to the end of the block."""
        self.calls[stage] += 1
        self.turn()
        self._open.append(stage)
        self._changed(self)
        try:
            yield
        finally:
            self.turn()
            self._open.pop()
            self._changed(self)

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, as a stage; in other threads only itself, for their time runs beside this one's."""

        @functools.wraps(call)
        def timed(*args: Any, **named: Any) -> Any:
            if threading.get_ident() != self._thread:
                return call(*args, **named)
            with self.of(stage):
                return call(*args, **named)

        return timed

    def turn(self) -> None:
        """Count the time since the last stage began or ended for the one that it was spent in."""
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self.cpu_s[self._open[-1]] += cpu - self._cpu_since
        self._since, self._cpu_since = now, cpu


@contextmanager
def wrapped(watch: Stopwatch) -> Iterator[None]:
    """The stages' functions, timed until the end of the block. Raises AttributeError where one has gone elsewhere."""
    undo: list[tuple[Any, str, Any]] = []
    try:
        for stage, functions in STAGES.items():
            for function in functions:
                module, path = function.split(":")
                *owners, name = path.split(".")
                owner: Any = importlib.import_module(module)
                for one in owners:
                    owner = getattr(owner, one)
                undo.append((owner, name, getattr(owner, name)))
                setattr(owner, name, watch.timed(stage, getattr(owner, name)))
        yield
    finally:
        for owner, name, original in reversed(undo):
            setattr(owner, name, original)


def main(profile: Path, arguments: list[str]) -> None:
    """Run the command and end as it does."""

    def write(watch: Stopwatch) -> None:
        stages = (IMPORTING, *STAGES, REST)
        seconds, cpu_s = ({s: spent.get(s, 0.0) for s in stages} for spent in (watch.seconds, watch.cpu_s))
        said = {"seconds": seconds, "cpu_s": cpu_s, "now_at": watch.now_at, "calls": watch.calls}
        profile.write_text(json.dumps(said))

    watch = Stopwatch(write)
    with watch.of(IMPORTING):
        for module in ("shifter.cli.main", "cvxpy", *(f.split(":")[0] for fs in STAGES.values() for f in fs)):
            importlib.import_module(module)
    with wrapped(watch):
        try:
            sys.modules["shifter.cli.main"].main(arguments)
        finally:
            watch.turn()
            write(watch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
