"""`shifter forecasts show` beside a service that has learnt, and `shifter plan --learn` on a file with a history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forecasts.heeded import CANDIDATE
from shifter.api.app import create_app
from shifter.api.server import ApiServer
from tests.cli.helpers import PLAN_FILES, answer
from tests.daemon import grid
from tests.web import fixture
from tests.web.fake_service import FakeService

T0 = datetime(2026, 1, 10, tzinfo=UTC)
DAY = timedelta(days=1)


def test_show_says_who_counts_for_how_much(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], ask: Callable[..., Any]
) -> None:
    with ApiServer(create_app(FakeService(3))) as server:
        assert call("forecasts", "show", "--zone", "DE-LU", "--for", "24h", "--url", server.url) == 0
        shown = capsys.readouterr()
        told = ask("forecasts", "show", "--zone", "DE-LU", "--for", "24h", "--url", server.url)
    for words in ("believed", "6 h ahead", "48 h ahead", "our models", "climatology", "71 %", "known"):
        assert words in shown.out, words
    assert "from 60 days" in shown.err.replace("\n", " ")
    assert "Too little to learn from: less than a week of outcomes, or all of it made up." in shown.err
    assert {v["signal"] for v in told["learnt"]} == {"price", "carbon"}


def test_a_candidate_stands_apart_from_what_is_in_force(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = fixture.learnt("DE-LU", "carbon")
    views = [live, replace(live, planned_by=False, name=CANDIDATE)]
    monkeypatch.setattr(FakeService, "learnt", lambda *_: views)
    with ApiServer(create_app(FakeService(3))) as server:
        assert call("forecasts", "show", "--zone", "DE-LU", "--for", "24h", "--url", server.url) == 0
    shown = capsys.readouterr()
    assert shown.out.count("DE-LU carbon, candidate") == 1
    told = " ".join(shown.err.split())
    assert told.count("DE-LU carbon: learnt of") == 1
    assert told.count("DE-LU carbon, candidate: learnt of") == 1
    assert told.count("In shadow: nothing is planned by it.") == 1


class TestPlan:
    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[str, ...]:
        """The files of the other tests, with forecasts of 40 days."""
        grid.desk(tmp_path / "desk.csv", "DE-LU", T0 - 40 * DAY, T0, error=40, ahead_h=30, outcomes=True)
        given = list(PLAN_FILES)
        given[given.index("--forecasts") + 1] = str(tmp_path / "desk.csv")
        return tuple(given)

    def prices(self, *args: str) -> list[float]:
        return [row["price_per_mwh"] for row in answer("plan", *args)["power"]]

    def test_it_is_as_the_newest_vintage_says_unless_asked(self, files: tuple[str, ...]) -> None:
        """The contract: of several vintages the newest counts."""
        rows = Path(files[files.index("--forecasts") + 1]).read_text().splitlines()
        newest = [
            float(r.split(",")[4]) for r in rows if r.startswith("DE-LU,2026-01-10T00") and "forecast" in r
        ]
        newest = newest[:24]
        assert self.prices(*files) == newest
        assert self.prices(*files, "--as-said") == newest

    def test_learnt_it_errs_less_and_verifies(
        self, files: tuple[str, ...], tmp_path: Path, call: Callable[..., int]
    ) -> None:
        actual = grid.truth(T0, 24)[0]

        def error(prices: list[float]) -> float:
            return sum(abs(a - b) for a, b in zip(prices, actual, strict=True))

        learnt = self.prices(*files, "--learn")
        assert learnt != self.prices(*files)
        assert error(learnt) < 0.9 * error(self.prices(*files))
        out = tmp_path / "plan.json"
        assert call("plan", *files, "--learn", "--out", str(out), "--verify") == 0
        assert call("plan", str(out), "--verify", "--learn", *files) == 0

    def test_where_too_little_is_known_it_is_as_it_was(self) -> None:
        assert answer("plan", *PLAN_FILES, "--learn")["plan_id"] == answer("plan", *PLAN_FILES)["plan_id"]
