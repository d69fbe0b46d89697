"""Scores of forecasts: each against a calculation by hand, and what holds of all of them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasts.errors import InputError
from forecasts.scores import compare as comparing
from forecasts.scores import decision, point, probabilistic, report, significance
from forecasts.scores.cases import (
    HOUR_US,
    NEVER,
    Cases,
    Known,
    Standing,
    cases,
    grid_of,
    moments,
    persistence,
    standing,
    thinned,
)
from forecasts.scores.decision import Job, decision_scores, settle, windows
from forecasts.scores.point import day_ranks
from forecasts.scores.probabilistic import band_scores, central_bands, crossings, crps
from forecasts.scores.report import to_dict
from forecasts.scores.subject import from_series, from_store, step_minutes
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import SlotGrid
from forecasts.spans import to_us
from forecasts.store import ForecastStore
from tests.forecasts.build import HOUR, T0, hours, series

FINITE = st.floats(-500, 500)

# Most figures may be None, where there is nothing to say them of. Here there is: one that is None fails its test.
score: Any = report.score
compare: Any = comparing.compare
captured: Any = decision.captured
point_scores: Any = point.point_scores
pinball: Any = probabilistic.pinball
diebold_mariano: Any = significance.diebold_mariano
bootstrap: Any = significance.bootstrap


def measured(values, start=T0, delay=HOUR, **more) -> list[ForecastSeries]:
    """One vintage an hour, each known `delay` after it was over."""
    return [
        series([v], start=start + i * HOUR, known_at=start + (i + 1) * HOUR + delay, kind=Kind.ACTUAL, **more)
        for i, v in enumerate(values)
    ]


def world(
    n_days=30, noise=20.0, seed=0, **more
) -> tuple[list[ForecastSeries], list[ForecastSeries], np.ndarray]:
    """Hourly outcomes with a daily course, and a forecast of 48 h each midnight from the third day on."""
    rng = np.random.default_rng(seed)
    hour = np.arange(24 * n_days)
    actual = 300 + 80 * np.cos((hour % 24 - 19) / 24 * 2 * np.pi) + np.repeat(rng.normal(0, 40, n_days), 24)
    actual += rng.normal(0, 10, len(actual))
    said = []
    for day in range(2, n_days - 2):
        truth = actual[24 * day : 24 * day + 48]
        said.append(
            series(truth + rng.normal(0, noise, 48), start=hours(24 * day), known_at=hours(24 * day), **more)
        )
    return measured(actual, source="meter"), said, actual


def one(forecast, actual, persisted=None, quantiles=None, start=T0) -> Cases:
    """Cases of one vintage, hour by hour from `start`."""
    n = len(forecast)
    return Cases(
        SlotGrid(start, 60, n),
        np.full(n, to_us(start), dtype=np.int64),
        np.arange(n),
        np.asarray(forecast, dtype=float),
        np.asarray(actual, dtype=float),
        np.full(n, np.nan) if persisted is None else np.asarray(persisted, dtype=float),
        {p: np.asarray(q, dtype=float) for p, q in (quantiles or {}).items()},
    )


class TestCases:
    """What counts as a forecast of what."""

    def test_each_slot_at_its_lead(self) -> None:
        known = Known.of(measured([10, 20, 30, 40]), SlotGrid(T0, 60, 4))
        said = [series([11, 22, 33, 44], known_at=T0), series([31, 41], start=hours(2), known_at=hours(1.5))]
        found = cases(said, known)
        assert found.lead_h.tolist() == [0, 1, 2, 3, 0.5, 1.5]
        assert found.forecast.tolist() == [11, 22, 33, 44, 31, 41]
        assert found.actual.tolist() == [10, 20, 30, 40, 30, 40]

    def test_a_slot_that_has_begun_is_not_foretold(self) -> None:
        known = Known.of(measured([10, 20]), SlotGrid(T0, 60, 2))
        found = cases([series([11, 22], known_at=hours(0.5))], known)
        assert found.forecast.tolist() == [22]

    def test_what_was_cleared_already_is_not_foretold(self) -> None:
        """A price forecast is scored beyond the auction only."""
        cleared = [
            series([50] * 24, known_at=hours(-12), kind=Kind.CLEARED),
            series([60] * 24, start=hours(24), known_at=hours(12), kind=Kind.CLEARED),
        ]
        known = Known.of(cleared, SlotGrid(T0, 60, 48))
        found = cases([series([55] * 48, known_at=T0), series([1] * 48, known_at=hours(13))], known)
        assert len(found) == 24
        assert found.lead_h.min() == 24
        assert set(found.actual) == {60}

    def test_outcomes_and_cleared_vintages_are_no_forecasts(self) -> None:
        actual = measured([10, 20])
        assert len(cases(actual, Known.of(actual, SlotGrid(T0, 60, 2)))) == 0

    def test_longer_than_a_week_ahead_does_not_count(self) -> None:
        n = 24 * 8
        known = Known.of([series(np.ones(n), known_at=hours(n), kind=Kind.ACTUAL)], SlotGrid(T0, 60, n))
        assert cases([series(np.ones(n), known_at=T0)], known).lead_h.max() == 167

    def test_slots_longer_than_intervals_are_known_with_the_last(self) -> None:
        halves = [
            series([v], start=hours(i / 2), step_minutes=30, known_at=hours(i / 2 + 1), kind=Kind.ACTUAL)
            for i, v in enumerate([10, 20, 30])
        ]
        known = Known.of(halves, SlotGrid(T0, 60, 2))
        assert known.values[0] == 15
        assert np.isnan(known.values[1])
        assert known.known_us.tolist() == [to_us(hours(1.5)), NEVER]

    def test_a_forecast_repeated_when_it_was_over_is_an_outcome(self) -> None:
        known = Known.of(
            [series([1, 2, 3], known_at=T0), series([10, 20, 30], known_at=hours(2))], SlotGrid(T0, 60, 3)
        )
        assert known.values[:2].tolist() == [10, 20]
        assert np.isnan(known.values[2])
        assert known.known_us.tolist() == [to_us(hours(2)), to_us(hours(2)), NEVER]

    def test_thinning_keeps_all_of_the_first_moment(self) -> None:
        said = [series([1], known_at=hours(h)) for h in (0.2, 0.2, 0.5, 1.0)]
        assert [s.known_at for s in thinned(said, HOUR_US)] == [hours(0.2), hours(0.2), hours(1.0)]


class TestPersistence:
    """What the same moment's knowledge would have repeated."""

    def known(self, n_days=16, delay=1) -> Known:
        return Known.of(measured(np.arange(24.0 * n_days), delay=delay * HOUR), SlotGrid(T0, 60, 24 * n_days))

    def test_the_same_hour_of_the_latest_day_that_was_known(self) -> None:
        known = self.known()
        origin = np.array([to_us(hours(34))] * 3)  # known: up to the hour that ended at 33
        got = persistence(known, origin, np.array([48 + 5, 48 + 9, 48 + 8]))
        assert got.tolist() == [24 + 5, 9, 24 + 8]

    def test_knows_nothing_before_there_is_anything(self) -> None:
        assert np.isnan(persistence(self.known(), np.array([to_us(hours(5))]), np.array([20]))).all()

    def test_the_weekly_rule(self) -> None:
        known = self.known()  # T0 is a Saturday: day 10 is a Tuesday, day 9 a Monday
        origin = np.array([to_us(hours(24 * 10 + 2))] * 2)
        assert persistence(known, origin, np.array([24 * 10 + 5, 24 * 9 + 5]), rule="week").tolist() == [
            24 * 9 + 5,
            24 * 2 + 5,
        ]
        # Wednesday, of which Tuesday is not known yet: the week before
        assert persistence(known, origin[:1], np.array([24 * 11 + 5]), rule="week").tolist() == [24 * 4 + 5]

    @given(st.integers(0, 24 * 16), st.integers(0, 24 * 16 - 1), st.sampled_from(["day", "week"]))
    def test_never_repeats_what_was_not_known(self, at, slot, rule) -> None:
        known = KNOWN
        got = persistence(known, np.array([to_us(hours(at))]), np.array([slot]), rule=rule)[0]
        if np.isfinite(got):
            assert known.known_us[int(got)] <= to_us(hours(at))
            assert (slot - int(got)) % 24 == 0


