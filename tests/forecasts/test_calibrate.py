"""Bands: they hold what they promise, and where errors change they follow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasts.calibrate import LEAD_EDGES_H, MIN_ROUNDS, PROBABILITIES, bands, stretches
from forecasts.slots import Floats

KEPT = 60
"""Rounds that bands are made of, as in an outlook."""


def shares_below(errors: Floats, *, late_rounds: int = 0) -> Floats:
    """Of all errors after the first `KEPT` rounds, the share at or below each band made of the rounds before.

    What lies `late_rounds` back is the newest that is known.
    """
    return np.mean(list(_below(errors, late_rounds)), axis=0)


def _below(errors: Floats, late: int) -> Iterator[Floats]:
    for t in range(KEPT + late, len(errors)):
        band = bands(errors[t - KEPT - late : t - late])
        yield (errors[t] <= band).mean(axis=1)


class TestCover:
    """The share of outcomes below each band, over many rounds, is within a few points of its probability."""

    @pytest.mark.parametrize("late", [0, 2])
    def test_errors_that_stay_alike(self, late: int) -> None:
        rng = np.random.default_rng(1)
        errors = rng.normal(size=(170, 6)) * (1 + np.arange(6) / 3)
        assert shares_below(errors, late_rounds=late) == pytest.approx(PROBABILITIES, abs=0.03)

    def test_errors_that_lean_and_have_long_tails(self) -> None:
        errors = np.random.default_rng(2).exponential(size=(170, 6)) ** 1.5 - 0.3
        assert shares_below(errors) == pytest.approx(PROBABILITIES, abs=0.03)

    def test_errors_of_a_round_that_go_together(self) -> None:
        rng = np.random.default_rng(3)
        errors = rng.normal(size=(300, 1)) + 0.3 * rng.normal(size=(300, 6))
        assert shares_below(errors) == pytest.approx(PROBABILITIES, abs=0.045)

    def test_errors_that_grow(self) -> None:
        rng = np.random.default_rng(4)
        errors = rng.normal(size=(200, 6)) * np.linspace(1, 4, 200)[:, None]
        assert shares_below(errors) == pytest.approx(PROBABILITIES, abs=0.05)

    def test_errors_that_shift(self) -> None:
        rng = np.random.default_rng(5)
        errors = rng.normal(size=(200, 6)) + np.linspace(0, 3, 200)[:, None]
        found = shares_below(errors)
        assert found == pytest.approx(PROBABILITIES, abs=0.1)
        assert found[-1] - found[0] == pytest.approx(0.9, abs=0.05)

    def test_errors_that_jump_are_followed(self) -> None:
        rng = np.random.default_rng(6)
        errors = rng.normal(size=(120, 6))
        errors[60:] *= 3
        before, after = bands(errors[:60]), bands(errors[60 - 30 : 120 - 30])
        assert (after[-1] > 1.5 * before[-1]).all()
        assert (after[0] < 1.5 * before[0]).all()

    def test_long_leads_of_which_the_last_days_are_not_known_yet(self) -> None:
        """Errors of days on end share what came: a band made of what had not come yet would be too narrow."""
        rng, n_days, shares = np.random.default_rng(7), 600, []
        came = np.zeros(n_days)
        for i in range(1, n_days):
            came[i] = 0.8 * came[i - 1] + rng.normal()
        day = np.arange(168) // 24
        errors = np.stack([came[t + day] for t in range(n_days - 7)])
        for t in range(KEPT, len(errors), 6):
            known = errors[t - KEPT : t].copy()
            known[(np.arange(t - KEPT, t)[:, None] + day) >= t] = np.nan
            shares.append((errors[t] <= bands(known))[:, 120:].mean(axis=1))
        of_five, of_ten, *_, of_ninety, of_ninety_five = np.mean(shares, axis=0)
        assert of_ninety - of_ten == pytest.approx(0.8, abs=0.02)
        assert of_ninety_five - of_five == pytest.approx(0.9, abs=0.05)


class TestShape:
    @settings(deadline=None, max_examples=60)
    @given(
        arrays(
            float,
            st.tuples(st.integers(0, 14), st.sampled_from([1, 5, 30])),
            elements=st.just(np.nan) | st.floats(-1e4, 1e4),
        )
    )
    def test_quantiles_ascend_whatever_was_known(self, errors: Floats) -> None:
        found = bands(errors)
        assert found.shape == (len(PROBABILITIES), errors.shape[1])
        known = np.isfinite(found)
        assert (known.all(axis=0) | ~known.any(axis=0)).all()
        assert (np.diff(found[:, known.all(axis=0)], axis=0) >= 0).all()
        for first, last in stretches(errors.shape[1]):
            rounds = np.isfinite(errors[:, first:last]).any(axis=1).sum()
            assert known[:, first:last].all() == (rounds >= MIN_ROUNDS)

    def test_of_a_stretch_too_little_is_known_of_there_is_no_band(self) -> None:
        errors = np.random.default_rng(0).normal(size=(40, 60))
        errors[MIN_ROUNDS - 1 :, 24:48] = np.nan
        found = bands(errors)
        assert np.isnan(found[:, 24:48]).all()
        assert np.isfinite(found[:, :24]).all()
        assert np.isfinite(found[:, 48:]).all()

    def test_no_error_no_width(self) -> None:
        assert (bands(np.zeros((20, 30))) == 0).all()
        constant = bands(np.full((20, 30), 5.0))
        np.testing.assert_allclose(constant, 5.0)

    def test_it_is_wider_at_the_hours_that_err_more(self) -> None:
        errors = np.random.default_rng(1).normal(size=(60, 48))
        errors[:, 18::24] *= 6
        found = bands(errors)
        width = found[-1] - found[0]
        assert width[18] > 2 * width[15]
        assert width[42] > 2 * width[39]

    def test_later_hours_are_apart_from_earlier_ones(self) -> None:
        errors = np.random.default_rng(2).normal(size=(60, 60)) * np.where(np.arange(60) < 24, 1, 5)
        width = np.ptp(bands(errors), axis=0)
        assert width[24:].min() > 2.5 * width[:24].max()

    def test_a_round_all_unknown_is_no_round(self) -> None:
        errors = np.random.default_rng(3).normal(size=(30, 30))
        more = np.concatenate([errors, np.full((4, 30), np.nan)])
        np.testing.assert_allclose(bands(errors), bands(more), atol=1e-12)

    def test_any_probabilities(self) -> None:
        errors = np.random.default_rng(4).normal(size=(200, 6))
        (median,) = bands(errors, [0.5])
        assert np.abs(median).max() < 0.2


@given(st.integers(1, 400))
def test_stretches_tile_the_hours(n_hours: int) -> None:
    found = stretches(n_hours)
    assert found[0][0] == 0
    assert found[-1][1] == n_hours
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert all(first in LEAD_EDGES_H and first < last for first, last in found)
