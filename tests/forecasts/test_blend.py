"""Weights that outcomes teach: what holds of them whatever is said and whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasts.blend import Blended, blend, combine
from forecasts.slots import Floats

CONSTANT = np.sqrt(2) / (np.sqrt(2) - 1)
"""C of the bound. The regret of BOA with rates that adapt (Wintenberger 2017) is of the form

    sum r_k <= C sqrt(log K) sqrt(sum r_k^2)  and terms of the size of log K and log log T

against each member k, where we take for C what rates that are found by halving cost, sqrt 2 / (sqrt 2 - 1). Where what
is said and what comes lie within [-1, 1], no r is beyond 2: the mean regret is at most 2 C sqrt(log K / T), and the
small terms over T.
"""

finite = st.floats(-1, 1, width=32)
maybe = finite | st.just(np.nan)


@st.composite
def rounds(draw: st.DrawFn, *, silent: bool) -> tuple[Floats, Floats, Floats]:
    """Members, outcomes and a prior."""
    shape = tuple(draw(st.integers(1, most)) for most in (4, 12, 3, 3))
    members = draw(arrays(float, shape, elements=maybe if silent else finite))
    outcomes = draw(arrays(float, shape[1:], elements=maybe if silent else finite))
    prior = draw(arrays(float, shape[0], elements=st.floats(0.01, 1)))
    return members, outcomes, prior


def losses(taught: Blended, members: Floats, outcomes: Floats) -> tuple[float, Floats]:
    """Mean absolute loss of what was combined, and of each member."""
    each = np.nanmean(np.abs(members - outcomes), axis=tuple(range(1, members.ndim)))
    return float(np.nanmean(np.abs(taught.combined - outcomes))), each


@settings(deadline=None)
@given(rounds(silent=True))
def test_weights_are_shares(world: tuple[Floats, Floats, Floats]) -> None:
    members, outcomes, prior = world
    taught = blend(members, outcomes, prior)
    assert taught.weights.shape == (members.shape[2], members.shape[0])
    assert (taught.weights >= 0).all()
    np.testing.assert_allclose(taught.weights.sum(axis=1), 1.0)
    # Somebody is heard wherever anybody speaks, and nobody goes beyond what was said.
    speaks = np.isfinite(members).any(axis=0)
    np.testing.assert_array_equal(np.isfinite(taught.combined), speaks)
    low, high = (np.where(np.isfinite(members), members, fill) for fill in (np.inf, -np.inf))
    assert (taught.combined[speaks] >= low.min(axis=0)[speaks] - 1e-9).all()
    assert (taught.combined[speaks] <= high.max(axis=0)[speaks] + 1e-9).all()


def check_regret(members: Floats, outcomes: Floats) -> None:
    k, t = members.shape[:2]
    taught = blend(members, outcomes, np.ones(k))
    ours, each = losses(taught, members, outcomes)
    small = 2 * (np.log(k) + 2 * np.log(1 + np.log(t + 1)) + 2) / t
    assert ours - each.min() <= 2 * CONSTANT * np.sqrt(np.log(k) / t) + small


@settings(deadline=None, max_examples=60)
@given(
    arrays(float, st.tuples(st.integers(2, 5), st.integers(30, 80), st.just(1), st.just(2)), elements=finite),
    st.data(),
)
def test_regret_is_bounded_whatever_comes(members: Floats, data: st.DataObject) -> None:
    check_regret(members, data.draw(arrays(float, members.shape[1:], elements=finite)))


@pytest.mark.parametrize("k", [2, 5, 20])
@pytest.mark.parametrize("wrong_ratio", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(2))
def test_regret_is_bounded_where_the_others_oppose_the_best(k: int, wrong_ratio: float, seed: int) -> None:
    rng, t = np.random.default_rng(seed), 500
    outcomes = np.sign(rng.normal(size=(t, 1, 1)))
    best = np.where(rng.random((t, 1, 1)) < wrong_ratio, -outcomes, outcomes)
    members = np.concatenate([best[None], np.repeat(-best[None], k - 1, axis=0)])
    # Equal shares would cost more than the bound allows: it can fail.
    equal = np.abs(members.mean(axis=0) - outcomes).mean() - np.abs(best - outcomes).mean()
    assert equal > 2 * CONSTANT * np.sqrt(np.log(k) / t) + 0.05
    check_regret(members, outcomes)
    assert blend(members, outcomes, np.ones(k)).weights[0, 0] > 0.99


def test_a_clear_best_is_found_fast() -> None:
    rng = np.random.default_rng(0)
    outcomes = rng.normal(size=(60, 1, 6))
    members = outcomes + rng.normal(size=(3, 60, 1, 6)) * np.array([0.1, 1, 3])[:, None, None, None]
    taught = blend(members, outcomes, np.ones(3))
    assert taught.weights[0, 0] > 0.9
    assert taught.weights[0, 2] < 0.01
    ours, each = losses(taught, members, outcomes)
    assert ours < each.min() + 0.1


def test_two_that_err_apart_are_better_together() -> None:
    rng = np.random.default_rng(1)
    outcomes = rng.normal(size=(500, 1, 1))
    members = outcomes + rng.normal(size=(2, 500, 1, 1))
    ours, each = losses(blend(members, outcomes, np.ones(2)), members, outcomes)
    assert ours < 0.85 * each.min()


@settings(deadline=None, max_examples=50)
@given(rounds(silent=False))
def test_against_the_formulas_of_one_lead_time(world: tuple[Floats, Floats, Floats]) -> None:
    members, outcomes, prior = world
    k = len(members)
    share = prior / prior.sum()
    weights, regrets, gains = share, np.empty((0, k)), np.zeros(k)
    for said, came in zip(members[:, :, 0].transpose(1, 0, 2), outcomes[:, 0], strict=True):
        combined = weights @ said
        losses_ = (np.sign(combined - came) * said).mean(axis=1)
        r = weights @ losses_ - losses_
        regrets = np.vstack([regrets, r])
        met = np.abs(regrets).max(axis=0) > 1e-12
        if not met.all():  # alike to rounding: rates of nothing
            return
        eta = np.minimum(
            1 / (2 * np.abs(regrets).max(axis=0)), np.sqrt(np.log(max(k, 2)) / (regrets**2).sum(axis=0))
        )
        gains = gains + r - eta * r**2
        weights = share * eta * np.exp(eta * gains)
        weights = weights / weights.sum()
    np.testing.assert_allclose(blend(members, outcomes, prior).weights[0], weights, atol=1e-6)


@settings(deadline=None)
@given(rounds(silent=True), st.integers(1, 4))
def test_equal_members_together_are_that_member(world: tuple[Floats, Floats, Floats], k: int) -> None:
    members, outcomes, _ = world
    taught = blend(np.repeat(members[:1], k, axis=0), outcomes, np.ones(k))
    np.testing.assert_allclose(taught.combined, members[0], atol=1e-12)


class TestSilence:
    @settings(deadline=None)
    @given(rounds(silent=False), st.lists(st.booleans(), min_size=12, max_size=12))
    def test_rounds_of_silence_leave_the_others_as_they_are(
        self, world: tuple[Floats, Floats, Floats], silent: list[bool]
    ) -> None:
        """A round in which nobody speaks, or of which nothing is known, teaches nothing."""
        members, outcomes, prior = world
        keep = ~np.array(silent[: len(outcomes)])
        quiet, unknown = members.copy(), outcomes.copy()
        quiet[:, ~keep] = np.nan
        unknown[~keep] = np.nan
        a = blend(members[:, keep], outcomes[keep], prior)
        for b in (blend(quiet, outcomes, prior), blend(members, unknown, prior)):
            np.testing.assert_allclose(a.weights, b.weights, rtol=1e-12)
            np.testing.assert_allclose(a.combined, b.combined[keep], rtol=1e-12, atol=1e-12)

    @settings(deadline=None)
    @given(rounds(silent=False), st.floats(0.01, 1))
    def test_who_never_speaks_changes_nothing_between_the_others(
        self, world: tuple[Floats, Floats, Floats], share: float
    ) -> None:
        members, outcomes, prior = world
        if len(members) == 1:  # alone, one and two have the same rate but nothing to learn
            return
        more = np.concatenate([members, np.full_like(members[:1], np.nan)])
        # The rate knows how many there are: silent or not.
        a = blend(np.concatenate([members, members[:1]]), outcomes, np.append(prior, 1e-12))
        b = blend(more, outcomes, np.append(prior, 1e-12))
        # What is right to rounding errs to either side, by the order of a sum.
        assume(not (np.abs(b.combined - outcomes) < 1e-9).any())
        # So does what one gains in one value and loses in the others: its rate is made of the order of a sum.
        gains = np.sign(b.combined - outcomes) * (b.combined - members)
        assume(not ((np.abs(gains.sum(-1)) < 1e-9) & (np.abs(gains).max(-1) > 1e-9)).any())
        np.testing.assert_allclose(a.combined, b.combined, atol=1e-6)
        c = blend(more, outcomes, np.append(prior, share))
        np.testing.assert_allclose(b.combined, c.combined, atol=1e-9)

    def test_it_neither_gains_nor_loses(self) -> None:
        rng = np.random.default_rng(2)
        outcomes = rng.normal(size=(40, 1, 4))
        members = outcomes + rng.normal(size=(3, 40, 1, 4)) * np.array([0.2, 0.2, 2])[:, None, None, None]
        before = blend(members, outcomes, np.ones(3)).weights[0]
        silent = np.concatenate([members, np.full((3, 10, 1, 4), np.nan)], axis=1)
        later = np.concatenate([outcomes, rng.normal(size=(10, 1, 4))])
        silent[0, 40:] = later[40:]  # alone it is what is combined: it has nothing to gain on
        np.testing.assert_allclose(blend(silent, later, np.ones(3)).weights[0], before)

    def test_a_new_member_starts_with_its_prior_share_of_an_even_race(self) -> None:
        rng = np.random.default_rng(3)
        outcomes = rng.normal(size=(40, 1, 4))
        members = np.repeat(outcomes[None], 3, axis=0) + rng.normal(size=(3, 40, 1, 4))
        members[2] = np.nan
        weights = blend(members, outcomes, np.array([1.0, 1.0, 1.0])).weights[0]
        assert 0.15 < weights[2] < 0.5


class TestEach:
    def test_lead_times_learn_on_their_own(self) -> None:
        rng = np.random.default_rng(4)
        outcomes = rng.normal(size=(60, 2, 3))
        good, bad = outcomes, outcomes + rng.normal(size=outcomes.shape) * 2
        members = np.stack(
            [np.stack([good[:, 0], bad[:, 1]], axis=1), np.stack([bad[:, 0], good[:, 1]], axis=1)]
        )
        weights = blend(members, outcomes, np.ones(2)).weights
        assert weights[0, 0] > 0.95
        assert weights[1, 1] > 0.95

    def test_without_outcomes_the_prior_holds(self) -> None:
        members = np.zeros((3, 0, 2, 5))
        taught = blend(members, np.zeros((0, 2, 5)), np.array([2.0, 1.0, 1.0]))
        assert taught.weights.tolist() == [[0.5, 0.25, 0.25]] * 2
        unknown = blend(np.zeros((3, 4, 2, 5)), np.full((4, 2, 5), np.nan), np.array([2.0, 1.0, 1.0]))
        assert unknown.weights.tolist() == [[0.5, 0.25, 0.25]] * 2
        assert (unknown.combined == 0).all()

    @settings(deadline=None, max_examples=30)
    @given(rounds(silent=True), st.integers(0, 11))
    def test_what_was_combined_looks_at_no_outcome_of_its_own_round_nor_later(
        self, world: tuple[Floats, Floats, Floats], t: int
    ) -> None:
        members, outcomes, prior = world
        changed, otherwise = outcomes.copy(), members.copy()
        changed[t:] = 7.0
        otherwise[:, t + 1 :] = -3.0
        a, b = blend(members, outcomes, prior), blend(otherwise, changed, prior)
        np.testing.assert_array_equal(a.combined[: t + 1], b.combined[: t + 1])

    @pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-17, 1e6, 1e150])
    def test_errors_of_any_size(self, size: float) -> None:
        rng = np.random.default_rng(5)
        outcomes = rng.normal(size=(20, 1, 2)) * size
        members = outcomes + rng.normal(size=(2, 20, 1, 2)) * np.array([1, 5])[:, None, None, None] * size
        weights = blend(members, outcomes, np.ones(2)).weights
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)


class TestCombine:
    def test_by_hand(self) -> None:
        members = np.array([[[1.0, 1.0, np.nan, np.nan]], [[3.0, np.nan, 3.0, np.nan]]])
        said = combine(members, np.array([[0.75, 0.25]]))
        np.testing.assert_array_equal(said, [[1.5, 1.0, 3.0, np.nan]])