KNOWN = TestPersistence().known()


class TestPoint:
    """MAE, bias, RMSE, rMAE, rank correlation."""

    def test_by_hand(self) -> None:
        s = point_scores(one([12, 8, 11], [10, 10, 10], [10, 16, math.nan]))
        assert s.n == 3
        assert s.mae == pytest.approx(5 / 3)
        assert s.bias == pytest.approx(1 / 3)
        assert s.rmse == pytest.approx(math.sqrt(3))
        assert s.persistence_mae == 3
        assert s.rmae == pytest.approx(2 / 3)  # of the two cases in which persistence knew something
        assert s.skill == pytest.approx(1 / 3)

    def test_nothing_is_said_of_nothing(self) -> None:
        nothing = one([1], [1]).take(np.array([False]))
        assert point_scores(nothing).mae is None
        assert band_scores(nothing).n == 0
        assert len(day_ranks(nothing).rho) == 0
        assert point_scores(one([1, 2], [1, 2])).rmae is None
        assert point_scores(one([1, 2], [1, 3], [1, 3])).rmae is None  # persistence did not err

    @given(arrays(float, st.integers(1, 40), elements=FINITE))
    def test_persistence_against_itself_has_no_skill(self, values) -> None:
        actual = values[::-1]
        s = point_scores(one(values, actual, values))
        assert s.rmae is None or s.rmae == pytest.approx(1)
        assert s.mae <= s.rmse + 1e-9
        assert abs(s.bias) <= s.mae + 1e-9

    def test_ranks_are_spearmans(self) -> None:
        from scipy.stats import spearmanr

        rng = np.random.default_rng(3)
        f, y = rng.integers(0, 8, 48).astype(float), rng.integers(0, 8, 48).astype(float)  # with ties
        got = day_ranks(one(f, y))
        expected = [spearmanr(f[d : d + 24], y[d : d + 24]).statistic for d in (0, 24)]
        assert got.rho.tolist() == pytest.approx(expected)
        assert got.lead_h.tolist() == [11.5, 35.5]

    def test_short_and_flat_days_have_no_order(self) -> None:
        assert len(day_ranks(one(range(11), range(11))).rho) == 0
        assert len(day_ranks(one([5.0] * 24, range(24))).rho) == 0

    @given(arrays(float, 24, elements=st.integers(-500, 500), unique=True))
    def test_the_right_order_is_one_and_its_reverse_minus_one(self, y) -> None:
        assert day_ranks(one(np.exp(y / 500), y)).rho.tolist() == pytest.approx([1])
        assert day_ranks(one(-y, y)).rho.tolist() == pytest.approx([-1])


