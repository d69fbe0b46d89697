import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.errors import InputError
from forecasts.marketday import last_local_day, local_day, market_day
from forecasts.slots import SLOT_MINUTES, Floats, SlotGrid, Times, as_datetime64
from tests.forecasts.build import T0, series

steps = st.sampled_from([1, 5, 7, 10, 15, 30, 60, 120, 1440])
prices = st.floats(-500, 9000, allow_nan=False)


def brute_force(grid: SlotGrid, start: Times, end: Times, values: Floats) -> Floats:
    """Slot by slot, interval by interval."""
    out = []
    for left, right in zip(grid.edges, grid.edges[1:], strict=False):
        total = cover = 0.0
        for a, b, v in zip(start, end, values, strict=True):
            inside = min(b, as_datetime64(right)) - max(a, as_datetime64(left))
            seconds = inside / np.timedelta64(1, "s")
            if seconds > 0 and np.isfinite(v):
                total, cover = total + seconds * v, cover + seconds
        out.append(total / cover if cover >= 0.999 * grid.slot.total_seconds() else np.nan)
    return np.array(out)


@given(
    slot=st.sampled_from(SLOT_MINUTES),
    n_slots=st.integers(1, 20),
    step=steps,
    offset=st.integers(-300, 300),
    values=st.lists(prices | st.just(np.nan), max_size=40),
)
def test_average_equals_brute_force(
    slot: int, n_slots: int, step: int, offset: int, values: list[float]
) -> None:
    grid = SlotGrid(T0, slot, n_slots)
    s = series(values, start=T0 + timedelta(minutes=offset), step_minutes=step)
    got = grid.average(s.start, s.end, s.values)
    np.testing.assert_allclose(got, brute_force(grid, s.start, s.end, s.values), rtol=1e-12, atol=1e-9)


@given(slot=st.sampled_from(SLOT_MINUTES), step=steps, values=st.lists(prices, min_size=1, max_size=60))
def test_resampling_conserves_the_time_weighted_mean(slot: int, step: int, values: list[float]) -> None:
    whole_days = -(-len(values) * step // 1440)
    if 1440 % step == 0:
        values = np.resize(values, whole_days * 1440 // step).tolist()
    s = series(values, step_minutes=step)
    n, rest = divmod(len(values) * step, slot)
    if rest or n == 0:
        return
    slots = SlotGrid(T0, slot, n).average(s.start, s.end, s.values)
    assert slots.mean() == pytest.approx(s.values.mean(), rel=1e-9, abs=1e-9)


@given(order=st.permutations(range(12)))
def test_the_order_of_intervals_does_not_matter(order: list[int]) -> None:
    s, grid = series(range(12), step_minutes=20), SlotGrid(T0, 60, 4)
    assert np.array_equal(
        grid.average(s.start[order], s.end[order], s.values[order]), grid.average(s.start, s.end, s.values)
    )


def test_a_slot_within_one_interval_has_its_value_to_the_last_bit() -> None:
    odd = 0.1 + 0.2
    s = series([odd, 33.79, 1 / 3], step_minutes=60)
    assert SlotGrid(T0, 5, 36).average(s.start, s.end, s.values).tolist() == np.repeat(s.values, 12).tolist()


def test_half_covered_and_half_open() -> None:
    s = series([10.0, 20.0], step_minutes=30)
    got = SlotGrid(T0 - timedelta(hours=1), 60, 4).average(s.start, s.end, s.values)
    np.testing.assert_array_equal(got, [np.nan, 15, np.nan, np.nan])
    half = series([10.0], step_minutes=30)
    assert np.isnan(SlotGrid(T0, 60, 1).average(half.start, half.end, half.values)).all()
    assert SlotGrid(T0, 60, 1).average(half.start, half.end, half.values, min_cover_ratio=0.5) == [10]


def test_nothing_at_all() -> None:
    s = series([])
    assert np.isnan(SlotGrid(T0, 30, 3).average(s.start, s.end, s.values)).all()


def test_a_year_of_five_minutes_takes_milliseconds() -> None:
    s = series(np.arange(105_120.0), step_minutes=5)
    grid = SlotGrid(T0, 30, 17_520)
    began = time.perf_counter()
    got = grid.average(s.start, s.end, s.values)
    assert time.perf_counter() - began < 0.5  # 15 ms on a quiet desk
    assert got[0] == pytest.approx(2.5)
    assert got[-1] == pytest.approx(105_120 - 3.5)


@pytest.mark.parametrize(("day", "length_h"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
@pytest.mark.parametrize("slot", SLOT_MINUTES)
def test_days_of_23_and_25_hours(day: str, length_h: int, slot: int) -> None:
    tz = ZoneInfo("Europe/Berlin")
    start, end = market_day(datetime.fromisoformat(day).date(), tz)
    assert end - start == timedelta(hours=length_h)
    assert start.tzinfo is UTC
    quarters = series(np.arange(4.0 * length_h), start=start, step_minutes=15)
    grid = SlotGrid(start, slot, int((end - start) / timedelta(minutes=slot)))
    got = grid.average(quarters.start, quarters.end, quarters.values)
    assert np.isfinite(got).all()
    assert got.mean() == pytest.approx(quarters.values.mean())
    assert local_day(start, tz) == last_local_day(end, tz) == datetime.fromisoformat(day).date()


def test_a_grid_given_in_local_time_is_kept_in_utc() -> None:
    grid = SlotGrid(datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin")), 60, 25)
    assert grid.start == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert grid.end == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert all(b - a == timedelta(hours=1) for a, b in zip(grid.edges, grid.edges[1:], strict=False))


@pytest.mark.parametrize(
    ("start", "slot", "n"), [(T0, 7, 1), (T0, 30, 0), (T0 + timedelta(minutes=5), 30, 1)]
)
def test_grids_that_are_refused(start: datetime, slot: int, n: int) -> None:
    with pytest.raises(InputError) as caught:
        SlotGrid(start, slot, n)
    assert caught.value.hint


@settings(max_examples=50)
@given(st.floats(-10, 10))
def test_position_and_moment_are_inverse(position: float) -> None:
    grid = SlotGrid(T0, 30, 4)
    assert grid.position(grid.moment(position)) == pytest.approx(position, abs=1e-8)
