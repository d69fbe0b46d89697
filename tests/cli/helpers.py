"""Running the command line as a person does: in a process of its own, or in this one where that is enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
PLAN_FILES = (
    *("--fleet", str(DATA / "fleet.yaml")),
    *("--workloads", str(DATA / "workloads.jsonl")),
    *("--forecasts", str(DATA / "forecasts.csv")),
    *("--realtime", str(DATA / "realtime.csv")),
    *("--start", "2026-01-10T00:00:00Z", "--horizon", "24h", "--slot", "60min"),
)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would change the answers."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("SHIFTER_") and k not in {"COLUMNS", "NO_COLOR"}
    }
    return {**kept, "TZ": "UTC", **more}


def command(*args: str) -> list[str]:
    """The command line of `shifter ARGS`."""
    return [sys.executable, "-m", "shifter.cli.main", *args]


def shifter(
    *args: str, stdin: str = "", timeout_s: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """`shifter ARGS`, to its end."""
    return subprocess.run(
        command(*args),
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=timeout_s,
        check=False,
    )


def answer(*args: str, **given: Any) -> Any:
    """What `shifter ARGS --json` says on stdout, of which nothing else may be there."""
    done = shifter(*args, "--json", **given)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