LEVELS = (0.05, 0.1, 0.5, 0.7, 0.9, 0.99)


class TestProbabilistic:
    """Pinball, CRPS, coverage, crossings."""

    def test_pinball_by_hand(self) -> None:
        assert pinball(np.array([10.0, 10.0]), np.array([14.0, 8.0]), 0.25).tolist() == [1.0, 1.5]

    def test_crps_of_a_uniform_by_hand(self) -> None:
        """Of the uniform distribution on [0, 1], CRPS(y) = (y^3 + (1 - y)^3) / 3."""
        y = np.array([0.0, 0.25, 0.5, 1.0])
        q = {p: np.full(4, p) for p in np.round(np.linspace(1e-9, 1 - 1e-9, 3), 12)}
        assert crps(q, y).tolist() == pytest.approx(((y**3 + (1 - y) ** 3) / 3).tolist(), abs=1e-6)
        assert crps({0.0001: np.zeros(1), 0.9999: np.ones(1)}, np.array([3.0]))[0] == pytest.approx(
            2 + 1 / 3, abs=1e-3
        )

    @given(arrays(float, (len(LEVELS), 5), elements=FINITE), arrays(float, 5, elements=FINITE))
    @settings(deadline=None)
    def test_crps_is_twice_the_pinball_of_all_levels(self, q, y) -> None:
        """By brute force over the quantile function that the levels stand for; unevenly spread as they are."""
        q = np.sort(q, axis=0)
        fine = (np.arange(20_000) + 0.5) / 20_000
        for i in range(5):
            values = np.interp(fine, LEVELS, q[:, i])
            brute = 2 * np.mean([pinball(values, y[i], fine)])
            got = crps(dict(zip(LEVELS, q[:, i : i + 1], strict=True)), y[i : i + 1])[0]
            assert got == pytest.approx(brute, abs=0.2, rel=1e-3)
            assert got >= 0

    @given(arrays(float, 7, elements=FINITE), arrays(float, 7, elements=FINITE), st.floats(0.01, 0.99))
    def test_crps_of_a_point_is_its_error(self, q, y, p) -> None:
        assert crps({p: q}, y).tolist() == pytest.approx(np.abs(q - y).tolist())
        same = crps({0.1: q, 0.5: q, 0.9: q}, y)
        assert same.tolist() == pytest.approx(np.abs(q - y).tolist())

    def test_quantiles_that_all_but_touch(self) -> None:
        assert crps({0.1: np.zeros(1), 0.9: np.full(1, 5e-324)}, np.array([3.0])).tolist() == [3.0]

    def test_crps_of_more_levels_does_not_depend_on_where_they_are_dense(self) -> None:
        """The mean of pinball losses would: that is why it is not taken."""
        y = np.random.default_rng(1).normal(size=4000)
        from scipy.special import ndtri

        even = np.linspace(0.02, 0.98, 49)
        dense = np.unique(np.concatenate([even, np.linspace(0.9, 0.98, 200)]))
        scores = [float(crps({p: np.full(4000, ndtri(p)) for p in some}, y).mean()) for some in (even, dense)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-3)
        assert scores[0] == pytest.approx(1 / math.sqrt(math.pi), rel=0.03)  # of N(0, 1) by itself

    def test_true_quantiles_hold_what_they_claim(self) -> None:
        from scipy.special import ndtri

        rng = np.random.default_rng(5)
        n, centre = 6000, np.random.default_rng(6).normal(0, 50, 6000)
        y = centre + 10 * rng.normal(size=n)
        q = {p: centre + 10 * ndtri(p) for p in (0.05, 0.1, 0.5, 0.9, 0.95)}
        bands = central_bands(q, y)
        assert [b.nominal for b in bands] == [0.8, 0.9]
        for b in bands:
            assert abs(b.coverage - b.nominal) < 4 * math.sqrt(b.nominal * (1 - b.nominal) / n)
        assert bands[0].width == pytest.approx(20 * ndtri(0.9))

    def test_crossings_and_the_levels(self) -> None:
        q = {0.1: [1, 5, 9], 0.5: [2, 4, 9], 0.9: [3, 6, 9]}
        got = band_scores(one([2, 4, 9], [2, 7, 8], quantiles=q))
        assert got.crossings == 1
        assert [level.below for level in got.levels] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
        assert got.bands[0].coverage == pytest.approx(1 / 3)
        assert crossings({0.5: np.ones(3)}) == 0

    def test_cases_without_quantiles_are_left_out(self) -> None:
        got = band_scores(one([2, 4], [2, 7], quantiles={0.1: [1, math.nan], 0.9: [3, math.nan]}))
        assert got.n == 1
        assert band_scores(one([2, 4], [2, 7])).n == 0


