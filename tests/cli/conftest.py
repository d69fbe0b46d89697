from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shifter.cli.main import main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`shifter ARGS` in this process: its exit code. What it prints is `capsys`'s."""
    for name in ("COLUMNS", "NO_COLOR", "SHIFTER_URL", "SHIFTER_DEBUG", "SHIFTER_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(args))
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def ask(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What `shifter ARGS --json` says on stdout, in this process."""

    def run(*args: str) -> Any:
        capsys.readouterr()
        code = call(*args, "--json")
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return json.loads(shown.out)

    return run
