"""A folder of results: the same bytes whoever carries the units out, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from forecasts.series import Kind
from shifter.backtest.campaign import Campaign
from shifter.backtest.case import Case, Unit
from shifter.backtest.cases import cut
from shifter.backtest.executors import BATCHES, Executor, Processes, Ray, Serial, batches
from shifter.backtest.replay import replay
from shifter.backtest.report import report_html
from shifter.backtest.results import SUMMARY, Result, read_row, result_of
from shifter.backtest.summary import captured_carbon_ratio, captured_ratio, made_up, saved_ratio, totals
from shifter.errors import InputError
from tests.backtest.world import everything, one_case, some_work

POLICIES = ("run_now", "cheapest_window", "ours")


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [one_case(some_work(6)), replace(one_case(some_work(4)), month="2026-04")]


class Counting:
    """Carries out units, at most so many, and then dies."""

    def __init__(self, most: int = 99) -> None:
        self.most, self.done = most, list[str]()

    def map(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
        for unit, result in Serial().map(units):
            if len(self.done) == self.most:
                raise KeyboardInterrupt
            self.done.append(unit.name)
            yield unit, result


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def serial(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serial")
    Campaign.of(cases, POLICIES, folder).run(Serial())
    return folder


def test_two_processes_write_the_same_bytes(cases: list[Case], serial: Path, tmp_path: Path) -> None:
    told: list[str] = []
    executor: Executor = Processes(2)
    Campaign.of(cases, POLICIES, tmp_path).run(executor, told.append)
    assert content(tmp_path) == content(serial)
    assert sorted(told) == sorted(f"DE-LU {month} {p}" for month in ("2026-03", "2026-04") for p in POLICIES)


def test_what_was_stopped_goes_on_and_comes_to_the_same(
    cases: list[Case], serial: Path, tmp_path: Path
) -> None:
    stopped = Counting(most=2)
    with pytest.raises(KeyboardInterrupt):
        Campaign.of(cases, POLICIES, tmp_path).run(stopped)
    assert not (tmp_path / "results.parquet").exists()
    campaign, rest = Campaign.of(cases, POLICIES, tmp_path), Counting()
    assert campaign.there == set(stopped.done)
    campaign.run(rest)
    assert len(rest.done) == 4
    assert not set(rest.done) & set(stopped.done)
    assert content(tmp_path) == content(serial)
    again = Counting()
    Campaign.of(cases, POLICIES, tmp_path).run(again)
    assert again.done == []


def test_another_policy_is_all_that_is_done(cases: list[Case], serial: Path) -> None:
    more = Counting()
    rows = Campaign.of(cases, [*POLICIES, "threshold"], serial).run(more)
    assert more.done == ["DE-LU 2026-03 threshold", "DE-LU 2026-04 threshold"]
    assert len(rows) == 8
    Campaign.of(cases, POLICIES, serial).run(more)  # as it was


def test_a_broken_file_is_named_and_not_believed(cases: list[Case], tmp_path: Path) -> None:
    campaign = Campaign.of(cases[:1], ["run_now"], tmp_path)
    campaign.run(Serial())
    campaign.files[0].write_bytes(campaign.files[0].read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        read_row(campaign.files[0])
    with pytest.raises(InputError, match=r"units.*cannot be read.*Delete it"):
        Campaign.of(cases[:1], ["run_now"], tmp_path)


@pytest.mark.parametrize("change", [{"new": 1.0}, {"carbon_kg": None}, None])
def test_a_file_of_another_version_is_told(
    change: dict[str, Any] | None, cases: list[Case], tmp_path: Path
) -> None:
    campaign = Campaign.of(cases[:1], ["run_now"], tmp_path)
    campaign.run(Serial())
    [file] = campaign.files
    table = pq.read_table(file)
    row = json.loads(table.schema.metadata[SUMMARY])
    if change is not None:
        row = {name: value for name, value in (row | change).items() if value is not None}
    text = b"{" if change is None else json.dumps(row).encode()
    pq.write_table(table.replace_schema_metadata({SUMMARY: text}), file)
    with pytest.raises(InputError, match=r"units.*of another version.*[Tt]ake another folder"):
        Campaign.of(cases[:1], ["run_now"], tmp_path)


def test_carbon_that_is_captured_is_of_the_work_alone() -> None:
    """Of 30, 24 and 20 g an hour three fifths are captured, whatever the load causes."""
    template = result_of(replay(Unit(one_case([]), "run_now"))).row
    rows = [
        replace(
            template, policy=name, done_hours=hours, base_carbon_kg=base, carbon_kg=base + hours * g / 1e3
        )
        for name, hours, base, g in (
            ("run_now", 100.0, 500.0, 30.0),
            ("ours", 50.0, 500.0, 24.0),
            ("perfect", 100.0, 500.0, 20.0),
        )
    ]
    found = totals(rows)
    assert found["ours"].hour_carbon_g == pytest.approx(24.0)
    assert captured_carbon_ratio(found["ours"], found) == pytest.approx(0.6)
    assert captured_carbon_ratio(found["run_now"], found) == pytest.approx(0.0)
    assert captured_carbon_ratio(found["ours"], {"ours": found["ours"]}) is None
    worse = totals(
        [
            replace(row, policy={"run_now": "perfect", "perfect": "run_now"}.get(row.policy, "ours"))
            for row in rows
        ]
    )
    assert captured_carbon_ratio(worse["ours"], worse) is None, "there was nothing to capture"


def test_slots_and_rows_tell_the_same(serial: Path) -> None:
    slots, rows = (
        pq.read_table(serial / "slots.parquet").to_pylist(),
        pq.read_table(serial / "results.parquet"),
    )
    for row in rows.to_pylist():
        own = [
            s
            for s in slots
            if (s["group"], s["month"], s["policy"]) == (row["group"], row["month"], row["policy"])
        ]
        billed = [s["import_kw"] if s["billed"] else s["import_kw"] - s["base_kw"] for s in own]
        assert 0.5 * sum(billed) == pytest.approx(row["import_kwh"])
        money = sum(
            0.5 * kw * (s["price_per_mwh"] / 1e3 + 50 * s["carbon_g_per_kwh"] / 1e6)
            for kw, s in zip(billed, own, strict=True)
        )
        assert money == pytest.approx(row["energy_cost"] + row["carbon_cost"])
        assert 0.5 * sum(s["deferrable"] for s in own) == pytest.approx(row["done_hours"])


def test_totals_add_up_months_and_compare_by_the_hour(cases: list[Case], serial: Path) -> None:
    rows = Campaign.of(cases, POLICIES, serial).run(Counting(0))
    found = totals(rows)
    assert list(found) == list(POLICIES)
    at_once, ours = found["run_now"], found["ours"]
    assert ours.cost == pytest.approx(sum(row.cost for row in rows if row.policy == "ours"))
    assert at_once.hour_cost is not None
    assert ours.hour_cost is not None
    assert saved_ratio(ours, at_once) == pytest.approx(1 - ours.hour_cost / at_once.hour_cost)
    assert captured_ratio(ours, found) is None, "without perfect foresight there is nothing to capture"


def test_the_report_is_the_same_text_and_asks_for_nothing(cases: list[Case], serial: Path) -> None:
    rows = Campaign.of(cases, POLICIES, serial).run(Counting(0))
    text = report_html(rows, "A & B")
    assert text == report_html(rows, "A & B")
    assert "A &amp; B" in text
    assert text.count("<svg") == 3, "without perfect foresight, no share of it"
    assert "<script" not in text
    assert "src=" not in text


def test_what_is_made_up_is_told_of_the_zones_that_are() -> None:
    row = result_of(replay(Unit(one_case([]), "run_now"))).row
    assert not row.synthetic
    rows = [row, replace(row, group="GB", synthetic=True), replace(row, group="FR", synthetic=True)]
    assert made_up(rows) == "SYNTHETIC, not the real grid in FR, GB."
    assert made_up(rows[1:]) == "SYNTHETIC, not the real grid."
    assert made_up(rows[:1]) == ""
    assert '<p class="made-up">SYNTHETIC, not the real grid in FR, GB.</p>' in report_html(rows, "")


def test_the_same_figures_made_up_are_another_unit() -> None:
    """So that no real result is kept for them, or the other way around."""
    given = everything([])
    actuals = tuple(s for s in given.vintages if s.kind is Kind.ACTUAL)
    [real], [made] = (
        cut(replace(given, actuals=tuple(replace(s, kind=kind) for s in actuals))).cases
        for kind in (Kind.ACTUAL, Kind.SYNTHETIC)
    )
    assert (real.synthetic, made.synthetic) == (False, True)
    assert Unit(real, "run_now").digest() != Unit(made, "run_now").digest()


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("n_cases", [1, 2, 30])
def test_batches_are_of_one_case_and_enough_for_all(cases: list[Case], n_cases: int, workers: int) -> None:
    some = [replace(cases[0]) for _ in range(n_cases)]
    units = [Unit(case, policy) for case in some for policy in POLICIES]
    found = batches(units, workers)
    assert [unit for batch in found for unit in batch] == units
    assert all(unit.case is batch[0].case for batch in found for unit in batch)
    assert len(found) >= min(len(units), BATCHES * workers)
    assert max(map(len, found)) <= max(1, len(units) // (BATCHES * workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_was_done_before_a_unit_failed_is_kept(cases: list[Case], tmp_path: Path, workers: int) -> None:
    policies = (*POLICIES[:2], "no such policy", POLICIES[2])
    some = [replace(cases[0], month=f"2026-{month:02}") for month in range(1, 9)] if workers else cases[:1]
    campaign = Campaign.of(some, policies, tmp_path)
    if workers:
        assert [unit.policy for unit in batches(campaign.units, workers)[0]] == list(policies)
    with pytest.raises(
        InputError, match=r"--policy: there is no policy 'no such policy'\. Choose from run_now"
    ):
        campaign.run(Processes(workers) if workers else Serial())
    kept = Campaign.of(some, policies, tmp_path).there
    months = [
        {unit.policy for unit in campaign.units if unit.case is case and unit.name in kept} for case in some
    ]
    assert set(POLICIES[:2]) in months, "and what follows in the batch is not carried out"


def test_ray_that_is_not_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch, cases: list[Case]) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"Ray is not installed.*pip install 'inference-shifter\[ray\]'"):
        list(Ray("auto").map([Unit(cases[0], "run_now")]))


@pytest.mark.parametrize("library", ["pyarrow", "matplotlib"])
def test_a_library_that_is_not_there_says_what_to_do(
    library: str, monkeypatch: pytest.MonkeyPatch, cases: list[Case], serial: Path, tmp_path: Path
) -> None:
    rows = Campaign.of(cases, POLICIES, serial).run(Counting(0))
    monkeypatch.setitem(sys.modules, library, None)
    use = (
        partial(report_html, rows, "")
        if library == "matplotlib"
        else partial(Campaign.of, cases, POLICIES, tmp_path)
    )
    with pytest.raises(InputError, match=rf"{library}.*pip install 'inference-shifter\[bench\]'"):
        use()


def test_what_is_sent_to_others_is_small(cases: list[Case]) -> None:
    told = cut(everything(some_work(), days=28, tail_days=5, vintages=None)).cases[0]
    assert len(pickle.dumps(Unit(told, "ours"))) < 2_000_000
