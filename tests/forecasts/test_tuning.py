"""Tuning: what is better is found and told from luck, and what judges is never looked at by what chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import InputError
from forecasts.gain import gain
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.replay import Replay
from forecasts.replayed import Belief, beliefs
from forecasts.scores.probabilistic import crps
from forecasts.series import ForecastSeries, Signal
from forecasts.slots import Floats
from forecasts.trials import Parts, divide
from forecasts.tuning import Believe, Tuning, tune
from forecasts.worlds import Worlds
from tests.forecasts.world import START, exactly, forecasts, grid_days, measured, noisy

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAYS = 62
TRUTH = grid_days(DAYS, seed=3)
RATES = {"adapt_rate": (0.005, 0.02, 0.05, 0.1)}
HOW: dict[str, Any] = {"back": 45 * DAY, "every": DAY, "ahead": DAY}


def world(noise: float = 60.0) -> list[ForecastSeries]:
    return [*measured(TRUTH), *forecasts(TRUTH, noisy(noise), reach_h=36, every_h=24)]


def parts_of(vintages: Sequence[ForecastSeries], **more: Any) -> list[Parts]:
    return divide(vintages, [(vintages[0].zone, Signal.CARBON)], **{**HOW, **more})


@cache
def simple() -> list[Parts]:
    return parts_of([*measured(TRUTH), *forecasts(TRUTH, exactly, reach_h=36, every_h=24)])


def came(replay: Replay) -> list[Floats]:
    first = [(t - START) // HOUR for t in replay.origins]
    return [TRUTH[i : i + replay.ahead] for i in first]


def as_if(size: Any, seed: int = 0) -> Believe:
    """What came and noise upon it, as large as `size` of the rules says, with bands that are as wide."""

    def believe(replay: Replay) -> list[Belief]:
        # Apart for all rules and both parts: what one says tells nothing of the other.
        rng = np.random.default_rng([seed, round(1e4 * replay.rules.adapt_rate), len(replay.origins)])
        s = size(replay.rules)
        said = [part + rng.normal(0, s, len(part)) for part in came(replay)]
        return [Belief(v, {0.1: v - 1.28 * s, 0.5: v, 0.9: v + 1.28 * s}, v) for v in said]

    return believe


def test_zones_each_with_sources_of_its_own() -> None:
    here = world()
    there = [replace(s, zone="GB", source=f"{s.source} of GB") for s in here]
    order = sorted({s.source for s in (*here, *there)})
    wanted = [(here[0].zone, Signal.CARBON), ("GB", Signal.CARBON)]
    both = divide([*here, *there], wanted, order=order, **HOW)
    assert [(p.choosing.zone, p.judging.zone) for p in both] == [(zone, zone) for zone, _ in wanted]
    for parts, vintages in zip(both, (here, there), strict=True):
        assert set(parts.choosing.order) <= {s.source for s in vintages}


def test_what_is_better_is_found_and_told_from_luck() -> None:
    found = tune(simple(), as_if(lambda rules: 7.0 if rules.adapt_rate == 0.05 else 10.0), grid=RATES)
    assert found.chosen == replace(BY_DEFAULT, adapt_rate=0.05)
    assert found.suggests
    assert found.judged is not None
    assert found.judged.gain.ratio == pytest.approx(-0.3, abs=0.05)
    assert found.verdict.startswith("change adapt_rate from 0.02 to 0.05: CRPS 3")
    assert found.verdict.endswith("% lower on 15 days it was not chosen by, more than noise (p < 0.001)")


def test_the_score_is_the_crps_of_what_was_planned_by_each_day_alike() -> None:
    believe = as_if(lambda _: 10.0)
    [parts] = simple()
    found = tune([parts], believe, grid={})
    daily = []
    last = parts.judging.origins[0]
    for origin, belief, truth in zip(
        parts.choosing.origins, believe(parts.choosing), came(parts.choosing), strict=True
    ):
        n = min(24, (last - origin) // HOUR - 1)  # what is measured is known some hours after
        daily.append(crps(belief.quantiles, truth)[:n].mean())
    assert found.tried[0].crps[0] == pytest.approx(np.mean(daily), rel=0.02)


def test_luck_is_not_suggested() -> None:
    found = [tune(simple(), as_if(lambda _: 10.0, seed), grid=RATES) for seed in range(20)]
    assert sum(one.suggests for one in found) <= 2
    # It was chosen often, and was better again where it judges as often as not.
    lucky = [one.judged.gain.ratio for one in found if one.judged is not None]
    assert len(lucky) > 5
    assert min(lucky) < 0 < max(lucky)


def test_what_is_better_by_next_to_nothing_is_not_even_chosen() -> None:
    def believe(replay: Replay) -> list[Belief]:
        away = 10.0 if replay.rules.adapt_rate == 0.02 else 9.99
        return [Belief(part + away, {}, part) for part in came(replay)]

    found = tune(simple(), believe, grid=RATES)
    assert found.chosen == BY_DEFAULT
    assert found.judged is None
    assert found.verdict == "keep: nothing else did better by 0.2 % on the 30 days that choose"


def test_of_what_does_as_well_the_least_changed_is_chosen() -> None:
    """The way there led by another rule, without which it is as good."""
    sizes = {(0.02, 60): 10.0, (0.05, 60): 8.5, (0.05, 30): 8.0, (0.02, 30): 8.005}

    def believe(replay: Replay) -> list[Belief]:
        size = sizes[replay.rules.adapt_rate, replay.rules.past_days]
        rng = np.random.default_rng(len(replay.origins))
        said = [part + size * rng.normal(size=len(part)) for part in came(replay)]
        return [Belief(v, {0.1: v - 1.28 * size, 0.5: v, 0.9: v + 1.28 * size}, v) for v in said]

    found = tune(simple(), believe, grid={"adapt_rate": (0.02, 0.05), "past_days": (60, 30)})
    assert {(t.rules.adapt_rate, t.rules.past_days) for t in found.tried} == set(sizes)
    assert found.chosen == replace(BY_DEFAULT, past_days=30)
    assert found.suggests


def test_what_errs_less_and_decides_worse_is_not_suggested() -> None:
    def believe(replay: Replay) -> list[Belief]:
        if replay.rules.weigh_sources:
            return [Belief(part + 90.0, {}, part) for part in came(replay)]
        upside_down = [part.mean() - 0.01 * (part - part.mean()) for part in came(replay)]
        return [Belief(v, {}, v) for v in upside_down]

    found = tune(simple(), believe, grid={"weigh_sources": (True, False)})
    assert found.judged is not None
    assert found.judged.gain.is_sure
    assert found.judged.replays[0].captured.is_worse
    assert not found.suggests
    assert found.verdict.startswith("keep: weigh_sources from true to false has CRPS")
    assert found.verdict.endswith("but a job that decides by it saves less")


def test_several_signals_count_alike_whatever_their_unit() -> None:
    """A tenth of a large signal's error is worth no more than a tenth of a small one's."""
    [parts] = simple()

    def believe(replay: Replay) -> list[Belief]:
        scale = 100.0 if replay.signal is Signal.PRICE else 1.0
        better = replay.rules.adapt_rate == 0.05
        away = scale * (10.0 - 4.0 * better if replay.signal is Signal.CARBON else 10.0 + 2.0 * better)
        return [Belief(part + away, {}, part) for part in came(replay)]

    other = Parts(*(replace(r, signal=Signal.PRICE) for r in (parts.choosing, parts.judging)))
    found = tune([parts, other], believe, grid=RATES)
    assert found.judged is not None
    assert found.judged.gain.ratio == pytest.approx((-0.4 + 0.2) / 2)
    assert [one.gain.ratio for one in found.judged.replays] == pytest.approx([-0.4, 0.2])


def _tuned(vintages: Sequence[ForecastSeries]) -> Tuning:
    parts = parts_of(vintages)
    with Worlds([r for p in parts for r in (p.choosing, p.judging)]) as worlds:
        return tune(
            parts,
            worlds.believed,
            present=Learning(weigh_sources=False),
            grid={"weigh_sources": (False, True)},
        )


def test_a_poor_source_that_speaks_alone_is_found_out_and_what_judges_is_not_looked_at() -> None:
    found = _tuned(world())
    assert found.chosen.weigh_sources
    assert found.suggests
    assert found.judged is not None
    assert found.judged.gain.ratio < -0.3

    [parts] = parts_of(world())
    cut = parts.judging.origins[0]
    otherwise = [s if s.known_at <= cut else replace(s, values=1000 - s.values[::-1]) for s in world()]
    assert any(s.known_at > cut for s in otherwise)
    changed = _tuned(otherwise)
    assert changed.tried == found.tried
    assert changed.chosen == found.chosen
    assert changed.judged != found.judged


def test_what_chooses_ends_where_what_judges_begins() -> None:
    [parts] = parts_of(world(), every=18 * HOUR)
    first = parts.judging.origins[0]
    cut = first.replace(hour=0)
    assert max(parts.choosing.origins) < cut <= first
    assert all(s.known_at <= cut for s in parts.choosing.vintages)
    known = parts.choosing.known
    spoken = np.flatnonzero(np.isfinite(known.values))
    assert known.grid.edges[int(spoken[-1]) + 1] <= cut
    whole = [*parts.choosing.origins, *parts.judging.origins]
    assert np.diff(np.array([t.timestamp() for t in whole])).tolist() == [18 * 3600.0] * (len(whole) - 1)
    assert len(parts.choosing.origins) == pytest.approx(2 * len(parts.judging.origins), abs=2)


def test_a_source_that_came_later_is_no_reason_to_stop() -> None:
    late = forecasts(TRUTH, noisy(5.0), reach_h=36, every_h=24, source="late")
    late = [s for s in late if s.known_at >= START + 55 * DAY]
    [parts] = parts_of([*world(), *late], order=["late", "told"])
    assert parts.choosing.sources == ["told"]
    assert parts.judging.sources == ["late", "told"]


def test_too_few_days_are_told() -> None:
    with pytest.raises(InputError, match="13 days would choose and 7 judge, and it takes 14 of each"):
        parts_of(world(), back=20 * DAY)


def test_by_other_rules_and_other_processes_it_is_what_a_replay_says() -> None:
    [parts] = parts_of(world())
    short = replace(parts.judging, origins=parts.judging.origins[:5])
    other = replace(short, rules=Learning(adapt_rate=0.1, weigh_sources=False, past_days=20))
    with Worlds([short]) as one, Worlds([short], workers=2) as two:
        for replay in (short, other, short):
            expected = beliefs(replay)
            for worlds in (one, two):
                assert _same(worlds.believed(replay), expected)
    assert not _same(beliefs(other), beliefs(short))


def _same(some: Sequence[Belief], others: Sequence[Belief]) -> bool:
    return all(
        np.array_equal(a.planned, b.planned, equal_nan=True)
        and a.quantiles.keys() == b.quantiles.keys()
        and all(np.array_equal(a.quantiles[p], b.quantiles[p], equal_nan=True) for p in a.quantiles)
        for a, b in zip(some, others, strict=True)
    )


def test_it_is_told_how_far_it_is() -> None:
    [parts] = parts_of(world())
    short = replace(parts.judging, origins=parts.judging.origins[:3])
    told: list[int] = []
    with Worlds([short], told=told.append) as worlds:
        worlds.believed(short)
    assert told == [1, 1, 1]


losses = st.lists(st.floats(0.1, 100.0), min_size=14, max_size=40)


@given(losses, st.floats(0.2, 3.0))
def test_a_gain_is_a_share_of_what_is_lost_now(some: list[float], factor: float) -> None:
    present = np.array(some)
    found = gain(factor * present, present)
    assert found.ratio == pytest.approx(factor - 1)
    assert found.low == pytest.approx(factor - 1)
    assert found.high == pytest.approx(factor - 1)
    assert found.n_days == len(some)


@given(losses)
def test_nothing_is_gained_by_what_loses_the_same(some: list[float]) -> None:
    found = gain(np.array(some), np.array(some))
    assert (found.ratio, found.p_value, found.is_sure) == (0.0, 1.0, False)


def test_of_a_few_days_nothing_is_sure() -> None:
    found = gain(np.full(13, 1.0), np.full(13, 2.0))
    assert (found.ratio, found.low, found.p_value) == (-0.5, None, None)
    assert not found.is_sure
    assert found.words.endswith("too few to tell it from noise (it takes 14)")
    assert gain(np.zeros(20), np.zeros(20)).ratio == 0.0
