"""A store as far as it is heeded: what we said ourselves, and what is on trial, is as if it had never been said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from forecasts.errors import InputError
from forecasts.heeded import CANDIDATE, MODELS_ALONE, OWN, PLANNED_BY, Heeded
from forecasts.history import VintageHistory
from forecasts.scores.compare import compare
from forecasts.scores.subject import from_series, from_store
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.store import ForecastStore
from tests.forecasts.build import HOUR, T0, hours, series

NAMES = ("desk", "wild", "meter", PLANNED_BY, MODELS_ALONE, CANDIDATE)


def stored(vintages: list[ForecastSeries]) -> ForecastStore:
    store = ForecastStore(create_engine("sqlite://"))
    store.create_tables()
    for s in vintages:
        store.append(s)
    return store


@given(
    told=st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 20), st.integers(-10, 20)), min_size=1, max_size=12
    ),
    shadow=st.sets(st.sampled_from(NAMES[:3])),
    at=st.integers(0, 25),
)
def test_it_answers_as_a_store_to_which_the_others_never_spoke(
    told: list[tuple[str, int, int]], shadow: set[str], at: int
) -> None:
    vintages = [
        series(np.arange(6.0) + i, source=name, known_at=hours(known), start=hours(start))
        for i, (name, known, start) in enumerate(told)
    ]
    heard = [s for s in vintages if s.source not in OWN | shadow]
    window = (hours(-24), hours(48))
    alone = VintageHistory(heard).as_of("DE-LU", Signal.PRICE, hours(at), *window)
    for store in (VintageHistory(vintages), stored(vintages)):
        found = Heeded(store, shadow).as_of("DE-LU", Signal.PRICE, hours(at), *window)
        assert [(s.source, s.known_at, s.start[0], s.values.tolist()) for s in found] == [
            (s.source, s.known_at, s.start[0], s.values.tolist()) for s in alone
        ]


def test_not_even_by_name() -> None:
    heeded = Heeded(
        stored([series([1.0] * 6, source=PLANNED_BY), series([2.0] * 6, source="wild")]), {"wild"}
    )
    ask = (Signal.PRICE, T0, T0, hours(6))
    assert heeded.as_of("DE-LU", *ask, sources={PLANNED_BY, "wild"}) == ()


def test_what_we_said_ourselves_is_known_by_name() -> None:
    """Each of them is on record beside sources, and none of them may be one."""
    assert {PLANNED_BY, MODELS_ALONE, CANDIDATE} == OWN


def test_who_spoke_is_told_without_those_who_were_only_refused() -> None:
    store = stored([series([1.0] * 6, source="b"), series([1.0] * 6, source="a"), series([1.0], zone="FR")])
    store.record_rejection(source="c", zone="DE-LU", signal=Signal.PRICE, known_at=T0, reason="a gap")
    assert store.sources("DE-LU", Signal.PRICE) == ("a", "b")
    assert store.sources("DE-LU", Signal.CARBON) == ()


class TestScores:
    """What is our own is never its own outcome: it is judged by what somebody else says came."""

    @pytest.fixture
    def vintages(self) -> list[ForecastSeries]:
        """A desk that repeats what is over, as its last word; and ours, two too high."""
        rng, found = np.random.default_rng(1), []
        truth = rng.normal(300, 30, 24 * 22)
        more: dict[str, Any] = {"signal": Signal.CARBON}
        for d in range(1, 20):
            now = hours(24 * d)
            seen = np.concatenate(
                [truth[24 * (d - 1) : 24 * d], truth[24 * d : 24 * d + 48] + rng.normal(0, 9, 48)]
            )
            found.append(series(seen, source="desk", start=now - 24 * HOUR, known_at=now, **more))
            ours = truth[24 * d : 24 * d + 48] + 2
            found.append(series(ours, source=PLANNED_BY, start=now, known_at=now, kind=Kind.MODEL, **more))
        return found

    def test_by_the_last_word_of_another(self, vintages: list[ForecastSeries]) -> None:
        known = {name: [s for s in vintages if s.source == name] for name in ("desk", PLANNED_BY)}
        of_files = from_series("DE-LU", Signal.CARBON, known, slot_minutes=60)
        of_store = from_store(
            stored(vintages), "DE-LU", Signal.CARBON, since=T0, now=hours(24 * 20), slot_minutes=60
        )
        for found in (of_files, of_store):
            assert found.unjudged == ()
            assert {name: k.source for name, k in found.known.items()} == {"desk": "desk", PLANNED_BY: "desk"}

    def test_a_candidate_is_judged_as_what_is_in_force_and_told_apart_from_it(
        self, vintages: list[ForecastSeries]
    ) -> None:
        tried = [
            replace(s, source=CANDIDATE, values=s.values - 1.5) for s in vintages if s.source == PLANNED_BY
        ]
        found = from_store(
            stored([*vintages, *tried]),
            "DE-LU",
            Signal.CARBON,
            since=T0,
            now=hours(24 * 20),
            slot_minutes=60,
            sources=(PLANNED_BY, CANDIDATE),
        )
        assert {name: k.source for name, k in found.known.items()} == {PLANNED_BY: "desk", CANDIDATE: "desk"}
        got = compare(found.forecasts[PLANNED_BY], found.forecasts[CANDIDATE], found.known[PLANNED_BY])
        assert got is not None
        assert got.overall.mae_first == pytest.approx(2)
        assert got.overall.mae_second == pytest.approx(0.5)
        assert got.overall.better == "second"
        assert got.overall.test is not None
        assert got.overall.test.n_days >= 14

    def test_and_by_nobody_where_there_is_none(self, vintages: list[ForecastSeries]) -> None:
        mine = {PLANNED_BY: [s for s in vintages if s.source == PLANNED_BY]}
        assert from_series("DE-LU", Signal.CARBON, mine, slot_minutes=60).unjudged == (PLANNED_BY,)

    def test_of_another_basis_it_says_nothing(self, vintages: list[ForecastSeries]) -> None:
        told = {
            "desk": [replace(s, basis=Basis.MARGINAL) for s in vintages if s.source == "desk"],
            PLANNED_BY: [s for s in vintages if s.source == PLANNED_BY],
        }
        assert from_series("DE-LU", Signal.CARBON, told, slot_minutes=60).unjudged == (PLANNED_BY,)
        with pytest.raises(InputError):
            from_series("DE-LU", Signal.CARBON, told, slot_minutes=60, outcomes_of="desk")
