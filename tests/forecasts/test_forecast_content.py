"""What a vintage says comes back from its packed form to the bit, whole and in part."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.content import DEFLATED, PLAIN, Content, pack, unpack
from forecasts.spans import to_us
from tests.forecasts.build import T0, series

HALF_HOUR = 1_800_000_000

published = st.integers(-(10**7), 10**7).map(lambda k: k / 100)
odd = st.sampled_from(
    [0.0, -0.0, 5e-324, -1e-7, 0.1 + 0.2, 1e15 + 0.3, 2.0**53, 1.7e308, -1.7e308, 99999.123456]
)
anything = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    n = draw(st.integers(1, 30))
    first = draw(st.integers(to_us(T0), to_us(T0) + 10**14))
    steps = draw(
        st.one_of(
            st.just([HALF_HOUR] * n),
            st.lists(st.integers(1, 31 * 86_400_000_000), min_size=n, max_size=n),
        )
    )
    values = st.one_of(
        *(st.lists(kind, min_size=n, max_size=n) for kind in (published, odd, anything, st.just(7.5)))
    )
    levels = draw(st.sets(st.sampled_from([0, 1, 100_000, 975_000, 999_999])))
    edges = np.cumsum([first, *steps], dtype=np.int64)
    return Content(edges, {q: np.array(draw(values)) for q in sorted({0} | levels)})


def same(a: Content, b: Content) -> bool:
    """To the bit: 0.0 is not -0.0."""
    return (
        a.edges_us.tobytes() == b.edges_us.tobytes()
        and list(a.bands) == list(b.bands)
        and all(a.bands[q].tobytes() == b.bands[q].tobytes() for q in a.bands)
    )


def cut(content: Content, start_us: int, end_us: int) -> list[tuple[int, int, tuple[float, ...]]]:
    """Interval by interval, by hand."""
    edges = content.edges_us.tolist()
    return [
        (max(a, start_us), min(b, end_us), tuple(float(band[i]) for band in content.bands.values()))
        for i, (a, b) in enumerate(pairwise(edges))
        if a < end_us and start_us < b
    ]


@given(contents())
def test_it_comes_back_to_the_bit(content: Content) -> None:
    assert same(unpack(pack(content)), content)


@given(contents(), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_a_part_is_that_part_of_the_whole(content: Content, one: float, other: float) -> None:
    length = content.last_us - content.first_us
    a, b = sorted(content.first_us + int(share * length) for share in (one, other))
    want = cut(content, a, b) if a < b else []
    part = unpack(pack(content), a, b)
    assert len(part) == len(want)
    if want:
        assert cut(part, a, b) == want


def test_published_figures_take_two_bytes_each_and_repeated_ones_next_to_none() -> None:
    rng = np.random.default_rng(0)
    prices = np.round(rng.uniform(-50, 250, 192), 2)
    for values, bytes_at_most, layout in (
        (prices, 2 * 192 + 40, PLAIN),
        (np.round(prices / 2), 192 + 40, PLAIN),
        (prices * np.pi, 8 * 192 + 40, PLAIN),
        (np.tile([prices[0] / 3, prices[1] / 7], 96), 100, DEFLATED),
    ):
        packed = pack(Content.of(series(values, step_minutes=30)))
        assert packed[:1] == layout
        assert len(packed) <= bytes_at_most


def test_a_layout_of_a_later_program_is_refused() -> None:
    packed = pack(Content.of(series([1.0])))
    with pytest.raises(ValueError, match="this program reads"):
        unpack(b"\x09" + packed[1:])


def test_what_changed_is_what_was_not_said_of_just_that_interval() -> None:
    before = Content.of(series([1, 2, 3, 4], step_minutes=30, quantiles={0.9: np.array([2.0, 3, 4, 5])}))
    for after, n_changed in (
        (series([1, 2, 3, 4], step_minutes=30), 0),
        (series([1, 9, 3, 4, 5], step_minutes=30), 2),
        (series([1, 3], step_minutes=60), 2),  # of other intervals, whatever they say
        (series([1, 2], step_minutes=30, quantiles={0.5: np.array([1.0, 2])}), 2),
        (series([1, 2], step_minutes=30, quantiles={0.9: np.array([2.0, 7])}), 1),
        (series([5.0], start=T0.replace(day=20), step_minutes=30), 1),
    ):
        assert Content.of(after).changed_since(before) == n_changed
    assert before.changed_since(None) == 8


def test_the_content_of_a_series_takes_its_times_as_they_are() -> None:
    s = series([1.0, 2.0], step_minutes=30)
    coarse = replace(s, start=s.start.astype("datetime64[m]"), end=s.end.astype("datetime64[m]"))
    assert same(Content.of(coarse), Content.of(s))
