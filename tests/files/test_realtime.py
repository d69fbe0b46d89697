"""realtime.csv: what real-time load needs, and every way in which a file may not say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecasts.slots import SlotGrid
from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files import parse_fleet, read_fleet, read_known_realtime, read_realtime
from shifter.files.document import parse_document
from shifter.files.realtime import read_realtime_rows
from tests.files.good import EXAMPLES, FLEET, mistakes

GRID = SlotGrid(datetime(2026, 1, 10, tzinfo=UTC), 30, 4)
HEADER = "site,pool,start,end,accelerators_p50,accelerators_p99\n"
FIRST = "frankfurt,h100,2026-01-10T00:00:00Z,2026-01-10T01:00:00Z,10,14\n"
SECOND = "frankfurt,h100,2026-01-10T01:00:00Z,2026-01-10T02:00:00Z,20,28\n"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return parse_fleet(parse_document(FLEET, "f").data)


def write(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "realtime.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def refused(tmp_path: Path, content: str | bytes, fleet: Fleet, grid: SlotGrid = GRID) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_realtime(write(tmp_path, content), grid, fleet)
    found = [m.removeprefix(f"{tmp_path}/") for m in mistakes(caught)]
    assert all(m.startswith("realtime.csv") for m in found)
    return found


def test_load_on_the_grid_in_any_order_of_rows(tmp_path: Path, fleet: Fleet) -> None:
    load = read_realtime(write(tmp_path, "\ufeff" + HEADER + SECOND + "\n" + FIRST), GRID, fleet)
    key = ("frankfurt", "h100")
    np.testing.assert_allclose(load.median(key), [10, 10, 20, 20])
    np.testing.assert_allclose(load.at(key, 0.99), [14, 14, 28, 28])
    np.testing.assert_allclose(load.at(key, 0.9), [14, 14, 28, 28])
    np.testing.assert_allclose(load.median(("oslo", "l40s")), 0)


def test_columns_in_any_order_and_quantiles_with_fractions(tmp_path: Path, fleet: Fleet) -> None:
    text = (
        "accelerators_p99.9,pool,site,end,start,accelerators_p50\n"
        "5,h100,frankfurt,2026-01-10T02:00:00+00:00,2026-01-10T01:00:00+01:00,4\n"
    )
    load = read_realtime(write(tmp_path, text), GRID, fleet)
    np.testing.assert_allclose(load.at(("frankfurt", "h100"), 0.99), 5)
    assert list(load.quantiles["frankfurt", "h100"]) == [0.5, pytest.approx(0.999)]


def test_slots_that_cut_intervals_get_their_mean(tmp_path: Path, fleet: Fleet) -> None:
    text = HEADER + FIRST.replace("01:00:00Z", "00:45:00Z") + SECOND.replace("T01:00:00Z", "T00:45:00Z")
    load = read_realtime(write(tmp_path, text), GRID, fleet)
    np.testing.assert_allclose(load.median(("frankfurt", "h100")), [10, 15, 20, 20])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "realtime.csv:1: the file is empty"),
        (HEADER.replace("pool,", "") + FIRST, "realtime.csv:1: the column `pool` is missing"),
        (HEADER.replace("_p50", "_p40") + FIRST, "the column `accelerators_p50` is missing"),
        (HEADER.replace("_p99", "_q99") + FIRST, "the column `accelerators_q99` is not known. Did you mean"),
        (HEADER.replace("_p99", "_p50") + FIRST, "`accelerators_p50` is there twice"),
        (HEADER.replace("_p99", "_p0") + FIRST, "above p0"),
        (
            HEADER + FIRST.replace("frankfurt", "frankfrut"),
            "realtime.csv:2 site: the fleet has no site `frankfrut`. Did",
        ),
        (
            HEADER + FIRST.replace("h100", "h200"),
            "realtime.csv:2 pool: the site `frankfurt` has no pool `h200`. Did",
        ),
        (
            HEADER + FIRST.replace(",10,", ",nan,"),
            "realtime.csv:2 accelerators_p50: `accelerators_p50` must be a number",
        ),
        (HEADER + FIRST.replace(",10,", ",inf,"), "must be a number"),
        (HEADER + FIRST.replace(",10,", ",,"), "must be a number"),
        (HEADER + FIRST.replace(",10,", ",-1,"), 'not "-1"'),
        (HEADER + FIRST.replace(",10,", ",1_0,"), "must be a number"),
        (HEADER + FIRST.replace(",14", ",9"), "accelerators_p99: p99 is 9, below p50, which is 10"),
        (HEADER + FIRST.replace("00:00:00Z", "00:00:00"), "realtime.csv:2 start: `start` has no time zone"),
        (HEADER + FIRST.replace("2026-01-10T01:00:00Z", "later"), "realtime.csv:2 end: `end` is not a time"),
        (
            HEADER + FIRST.replace("2026-01-10T01", "2026-01-09T01"),
            "realtime.csv:2 end: the end is not after the start",
        ),
        (HEADER + FIRST + SECOND[:40], "realtime.csv:3: 4 values where the header has 6 columns"),
        (
            HEADER + FIRST + FIRST + SECOND,
            "realtime.csv:3 start: the interval of frankfurt/h100 is the same interval as on line 2",
        ),
        (
            HEADER + FIRST + SECOND.replace("T01:00", "T00:30"),
            "realtime.csv:3 start: the interval of frankfurt/h100 overlaps",
        ),
        (
            HEADER + FIRST,
            "frankfurt/h100: the slot that starts at 2026-01-10T01:00:00Z is not covered (nor are 1 others)",
        ),
        (HEADER + SECOND, "the slot that starts at 2026-01-10T00:00:00Z is not covered"),
        (
            HEADER + FIRST.replace("2026", "2025") + SECOND.replace("2026", "2025"),
            "the rows reach from 2025-01-10T00:00:00Z",
        ),
        (
            HEADER.replace("p99", "p90") + FIRST + SECOND,
            "the highest quantile is p90, and the site `frankfurt` asks for p99",
        ),
        (HEADER + FIRST + '"frankfurt,h100', "realtime.csv:3: this is not CSV"),
        ((HEADER + FIRST).encode() + b"\xff", "realtime.csv:3:1: the byte 0xff is not UTF-8"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, fleet: Fleet, content: str | bytes, expected: str) -> None:
    found = refused(tmp_path, content, fleet)
    assert any(expected in m for m in found), found


def test_all_wrong_rows_are_named_at_once(tmp_path: Path, fleet: Fleet) -> None:
    found = refused(tmp_path, HEADER + FIRST.replace("10,14", "a,14") + SECOND.replace("h100", "h1"), fleet)
    assert [m.split(" ")[0] for m in found] == ["realtime.csv:2", "realtime.csv:3"]


KEY = ("frankfurt", "h100")


@pytest.mark.parametrize(
    ("rows", "minutes", "expected"),
    [
        ((FIRST, SECOND), 7, [10, 10, 20, 20]),  # exactly the horizon
        ((FIRST,), 7, [10, 10]),
        ((FIRST.replace("T01:00", "T00:50"),), 0, [10]),  # a slot that is covered in part is not known
        ((FIRST.replace("T00:00", "T00:10"), SECOND), 10, [10, 10, 20, 20]),  # what is past needs no cover
        ((FIRST.replace("T00:00", "T00:10").replace("T01:00", "T00:30"),), 20, [10]),
    ],
)
def test_known_load_ends_where_the_file_does(
    tmp_path: Path, fleet: Fleet, rows: tuple[str, ...], minutes: int, expected: list[float]
) -> None:
    now = GRID.start + timedelta(minutes=minutes)
    load = read_known_realtime(write(tmp_path, HEADER + "".join(rows)), GRID, fleet, now)
    assert load.grid == SlotGrid(GRID.start, 30, len(expected))
    np.testing.assert_allclose(load.median(KEY), expected)
    np.testing.assert_allclose(load.at(KEY, 0.99), [1.4 * x for x in expected])


@pytest.mark.parametrize(
    ("rows", "minutes"),
    [
        ((SECOND,), 0),
        ((FIRST.replace("T01:00", "T00:20"),), 0),
        ((FIRST.replace("T00:00", "T00:10"), SECOND), 5),
        ((FIRST.replace("T01:00", "T00:10"),), 10),
        ((FIRST.replace("2026", "2025"),), 10),
    ],
)
def test_less_than_a_slot_is_never_read_as_no_load(
    tmp_path: Path, fleet: Fleet, rows: tuple[str, ...], minutes: int
) -> None:
    file = write(tmp_path, HEADER + "".join(rows))
    with pytest.raises(InputError, match="2026-01-10T00:00:00Z is not covered"):
        read_known_realtime(file, GRID, fleet, GRID.start + timedelta(minutes=minutes))


def test_a_hole_before_the_last_row_is_no_end_of_what_is_known(tmp_path: Path, fleet: Fleet) -> None:
    later = SECOND.replace("T01:00", "T01:30")
    file = write(tmp_path, HEADER + later + FIRST)
    told = (
        f"{file}:2 start: no row of frankfurt/h100 covers 2026-01-10T01:00:00Z to 2026-01-10T01:30:00Z. "
        "Give every moment"
    )
    for read in (
        lambda: read_known_realtime(file, GRID, fleet, GRID.start),
        lambda: read_realtime(file, GRID, fleet),
        lambda: read_realtime_rows(file),
    ):
        with pytest.raises(InputError) as caught:
            read()
        (found,) = mistakes(caught)
        assert found.startswith(told)


def test_the_pool_that_ends_first_cuts_the_others(tmp_path: Path, fleet: Fleet) -> None:
    other = FIRST.replace("frankfurt,h100", "oslo,l40s")
    load = read_known_realtime(write(tmp_path, HEADER + FIRST + SECOND + other), GRID, fleet, GRID.start)
    assert load.grid.n_slots == 2
    np.testing.assert_allclose(load.median(KEY), [10, 10])


def test_the_example_covers_its_horizon() -> None:
    fleet = read_fleet(EXAMPLES / "fleet.yaml")
    grid = SlotGrid.covering(datetime(2026, 1, 10, tzinfo=UTC), timedelta(hours=48), 5)
    load = read_realtime(EXAMPLES / "realtime.csv", grid, fleet)
    for key, (site, pool) in fleet.pools.items():
        assert 0 < load.at(key, site.resilience.quantile).max() < pool.count