def window(expected, actual) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.atleast_2d(np.asarray(expected, float)), np.atleast_2d(np.asarray(actual, float)), np.array([0])


class TestDecision:
    """Captured and regret."""

    def test_by_hand(self) -> None:
        got = settle(*window([5, 1, 9, 2], [40, 20, 10, 30]), 2)
        assert (got.now[0], got.chosen[0], got.best[0]) == (30, 25, 15)
        assert captured(got) == pytest.approx(1 / 3)
        assert got.overlap[0] == 0.5

    def test_of_two_that_are_equal_the_earlier_is_taken(self) -> None:
        assert settle(*window([1, 1, 1, 1], [40, 20, 10, 30]), 2).chosen[0] == 30

    def test_slots_of_unknown_outcome_are_no_choice(self) -> None:
        got = settle(*window([5, 0, 9, 2], [40, math.nan, 10, 30]), 2)
        assert (got.now[0], got.chosen[0], got.best[0]) == (25, 35, 20)

    @given(arrays(float, (4, 12), elements=FINITE), st.integers(1, 11))
    def test_perfect_is_one_run_now_is_zero_and_nothing_is_better(self, y, k) -> None:
        origin = np.arange(4)
        perfect = settle(y, y, origin, k)
        now = settle(np.tile(np.arange(12.0), (4, 1)), y, origin, k)
        other = settle(np.roll(y, 3, axis=1), y, origin, k)
        if captured(perfect) is not None:
            assert captured(perfect) == pytest.approx(1)
            assert captured(now) == pytest.approx(0)
            assert captured(other) <= 1 + 1e-9
        assert (other.chosen >= perfect.best - 1e-9).all()
        assert perfect.overlap.tolist() == [1] * 4

    def test_a_gap_in_the_forecast_repeats_the_past(self) -> None:
        meter, _, actual = world(6)
        known = Known.of(meter, SlotGrid(T0, 60, 24 * 6))
        origin = np.array([to_us(hours(72))])
        said = [series(actual[78:96], start=hours(78), known_at=hours(72))]
        got = windows(standing(said, known.grid, origin, 24), known, 24)
        assert got.filled[0] == 0.25
        assert got.expected[0, 6:].tolist() == pytest.approx(actual[78:96].tolist())
        assert got.expected[0, :6].tolist() == pytest.approx(got.repeated[0, :6].tolist())
        assert got.usable.all()
        mostly = windows(
            standing([series(actual[88:96], start=hours(88), known_at=hours(72))], known.grid, origin, 24),
            known,
            24,
        )
        assert not mostly.usable.any()

    def test_cleared_prices_are_expected_as_they_are(self) -> None:
        price = [
            series(
                np.arange(24.0) + 24 * d, start=hours(24 * d), known_at=hours(24 * d - 12), kind=Kind.CLEARED
            )
            for d in range(6)
        ]
        known = Known.of(price, SlotGrid(T0, 60, 24 * 6))
        origin = np.array([to_us(hours(60))])
        got = windows(
            standing([series([7.0] * 48, start=hours(60), known_at=hours(60))], known.grid, origin, 48),
            known,
            48,
        )
        assert got.expected[0, :36].tolist() == list(np.arange(60.0, 96))
        assert set(got.expected[0, 36:]) == {7.0}

    @pytest.mark.parametrize("job", [Job(4, 4), Job(0.3, 24), Job(30, 24), Job(0, 24)])
    def test_a_job_that_is_no_choice_is_refused(self, job) -> None:
        with pytest.raises(InputError, match="no choice among slots of 30 minutes"):
            job.slots(SlotGrid(T0, 30, 48))

    def test_of_a_perfect_forecast_and_one_upside_down(self) -> None:
        meter, said, actual = world(noise=0.0)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        perfect = score(said, known)
        assert perfect.decision.captured == pytest.approx(1)
        assert perfect.decision.regret == pytest.approx(0)
        assert (perfect.decision.captured_low, perfect.decision.captured_high) == pytest.approx((1, 1))
        assert 0 < perfect.decision.persistence_captured < 1
        upside = [
            series(-s.values, start=hours(24 * (2 + i)), known_at=s.known_at) for i, s in enumerate(said)
        ]
        assert score(upside, known).decision.captured < 0.1


