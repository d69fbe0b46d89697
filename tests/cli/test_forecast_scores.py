"""`shifter forecasts score` and `compare`, through the real command, on files and on a database."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasts.heeded import CANDIDATE, PLANNED_BY
from forecasts.series import Kind, Signal
from forecasts.slots import isoformat_z
from forecasts.store import ForecastStore
from tests.cli.helpers import environment, shifter
from tests.forecasts.build import HOUR, T0, hours, series

Call = Callable[..., int]
Ask = Callable[..., Any]
DAYS = 24


def truth() -> np.ndarray:
    """Hourly carbon of three weeks and a half, dear in the evening."""
    rng = np.random.default_rng(2)
    hour = np.arange(24 * DAYS)
    course: np.ndarray = (
        300 + 80 * np.cos((hour % 24 - 19) / 12 * np.pi) + np.repeat(rng.normal(0, 30, DAYS), 24)
    )
    return course


def vintages(noise: float, seed: int) -> list[tuple[int, np.ndarray]]:
    """The day of issue, and 48 h from its midnight on."""
    rng = np.random.default_rng(seed)
    return [(d, truth()[24 * d : 24 * d + 48] + rng.normal(0, noise, 48)) for d in range(2, DAYS - 2)]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A good source with bands, a poor one without, and what came."""
    head = "zone,issued_at,start,end,carbon_g_per_kwh"
    good = [f"{head},carbon_g_per_kwh_p10,carbon_g_per_kwh_p90"]
    poor = [head]
    for rows, noise, bands in ((good, 8.0, True), (poor, 50.0, False)):
        for day, values in vintages(noise, 1):
            for i, v in enumerate(values):
                at = hours(24 * day + i)
                row = f"GB,{isoformat_z(hours(24 * day))},{isoformat_z(at)},{isoformat_z(at + HOUR)},{v:.3f}"
                rows.append(f"{row},{v - 10.25:.3f},{v + 10.25:.3f}" if bands else row)
    actual = ["zone,start,end,carbon_g_per_kwh"]
    actual += [
        f"GB,{isoformat_z(hours(i))},{isoformat_z(hours(i + 1))},{v:.3f}" for i, v in enumerate(truth())
    ]
    for name, lines in (("good", good), ("poor", poor), ("actual", actual)):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return [
        *("--forecasts", str(tmp_path / "good.csv"), "--forecasts", f"weak={tmp_path / 'poor.csv'}"),
        *("--actuals", str(tmp_path / "actual.csv"), "--zone", "GB"),
    ]


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = ForecastStore(create_engine(url))
    store.create_tables()
    carbon: dict[str, Any] = {"zone": "GB", "signal": Signal.CARBON}
    for d in range(DAYS):
        part = truth()[24 * d : 24 * d + 24]
        store.append(
            series(
                part,
                start=hours(24 * d),
                known_at=hours(24 * d + 25),
                kind=Kind.ACTUAL,
                source="meter",
                **carbon,
            )
        )
    for day, values in vintages(8.0, 1):
        store.append(series(values, start=hours(24 * day), known_at=hours(24 * day), source="neso", **carbon))
    store.engine.dispose()
    return url


def test_score_of_files(ask: Ask, files: list[str]) -> None:
    good, weak = ask("forecasts", "score", *files)
    assert (good["source"], weak["source"]) == ("good", "weak")
    assert good["outcomes_of"] == "actuals"
    assert good["signal"] == "carbon"
    assert good["unit"] == "gCO2e/kWh"
    errors = np.concatenate([values - truth()[24 * d : 24 * d + 48] for d, values in vintages(8.0, 1)])
    assert good["overall"]["point"]["mae"] == pytest.approx(np.abs(errors).mean(), abs=1e-3)
    assert good["overall"]["point"]["rmae"] < weak["overall"]["point"]["rmae"]
    assert [p["from_h"] for p in good["by_lead"]] == [0, 1, 6, 12, 24]
    [band] = good["overall"]["bands"]["bands"]
    assert band["coverage"] == pytest.approx((np.abs(errors) <= 10.25).mean(), abs=0.002)
    assert band["width"] == pytest.approx(20.5)
    assert good["overall"]["crps"] < good["overall"]["point"]["mae"]
    assert weak["overall"]["crps"] == weak["overall"]["point"]["mae"]
    assert 0 < weak["decision"]["captured"] < good["decision"]["captured"] <= 1
    assert (
        good["decision"]["captured_low"] <= good["decision"]["captured"] <= good["decision"]["captured_high"]
    )


def test_score_in_words(call: Call, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "score", *files) == 0
    shown = capsys.readouterr()
    assert "GB carbon [gCO2e/kWh] by good: 20 vintages" in shown.out
    assert "judged by actuals" in shown.out
    assert "in 80 % band" in shown.out
    assert "24–48" in shown.out
    assert "A job of 4 h within 24 h, at 20 origins: captured 9" in shown.err
    assert "better than persistence" in shown.err
    assert (
        "Asked at each vintage of a source, as it came; `compare` asks two at the same moments." in shown.err
    )


