"""`shifter forecasts fetch` again and again, and of a source as configured; the rest is in `test_forecasts.py`."""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasts.scores.subject import from_series
from forecasts.series import Kind, Signal
from forecasts.testing import Asked, ReplyServer, Said
from shifter.cli.forecast_inputs import read_vintages
from tests.contract.payloads import as_json, ec_price, ec_times

Call = Callable[..., int]
Ask = Callable[..., Any]
HISTORY = (
    *("--zone", "DE-LU", "--as-of", "2026-01-01T00:00:00Z", "--until", "2026-01-04T00:00:00Z"),
    *("--every", "12h", "--for", "36h"),
)

CONFIGURED = """\
fleet: fleet.yaml
forecasts:
  sources:
    - name: tariff
      options:
        currency: EUR
        timezone: Europe/Berlin
        wholesale: {name: typical}
        add_per_mwh: 45.0
    - name: tariff
      shadow: true
      options:
        name: vendor
        currency: EUR
        timezone: Europe/Berlin
        wholesale: {name: typical}
        add_per_mwh: 50.0
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "shifter.yaml"
    path.write_text(CONFIGURED)
    return str(path)


def test_a_history_of_vintages_is_scored_by_itself(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "history.csv"
    assert (
        call("forecasts", "fetch", "typical", *HISTORY, "--option", "forecast_error=0.5", "--out", str(out))
        == 0
    )
    shown = capsys.readouterr()
    assert "12 vintages, known from Thu 01 Jan 00:00" in shown.err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len({r["issued_at"] for r in rows}) == 6
    assert len(rows) == 6 * (12 + 36), "and each says what came since the one before"
    said = read_vintages(out, "history", "EUR")
    assert {s.kind for s in said} == {Kind.SYNTHETIC}
    found = from_series("DE-LU", Signal.PRICE, {"history": said})
    known = found.known["history"]
    assert known.source == "history"
    first, second = (s for s in said[:4] if s.signal is Signal.PRICE)
    came = second.values[:12]
    assert np.array_equal(known.values[12:24], came)
    assert not np.array_equal(first.values[12:24], came), "what was forecast was another"
    assert first.values[12] == came[0], "an hour at its beginning is known"


def test_only_the_last_of_them_is_shown(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "fetch", "typical", *HISTORY) == 0
    shown = capsys.readouterr().out
    assert shown.count("DE-LU") == 2
    assert "Sat 03 Jan 00:00" in shown, "twelve hours back from noon"


def test_a_source_as_it_is_configured(ask: Ask, config: str) -> None:
    window = ("--zone", "DE-LU", "--as-of", "2026-01-01T00:00:00Z", "--for", "6h", "--config", config)
    [ours] = ask("forecasts", "fetch", "tariff", *window)
    [vendors] = ask("forecasts", "fetch", "vendor", *window)
    [bare] = ask("forecasts", "fetch", "typical", "--signal", "price", *window[:-2])
    assert (ours["source"], vendors["source"]) == ("tariff", "vendor")
    prices = [[v["value"] for v in s["values"]] for s in (ours, vendors, bare)]
    assert np.allclose(prices[0], np.add(prices[2], 45))
    assert np.allclose(prices[1], np.add(prices[0], 5))


def test_it_is_asked_for_the_signals_that_are_configured(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "shifter.yaml"
    path.write_text("forecasts: {sources: [{name: typical, signals: [carbon]}]}\n")
    window = ("--zone", "DE-LU", "--as-of", "2026-01-01T00:00:00Z", "--for", "2h", "--config", str(path))
    assert [s["signal"] for s in ask("forecasts", "fetch", "typical", *window)] == ["carbon"]
    asked = ask("forecasts", "fetch", "typical", *window, "--signal", "price")
    assert [s["signal"] for s in asked] == ["price"]


def test_a_day_has_no_zone_without_a_time(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    window = ("--zone", "DE-LU", "--as-of", "2026-01-01T00:00:00Z")
    assert call("forecasts", "fetch", "typical", *window, "--start", "2026-01-01") == 2
    assert "Write 2026-01-01T00:00Z for UTC" in " ".join(capsys.readouterr().err.split())
    assert call("forecasts", "fetch", "typical", *window, "--start", "2026-01-01T00:00Z") == 0


def test_an_option_goes_before_what_is_configured(ask: Ask, config: str) -> None:
    window = ("--zone", "DE-LU", "--as-of", "2026-01-01T00:00:00Z", "--for", "2h", "--config", config)
    [plain] = ask("forecasts", "fetch", "tariff", *window)
    [more] = ask("forecasts", "fetch", "tariff", *window, "--option", "add_per_mwh=46")
    assert more["values"][0]["value"] == pytest.approx(plain["values"][0]["value"] + 1)


AS_OF = ("--as-of", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--every", "12h"), "--every: a history needs --as-of and --until, too."),
        (("--every", "12h", *AS_OF), "--every: a history needs --until, too."),
        (("--every", "12h", "--until", "2026-01-04T00:00:00Z"), "--every: a history needs --as-of, too."),
        (("--until", "2026-01-04T00:00:00Z", *AS_OF), "--until: a history needs --every, too."),
        (
            ("--every", "12h", *AS_OF, "--until", "2026-01-02T00:00:00Z", "--start", "2026-01-01T00:00:00Z"),
            "--start: each answer of a history begins with what came since the one before.",
        ),
        (
            ("--every", "12h", *AS_OF, "--until", "2026-01-01T00:00:00Z"),
            "--until: the end is not after --as-of. hint: Give a later one.",
        ),
        (
            ("--every", "10min", *AS_OF, "--until", "2026-01-02T00:00:00Z"),
            "--every: a history is asked for once an hour at most, and 10min is more often.",
        ),
        (("--for", "0h"), "--for: 0h is no time at all."),
        (("--currency", "EUR"), "--currency: it is of the prices in a file, and none is written."),
        (("--fx", "GBP=1.17"), "--fx: it is of the prices in a file, and none is written."),
    ],
)
def test_half_a_history_exits_2(
    call: Call, more: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", "typical", "--zone", "DE-LU", *more) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_source_that_is_not_configured_exits_2(
    call: Call, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", "neso", "--zone", "GB", "--config", config) == 2
    shown = capsys.readouterr().err
    assert "has no source 'neso'" in shown
    assert "It has tariff, vendor." in shown


class TestWithoutConfiguration:
    def test_what_a_source_lacks_is_named_with_the_ways_to_give_it(
        self, call: Call, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("forecasts", "fetch", "tariff", "--zone", "DE-LU") == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "--config: tariff needs its currency and timezone." in told
        assert "hint: Give the shifter.yaml that has it, or --option currency=… --option timezone=…." in told

    def test_an_option_that_is_wrong_is_named_as_one(
        self, call: Call, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("forecasts", "fetch", "tariff", "--zone", "DE-LU", "--option", "currency=EUR") == 2
        assert "--config: tariff needs its timezone." in " ".join(capsys.readouterr().err.split())
        assert call("forecasts", "fetch", "typical", "--zone", "DE-LU", "--option", "sed=1") == 2
        assert "--option sed: " in " ".join(capsys.readouterr().err.split())
        assert call("forecasts", "fetch", "csv", "--zone", "DE-LU") == 2
        assert "--option: value error, give either path or url." in " ".join(capsys.readouterr().err.split())

    def test_a_name_of_a_configuration(self, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("forecasts", "fetch", "vendor", "--zone", "DE-LU") == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "SOURCE: there is no forecast source 'vendor'." in told
        assert "One that is named in a shifter.yaml needs --config." in told


class TestWhereNobodyAnswers:
    """Somebody waits: it is said at once, on stderr, and given up soon."""

    def test_what_is_tried_again_is_told(self, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
        body = ec_price()
        body["unix_seconds"] = ec_times(
            192, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        )
        left = [Said(status=503)]

        def reply(_: Asked) -> Said:
            return left.pop() if left else as_json(body)

        with ReplyServer(reply) as server:
            given = ("--zone", "CH", "--for", "1h", "--signal", "price", "--option", f"base_url={server.url}")
            assert call("forecasts", "fetch", "energy_charts", *given, "--json") == 0
            host = server.url.removeprefix("http://")
        told = capsys.readouterr().err
        assert f"{host}: status 503. It is tried 2 times at most, in 1 s." in told
        assert told.count(host) == 1

    def test_and_given_up_after_two_more_tries_of_all_that_is_asked(
        self, call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ENTSOE_API_KEY", "hush-hush")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{free.getsockname()[1]}"
            given = ("--zone", "DE-LU", "--signal", "price", "--signal", "load", "--signal", "wind")
            began = time.monotonic()
            code = call("forecasts", "fetch", "entsoe", *given, "--option", f"base_url=http://{host}/api")
            assert time.monotonic() - began < 15
        shown = capsys.readouterr()
        told = " ".join(shown.err.split())
        assert code == 1
        assert f"{host}: no connection (Connection refused). It is tried 2 times at most, in " in told
        assert f"{host}: no connection (Connection refused). It is tried once more, in " in told
        assert told.count("It is tried") == 2, "the other signals are not asked for"
        assert "did not answer: no connection (Connection refused)." in told
        assert "hint: Check the network" in told
        assert "poll" not in told
        assert "hush" not in told + shown.out


def test_a_server_cannot_be_asked_what_it_said_then(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "fetch", "energy_charts", *HISTORY) == 2
    assert "cannot be asked what it said then" in capsys.readouterr().err.replace("\n", " ")
