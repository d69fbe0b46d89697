"""The verifier's sums over columns are what one would get instant by instant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.slots import SlotGrid
from shifter.schedule.verify.columns import Columns, Levels, microseconds
from tests.schedule.build import START

GRID = SlotGrid(START, 30, 6)
SLOT_US = microseconds(GRID.slot)
KEYS = ((("a", "p"), None, None),)
Row = tuple[int, int, int, int]

spans = st.tuples(st.integers(0, 5 * SLOT_US), st.integers(1, SLOT_US)).map(lambda s: (s[0], s[0] + s[1]))
moments = spans | st.tuples(st.integers(0, 2), st.integers(3, 6)).map(
    lambda s: (s[0] * SLOT_US, s[1] * SLOT_US)
)
rows = st.tuples(st.integers(0, 2), moments, st.integers(1, 5)).map(lambda r: (r[0], *r[1], r[2]))


def columns_of(given_rows: list[Row]) -> Columns:
    pool, start, end, count = np.array(given_rows, dtype=np.int64).reshape(-1, 4).T
    none = np.zeros(len(pool), dtype=np.int64)
    return Columns(none, pool, start, end, count, none, KEYS)


@settings(max_examples=150, deadline=None)
@given(st.lists(rows, max_size=10), st.integers(1, 5))
def test_levels_are_those_of_every_instant(given_rows: list[Row], least: int) -> None:
    columns = columns_of(given_rows)
    found = Levels.of(columns, columns.pool, columns.accelerators >= least)
    shown = list(
        zip(
            *(c.tolist() for c in (found.row, found.start_us, found.end_us, found.level, found.part)),
            strict=True,
        )
    )
    instants = sorted({moment for _, a, b, _ in given_rows for moment in (a, b - 1)})
    for pool in range(3):
        for now in instants:
            running = [n for p, a, b, n in given_rows if p == pool and a <= now < b]
            at = [(level, part) for p, a, b, level, part in shown if p == pool and a <= now < b]
            assert at == ([(sum(running), sum(n for n in running if n >= least))] if running else [])
    slot, which = found.slots(GRID)
    pairs = {(i, t) for i, (_, a, b, *_) in enumerate(shown) for t in range(a // SLOT_US, -(-b // SLOT_US))}
    assert set(zip(which.tolist(), slot.tolist(), strict=True)) == pairs


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, max_size=10))
def test_means_are_sums_of_overlaps(given_rows: list[Row]) -> None:
    naive = np.zeros((3, GRID.n_slots))
    for pool, a, b, count in given_rows:
        for t in range(GRID.n_slots):
            naive[pool, t] += count * max(0, min(b, (t + 1) * SLOT_US) - max(a, t * SLOT_US)) / SLOT_US
    assert columns_of(given_rows).mean_use(GRID, 3) == pytest.approx(naive, abs=1e-9)
