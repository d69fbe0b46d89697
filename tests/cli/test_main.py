"""The root: help, completion, versions, and how errors are told."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from inspect import getdoc
from itertools import pairwise
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from shifter.cli.main import app, load_command
from shifter.cli.registry import COMMANDS, Entry
from tests.cli.helpers import command, environment, shifter

Call = Callable[..., int]
SLOW = {"pandas", "cvxpy", "scipy", "numpy", "sqlalchemy", "alembic", "fastapi", "pydantic", "requests"}


def test_the_root_help_names_every_command(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    told = capsys.readouterr().out
    assert all(entry.name in told for entry in COMMANDS)


def test_help_imports_nothing_slow() -> None:
    code = "import sys; from shifter.cli.main import main\ntry: main(['--help'])\n"
    code += "finally: print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert not SLOW & modules
    assert not {m for m in modules if m.startswith("shifter.") and not m.startswith("shifter.cli")}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda e: e.name)
def test_every_command_has_help_that_the_registry_repeats(entry: Entry) -> None:
    target = entry.load()
    text = target.info.help if isinstance(target, typer.Typer) else getdoc(target)
    assert (text or "").splitlines()[0] == entry.help
    assert load_command(entry).name == entry.name
    done = CliRunner().invoke(app, [entry.name, "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage:" in done.output


@pytest.mark.parametrize(
    "args",
    [
        *(("forecasts", name) for name in ("sources", "fetch", "show")),
        *(("config", name) for name in ("check", "schema", "example", "show")),
    ],
    ids=" ".join,
)
def test_every_command_of_a_group_has_help(args: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, [*args, "--help"])
    assert done.exit_code == 0, done.output
    assert f"{args[0]} {args[1]}" in done.output


def bracketed(limit: Annotated[float, typer.Option("--limit", help="For the solver [s].")] = 3.0) -> None:
    """Say what it is.

    Brackets, as in [h], are text.
    """


def test_brackets_in_a_help_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    command = load_command(Entry("bracketed", "tests.cli.test_main:bracketed", "", ""))
    command.main(["--help"], standalone_mode=False)
    told = capsys.readouterr().out
    assert "For the solver [s]." in told
    assert "as in [h], are text" in told


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(
    "args",
    [
        *((entry.name,) for entry in COMMANDS),
        *(("config", name) for name in ("check", "schema", "example", "show")),
    ],
    ids=" ".join,
)
def test_paragraphs_of_a_help_wrap_where_the_terminal_does(args: tuple[str, ...], width: int) -> None:
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(app, [*args, "--help"])
    lines = [line.strip() for line in done.output.partition("Usage:")[2].partition("╭")[0].splitlines()[1:]]
    for line, following in pairwise(lines):
        word = following.partition(" ")[0]
        assert not (line and word) or len(f" {line} {word}") >= width, done.output


def test_the_package_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shifter", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("shifter ")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("sumbit",), "Did you mean 'submit'?"),
        (("slots", "--nope"), "--nope"),
        (("submit",), "Missing argument"),
        (("override", "w-1", "--reason", "x"), "give either --class"),
        (("override", "w-1", "--reason", "x", "--class", "soon"), "real_time or deferrable"),
        (("plan", "--fleet", "x"), "Missing option"),
        (("demo", "--json"), "--json goes with --once"),
        (("demo", "--live", "?!"), "is not a grid zone"),
        (("demo", "--once", "--live", "ZZ"), "no source without a key knows"),
        (("capacity", "h100"), "SITE/POOL"),
        (("run",), "no fleet is named"),
    ],
)
def test_a_wrong_call_is_told_in_one_line_and_exits_2(
    args: tuple[str, ...], told: str, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*args) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert told in shown.err
    assert "Traceback" not in shown.err


def test_no_daemon_is_told_and_exits_1(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("status", "--url", "http://127.0.0.1:9") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "no daemon answers at http://127.0.0.1:9" in shown.err
    assert "hint: " in shown.err


def test_the_url_comes_from_the_environment() -> None:
    done = shifter("workloads", SHIFTER_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "http://127.0.0.1:9" in done.stderr


def test_debug_adds_the_traceback() -> None:
    done = shifter("--debug", "status", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "error: no daemon answers" in done.stderr


def test_version(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.startswith("shifter ")


def test_names_are_completed_without_loading_anything() -> None:
    done = shifter(_SHIFTER_COMPLETE="complete_bash", COMP_WORDS="shifter wor", COMP_CWORD="1")
    assert done.stdout.split() == ["workloads"]


def test_options_are_completed() -> None:
    done = shifter(_SHIFTER_COMPLETE="complete_bash", COMP_WORDS="shifter submit --j", COMP_CWORD="2")
    assert done.stdout.split() == ["--json"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    line = " ".join([*command("config", "example"), "|", "head", "-1"])
    shell = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment(), check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
