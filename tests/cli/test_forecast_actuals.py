"""`--actuals` is what came: of a history of vintages only what was over when it was said, and never a forecast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forecasts.slots import isoformat_z
from tests.forecasts.build import hours

Call = Callable[..., int]
Ask = Callable[..., Any]
HEAD = "zone,issued_at,start,end,carbon_g_per_kwh"
SPAN = ("--start", "2026-01-12T00:00:00Z", "--every", "24h", "--ahead", "24h")


def history(path: Path, *, past: int = 6, kind: str = "", days: int = 6) -> str:
    """Every 6 hours what came in the `past` hours, and 24 h of forecasts that are 100 too high."""
    rows = [HEAD + ",kind"]
    for issued in range(0, 24 * days, 6):
        for h in range(issued - past, issued + 24):
            known, start, end = (isoformat_z(hours(i)) for i in (issued, h, h + 1))
            rows.append(f"GB,{known},{start},{end},{200 + 5 * (h % 24) + (0 if h < issued else 100)},{kind}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def without_times(path: Path, days: int = 6) -> str:
    """What came, which nobody says when it was known."""
    rows = [HEAD.replace("issued_at,", "")]
    rows += [
        f"GB,{isoformat_z(hours(h))},{isoformat_z(hours(h + 1))},{200 + 5 * (h % 24)}"
        for h in range(-6, 24 * days - 6)
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", ["", "synthetic"])
def test_a_history_tells_what_came_and_its_forecasts_do_not(ask: Ask, tmp_path: Path, kind: str) -> None:
    """As a file of `fetch --every --out` is, and whether or not outcomes say when they were known."""
    told = history(tmp_path / "h.csv", kind=kind)
    given = ("forecasts", "score", "--zone", "GB", "--forecasts", told)
    [alone] = ask(*given)
    [judged] = ask(*given, "--actuals", told)
    [measured] = ask(*given, "--actuals", without_times(tmp_path / "came.csv"))
    assert (alone["outcomes_of"], judged["outcomes_of"]) == ("h", "actuals")
    for got in (alone, judged, measured):
        assert got["overall"]["point"]["mae"] == pytest.approx(100)
    assert judged["overall"]["point"]["n"] == alone["overall"]["point"]["n"]


def test_what_is_fetched_again_and_again_judges_as_it_judges_itself(ask: Ask, tmp_path: Path) -> None:
    file = str(tmp_path / "typical.csv")
    ask(
        *("forecasts", "fetch", "typical", "--zone", "GB", "--signal", "carbon", "--out", file),
        *("--as-of", "2026-01-10T00:00:00Z", "--until", "2026-01-20T00:00:00Z"),
        *("--every", "12h", "--for", "24h", "--option", "forecast_error=0.5"),
    )
    given = ("forecasts", "score", "--zone", "GB", "--forecasts", file)
    [alone], [judged] = ask(*given), ask(*given, "--actuals", file)
    assert alone["overall"]["point"]["mae"] > 0
    assert judged["overall"]["point"] == alone["overall"]["point"]


@pytest.mark.parametrize("command", [("score",), ("compare", "h", "other"), ("backtest",), ("tune",)])
def test_where_nothing_was_over_it_is_one_error(
    call: Call, tmp_path: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    told, future = history(tmp_path / "h.csv"), history(tmp_path / "future.csv", past=0)
    given = ("--zone", "GB", "--forecasts", told, "--forecasts", f"other={told}")
    assert call("forecasts", *command, *given, "--actuals", future) == 2
    shown = capsys.readouterr()
    assert f"error: {future}: none of its rows was over when it was issued" in " ".join(shown.err.split())
    assert shown.err.count("error:") == 1
    assert shown.out == ""


def test_what_was_cleared_beforehand_still_counts(ask: Ask, tmp_path: Path) -> None:
    """An auction knows tomorrow's price today, and says so."""
    told, cleared = history(tmp_path / "h.csv"), tmp_path / "c.csv"
    rows = [HEAD + ",kind"]
    rows += [
        f"GB,{isoformat_z(hours(20))},{isoformat_z(hours(h))},{isoformat_z(hours(h + 1))},200,cleared"
        for h in range(24, 48)
    ]
    cleared.write_text("\n".join(rows) + "\n", encoding="utf-8")
    [got] = ask("forecasts", "score", "--zone", "GB", "--forecasts", told, "--actuals", str(cleared))
    assert got["overall"]["point"]["n"] == 6 + 12 + 18, "said at 6, 12 and 18 h, before it was known"


def test_a_replay_of_which_nothing_can_be_scored_is_an_error(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = history(tmp_path / "h.csv")
    late = ("--start", "2026-02-20T00:00:00Z", "--end", "2026-02-21T00:00:00Z", "--every", "12h")
    for more in ((), ("--json",)):
        assert call("forecasts", "backtest", "--zone", "GB", "--forecasts", told, *late, *more) == 1
        shown = capsys.readouterr()
        assert "error: --start: nothing that was said of these moments can be scored" in shown.err
        assert shown.out == ""
    assert call("forecasts", "backtest", "--zone", "GB", "--forecasts", told, *SPAN) == 0


def test_all_in_shadow_is_told(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = history(tmp_path / "h.csv")
    given = ("forecasts", "backtest", "--zone", "GB", "--forecasts", told, "--shadow", "h")
    assert call(*given) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--shadow: all sources are in shadow" in said
    assert call(*given, *SPAN, "--actuals", without_times(tmp_path / "came.csv")) == 0


@pytest.mark.parametrize("option", ["--forecasts", "--actuals"])
@pytest.mark.parametrize("command", [("score",), ("backtest",), ("tune",)])
def test_another_file_is_one_mistake(
    call: Call, tmp_path: Path, command: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "fleet.yaml"
    other.write_text("currency: EUR\nsites:\n  - name: a\n", encoding="utf-8")
    given = {"--forecasts": history(tmp_path / "h.csv"), option: str(other)}
    words = [word for pair in given.items() for word in pair]
    assert call("forecasts", *command, "--zone", "GB", *words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"error: {other}: this is no forecasts.csv: it has no column zone," in said
    assert said.count("error:") == 1
    assert "Map it" not in said


def test_outcomes_are_no_vintages(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    came = without_times(tmp_path / "came.csv")
    assert call("forecasts", "score", "--zone", "GB", "--forecasts", came) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "this is no forecasts.csv: it has no column issued_at. hint: " in said


@pytest.mark.parametrize("command", ["score", "backtest", "tune"])
def test_without_matplotlib_nothing_is_read(
    call: Call,
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not even that there is nothing to read is found out first."""
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    given = ("--zone", "GB", "--forecasts", "nowhere.csv", "--plot", str(tmp_path / "p"))
    assert call("forecasts", command, *given) == 2
    assert "--plot: drawing needs matplotlib, which is not installed." in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
