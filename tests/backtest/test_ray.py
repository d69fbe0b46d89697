"""Units on a real Ray cluster: the same bytes as in one process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.ray_cluster import inside, why_not

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_writes_the_same_bytes(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    program = inside("tests.backtest.on_ray", str(tmp_path), "2")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=580
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"same": True, "files": 8}, "five units, and what they come to together"
