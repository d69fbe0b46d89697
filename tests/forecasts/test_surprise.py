"""Who goes mad is noticed at once, and who is as ever is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.slots import Floats
from forecasts.surprise import MIN_RECORD, Habit, in_their_senses

N_HOURS = 48


def record(n_rounds: int = 40, seed: int = 0) -> tuple[Floats, Floats, Floats, Floats]:
    """What a good source said, what our models did, and what came; a day is a round, and the last is now."""
    rng = np.random.default_rng(seed)
    hour = np.arange(N_HOURS)
    truth = np.sin(hour / 24 * 2 * np.pi) + rng.normal(0, 0.3, (n_rounds + 1, 1))
    said = truth + 0.1 * rng.normal(size=truth.shape)
    ours = truth + 0.3 * rng.normal(size=(n_rounds + 1, 1)) + 0.1 * rng.normal(size=truth.shape)
    came = truth[:-1].copy()
    came[-1, 24:] = np.nan  # of yesterday's two days one is over
    return said, ours[:-1], came, ours[-1]


def belief(said: Floats, ours: Floats, came: Floats, now: Floats) -> float:
    """Of what the last row of `said` says, by the rows before it."""
    return Habit.of(said[:-1], ours, came).belief(said[-1], now)


def test_as_ever_it_is_believed() -> None:
    assert np.mean([belief(*record(seed=seed)) for seed in range(30)]) > 0.9


def test_noise_is_noticed_at_once() -> None:
    said, *others = record()
    said[-1] += 2 * np.random.default_rng(1).normal(size=N_HOURS)
    assert belief(said, *others) < 0.01


def test_so_is_a_level_that_no_model_expects() -> None:
    said, *others = record()
    said[-1] += 3.0
    assert belief(said, *others) < 0.05


def test_so_is_what_was_wrong_yesterday_as_never_before() -> None:
    said, ours, came, now = record()
    said[-2] += 1.0
    ours[-1] += 1.0  # we were wrong as well: it alone is no surprise
    assert belief(said, ours, came, now) < 0.01


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_who_never_erred_nor_moved_and_then_does_both(level: float) -> None:
    """Nothing is usual for who was always exactly right; the smallest size that counts is."""
    said = np.full((41, N_HOURS), level)
    calm = said[:-1].copy()
    assert belief(said, calm, calm, said[-1]) == 1.0
    rounding = said.copy()
    rounding[-1] += 1e-12 * np.arange(N_HOURS)
    assert belief(rounding, calm, calm, said[-1]) == 1.0
    said[-1] += np.random.default_rng(0).normal(size=N_HOURS)
    assert belief(said, calm, calm, np.full(N_HOURS, level)) < 0.01


def test_who_was_mad_and_is_so_no_more_is_believed_again() -> None:
    said, ours, came, now = record()
    noise = np.random.default_rng(1)
    said[-3:-1] += 2 * noise.normal(size=(2, N_HOURS))
    sane = in_their_senses(said[:-1], ours)
    assert np.flatnonzero(~sane).tolist() == [38, 39]
    heard = np.where(np.append(sane, True)[:, None], said, np.nan)
    assert belief(said, ours, came, now) < 0.01  # by what it said yesterday
    assert belief(heard, ours, came, now) > 0.9


def test_whether_one_was_in_its_senses_is_judged_by_the_rounds_before() -> None:
    said, ours, _, _ = record()
    said[20] += 5 * np.random.default_rng(1).normal(size=N_HOURS)
    whole = in_their_senses(said[:-1], ours)
    assert not whole[20]
    for n in (15, 21, 30):
        assert (in_their_senses(said[:n], ours[:n]) == whole[:n]).all()
    assert in_their_senses(said[:MIN_RECORD] * 100, ours[:MIN_RECORD]).all()


def test_without_a_record_nothing_surprises() -> None:
    said, ours, came, now = record(MIN_RECORD - 1)
    said[-1] += 100 * np.random.default_rng(1).normal(size=N_HOURS)
    assert belief(said, ours, came, now) == 1.0


def test_who_says_nothing_now_keeps_what_yesterday_left() -> None:
    said, *others = record()
    said[-1] = np.nan
    assert belief(said, *others) > 0.5


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(0, 30), st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e6]))
def test_it_is_a_share(seed: int, n_rounds: int, silent: float, size: float) -> None:
    rng = np.random.default_rng(seed)
    said, ours, came, now = record(n_rounds + 1, seed)
    said *= size
    for told in (said, ours, came):
        told[rng.random(told.shape) < silent] = np.nan
    assert 0.0 <= belief(said, ours, came, now) <= 1.0
