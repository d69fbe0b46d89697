"""`shifter backtest`, as a person calls it, and its report in a browser."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from forecasts.learning import BY_DEFAULT
from forecasts.series import PLANNED, Signal
from shifter.backtest.inputs import Files, read
from shifter.cli.backtest import rules_of
from shifter.settings import load_settings
from tests.backtest.world import write_files
from tests.cli.helpers import answer, shifter

COMMAND = "backtest"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def options(folder: Path) -> list[str]:
    return write_files(folder)


@pytest.fixture(scope="module")
def told(options: list[str]) -> Any:
    return answer(COMMAND, *options, timeout_s=110)


def test_json_says_what_each_policy_came_to(told: Any, folder: Path) -> None:
    assert [p["policy"] for p in told["policies"]] == [
        *("run_now", "cheapest_window", "threshold", "ours", "perfect")
    ]
    by_name = {p["policy"]: p for p in told["policies"]}
    assert (told["currency"], told["replays"], told["kept"]) == ("EUR", 5, 0)
    assert by_name["run_now"]["saved_ratio"] == 0
    assert by_name["ours"]["saved_ratio"] > 0.1
    assert by_name["perfect"]["captured_ratio"] == 1
    assert by_name["run_now"]["captured_carbon_ratio"] in {0, None}
    assert all(0 < p["hour_carbon_g"] < 1e3 * p["carbon_kg"] / p["done_hours"] for p in by_name.values())
    assert by_name["ours"]["deadlines_met"] == by_name["ours"]["workloads"] == 14
    rows = pq.read_table(folder / "out" / "results.parquet").to_pylist()
    assert {row["policy"]: row["cost"] for row in rows} == {n: p["cost"] for n, p in by_name.items()}


def made_up(folder: Path, file: str, to: Path) -> str:
    """A file whose rows are made up."""
    head, *rows = (folder / file).read_text().splitlines()
    (to / file).write_text("\n".join([head, *(f"{row.rpartition(',')[0]},synthetic" for row in rows)]) + "\n")
    return str(to / file)


@pytest.mark.parametrize("file", ["forecasts.csv", "actuals.csv"])
def test_what_is_made_up_is_said_wherever_it_is_shown(
    folder: Path, options: list[str], tmp_path: Path, file: str
) -> None:
    """In the table, in JSON, in the report and in each row of the results, whether forecast or come."""
    option = f"--{file.removesuffix('.csv')}"
    given = read_options(options, tmp_path, option, made_up(folder, file, tmp_path))
    done = shifter(COMMAND, *given, "--policy", "run_now")
    assert done.returncode == 0, done.stderr
    warning = "SYNTHETIC, not the real grid."
    assert done.stdout.splitlines()[0] == f"DE-LU; 2026-03; 1 replay. {warning}"
    assert answer(COMMAND, *given, "--policy", "run_now")["synthetic"] is True
    assert f'<p class="made-up">{warning}</p>' in (tmp_path / "out" / "report.html").read_text()
    [row] = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert row["synthetic"] is True


@pytest.mark.parametrize("library", ["pyarrow", "matplotlib"])
def test_what_results_take_is_known_before_anything_is_read(
    options: list[str], tmp_path: Path, library: str
) -> None:
    (tmp_path / f"{library}.py").write_text("raise ImportError('not here')\n")
    given = [*options[:-1], str(tmp_path / "out"), "--fleet", "nowhere.yaml"]
    done = shifter(COMMAND, *given, PYTHONPATH=f"{tmp_path}:{Path.cwd()}")
    assert done.returncode == 2
    assert f"--out: {'results are written' if library == 'pyarrow' else 'the report is drawn'}" in done.stderr
    assert "pip install 'inference-shifter[bench]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_where_learning_is_in_vain_it_is_told(folder: Path, options: list[str], tmp_path: Path) -> None:
    """The daemon learns nothing from what is made up, nor from a week; without learning there is nothing to tell."""
    made = made_up(folder, "forecasts.csv", tmp_path)
    for forecasts, why in (
        (made, "they are made up"),
        (str(folder / "forecasts.csv"), "too little was known"),
    ):
        given = [*read_options(options, tmp_path, "--forecasts", forecasts), "--policy", "run_now"]
        told = shifter(COMMAND, *given, "--learn", "24h").stderr
        assert told.count("Nothing is learnt (--learn)") == 1
        assert why in told
        assert "--learn" not in shifter(COMMAND, *given, "--learn", "never").stderr


def test_and_of_the_real_grid_it_is_not(told: Any, folder: Path, options: list[str]) -> None:
    assert told["synthetic"] is False
    assert "SYNTHETIC" not in (folder / "out" / "report.html").read_text()
    done = shifter(COMMAND, *options)
    assert done.stdout.splitlines()[0] == "DE-LU; 2026-03; 5 replays."
    assert "of perfect in carbon" in done.stdout
    assert not any(row["synthetic"] for row in pq.read_table(folder / "out" / "results.parquet").to_pylist())


def test_a_file_where_results_go_into_a_folder(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = shifter(COMMAND, *options[:-1], str(tmp_path / "file"))
    assert done.returncode == 2
    assert f"--out: {tmp_path / 'file'} is a file, and results are several." in done.stderr


def test_again_it_does_nothing_and_says_so(told: Any, options: list[str]) -> None:
    done = shifter(COMMAND, *options)
    assert done.returncode == 0, done.stderr
    assert "5 replays of 5 done before, and kept." in done.stderr
    lines = [
        line.split() for line in done.stdout.splitlines() if line.strip().startswith(("ours", "perfect"))
    ]
    ours = next(p for p in told["policies"] if p["policy"] == "ours")
    assert lines[0][1] == f"{ours['cost']:,.2f}"


def test_two_processes_and_one_policy(told: Any, options: list[str], tmp_path: Path) -> None:
    elsewhere = [*options[:-1], str(tmp_path)]
    found = answer(
        COMMAND, *elsewhere, "--policy", "threshold", "--policy", "run_now", "--workers", "2", timeout_s=110
    )
    assert [p["policy"] for p in found["policies"]] == ["run_now", "threshold"]
    before = {p["policy"]: p["cost"] for p in told["policies"]}
    assert all(p["cost"] == before[p["policy"]] for p in found["policies"])


def test_work_that_is_left_out_is_told(folder: Path, options: list[str], tmp_path: Path) -> None:
    lines = (folder / "workloads.jsonl").read_text().splitlines()[:2]
    chat = {**json.loads(lines[0]), "id": "chat", "latency_slo_ms": 200}
    (tmp_path / "some.jsonl").write_text("\n".join([*lines, json.dumps(chat)]))
    others = [str(tmp_path / "some.jsonl") if o.endswith("workloads.jsonl") else o for o in options[:-1]]
    done = shifter(COMMAND, *others, str(tmp_path / "out"), "--policy", "run_now")
    assert done.returncode == 0, done.stderr
    assert "Left out: 1 workload, real-time, and part of the real-time load." in done.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--policy", "best"), "--policy: there is no policy 'best'."),
        (("--policy", "ours_uncertain"), "--policy: the fleet says nothing of risk"),
        (("--replan", "45min"), "--replan: 45 minutes are not a whole number of slots of 30."),
        (("--replan", "30min30s"), "--replan: 30min30s is not a whole number of minutes."),
        (("--slot", "30min30s"), "--slot: 30min30s is not a whole number of minutes."),
        (("--end", "2026-03-01T00:00:00Z"), "--end: the end is not after the start."),
        (("--start", "2026-03-02"), "--start: '2026-03-02' has no time zone."),
        (("--slot", "7min"), "slot: a slot of 7 minutes is not supported."),
        (("--actuals", "nowhere.csv"), "nowhere.csv: there is no such file."),
        (
            ("--end", "2026-05-01T00:00:00Z"),
            "--realtime: real-time load is given to 2026-03-07T00:00:00Z only.",
        ),
    ],
)
def test_mistakes_exit_with_2_and_name_their_place(
    given: tuple[str, ...], told: str, options: list[str], tmp_path: Path
) -> None:
    done = shifter(COMMAND, *options[:-1], str(tmp_path), *given)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert done.stdout == ""


def test_a_cluster_that_does_not_answer_exits_with_1(options: list[str], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    done = shifter(COMMAND, *options[:-1], str(tmp_path), "--ray", "127.0.0.1:1")
    assert done.returncode == 1
    assert "--ray 127.0.0.1:1: no Ray cluster answers" in done.stderr
    assert "ray start --head" in done.stderr


def test_an_actual_that_was_known_too_early_is_refused(
    folder: Path, options: list[str], tmp_path: Path
) -> None:
    text = (folder / "actuals.csv").read_text().replace("2026-03-08T00:00:00Z,", "2026-03-02T00:00:00Z,", 1)
    (tmp_path / "early.csv").write_text(text)
    done = shifter(COMMAND, *options[:-1], str(tmp_path), "--actuals", str(tmp_path / "early.csv"))
    assert done.returncode == 2
    assert (
        "early.csv:2: issued_at: it is said to be measured, and was issued before its interval was over"
        in done.stderr
    )


def with_actual_load(folder: Path, span: str, *, pool: str = "h100") -> Path:
    file = folder / "came.csv"
    file.write_text(f"site,pool,start,end,accelerators_p50,accelerators_p90\nhere,{pool},{span},9,9\n")
    return file


def test_files_are_heard_in_the_order_given_or_by_the_configuration(
    folder: Path, options: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text((folder / "forecasts.csv").read_text())
    config = tmp_path / "shifter.yaml"
    config.write_text(
        "forecasts:\n  order: {DE-LU: {price: [other]}}\n  max_age_hours: 12\n  learning: {past_days: 30}\n"
        "planning: {deadline_margin_minutes: 5, hold_gap_ratio: 0.01}\n"
    )
    given = {options[i]: options[i + 1] for i in range(0, len(options), 2)}
    files = Files(
        Path(given["--fleet"]),
        [Path(given["--forecasts"]), other],
        Path(given["--workloads"]),
        [Path(given["--actuals"])],
    )
    start, end = (datetime.fromisoformat(given[name]) for name in ("--start", "--end"))
    plain = read(files, start, end, 30, rules_of(None)).rules
    assert plain.order == {("*", s): ("forecasts", "other") for s in PLANNED}
    assert (plain.max_age, plain.learning) == (timedelta(hours=48), BY_DEFAULT)
    by_file = read(files, start, end, 30, rules_of(load_settings(config, environ={}))).rules
    assert by_file.order == {**plain.order, ("DE-LU", Signal.PRICE): ("other", "forecasts")}
    assert by_file.max_age == {("*", s): timedelta(hours=12) for s in PLANNED}
    assert by_file.learning.past_days == 30
    assert (by_file.deadline_margin_minutes, by_file.hold_gap_ratio) == (5, 0.01)
    done = shifter(COMMAND, *options[:-1], str(tmp_path / "out"), "--config", str(config))
    assert done.returncode == 2
    assert "forecasts.order.DE-LU.price: no file of --forecasts is named 'other'." in done.stderr


def test_real_time_load_may_come_otherwise(options: list[str], tmp_path: Path) -> None:
    file = with_actual_load(tmp_path, "2026-03-02T00:00:00Z,2026-03-06T00:00:00Z")
    given = read_options(options, tmp_path, "--realtime-actual", str(file))
    found = answer(COMMAND, *given, "--policy", "run_now")
    assert found["policies"][0]["kept_ratio"] == 1
    slots = pq.read_table(tmp_path / "out" / "slots.parquet").to_pylist()
    assert {row["realtime"] for row in slots} == {9.0}
    assert all(row["deferrable"] <= 7 + 1e-9 for row in slots)


def test_load_where_none_is_expected_is_refused(folder: Path, options: list[str], tmp_path: Path) -> None:
    text = (
        (folder / "fleet.yaml")
        .read_text()
        .replace("busy_kw: 0.6}]", "busy_kw: 0.6}, {name: l40s, accelerator: L40S, count: 4}]")
    )
    (tmp_path / "fleet.yaml").write_text(text)
    file = with_actual_load(tmp_path, "2026-03-02T00:00:00Z,2026-03-06T00:00:00Z", pool="l40s")
    given = read_options(
        options, tmp_path, "--realtime-actual", str(file), "--fleet", str(tmp_path / "fleet.yaml")
    )
    done = shifter(COMMAND, *given)
    assert done.returncode == 2
    assert "here/l40s had real-time load, and none is expected there." in done.stderr


def test_uncertainty_is_replayed_where_the_fleet_says_something_of_it(
    folder: Path, options: list[str], tmp_path: Path
) -> None:
    trust = "{signal: price, lead_hours: 0, skill_ratio: 0.2}"
    risk = f"objective:\n  carbon_price_per_tonne: 50\n  risk: {{trust: [{trust}]}}\n"
    text = (folder / "fleet.yaml").read_text()
    (tmp_path / "fleet.yaml").write_text(text[: text.index("objective:")] + risk)
    given = read_options(options, tmp_path, "--fleet", str(tmp_path / "fleet.yaml"), "--replan", "12h")
    found = answer(COMMAND, *given, timeout_s=110)
    costs = {p["policy"]: p["cost"] for p in found["policies"]}
    assert list(costs) == ["run_now", "cheapest_window", "threshold", "ours", "ours_uncertain", "perfect"]
    assert costs["ours_uncertain"] != costs["ours"]


def read_options(options: list[str], folder: Path, *more: str) -> list[str]:
    """The same call into another folder, with some options replaced."""
    replaced = {more[i]: more[i + 1] for i in range(0, len(more), 2)} | {"--out": str(folder / "out")}
    given = {options[i]: options[i + 1] for i in range(0, len(options), 2)} | replaced
    return [word for pair in given.items() for word in pair]


@pytest.mark.browser
def test_the_report_opens_and_shows_its_plots(told: Any, folder: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 1400})
    complaints, requests = list[str](), list[str]()
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("request", lambda r: requests.append(r.url))
    report = folder / "out" / "report.html"
    page.goto(report.as_uri())
    assert page.locator("figure svg").count() == 4
    assert page.locator("tr").count() == 6
    assert "shifter" in page.locator("table").inner_text()
    boxes = [page.locator("figure svg").nth(i).bounding_box() for i in range(4)]
    assert all(box is not None and box["width"] > 300 and box["height"] > 150 for box in boxes)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1300
    assert (complaints, requests) == ([], [report.as_uri()])
    page.close()
