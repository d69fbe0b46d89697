"""The planning process: what goes in, what comes out, and what happens when it does not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shifter.cycle import verify_plan
from shifter.domain.fleet import Pool
from shifter.errors import InputError, PlanRejected, SolverFailed
from shifter.planner import InProcessPlanner, WorkerPlanner, error_from_dict, error_to_dict
from shifter.store.snapshots import inputs_to_json
from tests.schedule.build import at, cycle_inputs, site, work
from tests.store.test_rows import inputs

ECHO = """
import os, time
from shifter.cycle import verify_plan
from shifter.domain.fleet import Pool
from shifter.errors import InputError, PlanRejected
from shifter.planner import serve

def plan_text(text, effort):
    print("noise on the standard output")
    if text == "hang":
        time.sleep(600)
    if text == "die" or text == "die of " + effort:
        os._exit(9)
    if text.startswith("die of"):
        raise ValueError("tried as " + effort)
    if text == "full":
        raise MemoryError("Unable to allocate 3 TiB")
    if text == "reject":
        raise PlanRejected("it breaks a condition.", hint="Look.", field="plan", violations=["a", "b"])
    raise ValueError(str(len(text)))

serve(plan_text)
"""


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[WorkerPlanner]:
    script = tmp_path / "echo.py"
    script.write_text(textwrap.dedent(ECHO))
    made = WorkerPlanner([sys.executable, str(script)])
    yield made
    made.close()


def test_the_process_and_this_one_make_the_same_plan() -> None:
    text = inputs_to_json(inputs())
    worker = WorkerPlanner()
    try:
        worker.warm_up()
        assert worker.plan(text, 60).to_json() == InProcessPlanner().plan(text, 60).to_json()
    finally:
        worker.close()
    with pytest.raises(SolverFailed):
        worker.plan(text, 60)


def test_requests_larger_than_a_pipe_and_noise_do_no_harm(echo: WorkerPlanner) -> None:
    for size in (10, 3_000_000):
        with pytest.raises(SolverFailed, match=f"ValueError: {size}"):
            echo.plan("x" * size, 30)
    assert echo.restarts == 0


def test_one_that_is_left_alone_ends_without_a_word(tmp_path: Path) -> None:
    script = tmp_path / "echo.py"
    script.write_text(textwrap.dedent(ECHO))
    pipe, words = subprocess.PIPE, tmp_path / "words"
    with (
        words.open("wb") as err,
        subprocess.Popen([sys.executable, str(script)], stdin=pipe, stdout=pipe, stderr=err) as worker,
    ):
        assert worker.stdout is not None
        worker.stdout.close()  # before it is warm; what it is asked by stays open
        assert worker.wait(30) == 0
    assert words.read_text() == ""


def test_an_error_keeps_its_kind_and_its_facts(echo: WorkerPlanner) -> None:
    with pytest.raises(PlanRejected) as caught:
        echo.plan("reject", 30)
    assert (caught.value.hint, caught.value.field) == ("Look.", "plan")
    assert caught.value.facts["violations"] == ["a", "b"]


@pytest.mark.parametrize(("trouble", "says"), [("hang", "took longer"), ("die", "without an answer")])
def test_one_that_hangs_or_dies_is_replaced(echo: WorkerPlanner, trouble: str, says: str) -> None:
    echo.warm_up()
    began = time.monotonic()
    with pytest.raises(SolverFailed, match=says):
        echo.plan(trouble, 0.5)
    assert time.monotonic() - began < 5
    assert echo.restarts >= 1
    with pytest.raises(SolverFailed, match="ValueError: 2"):
        echo.plan("ok", 30)


def test_one_that_dies_of_a_plan_is_asked_for_less(echo: WorkerPlanner) -> None:
    with pytest.raises(SolverFailed, match="tried as coarse"):
        echo.plan("die of whole", 30)
    assert echo.restarts == 1


def test_one_that_asks_for_too_much_memory_says_so_and_goes_on(echo: WorkerPlanner) -> None:
    with pytest.raises(SolverFailed, match=r"ran out of memory \(Unable to allocate 3 TiB") as caught:
        echo.plan("full", 30)
    assert "planning.memory_limit_gib" in caught.value.hint
    assert echo.restarts == 0


STARVED = """
import resource, sys
import cvxpy, scipy.optimize
import shifter.schedule.assemble, shifter.schedule.verify, shifter.store.snapshots
from shifter.planner import _plan_text, limit_memory, serve

fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit_memory((int(fields["VmData"].split()[0]) * 1024 + int(sys.argv[1]) * 2**20) / 2**30)
serve(_plan_text)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory as Linux does")
def test_a_plan_that_needs_more_memory_than_there_is_is_made_with_less(tmp_path: Path) -> None:
    """Some 40,000 variables, for which HiGHS asks far more; whether it fails or dies of that is its own affair."""
    script = tmp_path / "starved.py"
    script.write_text(STARVED)
    pools = (Pool("p", "X", 40, busy_kw=1.0), Pool("q", "Y", 40, busy_kw=0.8))
    jobs = [
        work(
            f"w{i}",
            8 + i % 7,
            9 + (i * 0.1031) % 14,
            earliest_start=at((i * 0.0719) % 8),
            accelerators=("X", "Y"),
        )
        for i in range(160)
    ]
    given = cycle_inputs(
        jobs,
        sites=[site(pools=pools, power_limit_kw=60.0)],
        prices=[20.0 + i % 31 for i in range(288)],
        slot_minutes=5,
    )
    planner = WorkerPlanner([sys.executable, str(script), "60"])
    try:
        plan = planner.plan(inputs_to_json(given), 120)
    finally:
        planner.close()
    assert plan.status in {"coarse", "greedy"}
    assert any("memory" in said for said in plan.warnings)
    assert verify_plan(plan, given) == []
    assert plan.lower_bound <= plan.cost.total + 1e-6


def test_one_that_cannot_start_says_so() -> None:
    planner = WorkerPlanner([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(SolverFailed, match="did not start"):
        planner.plan("x", 1)


def test_errors_go_round() -> None:
    first = InputError("wrong.", hint="Right it.", field="a.b", value=3, odd=object())
    again = error_from_dict(error_to_dict(first))
    assert isinstance(again, InputError)
    assert (again.detail, again.hint, again.field, again.facts["value"]) == ("wrong.", "Right it.", "a.b", 3)
    assert isinstance(error_from_dict({**error_to_dict(first), "kind": "os"}), SolverFailed)