class TestStanding:
    """What stood at a moment: the newest that covers."""

    def test_the_newest_that_covers_speaks(self) -> None:
        grid = SlotGrid(T0, 60, 6)
        said = [series([1] * 6, known_at=T0), series([2, 2], start=hours(2), known_at=hours(1))]
        at = np.array([to_us(hours(h)) for h in (0, 0.5, 1, 3)])
        got = standing(said, grid, at, 3)
        assert isinstance(got, Standing)
        assert got.first.tolist() == [0, 1, 1, 3]
        assert got.values.tolist() == [[1, 1, 1], [1, 1, 1], [1, 2, 2], [2, 1, 1]]

    def test_past_the_end_is_nothing(self) -> None:
        got = standing([series([1] * 2, known_at=T0)], SlotGrid(T0, 60, 2), np.array([to_us(hours(1))]), 3)
        assert got.values[0, 0] == 1
        assert np.isnan(got.values[0, 1:]).all()

    def test_newer_without_quantiles_takes_those_of_older_away(self) -> None:
        old = series([1] * 2, known_at=T0, quantiles={0.9: np.array([2.0, 2.0])})
        got = standing(
            [old, series([5], start=T0, known_at=T0 + HOUR / 2)],
            SlotGrid(T0, 60, 2),
            np.array([to_us(T0 - HOUR), to_us(T0)]),
            2,
        )
        assert np.isnan(got.values[0]).all()
        assert got.quantiles[0.9][1].tolist() == [2, 2]

    def test_moments_are_whole(self) -> None:
        assert moments(HOUR_US // 2, 3 * HOUR_US, HOUR_US).tolist() == [HOUR_US, 2 * HOUR_US]


class TestSignificance:
    """Diebold-Mariano and the bootstrap."""

    def test_by_hand(self) -> None:
        d = np.array([1.0, -2, 3, 0, 2, -1, 2, 1, -1, 3, 0, 1, 2, -1, 1, 0])
        n, mean = 16, d.mean()
        e = d - mean
        lags = math.floor(4 * (16 / 100) ** (2 / 9))
        assert lags == 2
        g = [(e[k:] * e[: n - k]).sum() / n for k in range(3)]
        v = g[0] + 2 * (2 / 3 * g[1] + 1 / 3 * g[2])
        h = 3
        by_hand = mean / math.sqrt(v / n) * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
        got = diebold_mariano(d, np.zeros(16))
        assert got.statistic == pytest.approx(by_hand)
        assert got.mean_difference == mean
        from scipy.stats import t

        assert got.p_value == pytest.approx(2 * t.sf(by_hand, 15))

    @given(arrays(float, (2, 30), elements=FINITE), st.integers(1, 8))
    def test_antisymmetric(self, losses, overlap) -> None:
        a, b = (
            diebold_mariano(*losses, overlap_days=overlap),
            diebold_mariano(*losses[::-1], overlap_days=overlap),
        )
        assert a.mean_difference == pytest.approx(-b.mean_difference)
        assert (a.statistic is None) == (b.statistic is None)
        assert a.statistic is None or a.statistic == pytest.approx(-b.statistic)
        assert a.p_value == pytest.approx(b.p_value)
        assert 0 <= a.p_value <= 1

    def test_the_same_forecast_is_not_better_and_a_constant_difference_is_sure(self) -> None:
        same = diebold_mariano(np.arange(20.0), np.arange(20.0))
        assert (same.statistic, same.p_value) == (0, 1)
        sure = diebold_mariano(np.arange(20.0) - 1, np.arange(20.0))
        assert (sure.mean_difference, sure.statistic, sure.p_value) == (-1, None, 0)

    def test_few_days_say_nothing(self) -> None:
        assert diebold_mariano(np.ones(13), np.zeros(13)) is None
        assert bootstrap(np.ones((13, 1)), lambda s: s[:, 0]) is None

    def test_alike_forecasts_are_rarely_told_apart(self) -> None:
        """At 5 %, about 5 % of tests of two forecasts that are alike; with correlated days, too."""
        rng = np.random.default_rng(11)
        found = 0
        for _ in range(400):
            e = rng.normal(size=121)
            found += diebold_mariano(e[1:] + 0.5 * e[:-1], np.zeros(120)).p_value < 0.05
        assert 4 <= found <= 44

    def test_bootstrap_is_seeded_and_holds_the_mean(self) -> None:
        days = np.stack([np.random.default_rng(2).normal(3, 1, 60), np.ones(60)], axis=1)

        def mean(s):
            return s[:, 0] / s[:, 1]

        low, high = bootstrap(days, mean, seed=4)
        assert (low, high) == bootstrap(days, mean, seed=4)
        assert (low, high) != bootstrap(days, mean, seed=5)
        assert low < days[:, 0].mean() < high
        assert high - low == pytest.approx(2 * 1.645 / math.sqrt(60), rel=0.5)


class TestReport:
    """A source as a whole, and two beside each other."""

    def test_by_lead_and_hour(self) -> None:
        meter, said, actual = world()
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        got = score(said, known)
        assert [(p.from_h, p.to_h) for p in got.by_lead] == [(0, 1), (1, 6), (6, 12), (12, 24), (24, 48)]
        assert sum(p.point.n for p in got.by_lead) == got.overall.point.n == 26 * 48
        assert sum(h.point.n for h in got.by_hour) == got.overall.point.n
        assert got.overall.point.mae == pytest.approx(20 * math.sqrt(2 / math.pi), rel=0.1)
        assert got.overall.crps == got.overall.point.mae
        assert got.overall.point.rmae < 1
        assert got.against_persistence.mean_difference < 0
        assert got.against_persistence.p_value < 0.05
        assert got.vintages == 26
        assert got.outcomes_of == "meter"

    def test_availability_falls_with_what_was_not_said_so_early(self) -> None:
        meter, said, actual = world(12)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        whole = {p.from_h: p.availability for p in score(said, known).by_lead}
        assert whole[0] < 1  # two days at the end of which nothing was said any more
        gappy = [s for s in said if s.known_at not in {hours(24 * 4), hours(24 * 5)}]
        part = {p.from_h: p.availability for p in score(gappy, known).by_lead}
        assert all(part[h] < whole[h] for h in (0, 1, 6))

    def test_nothing_to_score_is_none(self) -> None:
        meter, said, _ = world(5)
        assert score(meter, Known.of(meter, SlotGrid(T0, 60, 120))) is None
        assert score(said, Known.of([], SlotGrid(T0, 60, 120))) is None

    def test_to_dict_is_json(self) -> None:
        import json

        meter, said, actual = world(8)
        text = json.dumps(
            to_dict(score(said, Known.of(meter, SlotGrid(T0, 60, len(actual))))), allow_nan=False
        )
        assert json.loads(text)["signal"] == "price"
        assert '"start": "2026-01-12T00:00:00Z"' in text

    def test_the_better_of_two_is_found_and_the_worse_is_not(self) -> None:
        meter, good, actual = world(60, noise=15)
        _, bad, _ = world(60, noise=60, source="other")
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        got, back = compare(good, bad, known), compare(bad, good, known)
        assert (got.overall.better, back.overall.better) == ("first", "second")
        assert (got.better_decisions, back.better_decisions) == ("first", "second")
        assert got.captured_first == back.captured_second
        assert got.overall.mae_first == pytest.approx(back.overall.mae_second)
        assert got.captured_first - got.captured_second == pytest.approx(
            (got.captured_low + got.captured_high) / 2, abs=0.1
        )
        assert sum(b.n for b in got.by_lead) == got.overall.n

    def test_two_that_are_alike_are_not_told_apart(self) -> None:
        meter, one_, actual = world(40, noise=30)
        rng = np.random.default_rng(99)
        other = [
            series(
                actual[24 * d : 24 * d + 48] + rng.normal(0, 30, 48),
                start=hours(24 * d),
                known_at=hours(24 * d),
                source="other",
            )
            for d in range(2, 38)
        ]
        got = compare(one_, other, Known.of(meter, SlotGrid(T0, 60, len(actual))))
        assert got.overall.better == "neither"
        assert got.better_decisions == "neither"

    def test_of_a_few_days_nothing_is_told_and_that_is_said(self) -> None:
        """That nothing was tested is another matter than that nothing was found."""
        meter, said, actual = world(60, noise=15)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        worse = [
            replace(
                s, source="worse", values=s.values + 40, quantiles={0.1: s.values - 1, 0.9: s.values + 90}
            )
            for s in said
        ]
        said = [replace(s, quantiles={0.1: s.values - 20, 0.9: s.values + 20}) for s in said]
        few = compare(said[:8], worse[:8], known)
        assert few.overall.test is None
        assert {few.overall.better, few.better_decisions, few.bands.better} == {"too few"}
        assert {b.better for b in few.by_lead} == {"too few"}
        many = compare(said, worse, known)
        assert (many.overall.better, many.better_decisions, many.bands.better) == (
            "first",
            "neither",
            "first",
        )

    def test_two_that_differ_in_their_quantiles_alone_are_told_apart_by_them(self) -> None:
        """As a setting that moves nothing but bands is."""
        meter, said, actual = world(60, noise=15)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))

        def banded(source: str, width: float) -> list[ForecastSeries]:
            return [
                replace(s, source=source, quantiles={0.05: s.values - width, 0.95: s.values + width})
                for s in said
            ]

        got = compare(banded("honest", 25), banded("timid", 200), known)
        assert (got.overall.better, got.better_decisions) == ("neither", "neither")
        assert got.bands.better == "first"
        assert got.bands.crps_first < got.bands.crps_second
        assert got.bands.n == got.overall.n
        assert compare(banded("honest", 25), banded("too", 25), known).bands.better == "neither"
        assert compare(banded("honest", 25), said, known).bands is None, "one of them gives none"

    def test_quantiles_of_one_distribution_are_alike_whatever_their_levels(self) -> None:
        """Fewer levels tell less of it, which makes neither's quantiles the worse."""
        from scipy.special import ndtri

        sigma = 20.0
        meter, said, actual = world(60, noise=sigma)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))

        def exact(source: str, *levels: float) -> list[ForecastSeries]:
            return [
                replace(s, source=source, quantiles={p: s.values + sigma * ndtri(p) for p in levels})
                for s in said
            ]

        two, six = exact("vendor", 0.1, 0.9), exact("ours", 0.05, 0.1, 0.25, 0.75, 0.9, 0.95)
        for got in (compare(two, six, known), compare(six, two, known)):
            assert got.bands.better == "neither"
            assert got.bands.n == got.overall.n
            assert got.bands.crps_first == pytest.approx(got.bands.crps_second)
        apart = exact("apart", 0.2, 0.8)
        assert compare(two, apart, known).bands is None, "there is nothing to hold against each other"
        for levels in ((0.9,), (0.5,), (0.75, 0.9, 0.95)):
            few = exact("few", *levels)
            assert compare(few, six, known).bands is None, (
                "of one side alone, a CRPS does not pay to be honest"
            )
        lopsided = compare(exact("lopsided", 0.1, 0.75, 0.9), six, known)
        assert lopsided.bands.crps_first == pytest.approx(compare(two, six, known).bands.crps_first)

    def test_two_that_share_nothing(self) -> None:
        meter, said, actual = world(20)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        assert compare(said[:2], meter, known) is None


