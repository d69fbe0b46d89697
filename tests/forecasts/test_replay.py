"""Replays of what would have been believed: no look-ahead, the parts beside the whole, the same by two processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from forecasts import replay as replays
from forecasts.assemble import frame_from_store
from forecasts.errors import InputError
from forecasts.heeded import MODELS_ALONE, PLANNED_BY
from forecasts.history import VintageHistory
from forecasts.known import Knowledge
from forecasts.outlook import make_outlook
from forecasts.outlooks import Outlooks
from forecasts.replay import REPEATED, Replay
from forecasts.replayed import Asked, Belief, Outcome, beliefs, forecasters
from forecasts.scores.cases import standing_cases
from forecasts.scores.decision import Job
from forecasts.scores.report import to_dict
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import SlotGrid
from tests.forecasts.build import HOUR, T0, hours, series

DAYS = 30
CARBON: dict[str, Any] = {"zone": "GB", "signal": Signal.CARBON}
START, END = hours(24 * 25), hours(24 * 27)
"""Four moments, every 12 h."""

# There is a replay of what the tests give, except where one says that there is none.
prepare: Any = replays.prepare


def truth(seed: int = 1) -> np.ndarray:
    """Hourly carbon, dear in the evening, each day at a level of its own."""
    rng = np.random.default_rng(seed)
    hour = np.arange(24 * DAYS) % 24
    days = np.repeat(rng.normal(0, 40, DAYS), 24)
    values: np.ndarray = 300 + 80 * np.cos((hour - 19) / 12 * np.pi) + days + rng.normal(0, 5, 24 * DAYS)
    return values


def measured(values: np.ndarray, **more: Any) -> list[ForecastSeries]:
    """One vintage an hour, known an hour after it was over."""
    return [
        series([v], start=hours(i), known_at=hours(i + 2), kind=Kind.ACTUAL, source="meter", **more)
        for i, v in enumerate(values)
    ]


def said(
    noise: float, *, source: str = "desk", seed: int = 2, reach: int = 48, **more: Any
) -> list[ForecastSeries]:
    """The next `reach` hours, each midnight from the third day on."""
    rng = np.random.default_rng(seed)
    found = []
    for day in range(2, DAYS - 2):
        part = truth()[24 * day : 24 * day + reach]
        values = part + rng.normal(0, noise, len(part))
        found.append(
            series(
                values, start=hours(24 * day), known_at=hours(24 * day), source=source, **{**CARBON, **more}
            )
        )
    return found


def world() -> list[ForecastSeries]:
    return [*measured(truth(), **CARBON), *said(15.0)]


def made(vintages: Sequence[ForecastSeries], **more: Any) -> Replay:
    given: dict[str, Any] = {
        "start": START,
        "end": END,
        "every": 12 * HOUR,
        "ahead": timedelta(hours=72),
        **more,
    }
    found: Replay = prepare(vintages, "GB", Signal.CARBON, **given)
    return found


def same(a: Belief, b: Belief) -> bool:
    return (
        np.array_equal(a.planned, b.planned, equal_nan=True)
        and np.array_equal(a.ours, b.ours, equal_nan=True)
        and a.quantiles.keys() == b.quantiles.keys()
        and all(np.array_equal(a.quantiles[p], b.quantiles[p], equal_nan=True) for p in a.quantiles)
    )


def test_nothing_that_was_learnt_later_is_believed() -> None:
    replay = made(world())
    then = replay.origins[1]
    otherwise = [
        s if s.known_at <= then else replace(s, values=s.values[::-1] * 3 + 100) for s in replay.vintages
    ]
    told, changed = beliefs(replay), beliefs(replace(replay, vintages=otherwise))
    assert [same(a, b) for a, b in zip(told, changed, strict=True)] == [True, True, False, False]


def test_the_future_may_as_well_not_be_there() -> None:
    replay = made(world())
    for origin, belief in zip(replay.origins, beliefs(replay), strict=True):
        known = [s for s in replay.vintages if s.known_at <= origin]
        assert same(belief, Asked(replace(replay, vintages=known)).at(origin))


def test_it_is_what_the_daemon_would_have_planned_by() -> None:
    replay = made(world())
    history = VintageHistory(world())
    outlooks = Outlooks(history)
    for origin, belief in zip(replay.origins, beliefs(replay), strict=True):
        grid = SlotGrid(origin, 60, 72)
        frame = frame_from_store(
            history, grid, as_of=origin, zones=["GB"], currency="EUR", outlooks=outlooks
        ).get("GB", Signal.CARBON)
        assert frame is not None
        assert np.array_equal(belief.planned, frame.values)
        assert np.isfinite(belief.planned).all()
        assert np.array_equal(belief.quantiles[0.9], frame.quantiles[0.9])
        assert np.array_equal(belief.quantiles[0.5], frame.values)


@pytest.mark.parametrize("late", [0, 3])
def test_our_models_say_what_they_said_at_the_last_quarter_of_a_day(late: int) -> None:
    origin = START + late * HOUR
    replay = made(world(), start=origin, end=origin + HOUR)
    [belief] = beliefs(replay)
    outlook: Any = make_outlook(Knowledge(VintageHistory(world())), "GB", Signal.CARBON, START)
    assert np.array_equal(belief.ours, outlook.scale.from_z(outlook.ours)[late : late + 72])
    assert np.isfinite(belief.ours).all()


def test_the_past_repeated_is_the_persistence_of_scores() -> None:
    replay = made(world())
    stood = forecasters(replay, beliefs(replay))
    for rule, name in REPEATED.items():
        cases: Any = standing_cases(stood[name], replay.known, rule="week" if rule == "week" else "day")
        assert len(cases) > 200
        assert np.array_equal(cases.forecast, cases.persistence)
    outcome = Outcome.of(replay, beliefs(replay))
    scores = {s.source: s for s in outcome.scores}
    day, shifter = scores[REPEATED["day"]], scores[PLANNED_BY]
    assert day.overall.point.mae == shifter.overall.point.persistence_mae
    assert day.decision.captured == shifter.decision.persistence_captured
    assert day.overall.point.rmae == scores[REPEATED["week"]].overall.point.rmae == 1


def test_by_two_processes_it_is_the_same_to_the_last_byte() -> None:
    replay = made(world())
    told: list[int] = []
    alone = beliefs(replay)
    spread = beliefs(replay, workers=2, done=told.append)
    assert sum(told) == len(replay.origins) == 4
    texts = [json.dumps(to_dict(Outcome.of(replay, one).summary())) for one in (alone, spread)]
    assert texts[0] == texts[1]
    assert all(same(a, b) for a, b in zip(alone, spread, strict=True))


def test_each_source_is_scored_beside_the_whole_and_its_share_is_told() -> None:
    replay = made(world())
    outcome = Outcome.of(replay, beliefs(replay), job=Job(4, 24))
    assert [s.source for s in outcome.scores] == [PLANNED_BY, MODELS_ALONE, "desk", *REPEATED.values()]
    assert all(s.vintages == 4 for s in outcome.scores)
    assert {s.outcomes_of for s in outcome.scores} == {"meter"}
    scores = {s.source: s for s in outcome.scores}
    whole, desk = scores[PLANNED_BY], scores["desk"]
    assert whole.overall.availability == 1
    # It reaches 48 h at midnight and 36 h at noon, of 72.
    assert desk.overall.availability == pytest.approx((48 + 36) / (72 + 72))
    assert [p.availability for p in desk.by_lead] == [1, 1, 1, 1, pytest.approx(0.75)]
    assert len(whole.by_lead) == 6
    beside = outcome.beside["desk"]
    assert beside.n == desk.overall.point.n
    assert beside.mae_second == desk.overall.point.mae
    assert (whole.overall.point.mae or 0) < (scores[REPEATED["day"]].overall.point.mae or 0)
    assert {round(b.nominal, 2) for b in whole.overall.bands.bands} == {0.5, 0.8, 0.9}


def test_what_is_on_trial_changes_nothing_and_is_scored() -> None:
    trial = said(5.0, source="trial", seed=9)
    without, beside = made(world()), made([*world(), *trial], shadow=["trial"])
    assert all(same(a, b) for a, b in zip(beliefs(without), beliefs(beside), strict=True))
    scores = {s.source: s.overall.point for s in Outcome.of(beside, beliefs(beside)).scores}
    assert (scores["trial"].mae or 99) < (scores["desk"].mae or 0)
    heard = beliefs(made([*world(), *trial]))
    assert not any(same(a, b) for a, b in zip(beliefs(without), heard, strict=True))


def test_only_those_in_order_are_heard_but_facts_are() -> None:
    other = said(5.0, source="other", seed=9)
    alone = made(world())
    chosen = made([*world(), *other], order=["desk"])
    assert chosen.sources == ["desk"]
    assert all(same(a, b) for a, b in zip(beliefs(alone), beliefs(chosen), strict=True))
    assert made([*world(), *other], order=["other", "desk"]).sources == ["other", "desk"]


def test_what_is_cleared_is_no_forecast() -> None:
    price: dict[str, Any] = {"zone": "GB", "signal": Signal.PRICE}
    prices = truth(5) / 4
    cleared = [
        series(
            prices[24 * d : 24 * d + 24],
            start=hours(24 * d),
            known_at=hours(24 * d - 12),
            kind=Kind.CLEARED,
            source="market",
            **price,
        )
        for d in range(DAYS)
    ]
    guesses = said(5.0, **price)
    replay: Replay = prepare(
        [*cleared, *guesses],
        "GB",
        Signal.PRICE,
        start=START + 13 * HOUR,
        end=START + 14 * HOUR,
        ahead=48 * HOUR,
    )
    [belief] = beliefs(replay)
    first = 24 * 25 + 13
    assert np.array_equal(belief.planned[:35], prices[first : first + 35]), "tomorrow is cleared"
    outcome = Outcome.of(replay, [belief])
    leads = standing_cases(outcome.stood[PLANNED_BY], replay.known).lead_h
    assert leads.tolist() == list(range(35, 48))
    assert np.isnan(belief.ours[:35]).all()


def test_what_is_made_up_is_learnt_from_in_a_rehearsal_alone() -> None:
    made_up = [replace(s, kind=Kind.SYNTHETIC) for s in said(15.0)]
    rehearsal = made([*measured(truth(), **CARBON), *made_up])
    assert rehearsal.synthetic
    assert all(s.synthetic for s in Outcome.of(rehearsal, beliefs(rehearsal)).scores)
    assert all(same(a, b) for a, b in zip(beliefs(rehearsal), beliefs(made(world())), strict=True))
    beside = made([*world(), *[replace(s, source="toy", kind=Kind.SYNTHETIC) for s in said(1.0)]])
    assert not beside.synthetic
    kinds = {s.source: s.kind for s in beside.vintages}
    assert kinds["toy"] is Kind.SYNTHETIC


def test_carbon_of_another_basis_is_left_out_and_told() -> None:
    marginal = said(5.0, source="watt", basis=Basis.MARGINAL)
    replay = made([*world(), *marginal], order=["desk", "watt"])
    assert replay.left_out == ("watt",)
    assert replay.basis is Basis.AVERAGE
    assert replay.sources == ["desk"]


def test_prices_are_in_one_currency() -> None:
    price: dict[str, Any] = {"zone": "GB", "signal": Signal.PRICE, "unit": "GBP/MWh"}
    told = [*measured(truth() / 4, **price), *said(5.0, **price)]
    with pytest.raises(InputError, match="GBP"):
        prepare(told, "GB", Signal.PRICE)
    replay: Replay = prepare(told, "GB", Signal.PRICE, fx={"GBP": 2.0})
    assert replay.unit == "EUR/MWh"
    assert np.nanmean(replay.known.values) == pytest.approx(2 * truth()[-24 * 30 :].mean() / 4, rel=0.2)


def test_without_times_it_is_the_last_thirty_days_that_came() -> None:
    replay = prepare(world(), "GB", Signal.CARBON)
    assert replay.origins[-1] == hours(24 * DAYS - 4)
    assert replay.origins[0] == hours(2), "as far back as anything was known"
    assert replay.ahead == 168


def test_facts_alone_are_enough_for_our_models() -> None:
    replay = prepare(measured(truth(), **CARBON), "GB", Signal.CARBON)
    assert replay is not None
    assert replay.sources == []


def test_where_there_is_nothing_to_replay() -> None:
    assert prepare([], "GB", Signal.CARBON) is None
    assert prepare(world(), "GB", Signal.PRICE) is None
    future = series([1, 2, 3], start=hours(24), known_at=T0, source="desk", **CARBON)
    assert prepare([future], "GB", Signal.CARBON) is None, "nothing of it came"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"start": datetime.fromisoformat("2026-02-01T00:30:00Z")}, "whole hours"),
        ({"every": timedelta(minutes=90)}, "1.5 h will not do"),
        ({"ahead": timedelta(days=8)}, "at most 7d"),
        ({"end": START}, "ends before it starts"),
        ({"order": ["nemo"]}, "nemo says nothing of GB"),
        ({"outcomes_of": "nemo"}, "nemo says nothing of GB"),
    ],
)
def test_what_cannot_be_replayed_is_said(more: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as error:
        made(world(), **more)
    assert told in f"{error.value} {error.value.hint}"


@pytest.mark.parametrize("name", [PLANNED_BY, MODELS_ALONE, *REPEATED.values()])
def test_a_source_may_not_be_named_as_what_it_is_compared_with(name: str) -> None:
    with pytest.raises(InputError, match="may not be named"):
        made([*world(), *said(1.0, source=name)])
