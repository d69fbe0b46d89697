"""How hints call the command line, so that they work as typed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from shifter.cli.program import command, program


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed `shifter` that this process is; the current folder is two above it, and the PATH is empty."""
    file = tmp_path / "venv" / "bin" / "shifter"
    file.parent.mkdir(parents=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("SHIFTER_URL", raising=False)
    monkeypatch.setattr(sys, "argv", [str(file), "demo"])
    return file


def test_a_script_that_is_not_on_the_path_is_named_from_here(script: Path) -> None:
    assert program() == "venv/bin/shifter"


def test_as_make_calls_it(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["venv/bin/shifter", "demo"])
    assert program() == "venv/bin/shifter"


def test_on_the_path_it_is_just_its_name(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "shifter"


def test_a_link_on_the_path_is_the_same(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = script.parents[2] / "links" / "shifter"
    link.parent.mkdir()
    link.symlink_to(script)
    monkeypatch.setenv("PATH", str(link.parent))
    assert program() == "shifter"


def test_another_shifter_on_the_path_is_not_this_one(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = script.parents[2] / "other" / "shifter"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert program() == "venv/bin/shifter"


@pytest.mark.parametrize(
    ("folder", "told"), [("venv/bin", "./shifter"), ("elsewhere", "{tmp}/venv/bin/shifter")]
)
def test_from_other_folders(
    script: Path, folder: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)
    assert program() == told.format(tmp=tmp_path)


def test_a_path_with_a_space_is_quoted(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my venv" / "shifter"
    file.parent.mkdir()
    os.link(script, file)
    monkeypatch.setattr(sys, "argv", [str(file)])
    assert program() == "'my venv/shifter'"


def test_called_as_a_module_it_is_the_script_beside_python(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/anywhere/shifter/__main__.py"])
    monkeypatch.setattr(sys, "executable", str(script.parent / "python"))
    assert program() == "venv/bin/shifter"
    script.unlink()
    assert program() == "venv/bin/python -m shifter"


def test_a_command_names_the_daemon_only_where_that_is_not_the_usual_one(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, other = "http://127.0.0.1:8321", "http://127.0.0.1:8471"
    assert command("explain", "a b", url=usual) == "venv/bin/shifter explain 'a b'"
    assert command("slots", url=other) == f"venv/bin/shifter slots --url {other}"
    monkeypatch.setenv("SHIFTER_URL", other)
    assert command("slots", url=other) == "venv/bin/shifter slots"
    assert command("slots", url=usual) == f"venv/bin/shifter slots --url {usual}"
