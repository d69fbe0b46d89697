"""`shifter forecasts backtest`, through the real command, on files and on a database."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasts.heeded import MODELS_ALONE, PLANNED_BY
from forecasts.series import Kind, Signal
from forecasts.slots import isoformat_z
from forecasts.store import ForecastStore
from tests.cli.helpers import shifter
from tests.forecasts.build import HOUR, hours, series

Call = Callable[..., int]
Ask = Callable[..., Any]
DAYS = 24
ALL = [PLANNED_BY, MODELS_ALONE, "desk", "day before", "week rule"]
WINDOW = (
    *("--zone", "GB", "--start", isoformat_z(hours(24 * 20)), "--end", isoformat_z(hours(24 * 21))),
    *("--every", "12h", "--ahead", "48h"),
)


def truth() -> np.ndarray:
    rng = np.random.default_rng(2)
    hour = np.arange(24 * DAYS) % 24
    course: np.ndarray = 300 + 80 * np.cos((hour - 19) / 12 * np.pi) + np.repeat(rng.normal(0, 30, DAYS), 24)
    return course


def said(noise: float = 10.0) -> list[tuple[int, np.ndarray]]:
    """The day of issue, and 48 h from its midnight on."""
    rng = np.random.default_rng(3)
    return [(d, truth()[24 * d : 24 * d + 48] + rng.normal(0, noise, 48)) for d in range(2, DAYS - 2)]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A source's vintages, and what came."""
    rows = ["zone,issued_at,start,end,carbon_g_per_kwh"]
    for day, values in said():
        for i, v in enumerate(values):
            at = hours(24 * day + i)
            rows.append(
                f"GB,{isoformat_z(hours(24 * day))},{isoformat_z(at)},{isoformat_z(at + HOUR)},{v:.3f}"
            )
    came = ["zone,start,end,carbon_g_per_kwh"]
    came += [f"GB,{isoformat_z(hours(i))},{isoformat_z(hours(i + 1))},{v:.3f}" for i, v in enumerate(truth())]
    (tmp_path / "desk.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "came.csv").write_text("\n".join(came) + "\n")
    return ["--forecasts", str(tmp_path / "desk.csv"), "--actuals", str(tmp_path / "came.csv")]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """What a daemon keeps: measured and forecast carbon, and what it made of it."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = ForecastStore(create_engine(url))
    store.create_tables()
    carbon: dict[str, Any] = {"zone": "GB", "signal": Signal.CARBON}
    for d in range(DAYS):
        store.append(
            series(
                truth()[24 * d : 24 * d + 24],
                start=hours(24 * d),
                known_at=hours(24 * d + 24),
                kind=Kind.ACTUAL,
                source="meter",
                **carbon,
            )
        )
    for day, values in said():
        for source in ("desk", PLANNED_BY):
            store.append(
                series(values, start=hours(24 * day), known_at=hours(24 * day), source=source, **carbon)
            )
    store.engine.dispose()
    return url


def names(got: dict[str, Any]) -> list[str]:
    return [s["source"] for s in got["forecasters"]]


def test_it_replays_files(ask: Ask, files: list[str]) -> None:
    [got] = ask("forecasts", "backtest", *files, *WINDOW)
    assert names(got) == ALL
    assert (got["signal"], got["unit"], got["outcomes_of"]) == ("carbon", "gCO2e/kWh", "actuals")
    assert (got["moments"], got["ahead_hours"], got["synthetic"]) == (2, 48, False)
    assert (got["first"], got["last"]) == (isoformat_z(hours(24 * 20)), isoformat_z(hours(24 * 20 + 12)))
    scores = {s["source"]: s for s in got["forecasters"]}
    # At midnight the source reaches 48 h, at noon 36 h.
    assert scores["desk"]["overall"]["availability"] == pytest.approx(84 / 96)
    known = truth()[24 * 20 :]
    [(_, values)] = [(d, v) for d, v in said() if d == 20]
    errors = np.abs(np.round(values, 3) - np.round(known[:48], 3))
    assert scores["desk"]["overall"]["point"]["mae"] == pytest.approx(
        np.concatenate([errors, errors[12:]]).mean()
    )
    assert scores["day before"]["overall"]["point"]["rmae"] == 1
    assert {round(b["nominal"], 2) for b in scores[PLANNED_BY]["overall"]["bands"]["bands"]} == {
        0.5,
        0.8,
        0.9,
    }
    assert got["beside_sources"]["desk"]["n"] == 84


def test_two_processes_say_the_same_to_the_last_byte(
    call: Call, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for workers in ("1", "2"):
        assert call("forecasts", "backtest", *files, *WINDOW, "--workers", workers, "--json") == 0
        shown.append(capsys.readouterr())
    assert shown[0].out == shown[1].out
    assert "by one process." in shown[0].err
    assert "by 2 processes." in shown[1].err


def test_it_is_told_in_tables(call: Call, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "backtest", *files, *WINDOW) == 0
    shown = capsys.readouterr()
    assert "GB carbon [gCO2e/kWh]: 2 moments" in shown.out
    assert "judged by actuals" in shown.out
    header = next(line for line in shown.out.splitlines() if "lead (h)" in line)
    assert all(name in header for name in ALL)
    rows = {line.split()[0]: line for line in shown.out.splitlines() if line.strip()}
    assert all(rows[bucket].count("*") == 1 for bucket in ("0–1", "12–24", "24–48", "all"))
    assert "(75 %)" in rows["24–48"]
    assert "in 80 % band" in shown.out
    assert "a job of 4 h within 24 h that decides by each" in shown.out
    assert "2 moments replayed in" in shown.err
    assert "shifter beside desk, where that spoke (84 cases): mean error" in shown.err
    assert "SYNTHETIC" not in shown.out


def test_a_narrow_terminal_is_told_what_is_left_out(files: list[str]) -> None:
    done = shifter("forecasts", "backtest", *files, *WINDOW, COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert max(len(line) for line in done.stdout.splitlines()[1:]) <= 100
    assert "left out: " in done.stderr
    assert "captured" in done.stdout


def test_of_a_database_it_replays_what_others_said(ask: Ask, database: str) -> None:
    path = Path(database.removeprefix("sqlite:///"))
    size = path.stat().st_size
    [got] = ask("forecasts", "backtest", "--database", database, *WINDOW)
    assert names(got) == ALL, "what the daemon said itself is made again, and is no source"
    assert got["outcomes_of"] == "meter"
    assert path.stat().st_size == size


def test_sources_are_chosen_and_put_on_trial(ask: Ask, files: list[str], tmp_path: Path) -> None:
    rival = (tmp_path / "desk.csv").read_text()
    (tmp_path / "rival.csv").write_text(rival)
    both = [*files, "--forecasts", str(tmp_path / "rival.csv")]

    def of_us(*more: str) -> tuple[list[str], float]:
        [got] = ask("forecasts", "backtest", *both, *WINDOW, *more)
        return names(got), got["forecasters"][0]["overall"]["point"]["mae"]

    alone, on_trial, chosen = (
        of_us("--source", "desk"),
        of_us("--shadow", "rival"),
        of_us("--source", "rival"),
    )
    assert alone[0] == ALL
    assert on_trial[0] == [*ALL[:3], "rival", *ALL[3:]]
    assert alone[1] == on_trial[1] == chosen[1], "they say the same"
    assert "desk" not in chosen[0]


def test_plots(call: Call, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    folder = tmp_path / "plots"
    assert call("forecasts", "backtest", *files, *WINDOW, "--plot", str(folder)) == 0
    found = sorted(p.name for p in folder.iterdir())
    assert found == [
        "GB-carbon-error-by-lead.png",
        "GB-carbon-moments.png",
        "GB-carbon-shifter-reliability.png",
    ]
    told = capsys.readouterr().err.replace("\n", "")
    for path in folder.iterdir():
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        assert int.from_bytes(head[16:20]) > 800, "wide enough to read"
        assert f"Wrote {path}." in told


def test_a_file_of_another_zone_is_no_source_of_this_one(ask: Ask, files: list[str], tmp_path: Path) -> None:
    (tmp_path / "far.csv").write_text((tmp_path / "desk.csv").read_text().replace("GB,", "FR,"))
    [got] = ask("forecasts", "backtest", *files, "--forecasts", str(tmp_path / "far.csv"), *WINDOW)
    assert names(got) == ALL


def test_a_price_in_another_currency_needs_a_rate(
    call: Call, ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'usd.db'}"
    store = ForecastStore(create_engine(url))
    store.create_tables()
    price: dict[str, Any] = {"zone": "GB", "unit": "USD/MWh"}
    for d in range(3):
        at = hours(24 * d)
        store.append(series(truth()[:48], start=at, known_at=at, source="desk", **price))
        store.append(
            series(truth()[:24], start=at, known_at=at + 24 * HOUR, source="m", kind=Kind.ACTUAL, **price)
        )
    store.engine.dispose()
    given = ("--zone", "GB", "--database", url, "--every", "24h", "--ahead", "24h", "--signal", "price")
    assert call("forecasts", "backtest", *given) == 2
    assert "as in --fx GBP=1.17" in capsys.readouterr().err
    [got] = ask("forecasts", "backtest", *given, "--fx", "USD=0.5")
    assert got["unit"] == "EUR/MWh"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--zone", "FR"), "the files say nothing about the zone FR"),
        (("--source", "nemo"), "nemo says nothing of GB"),
        (("--signal", "wind"), "nothing is planned by wind"),
        (("--signal", "price"), "of no price of GB that was forecast is it known what came"),
        (("--every", "90min"), "--every: 1.5 h will not do"),
        (("--ahead", "9d"), "--ahead: "),
        (("--ahead", "9d"), "at most 7d"),
        (("--start", "2026-01-30T00:30:00Z"), "--start: a replay asks on whole hours"),
        (("--job", "30h"), "no choice among slots of 60 minutes"),
        (("--fx", "USD=much"), "is no rate"),
        (("--database", "sqlite:///x.db"), "come from files or from a database"),
    ],
)
def test_wrong_calls_exit_2(
    call: Call, files: list[str], more: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "backtest", *files, *WINDOW, *more) == 2
    shown = capsys.readouterr()
    assert told in shown.err.replace("\n", " ")
    assert shown.out == ""


def test_json_has_no_time_taken_in_it(ask: Ask, files: list[str]) -> None:
    """So that two runs can be compared byte by byte."""
    first, second = (json.dumps(ask("forecasts", "backtest", *files, *WINDOW)) for _ in range(2))
    assert first == second
