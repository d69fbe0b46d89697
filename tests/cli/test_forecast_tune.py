"""`shifter forecasts tune`, through the real command, on files and on a database."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

import forecasts.tuning as searched
import shifter.backtest.tuning as weighed
from forecasts.heeded import CANDIDATE, PLANNED_BY
from forecasts.learning import Learning
from forecasts.series import ForecastSeries, Kind
from forecasts.slots import as_datetime, isoformat_z
from forecasts.store import ForecastStore
from shifter.cli.forecast_tune_tables import comparison
from shifter.errors import InputError
from shifter.settings import load_settings
from tests.forecasts.world import START, forecasts, grid_days, measured, noisy

Call = Callable[..., int]
Ask = Callable[..., Any]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAYS = 58
ZONE = "DE-LU"
WINDOW = ("--zone", ZONE, "--for", "42d", "--every", "24h", "--ahead", "24h")


def world() -> list[ForecastSeries]:
    """Carbon, measured every six hours, and foretold by a source that is mostly noise."""
    truth = grid_days(DAYS)
    return [*measured(truth), *forecasts(truth, noisy(50.0), reach_h=36, every_h=24)]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that there is would take minutes."""
    monkeypatch.setattr(searched, "GRID", {"weigh_sources": (True, False), "adapt_rate": (0.02,)})
    monkeypatch.setattr(weighed, "WEIGHTS", (0.0, 1.0))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """What is foretold, with prices that are cleared at noon of the day before, and what came."""
    head = "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh,kind"
    (tmp_path / "desk.csv").write_text(
        "\n".join([head, *_rows([s for s in world() if s.source == "told"]), *_prices()])
    )
    (tmp_path / "came.csv").write_text(
        "\n".join([head, *_rows([s for s in world() if s.source == "measured"])])
    )
    return ["--forecasts", str(tmp_path / "desk.csv"), "--actuals", str(tmp_path / "came.csv")]


def _rows(said: list[ForecastSeries]) -> Iterator[str]:
    for s in said:
        for i, value in enumerate(s.values):
            begin, end = (isoformat_z(as_datetime(t[i])) for t in (s.start, s.end))
            known = max(isoformat_z(s.known_at), end) if s.kind == "actual" else isoformat_z(s.known_at)
            yield f"{ZONE},{known},{begin},{end},,{max(1.0, value):.3f},{s.kind if s.kind == 'actual' else ''}"


def _prices() -> Iterator[str]:
    rng = np.random.default_rng(1)
    for h in range(24 * DAYS):
        at = START + h * HOUR
        issued = at.replace(hour=0) - timedelta(hours=12)
        price = 60 - 40 * np.cos(h * np.pi / 12) + rng.normal(0, 10)
        times = ",".join(isoformat_z(t) for t in (issued, at, at + HOUR))
        yield f"{ZONE},{times},{price:.2f},,cleared"


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    """A daemon in which a source speaks alone."""
    path = tmp_path / "shifter.yaml"
    path.write_text("forecasts:\n  learning: {weigh_sources: false, past_days: 45}\n")
    return ["--config", str(path)]


def test_what_would_be_better_is_told_and_can_be_pasted(
    call: Call, capsys: pytest.CaptureFixture[str], files: list[str], config: list[str], tmp_path: Path
) -> None:
    assert call("forecasts", "tune", *WINDOW, *files, *config) == 0
    shown = capsys.readouterr()
    assert "DE-LU carbon [gCO2e/kWh]: 28 moments from" in shown.out
    assert "14 moments from" in shown.out
    assert "weigh_sources true (chosen)" in shown.out
    assert "On the days that judge" in shown.out
    assert "change weigh_sources from false to true: CRPS" in shown.err
    assert "lower on 14 days it was not chosen by, more than noise (p" in shown.err
    assert "2 settings tried in " in shown.err
    first, _, last = shown.out[shown.out.index("forecasts:\n") :].rpartition("forecasts:\n")
    assert shown.err.index("To try it beside what is in force") < shown.err.index("Then, to plan by it")
    asked = "shifter forecasts compare shifter shifter:candidate --zone DE-LU --database DATABASE"
    assert f"  {asked}\n" in shown.err, "files were given: where the daemon keeps its store is not known"
    pasted = tmp_path / "pasted.yaml"
    pasted.write_text(f"forecasts:\n{last}")
    assert load_settings(pasted, {}, {}).forecasts.learning.rules == Learning(past_days=45)
    in_force = (tmp_path / "shifter.yaml").read_text()
    pasted.write_text(in_force + first.removeprefix("forecasts:\n"))
    tried = load_settings(pasted, {}, {}).forecasts
    assert tried.candidate_rules == Learning(past_days=45)
    assert not tried.learning.weigh_sources


