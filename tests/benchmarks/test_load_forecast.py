"""The walk through a load: what comes later is in no forecast, and peers get the factor that they would have needed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from benchmarks.figure import Figure, Options, Skipped, quiet
from benchmarks.load_forecast import ASKED, Course, _young, beside, of_months, ours, run, walk
from shifter.realtime.calendar import Calendar
from shifter.realtime.measured import History, step_of

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = 144


def course(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Course:
    history = History(step_of(START, 10), values, 10)
    return Course("a", history, Calendar.of(ZoneInfo("UTC")), 5 * DAY, every=24, relearn=24)


def figure(row_figures: tuple[Figure, ...], name: str) -> float:
    found = {f.name: f.measured for f in row_figures}[name]
    assert found is not None
    return found


def test_of_a_load_that_repeats_itself_yesterday_says_all() -> None:
    day = 10 + 5 * np.sin(np.arange(DAY) * 2 * np.pi / DAY)
    found = walk(course(np.tile(day, 8)))
    row = beside("peer", [found], "yesterday")
    assert row.name == "peer x 1.00"
    assert figure(row.figures, "held") == pytest.approx(1.03, abs=0.03)  # a slot holds its highest step
    assert figure(beside("peer", [found], "highest so far").figures, "held") == pytest.approx(1.5, abs=0.1)
    assert figure(ours("we", [found]).figures, "at all leads") == 100
    assert figure(ours("we", [found]).figures, "held") < 1.2


def test_what_comes_later_is_in_no_forecast() -> None:
    values = 10 + np.random.default_rng(1).random(8 * DAY)
    other = values.copy()
    other[7 * DAY :] = 99
    one, two = walk(course(values)), walk(course(other))
    before = (7 * DAY - 5 * DAY) // 24
    for p in ASKED:
        assert np.array_equal(one.said[p][:before], two.said[p][:before])
    assert one.came.shape == two.came.shape == (len(one.said[0.5]), 2 * DAY)
    assert np.isnan(one.came[-1, -1])
    assert figure(ours("we", [two]).figures, "at all leads") < figure(
        ours("we", [one]).figures, "at all leads"
    )


def test_the_synthetic_months_are_the_same_each_time_and_announce_their_launches() -> None:
    one, again = (list(of_months(50)) for _ in range(2))
    assert [c.name for c in one] == ["months, DE-LU", "months, GB", "months, CAISO-NP15"]
    for a, b in zip(one, again, strict=True):
        assert np.array_equal(a.history.values, b.history.values)
        assert a.history.values.min() > 0
        assert len(a.announced) == 1
        assert len(a.calendar.holidays) == 2


def test_a_young_meter_is_judged_by_what_it_said_in_these_days_alone() -> None:
    day = 10 + 5 * np.sin(np.arange(DAY) * 2 * np.pi / DAY)
    values = np.tile(day, 10)
    assert _young(course(values), 1, 3, 5) == 1
    values[: 2 * DAY] *= 9  # it came later
    assert _young(course(values), 2, 3, 5) == 1
    values[6 * DAY :] *= 9  # nobody could know
    assert _young(course(values), 2, 3, 5) < 0.9


def test_without_the_week_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="finds no llm_servegen_m_large_week1"):
        list(run(Options(data=tmp_path), quiet))
