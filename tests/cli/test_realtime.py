"""`shifter realtime`, against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.cli.realtime import held
from shifter.views import LoadCoverage, LoadSlot, LoadView, ModelLoad
from tests.web.fake_service import FakeService

T0 = datetime(2026, 1, 10, tzinfo=UTC)
HALF = timedelta(minutes=30)
VIEW = LoadView(
    site="frankfurt",
    pool="h100",
    basis="forecast from 20.0 days measured",
    history_days=20.0,
    last_sample_at=T0,
    last_sample_age_s=40.0,
    silent=False,
    measured_accelerators=2.25,
    realtime_accelerators=8.9,
    quantile=0.95,
    coverage_days=14,
    coverage=(LoadCoverage(0, 6, 100, 0.991), LoadCoverage(6, 24, 0, None)),
    slots=tuple(
        LoadSlot(T0 + i * HALF, T0 + (i + 1) * HALF, {"p50": 5.0 + i, "p90": 8.0 + i, "p99": 12.0 + i})
        for i in range(4)
    ),
)
SILENT = replace(
    VIEW, pool="l40s", silent=True, last_sample_age_s=7200.0, coverage=(), basis="silent since then"
)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    def answered(self: FakeService, site: str | None, pool: str | None, days: int) -> list[LoadView]:
        return [v for v in (VIEW, SILENT) if pool in {None, v.pool}]

    monkeypatch.setattr(FakeService, "realtime", answered, raising=False)
    with ApiServer(create_app(FakeService(3)), port=0) as server:
        yield server.url


def test_all_pools_in_one_table(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], ask: Callable[..., Any], url: str
) -> None:
    assert call("realtime", "--url", url) == 0
    shown = capsys.readouterr()
    for words in (
        "frankfurt/h100",
        "frankfurt/l40s",
        "99.1 %",
        "real-time p50",
        "real-time q",
        "q at most",
        "held, 0-6 h",
        "95.0 %",
        "12.0",
        "15.0",
        "measured",
        "counts",
        "2.2",
        "8.9",
        "40 s",
        "2 h",
    ):
        assert words in shown.out, words
    assert "held now" not in shown.out
    told = " ".join(shown.err.split())
    assert "frankfurt/h100: forecast from 20.0 days measured." in told
    assert "held: how often what was said so many hours ahead was enough" in told
    assert [v["pool"] for v in ask("realtime", "--url", url)] == ["h100", "l40s"]


def test_what_arrived_last_by_model(
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    ask: Callable[..., Any],
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert call("realtime", "--url", url) == 0
    assert "requests/s" not in capsys.readouterr().out, "where no traffic is told there is no table of it"
    arrived = (ModelLoad("chat", 42.456, 812.4, 148.9, 16.0), ModelLoad("embed", 0.0, None, None, 0.0))
    told = replace(VIEW, by_model=arrived, by_model_at=T0)
    monkeypatch.setattr(FakeService, "realtime", lambda *_: [told, SILENT])
    assert call("realtime", "--url", url) == 0
    shown = capsys.readouterr()
    table = shown.out[shown.out.index("requests/s") :].splitlines()
    [chat] = [line.split() for line in table if "chat" in line]
    [embed] = [line.split() for line in table if "embed" in line]
    assert (chat[0], chat[-4:]) == ("frankfurt/h100", ["42.46", "812", "149", "16"])
    assert embed[-4:] == ["0.00", "–", "–", "0"]
    assert "l40s" not in "".join(table)
    assert "requests: what arrived last" in " ".join(shown.err.split())
    assert ask("realtime", "--url", url)[0]["by_model"][0] == {
        "model": "chat",
        "requests_per_s": 42.456,
        "prompt_tokens": 812.4,
        "output_tokens": 148.9,
        "accelerators": 16.0,
    }


def test_one_pool_slot_by_slot(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], ask: Callable[..., Any], url: str
) -> None:
    assert call("realtime", "frankfurt/h100", "--days", "7", "--url", url) == 0
    shown = capsys.readouterr().out
    for words in ("p50", "p90", "p99", "15.0", "11.0"):
        assert words in shown, words
    assert ask("realtime", "frankfurt/h100", "--url", url)["quantile"] == 0.95
    assert call("realtime", "frankfurt", "--url", url) == 2
    assert "is no pool: write it as SITE/POOL" in capsys.readouterr().err


def test_what_is_held_is_the_next_higher_quantile_that_is_given() -> None:
    view = {"quantile": 0.9, "slots": [{"accelerators": {"p50": 1.0, "p99": 3.0, "p90": 2.0}}]}
    assert held(view) == [2.0]
    assert held({**view, "quantile": 0.95}) == [3.0]
    assert held({**view, "quantile": 0.999}) == [3.0]


def test_capacity_tells_what_was_measured_from_what_counts_and_what_nobody_measures(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeService(3)
    key = ("frankfurt", "h100")
    service.measured[key] = {
        "last_sample_at": T0,
        "measured_accelerators": 2.0,
        "realtime_accelerators": 8.9,
        "stale": True,
    }
    with ApiServer(create_app(service), port=0) as server:
        assert call("capacity", "/".join(key), "--url", server.url) == 0
        stale = capsys.readouterr().out.split()
        assert call("capacity", "frankfurt/l40s", "--url", server.url) == 0
        never = capsys.readouterr().out.split()
    assert {"measured", "counts", "2.0", "8.9", "stale"} <= set(stale)
    assert "unmetered" in never
    assert "fresh" not in never