def test_by_several_processes_it_is_the_same_and_pictures_are_drawn(
    ask: Ask, files: list[str], config: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "plots"
    one = ask("forecasts", "tune", *WINDOW, *files, *config, "--plot", str(folder))
    two = ask("forecasts", "tune", *WINDOW, *files, *config, "--workers", "2")
    assert one == two
    assert (folder / "tuning.png").read_bytes().startswith(b"\x89PNG")
    assert one["suggests"]
    assert one["present"]["weigh_sources"] is False
    assert one["chosen"]["weigh_sources"] is True
    assert one["settings"] == "forecasts:\n  learning:\n    past_days: 45\n    weigh_sources: true"
    assert one["candidate"] == "forecasts:\n  candidate:\n    weigh_sources: true"
    assert one["judged"]["gain"]["ratio"] < -0.2
    assert one["tried"][0]["gain"]["ratio"] == 0
    [part] = one["parts"]
    assert part["choosing"]["last"] < part["judging"]["first"]
    assert one["risk"] is None


def test_what_to_ask_after_some_weeks_is_a_command_that_works(
    call: Call, capsys: pytest.CaptureFixture[str], config: list[str], tmp_path: Path
) -> None:
    """Of each zone that was tuned, and of the database that it was tuned on, pasted as it is into a shell."""
    (tmp_path / "my data").mkdir()
    url = f"sqlite:///{tmp_path / 'my data' / 'store.db'}"
    store = ForecastStore(create_engine(url))
    store.create_tables()
    both = [*world(), *(replace(s, zone="FR") for s in world())]
    mine = [s for s in both if s.source == "told"]
    for source in (PLANNED_BY, CANDIDATE):
        both += [replace(s, source=source, kind=Kind.MODEL) for s in mine]
    store.append_all(both)
    store.engine.dispose()
    assert call("forecasts", "tune", *WINDOW, "--zone", "FR", "--database", url, *config) == 0
    told = capsys.readouterr().err.splitlines()
    commands = [shlex.split(line) for line in told if line.startswith("  shifter ")]
    assert [words[words.index("--zone") + 1] for words in commands] == [ZONE, "FR"]
    since = ("--as-of", isoformat_z(START + DAYS * DAY))
    for words in commands:
        assert call(*words[1:], *since) == 0


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        ("postgresql://me:secret@host/shifter", "DATABASE"),
        ("postgresql://me@host/shifter", "postgresql://me@host/shifter"),
        (None, "DATABASE"),
    ],
)
def test_a_password_is_not_repeated(database: str | None, shown: str) -> None:
    assert comparison(ZONE, database).split()[-2:] == ["--database", shown]