def test_a_database_is_asked_once_an_hour_and_says_so(
    call: Call, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    now = isoformat_z(hours(24 * DAYS + 2))
    assert call("forecasts", "score", "--zone", "GB", "--database", database, "--as-of", now) == 0
    assert "Asked at the first vintage of each hour of a source, as it came;" in capsys.readouterr().err


def test_one_source_and_another_job(ask: Ask, files: list[str]) -> None:
    [weak] = ask("forecasts", "score", *files, "--source", "weak", "--job", "1h", "--within", "12h")
    assert weak["source"] == "weak"
    assert (weak["decision"]["job_hours"], weak["decision"]["within_hours"]) == (1, 12)


def test_the_seed_makes_the_interval(ask: Ask, files: list[str]) -> None:
    def interval(seed: str) -> float:
        [weak] = ask("forecasts", "score", *files, "--source", "weak", "--seed", seed)
        return float(weak["decision"]["captured_low"])

    assert interval("1") == interval("1") != interval("2")


def test_score_of_a_database_and_only_read(ask: Ask, database: str) -> None:
    path = Path(database.removeprefix("sqlite:///"))
    now = isoformat_z(hours(24 * DAYS + 2))
    [neso] = ask("forecasts", "score", "--zone", "GB", "--database", database, "--as-of", now)
    size = path.stat().st_size
    assert (neso["source"], neso["outcomes_of"]) == ("neso", "meter")
    assert neso["vintages"] == DAYS - 4
    errors = np.concatenate([values - truth()[24 * d : 24 * d + 48] for d, values in vintages(8.0, 1)])
    assert neso["overall"]["point"]["mae"] == pytest.approx(np.abs(errors).mean())
    [early] = ask(
        "forecasts", "score", "--zone", "GB", "--database", database, "--as-of", isoformat_z(hours(24 * 10))
    )
    assert early["vintages"] < neso["vintages"]
    assert early["end"] == isoformat_z(hours(24 * 9)), "what came of the tenth day was not known yet"
    assert path.stat().st_size == size


def test_compare_says_who_and_whether_it_is_noise(
    call: Call, ask: Ask, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    [got] = ask("forecasts", "compare", "good", "weak", *files)
    assert (got["overall"]["better"], got["better_decisions"]) == ("first", "first")
    assert got["overall"]["test"]["p_value"] < 0.001
    assert got["captured_first"] > got["captured_second"]
    assert call("forecasts", "compare", "weak", "good", *files) == 0
    shown = capsys.readouterr()
    assert "MAE weak" in shown.out
    assert "< 0.001" in shown.out
    assert "good is better, in its errors and in decisions." in shown.err
    assert (
        "Both are asked every 6 h, and what each said last counts; `score` asks at each vintage." in shown.err
    )
    assert "SYNTHETIC" not in shown.out
    assert not got["synthetic"]


def test_compare_says_what_is_made_up(
    call: Call, ask: Ask, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = Path(files[1])
    head, *rows = made.read_text().splitlines()
    made.write_text("\n".join([f"{head},kind", *(f"{row},synthetic" for row in rows)]) + "\n")
    [got] = ask("forecasts", "compare", "weak", "good", *files)
    assert got["synthetic"]
    assert call("forecasts", "compare", "weak", "good", *files) == 0
    assert "moments. SYNTHETIC, not the real grid." in capsys.readouterr().out


def test_compare_tells_a_candidate_from_what_is_in_force(
    call: Call, ask: Ask, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a daemon keeps both. The same values, and quantiles that are worse."""
    store = ForecastStore(create_engine(database))
    for source, width in ((PLANNED_BY, 13.0), (CANDIDATE, 90.0)):
        for day, values in vintages(8.0, 1):
            said = series(
                values,
                source=source,
                zone="GB",
                signal=Signal.CARBON,
                start=hours(24 * day),
                known_at=hours(24 * day),
                kind=Kind.MODEL,
                quantiles={0.05: values - width, 0.95: values + width},
            )
            store.append(said)
    store.engine.dispose()
    args = (
        PLANNED_BY,
        CANDIDATE,
        "--zone",
        "GB",
        "--database",
        database,
        "--as-of",
        isoformat_z(hours(24 * DAYS)),
    )
    [got] = ask("forecasts", "compare", *args)
    assert (got["overall"]["better"], got["better_decisions"], got["bands"]["better"]) == (
        "neither",
        "neither",
        "first",
    )
    assert call("forecasts", "compare", *args) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "cases with quantiles of both: shifter" in told
    assert "(p < 0.001)" in told
    assert "shifter has the better quantiles. What is not named may be noise." in told


def test_plots(call: Call, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    folder = tmp_path / "plots"
    assert call("forecasts", "score", *files, "--plot", str(folder)) == 0
    names = sorted(p.name for p in folder.iterdir())
    assert names == [
        "GB-carbon-error-by-lead.png",
        "GB-carbon-good-reliability.png",
        "GB-carbon-good-vintages.png",
        "GB-carbon-skill.png",
        "GB-carbon-weak-vintages.png",
    ]
    for path in folder.iterdir():
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        assert int.from_bytes(head[16:20]) > 800, "wide enough to read"
    assert f"Wrote {folder / names[0]}." in capsys.readouterr().err.replace("\n", "")


def test_no_legend_lies_over_other_text(files: list[str]) -> None:
    """However long the subtitle is."""
    plots = pytest.importorskip("shifter.cli.forecast_plots")
    mpl = pytest.importorskip("matplotlib")
    from forecasts.scores.report import score
    from shifter.cli.forecast_options import Given
    from shifter.cli.forecast_subjects import subjects

    plots.load()
    [subject] = subjects(Given("GB", [files[1]], Path(files[5])), [Signal.CARBON])
    [(name, said)] = subject.forecasts.items()
    scores = score(said, subject.known[name])
    assert scores is not None
    scores = replace(scores, synthetic=True, outcomes_of="tariff, vendor, typical and others")
    with mpl.rc_context(plots.STYLE):
        figure = plots.by_vintage(scores, said, subject.known[name])
        figure.canvas.draw()
        found = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
        [legend] = [one for one in found if one is not None]
        inside = legend.get_window_extent()
        for axes in figure.axes:
            for text in (*axes.texts, axes.title, *axes.get_xticklabels()):
                assert not inside.overlaps(text.get_window_extent()), text.get_text()
            assert not inside.overlaps(axes.get_window_extent()), "nor over what is drawn"


def test_without_matplotlib_it_says_what_to_install(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "matplotlib.py").write_text("raise ImportError('not here')\n")
    done = shifter(
        "forecasts",
        "score",
        *files,
        "--plot",
        str(tmp_path / "p"),
        PYTHONPATH=f"{tmp_path / 'none'}:{Path.cwd()}",
    )
    assert done.returncode == 2
    assert "pip install 'inference-shifter[bench]'" in done.stderr.replace("\n", " ")
    assert done.stdout == ""
    assert not (tmp_path / "p").exists()


def test_scoring_files_loads_neither_plots_nor_a_database(files: list[str]) -> None:
    code = (
        "import sys\nfrom shifter.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('matplotlib', 'sqlalchemy', 'pandas', 'cvxpy') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "forecasts", "score", *files, "--json"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)[0]["source"] == "good"
    assert done.stderr.strip().endswith("[]")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--zone", "FR"), "the files say nothing about the zone FR"),
        (("--source", "nemo"), "--source: nemo says nothing of GB"),
        (("--signal", "wind"), "nobody forecast wind of GB"),
        (("--signal", "tide"), "is no signal"),
        (("--job", "30h"), "--job: "),
        (("--job", "30h"), "no choice among slots of 60 minutes"),
        (("--persistence", "month"), "is no rule"),
        (("--slot", "7min"), "a slot of 7 minutes is not supported"),
        (("--slot", "30min30s"), "30min30s is not a whole number of minutes"),
        (("--database", "sqlite:///x.db"), "come from files or from a database"),
    ],
)
def test_wrong_calls_exit_2(
    call: Call, files: list[str], more: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "score", *files, *more) == 2
    shown = capsys.readouterr()
    assert told in shown.err.replace("\n", " ")
    assert shown.out == ""


def test_nothing_has_come_yet(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.csv"
    end = isoformat_z(T0 + timedelta(hours=1))
    path.write_text(
        f"zone,issued_at,start,end,price_per_mwh\nGB,{isoformat_z(T0)},{isoformat_z(T0)},{end},50\n"
    )
    assert call("forecasts", "score", "--zone", "GB", "--forecasts", str(path)) == 2
    told = capsys.readouterr().err
    assert "GB price by f: nobody says yet what came of it." in told
    assert "nothing has come yet" in told


def test_compare_of_a_few_days_says_that_they_are_too_few(
    call: Call, ask: Ask, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "poor"):
        file = tmp_path / f"{name}.csv"
        head, *rows = file.read_text().splitlines()
        kept = [row for row in rows if row.split(",")[1] < isoformat_z(hours(24 * 8))]
        file.write_text("\n".join([head, *kept]) + "\n")
    assert call("forecasts", "compare", "good", "weak", *files) == 0
    shown = capsys.readouterr()
    rows = [line for line in shown.out.splitlines() if line.strip()[:1].isdigit() or " all " in line]
    assert len(rows) > 3
    assert all(row.rstrip().endswith("–   too few") for row in rows), rows
    assert "Which is better: too few days to say." in shown.err
    [got] = ask("forecasts", "compare", "good", "weak", *files)
    assert (got["overall"]["better"], got["better_decisions"]) == ("too few", "too few")


def test_compare_refuses_what_cannot_be_compared(
    call: Call, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "compare", "good", "good", *files) == 2
    assert "one source twice" in capsys.readouterr().err
    assert call("forecasts", "compare", "good", "nemo", *files) == 2
    assert "nemo says nothing" in capsys.readouterr().err