class TestSubject:
    """Who is judged by what."""

    def test_facts_of_another_before_ones_own_last_word(self) -> None:
        meter, said, _ = world(6)
        own = [series([1.0] * 6, known_at=hours(200), source="test")]
        got = from_series("DE-LU", Signal.PRICE, {"meter": meter, "test": [*said, *own]})
        assert got.known["test"].source == "meter"
        assert list(got.forecasts) == ["test"]

    def test_ones_own_last_word_where_nobody_measures(self) -> None:
        said = [series(np.arange(48.0), start=hours(24 * d - 24), known_at=hours(24 * d)) for d in range(4)]
        got = from_series("DE-LU", Signal.PRICE, {"test": said})
        assert got.known["test"].source == "test"
        assert from_series("DE-LU", Signal.PRICE, {"test": [series([1], known_at=T0)]}).unjudged == ("test",)

    def test_another_unit_or_basis_judges_nothing(self) -> None:
        _, said, _ = world(6)
        dollars = measured([1.0] * 100, source="meter", unit="USD/MWh")
        assert from_series("DE-LU", Signal.PRICE, {"meter": dollars, "test": said}).unjudged == ("test",)
        with pytest.raises(InputError, match="USD/MWh"):
            from_series("DE-LU", Signal.PRICE, {"meter": dollars, "test": said}, outcomes_of="meter")
        marginal = measured([1.0] * 100, source="meter", signal=Signal.CARBON, basis=Basis.MARGINAL)
        carbon = [series([1.0] * 24, known_at=T0, signal=Signal.CARBON)]
        assert from_series("DE-LU", Signal.CARBON, {"meter": marginal, "test": carbon}).unjudged == ("test",)

    def test_an_unknown_source_is_named(self) -> None:
        _, said, _ = world(6)
        with pytest.raises(InputError, match=r"nemo says nothing of the price of DE-LU.* There are test"):
            from_series("DE-LU", Signal.PRICE, {"test": said}, sources=["nemo"])

    def test_the_store_gives_the_same_scores_as_the_vintages(self, store: ForecastStore) -> None:
        meter, said, _ = world(10)
        for s in (*meter, *said):
            store.append(s)
        now = hours(24 * 11)
        stored = from_store(store, "DE-LU", Signal.PRICE, since=T0, now=now, slot_minutes=60)
        given_ = from_series("DE-LU", Signal.PRICE, {"meter": meter, "test": said})
        got, expected = (to_dict(score(s.forecasts["test"], s.known["test"])) for s in (stored, given_))
        assert got["outcomes_of"] == "meter"
        assert got["overall"]["point"]["n"] == 6 * 48
        assert got == expected

    def test_the_store_says_nothing_that_was_learnt_later(self, store: ForecastStore) -> None:
        meter, said, _ = world(10)
        for s in (*meter, *said):
            store.append(s)
        now = hours(24 * 5)
        got = from_store(store, "DE-LU", Signal.PRICE, since=T0, now=now, slot_minutes=60)
        assert all(s.known_at <= now for s in got.forecasts["test"])
        known = got.known["test"]
        told = known.known_us != NEVER
        assert (known.known_us[told] <= to_us(now)).all()
        assert np.isfinite(known.values[told]).all()

    def test_a_store_of_one_source_that_repeats_what_was_over(self, store: ForecastStore) -> None:
        rng = np.random.default_rng(0)
        truth = rng.normal(50, 10, 24 * 8)
        for h in range(24, 24 * 6, 6):
            past, ahead = truth[h - 24 : h], truth[h : h + 24] + rng.normal(0, 5, 24)
            store.append(series([*past, *ahead], start=hours(h - 24), known_at=hours(h)))
        got = from_store(store, "DE-LU", Signal.PRICE, since=hours(24), now=hours(24 * 6), slot_minutes=60)
        s = score(got.forecasts["test"], got.known["test"])
        assert s.outcomes_of == "test"
        assert s.overall.point.mae == pytest.approx(5 * math.sqrt(2 / math.pi), rel=0.15)

    def test_the_slot_is_that_of_the_forecasts(self) -> None:
        assert step_minutes([series([1, 2], step_minutes=15)]) == 15
        assert step_minutes([series([1, 2], step_minutes=120)]) == 60
        assert grid_of([series([1, 2], step_minutes=15)], 30).n_slots == 1

    def test_decisions_of_a_store_that_knows_little(self) -> None:
        meter, said, actual = world(4)
        known = Known.of(meter, SlotGrid(T0, 60, len(actual)))
        stood = standing(said[:1], known.grid, np.array([to_us(T0 + timedelta(days=3, hours=23))]), 24)
        got = decision_scores(windows(stood, known, 24), Job(), 4)
        assert (got.origins, got.left_out, got.captured) == (0, 1, None)