def test_what_a_daemon_has_kept(ask: Ask, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = ForecastStore(create_engine(url))
    store.create_tables()
    store.append_all(world())
    store.engine.dispose()
    found = ask("forecasts", "tune", *WINDOW, "--database", url)
    assert not found["suggests"]
    assert found["verdict"] == "keep: nothing else did better by 0.2 % on the 28 days that choose"
    assert found["present"] == found["chosen"]
    assert found["settings"] is None
    assert found["candidate"] is None


def test_a_fleet_is_told_of_its_weight_on_the_worst(
    call: Call, capsys: pytest.CaptureFixture[str], files: list[str], tmp_path: Path
) -> None:
    given = _fleet(tmp_path)
    assert call("forecasts", "tune", *WINDOW, *files, *given, "--replan", "24h") == 0
    shown = capsys.readouterr()
    assert "Plans with other weights on the worst, days that choose" in shown.out
    assert "0, as it is" in shown.out
    rows = [line.split() for line in shown.out.splitlines() if line.startswith((" 0, as", " 1 "))]
    assert [row[-1] for row in rows] == ["120"] * 2
    assert shown.err.count("keep: ") == 2


def _fleet(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "fleet.yaml").write_text(
        "currency: EUR\nsites:\n  - name: here\n    zone: DE-LU\n"
        "    pools: [{name: h100, accelerator: H100, count: 8, idle_kw: 0.1, busy_kw: 0.6}]\n"
        "objective: {carbon_price_per_tonne: 500}\n"
    )
    jobs = [
        {
            "id": f"w{i}",
            "accelerator_hours": 20,
            "accelerators": ["H100"],
            "earliest_start": isoformat_z(START + i * DAY),
            "deadline": isoformat_z(START + (i + 1) * DAY),
            "max_accelerators": 4,
        }
        for i in range(16, DAYS - 2, 5)
    ]
    (tmp_path / "work.jsonl").write_text("\n".join(json.dumps(one) for one in jobs))
    return "--fleet", str(tmp_path / "fleet.yaml"), "--workloads", str(tmp_path / "work.jsonl")


def test_plans_are_replayed_by_the_rules_in_force_and_the_sources_asked_for(
    call: Call, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.csv").write_text((tmp_path / "desk.csv").read_text())
    config = tmp_path / "shifter.yaml"
    config.write_text("forecasts:\n  learning: {past_days: 30}\nplanning: {hold_gap_ratio: 0.01}\n")
    asked: list[tuple[Any, Any]] = []

    def watched(choosing: Any, *_: Any) -> Any:
        asked.append((choosing[0].rules, {s.source for case in choosing for s in case.vintages}))
        raise InputError("enough.")

    monkeypatch.setattr(weighed, "tune_risk", watched)
    more = ("--forecasts", f"twin={tmp_path / 'other.csv'}", "--source", "desk", "--config", str(config))
    assert call("forecasts", "tune", *WINDOW, *files, *more, *_fleet(tmp_path), "--replan", "24h") == 2
    [(rules, heard)] = asked
    assert rules.learning == Learning(past_days=30)
    assert rules.hold_gap_ratio == 0.01
    assert heard == {"desk"}


@pytest.mark.parametrize(
    ("options", "where"),
    [
        (("--outcomes", "actuals"), "--outcomes"),
        (("--fx", "USD=0.9"), "--fx"),
        (("--currency", "USD"), "--currency"),
        (("--replan", "30min30s"), "--replan"),
    ],
)
def test_what_does_not_go_with_a_fleet_is_refused(
    call: Call,
    capsys: pytest.CaptureFixture[str],
    files: list[str],
    options: tuple[str, ...],
    where: str,
    tmp_path: Path,
) -> None:
    assert call("forecasts", "tune", *WINDOW, *files, *_fleet(tmp_path), *options) == 2
    assert f"error: {where}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "where", "hint"),
    [
        ((), "--forecasts", "--database URL"),
        (("--fleet", "fleet.yaml", "FILES"), "--fleet", "both --fleet and --workloads"),
        (("--database", "sqlite://", "--fleet", "f", "--workloads", "w"), "--fleet", "--forecasts FILE"),
        (("FILES", "--zone", "GB"), "--zone", "There are DE-LU"),
        (("FILES", "--source", "other"), "--source", "There are actuals, desk"),
        (("FILES", "--for", "20d"), "--start", "luck is told from merit only over weeks"),
        (("FILES", "--signal", "wind"), "--signal", "price or carbon"),
        (("FILES", "--signal", "price"), "--actuals", "what was measured or cleared"),
        (("FILES", "--job", "30h"), "--job", "longer than the work"),
    ],
)
def test_what_cannot_be_tuned_is_told(
    call: Call,
    capsys: pytest.CaptureFixture[str],
    files: list[str],
    options: tuple[str, ...],
    where: str,
    hint: str,
) -> None:
    given = [o for option in options for o in (files if option == "FILES" else [option])]
    assert call("forecasts", "tune", *WINDOW, *given) == 2
    told = capsys.readouterr().err
    assert f"error: {where}: " in told
    assert hint in told
