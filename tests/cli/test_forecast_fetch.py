"""`shifter forecasts fetch` again and again, and of a source as configured; the rest is in `test_forecasts.py`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasts.scores.subject import from_series
from forecasts.series import Kind, Signal
from shifter.cli.forecast_inputs import read_vintages

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


def test_an_option_goes_before_what_is_configured(ask: Ask, config: str) -> None:
    window = ("--zone", "DE-LU", "--as-of", "2026-01-01T00:00:00Z", "--for", "2h", "--config", config)
    [plain] = ask("forecasts", "fetch", "tariff", *window)
    [more] = ask("forecasts", "fetch", "tariff", *window, "--option", "add_per_mwh=46")
    assert more["values"][0]["value"] == pytest.approx(plain["values"][0]["value"] + 1)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--every", "12h"), "Give --as-of, --until and --every, and no --start."),
        (("--until", "2026-01-04T00:00:00Z"), "Give --as-of, --until and --every, and no --start."),
        (
            ("--every", "12h", "--as-of", "2026-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"),
            "no history",
        ),
        (
            ("--every", "5min", "--as-of", "2026-01-01T00:00:00Z", "--until", "2026-01-02T00:00:00Z"),
            "no history",
        ),
    ],
)
def test_half_a_history_exits_2(
    call: Call, more: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", "typical", "--zone", "DE-LU", *more) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_a_source_that_is_not_configured_exits_2(
    call: Call, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", "neso", "--zone", "GB", "--config", config) == 2
    shown = capsys.readouterr().err
    assert "has no source 'neso'" in shown
    assert "It has tariff, vendor." in shown


def test_a_server_cannot_be_asked_what_it_said_then(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "fetch", "energy_charts", *HISTORY) == 2
    assert "cannot be asked what it said then" in capsys.readouterr().err.replace("\n", " ")
