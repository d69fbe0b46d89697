"""Who goes mad is noticed at once, and who is as ever is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.slots import Floats
from forecasts.surprise import MIN_RECORD, STANDS_IN_DAYS, Voice

N_HOURS = 96


def record(n_rounds: int = 40, seed: int = 0) -> tuple[Floats, Floats, Floats, Floats]:
    """What a good source said, what our models did, and what came; a day is a round, and the last is now."""
    rng = np.random.default_rng(seed)
    hour = np.arange(N_HOURS)
    truth = np.sin(hour / 24 * 2 * np.pi) + rng.normal(0, 0.3, (n_rounds + 1, 1))
    said = truth + 0.1 * rng.normal(size=truth.shape)
    ours = truth + 0.3 * rng.normal(size=(n_rounds + 1, 1)) + 0.1 * rng.normal(size=truth.shape)
    came = truth[:-1].copy()
    for ago in range(1, min(4, n_rounds + 1)):
        came[-ago, 24 * ago :] = np.nan  # of yesterday's four days one is over
    return said, ours[:-1], came, ours[-1]


def heard(said: Floats, ours: Floats, came: Floats, now: Floats) -> Voice:
    """What is made of what the last row of `said` says, by the rows before it."""
    return Voice.of(said, np.concatenate([ours, now[None, :]]), came)[0]


def is_mad(said: Floats, ours: Floats, came: Floats, now: Floats) -> bool:
    return heard(said, ours, came, now).age_days != 0


def belief(said: Floats, ours: Floats, came: Floats, now: Floats) -> float:
    return heard(said, ours, came, now).habit.belief


def without_cleared(n_hours: int, *some: Floats) -> list[Floats]:
    """The same, where so many hours ahead are known by auction: nobody forecasts them."""
    cleared = [one.copy() for one in some]
    for one in cleared:
        one[..., :n_hours] = np.nan
    return cleared


def test_as_ever_it_is_believed() -> None:
    records = [record(seed=seed) for seed in range(30)]
    assert not any(is_mad(*one) for one in records)
    assert np.mean([belief(*one) for one in records]) > 0.9


def test_an_unusual_day_is_not_mad() -> None:
    """A storm is unlike the days before it, and the source that tells of it is right."""
    said, *others = record()
    said[-1] += 1.0
    voice = heard(said, *others)
    assert voice.habit.surprise(said[-1], others[2]) > 1.2
    assert voice.age_days == 0


def test_noise_is_noticed_at_once() -> None:
    said, *others = record()
    said[-1] += 2 * np.random.default_rng(1).normal(size=N_HOURS)
    assert is_mad(said, *others)


def test_so_is_a_level_that_no_model_expects() -> None:
    said, *others = record()
    said[-1] += 3.0
    assert is_mad(said, *others)


def test_so_is_what_was_wrong_yesterday_as_never_before() -> None:
    said, ours, came, now = record()
    said[-2] += 1.0
    ours[-1] += 1.0  # we were wrong as well: it alone is no surprise
    assert not is_mad(said, ours, came, now), "what it said yesterday is no better"
    assert belief(said, ours, came, now) < 0.01


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_who_never_erred_nor_moved_and_then_does_both(level: float) -> None:
    """Nothing is usual for who was always exactly right; the smallest size that counts is."""
    said = np.full((41, N_HOURS), level)
    calm = said[:-1].copy()
    assert not is_mad(said, calm, calm, said[-1])
    rounding = said.copy()
    rounding[-1] += 1e-12 * np.arange(N_HOURS)
    assert not is_mad(rounding, calm, calm, said[-1])
    said[-1] += np.random.default_rng(0).normal(size=N_HOURS)
    assert is_mad(said, calm, calm, np.full(N_HOURS, level))


def test_who_was_mad_and_is_so_no_more_is_believed_again() -> None:
    said, ours, came, now = record()
    noise = np.random.default_rng(1)
    said[-3:-1] += 2 * noise.normal(size=(2, N_HOURS))
    voice, rounds = Voice.of(said, np.vstack([ours, now]), came)
    assert voice.age_days == 0
    assert voice.habit.belief > 0.9
    assert np.flatnonzero(np.isnan(rounds).all(axis=1)).tolist() == [38, 39]
    assert np.array_equal(rounds[:38], said[:38])


@pytest.mark.parametrize("mad_days", [1, 2, 3])
def test_what_it_said_last_in_its_senses_stands_in(mad_days: int) -> None:
    said, *others = record()
    wild = said.copy()
    wild[-mad_days:] += 2 * np.random.default_rng(1).normal(size=(mad_days, N_HOURS))
    voice = heard(wild, *others)
    if mad_days <= STANDS_IN_DAYS:
        assert voice.age_days == mad_days
        reach = N_HOURS - 24 * mad_days
        assert np.array_equal(voice.said[:reach], said[-1 - mad_days, 24 * mad_days :]), "of the same hours"
        assert np.isnan(voice.said[reach:]).all()
    else:
        assert voice.age_days is None
        assert np.isnan(voice.said).all()


def test_what_did_not_reach_as_far_as_now_does_not_stand_in() -> None:
    said, *others = record()
    said[:, 24:] = np.nan
    said[-1] += 2 * np.random.default_rng(1).normal(size=N_HOURS)
    assert heard(said, *others).age_days is None


def test_who_says_again_what_it_is_taken_to_say_is_not_mad() -> None:
    """The end of a day may be wilder than the whole of it: that was known before."""
    said, *others = record()
    now = others[2]
    voice = heard(said, *others)
    assert not voice.is_mad(said[-1], now)
    assert voice.is_mad(said[-1] + 2 * np.random.default_rng(1).normal(size=N_HOURS), now)
    few = np.where(np.arange(N_HOURS) < 3, 99.0, np.nan)
    assert not voice.is_mad(few, now), "a mean over few hours tells nothing"
    assert not voice.is_mad(np.full(N_HOURS, np.nan), now)


def test_who_was_mad_a_while_ago_may_be_itself_by_now() -> None:
    said, *others = record()
    now = others[2]
    wild = said.copy()
    wild[-1] += 2 * np.random.default_rng(1).normal(size=N_HOURS)
    voice = heard(wild, *others)
    assert voice.is_mad(wild[-1], now)
    assert not voice.is_mad(said[-1], now)
    few = np.where(np.arange(N_HOURS) < 3, said[-1], np.nan)
    assert voice.is_mad(few, now), "of few hours nothing better is known"
    assert not voice.is_mad(np.full(N_HOURS, np.nan), now), "who is silent says nothing mad"


def test_whether_one_was_in_its_senses_is_judged_by_what_was_known_then() -> None:
    """What comes of a round tells nothing of it that was known when it was planned by."""
    said, ours, came, now = record()
    said[[20, 30]] += 5 * np.random.default_rng(1).normal(size=(2, N_HOURS))
    whole = np.isnan(Voice.of(said, np.vstack([ours, now]), came)[1]).all(axis=1)
    assert isinstance(whole, np.ndarray)
    assert np.flatnonzero(whole).tolist() == [20, 30]
    right = came.copy()
    right[[20, 30]] = said[[20, 30]]
    assert np.array_equal(np.isnan(Voice.of(said, np.vstack([ours, now]), right)[1]).all(axis=1), whole)
    for n in (15, 21, 31):
        part = Voice.of(said[: n + 1], ours[: n + 1], came[:n])[1]
        assert np.array_equal(np.isnan(part).all(axis=1), whole[:n])
    wild = np.vstack([said[:MIN_RECORD] * 100, said[:1]])
    assert np.isfinite(Voice.of(wild, ours[: MIN_RECORD + 1], came[:MIN_RECORD])[1]).any()


@pytest.mark.parametrize("cleared_h", [0, 23, 30])
def test_who_changed_for_good_and_is_right_is_not_mad_for_long(cleared_h: int) -> None:
    """The world moved, the source followed at once, and our models did not yet."""
    said, ours, came, _ = without_cleared(cleared_h, *record(60))
    late = np.arange(N_HOURS) >= 24 + cleared_h  # of yesterday's hours a day and what is cleared are known
    said[40:] += 3.0
    came[40:] += 3.0
    came[-1, late] = np.nan

    def mad(n: int) -> bool:
        known = came[:n].copy()
        known[-1, late] = np.nan
        return is_mad(said[: n + 1], ours[:n], known, ours[n])

    days = [mad(n) for n in range(40, 60)]
    assert days[0], "nobody knows on the first day"
    assert not any(days[10:])
    came[40:] -= 3.0
    assert all(mad(n) for n in range(40, 60)), "who is wrong does not get away with it"


def test_without_a_record_nothing_surprises() -> None:
    said, ours, came, now = record(MIN_RECORD - 1)
    said[-1] += 100 * np.random.default_rng(1).normal(size=N_HOURS)
    assert not is_mad(said, ours, came, now)
    assert belief(said, ours, came, now) == 1.0


def test_who_says_nothing_now_is_not_mad() -> None:
    said, *others = record()
    said[-1] = np.nan
    voice = heard(said, *others)
    assert voice.age_days == 0
    assert np.isnan(voice.said).all()
    assert voice.habit.belief > 0.5


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(0, 30), st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e6]))
def test_belief_is_a_share_and_nothing_is_said_that_was_not(
    seed: int, n_rounds: int, silent: float, size: float
) -> None:
    rng = np.random.default_rng(seed)
    said, ours, came, now = record(n_rounds + 1, seed)
    said *= size
    for told in (said, ours, came):
        told[rng.random(told.shape) < silent] = np.nan
    voice = heard(said, ours, came, now)
    assert 0.0 <= voice.habit.belief <= 1.0
    spoken = np.flatnonzero(np.isfinite(voice.said))
    if voice.age_days is None:
        assert not len(spoken)
    else:
        assert np.array_equal(voice.said[spoken], said[-1 - voice.age_days, spoken + 24 * voice.age_days])
