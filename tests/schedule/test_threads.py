"""The same inputs give the same plan, byte for byte, whatever the number of threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.mark.slow
def test_plans_do_not_depend_on_the_number_of_threads() -> None:
    printed = []
    for count in ("1", "2"):
        there = os.environ | dict.fromkeys(THREADS, count)
        command = [sys.executable, "-m", "tests.schedule.threads"]
        done = subprocess.run(command, env=there, capture_output=True, text=True, check=True)
        printed.append(done.stdout.split())
    one, two = printed
    assert len(one) == 4
    assert one == two
