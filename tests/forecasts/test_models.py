"""Our own models: what each foresees, and what none of them may look at."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.models.base import Beside, Forecaster, Question
from forecasts.models.climatology import Climatology
from forecasts.models.days import HOURS, MAX_DAYS, MAX_HOLE_HOURS, Days, Scale, days_of
from forecasts.models.ensemble import LEAST_HISTORY_DAYS, MODELS, UNSEEN_DAYS, foresee, unheard_of
from forecasts.models.persistence import DayBefore, WeekBefore
from forecasts.models.ridge import Ridge, _Past
from forecasts.slots import Floats
from tests.forecasts.world import START, day, grid_days

ALL = [model for model, _ in MODELS]
AS_IT_IS = Scale(0.0, 1.0)


def days(z: Floats) -> Days:
    """Days from the start on, given as they are on the scale."""
    return Days(day(len(z)), z, AS_IT_IS, np.ones(z.shape, dtype=bool))


def seen(hourly: Floats) -> Days:
    found = days_of(START + len(hourly) * timedelta(hours=1), hourly)
    assert found is not None
    return found


def asked(z: Floats, n_ahead: int = 8, n_past: int = 60, beside: Beside | None = None) -> Question:
    return Question(days(z), n_ahead, n_past, beside)


def ar_days(n: int, seed: int, lag: int = 1) -> Floats:
    """Days (n, 24) of one shape whose level is an autoregression on that `lag` days before, and noise."""
    rng = np.random.default_rng(seed)
    level = np.zeros(n)
    for i in range(lag, n):
        level[i] = 0.9 * level[i - lag] + rng.normal(0, 0.4)
    shape = np.sin(np.arange(HOURS) / HOURS * 2 * np.pi)
    return shape + level[:, None] + rng.normal(0, 0.1, (n, HOURS))


def mean_error(said: Floats, came: Floats) -> float:
    return float(np.abs(said - came).mean())


class TestScale:
    @given(
        st.lists(st.floats(-20_000, 20_000), min_size=1, max_size=30),
        st.lists(st.floats(-20_000, 20_000), min_size=1, max_size=5),
    )
    def test_there_and_back(self, seen_before: list[float], values: list[float]) -> None:
        scale = Scale.of(np.array(seen_before))
        back = scale.from_z(scale.to_z(np.array(values)))
        assert scale.spread > 0
        np.testing.assert_allclose(back, values, rtol=1e-9, atol=1e-6)

    def test_an_ordinary_error_is_about_one_and_a_spike_is_no_catastrophe(self) -> None:
        scale = Scale.of(np.random.default_rng(0).normal(50, 10, 2000))
        assert scale.median == pytest.approx(50, abs=1)
        assert scale.spread == pytest.approx(10, rel=0.1)
        assert float(scale.to_z(np.array(9000.0))) < 8
        assert float(scale.to_z(np.array(-500.0))) > -8

    def test_a_constant_signal_has_a_scale_too(self) -> None:
        scale = Scale.of(np.full(100, 300.0))
        assert scale.to_z(np.array([300.0, 300.3])) == pytest.approx([0.0, 0.8814], abs=1e-3)
        assert Scale.of(np.zeros(5)).spread > 0

    def test_where_most_values_are_one_the_others_give_the_scale(self) -> None:
        # Two thirds of the hours are free of charge: a price of 50 is no error of a thousand spreads.
        prices = np.where(np.arange(900) % 3 == 0, np.random.default_rng(0).normal(50, 10, 900), 0.0)
        assert 5 < Scale.of(prices).spread < 50


class TestDays:
    def test_they_end_with_the_last_hour(self) -> None:
        hourly = np.arange(60.0)
        found = seen(hourly)
        assert (found.n_days, found.end) == (2, day(2.5))
        np.testing.assert_allclose(found.scale.from_z(found.z).ravel(), hourly[12:], atol=1e-9)

    def test_a_day_alone_and_less_than_a_day(self) -> None:
        assert seen(np.ones(24)).n_days == 1
        assert days_of(day(1), np.ones(23)) is None
        assert days_of(day(1), np.full(48, np.nan)) is None
        assert days_of(day(1), np.empty(0)) is None

    def test_no_more_than_all_seasons_once(self) -> None:
        assert seen(np.random.default_rng(0).normal(size=(MAX_DAYS + 30) * HOURS)).n_days == MAX_DAYS

    def test_a_hole_is_filled_with_the_day_before_and_is_no_outcome(self) -> None:
        hourly = np.arange(24.0 * 6)
        hourly[50:100] = np.nan
        found = seen(hourly)
        z = found.scale.from_z(found.z).ravel()
        np.testing.assert_allclose(z[50:72], hourly[26:48], atol=1e-9)
        np.testing.assert_allclose(z[96:98], hourly[48:50], atol=1e-9)
        np.testing.assert_array_equal(found.known.ravel(), np.isfinite(hourly))
        came = foresee(Question(found, 2, 10)).outcomes
        assert np.isnan(came[1, :48][2:]).all()  # after day 1: hours 48 to 95, of which two are known
        assert np.isfinite(came[1, :2]).all()

    def test_a_hole_in_the_first_day(self) -> None:
        hourly = np.arange(48.0)
        hourly[[3, 4]] = np.nan
        found = seen(hourly)
        assert found.scale.from_z(found.z)[0, 3:5] == pytest.approx([2.0, 2.0])

    @pytest.mark.parametrize(("hole", "n_days"), [(MAX_HOLE_HOURS, 20), (MAX_HOLE_HOURS + 1, 10)])
    def test_after_a_long_hole_history_begins_anew(self, hole: int, n_days: int) -> None:
        hourly = np.random.default_rng(0).normal(size=20 * HOURS)
        hourly[10 * HOURS - hole : 10 * HOURS] = np.nan
        assert seen(hourly).n_days == n_days

    def test_hours_before_the_first_known_are_none(self) -> None:
        hourly = np.concatenate([np.full(100, np.nan), np.ones(30)])
        assert seen(hourly).n_days == 1

    @pytest.mark.parametrize("end_hour", [0, 6, 11, 12, 13, 18, 23])
    def test_weekdays_are_those_of_the_middle_of_each_day(self, end_hour: int) -> None:
        end = day(14) + timedelta(hours=end_hour)
        kinds = Days(end, np.zeros((10, HOURS)), AS_IT_IS, np.ones((10, HOURS), dtype=bool)).kinds(5)
        middles = [end - timedelta(hours=12) + timedelta(days=k) for k in range(-9, 6)]
        assert kinds.tolist() == [max(m.weekday() - 4, 0) for m in middles]


class TestPersistence:
    def test_the_day_before_by_hand(self) -> None:
        z = np.arange(3.0)[:, None] + np.zeros(HOURS)
        said = DayBefore().answer(asked(z, n_ahead=2, n_past=5))
        assert said.shape == (3, 2, HOURS)
        assert said[:, :, 0].tolist() == [[0, 0], [1, 1], [2, 2]]

    def test_the_week_before_by_hand(self) -> None:
        z = np.arange(20.0)[:, None] + np.zeros(HOURS)
        said = WeekBefore().answer(asked(z, n_ahead=8, n_past=1))[:, :, 5]
        # After day 18 comes day 19, whose week before is day 12; after seven days it is 19 - 7 again.
        assert said.tolist() == [[12, 13, 14, 15, 16, 17, 18, 12], [13, 14, 15, 16, 17, 18, 19, 13]]

    def test_where_there_is_no_week_before_it_says_nothing(self) -> None:
        z = np.arange(14.0)[:, None] + np.zeros(HOURS)
        said = WeekBefore().answer(asked(z, n_ahead=7, n_past=60))[:, :, 0]
        assert np.isnan(said[0, :6]).all()
        assert said[0, 6] == 0.0
        assert np.isfinite(said[6:]).all()


class TestPeriodic:
    @pytest.mark.parametrize("model", ALL, ids=lambda m: m.name)
    def test_what_repeats_each_day_is_foreseen_by_each(self, model: Forecaster) -> None:
        z = np.tile(np.sin(np.arange(HOURS)), (70, 1))
        said = model.answer(asked(z))
        assert said.shape == (61, 8, HOURS)
        np.testing.assert_allclose(said[-1], z[:8], atol=2e-3)

    def test_what_repeats_each_week_is_foreseen_by_the_week_before_and_learnt_by_the_regression(self) -> None:
        z = np.tile(np.random.default_rng(0).normal(size=(7, HOURS)), (30, 1))
        came = z[: 8 * 1]
        np.testing.assert_array_equal(WeekBefore().answer(asked(z[:203]))[-1], z[203 - 7 :][np.arange(8) % 7])
        regression = Ridge().answer(asked(z[:203]))[-1]
        assert mean_error(regression, z[np.arange(203, 211) % 7]) < 0.5 * mean_error(0 * came, came)

    def test_all_together_foresee_it(self) -> None:
        hourly = np.tile(300 + 80 * np.sin(np.arange(HOURS)), 70)
        found = seen(hourly)
        foreseen = foresee(Question(found, 8, 60))
        np.testing.assert_allclose(found.scale.from_z(foreseen.z), hourly[: 8 * HOURS], atol=0.5)


class TestOdd:
    """Constant, short, spiking and negative histories: every answer is finite, and no warning is raised."""

    @pytest.mark.parametrize("n", [1, 2, 6, 7, 8, 13, 14, 15, 55, 56, 57, 60, 66, 67, 120])
    def test_any_length_of_history(self, n: int) -> None:
        z = np.random.default_rng(n).normal(size=(n, HOURS))
        foreseen = foresee(asked(z, n_ahead=9))
        n_past = min(n - 1, 60)
        assert foreseen.z.shape == (9 * HOURS,)
        assert foreseen.past.shape == foreseen.outcomes.shape == (n_past, 9 * HOURS)
        assert np.isfinite(foreseen.z).all()
        assert np.isfinite(foreseen.past).all()
        np.testing.assert_allclose(foreseen.weights.sum(axis=1), 1.0)
        # After the last day but j, j days are known.
        known = np.isfinite(foreseen.outcomes).sum(axis=1) // HOURS
        assert known.tolist() == np.minimum(np.arange(n_past, 0, -1), 9).tolist()

    @pytest.mark.parametrize("level", [0.0, 300.0, -40.0])
    @pytest.mark.parametrize("n", [8, 60])
    def test_what_never_moves(self, level: float, n: int) -> None:
        found = seen(np.full(n * HOURS, level))
        foreseen = foresee(Question(found, 8, 60))
        np.testing.assert_allclose(found.scale.from_z(foreseen.z), level, atol=1e-6)

    def test_a_constant_that_moves_on_its_last_day(self) -> None:
        hourly = np.full(60 * HOURS, 300.0)
        hourly[-5:] = 320.0
        found = seen(hourly)
        expected = found.scale.from_z(foresee(Question(found, 8, 60)).z)
        assert np.isfinite(expected).all()
        assert ((expected > 250) & (expected < 400)).all()

    @pytest.mark.parametrize("spike", [9000.0, -500.0])
    def test_a_huge_spike_changes_tomorrow_little(self, spike: float) -> None:
        hourly = grid_days(80, level=60) / 5
        calm = seen(hourly)
        hourly = hourly.copy()
        hourly[-30] = spike
        wild = seen(hourly)
        a = calm.scale.from_z(foresee(Question(calm, 2, 60)).z)
        b = wild.scale.from_z(foresee(Question(wild, 2, 60)).z)
        # All but the hour of the spike itself, which the day before repeats.
        assert np.median(np.abs(a - b)) < 2
        assert np.abs(b).max() < abs(spike)

    def test_another_signal_that_is_all_but_unknown(self) -> None:
        z = ar_days(70, 1)
        nothing = np.full((70 + 8) * HOURS, np.nan)
        nothing[:200] = 1.0
        for known in (8 * HOURS, 0, -5, -30 * HOURS, -70 * HOURS, -100 * HOURS):
            said = Ridge().answer(asked(z, beside=Beside(nothing, known)))
            assert np.isfinite(said).all()


class TestUnheardOf:
    """A day such as never was: what holds now holds tomorrow."""

    @pytest.mark.parametrize("n_storm", [1, 3])
    @pytest.mark.parametrize("side", [-1.0, 1.0])
    def test_the_first_days_ahead_are_like_it(self, n_storm: int, side: float) -> None:
        z = np.random.default_rng(3).normal(0, 0.3, (80, HOURS))
        z[-n_storm:] = side * (np.abs(z).max() + 3.0)
        z[-1] += np.arange(HOURS) / HOURS
        foreseen = foresee(asked(z))
        assert foreseen.z[:HOURS] == pytest.approx(z[-1])
        share = foreseen.weights[:, foreseen.names.index("day before")]
        assert share[0] == 1.0
        assert share[1] >= 0.5
        assert share[6] < 0.2

    def test_by_hand(self) -> None:
        z = np.zeros((90, HOURS))
        z[10] = 2.0
        z[70], z[80], z[84], z[88] = 2.0, 2.4, 5.0, -0.5
        expected = np.zeros(90)
        expected[80], expected[84], expected[88] = 0.4, 1.0, 0.5
        assert unheard_of(z) == pytest.approx(expected)
        # A week later it is history.
        assert unheard_of(np.concatenate([z, np.full((1, HOURS), 2.4)]))[-1] == 0.0

    def test_of_a_short_history_nothing_is(self) -> None:
        z = np.arange(float(LEAST_HISTORY_DAYS))[:, None] * np.ones(HOURS)
        assert not unheard_of(z).any()
        assert unheard_of(np.concatenate([z, z[-1:] + 1]))[-1] == 1.0
        assert UNSEEN_DAYS < LEAST_HISTORY_DAYS


class TestRegression:
    @pytest.mark.parametrize(("lag", "ratio"), [(1, 0.95), (7, 0.6)])
    def test_out_of_sample_it_beats_the_usual_day(self, lag: int, ratio: float) -> None:
        ours, usual = [], []
        for seed in range(4):
            z = ar_days(300, seed, lag)
            for end in range(240, 298, 8):
                question = asked(z[:end], n_ahead=2, n_past=0)
                ours.append(mean_error(Ridge().answer(question)[-1], z[end : end + 2]))
                usual.append(mean_error(Climatology().answer(question)[-1], z[end : end + 2]))
        assert np.mean(ours) < ratio * np.mean(usual)

    def test_it_learns_what_the_other_signal_tells(self) -> None:
        rng = np.random.default_rng(3)
        n, n_ahead = 120, 2
        other = rng.normal(size=(n + n_ahead) * HOURS)
        z = 0.8 * other + 0.05 * rng.normal(size=len(other))
        history = z[: n * HOURS].reshape(n, HOURS)
        came = z[n * HOURS :].reshape(n_ahead, HOURS)
        blind = Ridge().answer(asked(history, n_ahead))[-1]
        # Known for the first day and six hours of the second.
        told = Ridge().answer(asked(history, n_ahead, beside=Beside(other, HOURS + 6)))[-1]
        assert mean_error(told[0], came[0]) < 0.15 * mean_error(blind[0], came[0])
        assert mean_error(told[1, :6], came[1, :6]) < 0.15 * mean_error(blind[1, :6], came[1, :6])
        assert mean_error(told[1, 6:], came[1, 6:]) > 0.4

    def test_a_hole_in_the_other_signal_is_not_taken_for_its_median(self) -> None:
        """What was measured is known late, and what is forecast begins now: between them some hours are missing."""
        rng = np.random.default_rng(6)
        n = 90
        other = np.repeat(rng.normal(size=n + 1), HOURS).cumsum() / 12
        z = (other + 0.05 * rng.normal(size=len(other)))[: n * HOURS].reshape(n, HOURS)
        holed = other.copy()
        holed[n * HOURS - 5 : n * HOURS] = np.nan
        whole, gap = (Ridge().answer(asked(z, 1, beside=Beside(o, 6)))[-1] for o in (other, holed))
        assert np.abs(whole - gap).max() < 0.1

    @pytest.mark.parametrize("known_hours", [-30, -1, 0, 5, 24, 30])
    def test_what_is_not_known_of_the_other_signal_is_not_looked_at(self, known_hours: int) -> None:
        rng = np.random.default_rng(4)
        n, n_ahead = 60, 3
        other = rng.normal(size=(n + n_ahead) * HOURS)
        changed = other.copy()
        changed[n * HOURS + known_hours :] = 1e3
        z = ar_days(n, 5)
        a, b = (
            Ridge().answer(asked(z, n_ahead, beside=Beside(o, known_hours)))[-1] for o in (other, changed)
        )
        np.testing.assert_array_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 75),
    st.integers(0, 60),
    st.integers(1, 8),
    st.integers(-80 * HOURS, 8 * HOURS),
    st.booleans(),
)
def test_what_a_regression_looks_at_lies_before_its_origin(
    n: int, back: int, d: int, known_hours: int, at_target: bool
) -> None:
    """Whatever comes after day `i` of this signal, and after what is known of the other, `x(i, d)` stays as it is."""
    rng = np.random.default_rng(n)
    i = max(0, n - 1 - back)
    z = rng.normal(size=(n, HOURS))
    other = rng.normal(size=(n + 8) * HOURS)
    known_hours = min(known_hours, 8 * HOURS)
    at_target = at_target and known_hours >= d * HOURS
    later, later_other = z.copy(), other.copy()
    later[i + 1 :] += 5.0
    # Less than a day of the other is as good as none: its first day then stands for it.
    later_other[max(HOURS * (i + 1) + known_hours, HOURS) :] += 5.0
    x = []
    for a, b in ((z, other), (later, later_other)):
        beside = Beside(b, known_hours)
        there = beside.at_target(np.array([i]), n, d) if at_target else None
        assert there is None or np.isfinite(there).all()
        found = _Past.of(asked(a, 8, 60, beside)).regressors(np.array([i]), d)
        x.append(found if there is None else np.concatenate([found, there[:, :, None]], axis=-1))
    np.testing.assert_allclose(x[0], x[1], atol=1e-9)


def test_what_is_expected_of_the_other_signal_belongs_to_its_origin() -> None:
    expected = np.arange(3 * 48.0).reshape(3, 48)
    beside = Beside(np.zeros(12 * HOURS), -5, expected)
    told = beside.at_target(np.array([9, 8, 7, 6]), 10, 2)
    np.testing.assert_array_equal(told[0], expected[2, HOURS:])
    np.testing.assert_array_equal(told[2], expected[0, HOURS:])
    assert np.isnan(told[3]).all(), "nothing is on record of what was expected then"


def test_what_came_never_stands_for_what_was_expected() -> None:
    """Changing what came of the other signal after an origin changes nothing of what is said after it."""
    rng = np.random.default_rng(4)
    z, other = rng.normal(size=(80, HOURS)), rng.normal(size=(82 * HOURS))
    expected = rng.normal(size=(11, 2 * HOURS))
    later = other.copy()
    later[80 * HOURS :] += 3.0
    a, b = (Ridge().answer(asked(z, 2, 10, Beside(o, 0, expected)))[-1] for o in (other, later))
    np.testing.assert_allclose(a, b, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 40), st.integers(0, 30))
def test_plain_models_say_of_the_past_what_they_would_have_said(seed: int, n: int, later: int) -> None:
    z = np.random.default_rng(seed).normal(size=(n + later, HOURS))
    for model in (DayBefore(), WeekBefore(), Climatology()):
        if n >= model.needs_days:
            then = model.answer(asked(z[:n], n_past=0))[-1]
            now = model.answer(asked(z, n_past=later))[0]
            np.testing.assert_allclose(then, now, atol=1e-12)
