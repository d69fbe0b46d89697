"""The planning process: what goes in, what comes out, and what happens when it does not."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shifter.errors import InputError, PlanRejected, SolverFailed
from shifter.planner import InProcessPlanner, WorkerPlanner, error_from_dict, error_to_dict
from shifter.store.snapshots import inputs_to_json
from tests.store.test_rows import inputs

ECHO = """
import os, time
from shifter.errors import InputError, PlanRejected
from shifter.planner import serve

def plan_text(text):
    print("noise on the standard output")
    if text == "hang":
        time.sleep(600)
    if text == "die":
        os._exit(9)
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
    assert echo.restarts == 1
    with pytest.raises(SolverFailed, match="ValueError: 2"):
        echo.plan("ok", 30)


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
