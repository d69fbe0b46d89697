"""The command line on changed files, for every test of what nobody should send."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from shifter.cli.main import main
from tests.properties.command import DATA, FILES, WINDOW, Call


@pytest.fixture
def planned(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`shifter plan --verify --json` of 24 hours: its exit code, stdout and stderr.

    `work` stands in for the workloads; each of `swaps` is (file, old text, new text).
    """
    for name in ("COLUMNS", "NO_COLOR", "SHIFTER_CONFIG", "SHIFTER_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def run(
        work: Sequence[Mapping[str, Any]] = (), swaps: Sequence[tuple[str, str, str]] = ()
    ) -> tuple[int, str, str]:
        args = []
        for name, file in FILES.items():
            shutil.copy(DATA / file, tmp_path / file)
            args += [f"--{name}", str(tmp_path / file)]
        if work:
            (tmp_path / FILES["workloads"]).write_text("".join(json.dumps(w) + "\n" for w in work))
        for name, old, new in swaps:
            path = tmp_path / FILES[name]
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["plan", *args, *WINDOW, "--verify", "--json"])
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, " ".join(shown.err.split())

    return run
