"""The tutorial does what it prints: its files, its commands in order, and the figures that no model has a part in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from shifter.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "calibrated-blend.md"
TEXT = PAGE.read_text(encoding="utf-8")
STEPS = TEXT.split("## 6.")[0]
"""What comes after it asks a daemon that has run for weeks."""


def files() -> Iterator[tuple[str, str]]:
    """Each file of the page: its name is in its first line."""
    for body in re.findall(r"^```yaml\n(.*?)^```$", STEPS, re.MULTILINE | re.DOTALL):
        yield body.partition("\n")[0].removeprefix("# "), body


def commands() -> Iterator[tuple[list[str], list[str]]]:
    """Each command of `shifter forecasts` and `shifter config`, with the lines that it is said to print."""
    for block in re.findall(r"^```console\n(.*?)^```$", STEPS, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *printed = part.replace("\\\n", " ").splitlines()
            if line.startswith(("shifter forecasts", "shifter config")):
                yield shlex.split(line)[1:], [text.rstrip() for text in printed]


@pytest.mark.slow
def test_it_works_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Backtests are asked at fewer moments here and draw nothing: their figures change with the models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "118")
    for name, body in files():
        (tmp_path / name).write_text(body, encoding="utf-8")
    done = []
    for words, printed in commands():
        replay = words[:2] == ["forecasts", "backtest"]
        shorter = ["--every", "10d", "--ahead", "36h", "--workers", "1"] if replay else []
        asked = words[: words.index("--plot")] if "--plot" in words else words
        with pytest.raises(SystemExit) as ended:
            main([*asked, *shorter])
        shown = capsys.readouterr()
        assert not ended.value.code, f"{words}\n{shown.err}"
        assert printed, f"the page shows what {words} prints"
        if not replay:
            told = [text.rstrip() for text in f"{shown.out}\n{shown.err}".splitlines() if text.strip()]
            assert told == printed
        done.append(" ".join(words[:2]))
    assert done.count("forecasts backtest") == 3
    assert {"config check", "forecasts fetch", "forecasts score", "forecasts compare"} < set(done)
