"""Where the time of one `shifter plan` goes, from its files to its plan: by stage, in a fresh process."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figure import CASES, Figure, Options, Tell, left_out
from benchmarks.machine import Watched, watch
from benchmarks.profiled import IMPORTING, REST

BAR = 40
"""Width of the whole in the chart [characters]."""


@dataclass(frozen=True)
class Planned:
    """One whole command: what it took, its stages (wall and CPU), and its plan; None where it was stopped or failed."""

    took: Watched
    seconds: dict[str, float]
    cpu_s: dict[str, float]
    now_at: str
    plan: Path | None


def files_of(case: Path) -> list[str]:
    """The options of `shifter plan` that name a case's files."""
    files = {"fleet": "yaml", "workloads": "jsonl", "forecasts": "csv", "realtime": "csv"}
    return [
        x for name, suffix in files.items() for x in (f"--{name}", str(case.resolve() / f"{name}.{suffix}"))
    ]


def planned(
    case: Path, kept: Path, *, time_limit_s: float, memory_limit_mib: float = float("inf")
) -> Planned:
    """`shifter plan` on a case, files to plan, with its defaults; the plan is written to the folder `kept`."""
    about = json.loads((case / "case.json").read_text(encoding="utf-8"))
    profile, out = kept / "profile.json", kept / "plan.json"
    command = [sys.executable, "-m", "benchmarks.profiled", str(profile), "plan", *files_of(case)]
    command += ["--start", about["start"], "--horizon", f"{about['horizon_h']}h"]
    command += ["--slot", f"{about['slot_minutes']}min", "--out", str(out)]
    profile.unlink(missing_ok=True)
    took = watch(command, time_limit_s=time_limit_s, memory_limit_mib=memory_limit_mib)
    seen: dict[str, Any] = {"seconds": {}, "cpu_s": {}, "now_at": IMPORTING}
    if profile.exists():
        seen = json.loads(profile.read_text())
    seconds: dict[str, float] = dict(seen["seconds"])
    if took.exit_code != 0:  # what had begun and never ended
        seconds[seen["now_at"]] = seconds.get(seen["now_at"], 0.0) + took.wall_s - sum(seconds.values())
    plan = out if took.exit_code == 0 else None
    return Planned(took, seconds, dict(seen["cpu_s"]), seen["now_at"], plan)


def chart(name: str, found: Planned) -> Iterator[Figure]:
    """A bar for each stage that took a hundredth of the whole, and one for all the others."""
    whole = found.took.wall_s
    starting = whole - sum(found.seconds.values())
    every = {"starting": starting, **found.seconds}
    shown = {stage: s for stage, s in every.items() if s >= 0.01 * whole and stage != REST}
    for stage, seconds in shown.items():
        cpu = f", {found.cpu_s[stage]:.1f} s CPU" if stage in found.cpu_s else ""
        yield Figure(f"{name}, {stage}", seconds, "s", beside=bar(seconds / whole) + cpu)
    rest = whole - sum(shown.values())
    yield Figure(f"{name}, all else", rest, "s", beside=bar(rest / whole))


def bar(share: float) -> str:
    """A share (0..1) as a bar and in words."""
    return f"{'█' * round(BAR * share):<{BAR}} {100 * share:3.0f} %"


def profiled(name: str, folder: Path, options: Options) -> Iterator[Figure]:
    """One case. Raises RuntimeError where the command fails."""
    with tempfile.TemporaryDirectory() as kept:
        found = planned(folder, Path(kept), **options.limits)
    if found.plan is None and not found.took.stopped:
        raise RuntimeError(f"{name}: {found.took.last_word}")
    said = f"{found.took.cpu_s:.2f} s CPU, {found.took.peak_mib:.0f} MiB"
    if found.plan is None:
        said = f"stopped by the limit of {found.took.stopped} while {found.now_at}; {said}"
    yield Figure(f"{name}, files to plan, wall", found.took.wall_s, "s", beside=said)
    yield from chart(name, found)


def run(options: Options, tell: Tell) -> Iterator[Figure]:
    """Each case once: the profile is for seeing what is large."""
    with tempfile.TemporaryDirectory() as made:
        folders = options.cases_or_made(CASES, Path(made))
        for i, (name, folder) in enumerate(folders.items()):
            tell(f"planning {name}", i / len(folders))
            yield from profiled(name, folder, options)
    yield from left_out(CASES, folders)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("stages")
