"""What `shifter forecasts score`, `compare`, `backtest`, `tune` and `fetch` read alike: files, and rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shifter.cli.forecast_inputs import rates_of
from shifter.errors import InputError

Call = Callable[..., int]
HEAD = "zone,issued_at,start,end,price_per_mwh"
ROW = "GB,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,50"


@pytest.mark.parametrize("missing", ["--forecasts", "--actuals"])
@pytest.mark.parametrize("command", [("score",), ("compare", "a", "b"), ("backtest",), ("tune",)])
def test_a_file_that_is_not_there_exits_2(
    call: Call,
    tmp_path: Path,
    command: tuple[str, ...],
    missing: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a mistake in what was given, not a source that does not answer."""
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text(f"{HEAD}\n{ROW}\n", encoding="utf-8")
    given = {"--forecasts": "there.csv", "--actuals": "there.csv", missing: "nowhere.csv"}
    options = [word for pair in given.items() for word in pair]
    assert call("forecasts", *command, "--zone", "GB", *options) == 2
    told = capsys.readouterr()
    assert "nowhere.csv: there is no such file." in told.err.replace("\n", " ")
    assert told.out == ""


def test_rates_of_currencies() -> None:
    assert rates_of(["USD=0.86", "GBP=1.17", "USD=0.9"]) == {"USD": 0.9, "GBP": 1.17}
    assert rates_of([]) == {}


@pytest.mark.parametrize("text", ["=0.9", "USD", "USD=", "USD=much", "USD=0", "USD=-1", "USD=nan", "USD=inf"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(InputError) as caught:
        rates_of([text])
    assert (caught.value.field, caught.value.hint) == ("--fx", "Write it as USD=0.86.")


@pytest.mark.parametrize("command", ["backtest", "tune", "fetch"])
def test_it_is_refused_alike_by_all(
    call: Call,
    tmp_path: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = tmp_path / "there.csv"
    there.write_text(f"{HEAD}\n{ROW}\n", encoding="utf-8")
    given = ["--forecasts", str(there)]
    if command == "fetch":
        given = ["typical", "--out", str(tmp_path / "out.csv")]
    assert call("forecasts", command, *given, "--zone", "GB", "--fx", "=0.9") == 2
    assert "--fx: '=0.9' is no rate." in capsys.readouterr().err.replace("\n", " ")
