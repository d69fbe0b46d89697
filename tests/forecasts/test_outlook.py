"""Outlooks: what was known when, by whom, and how far each is to be believed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.calibrate import PROBABILITIES
from forecasts.history import VintageHistory
from forecasts.known import Knowledge
from forecasts.outlook import HORIZON_DAYS, MIN_DAYS, OURS, Outlook, aged, make_outlook
from forecasts.outlooks import Outlooks, anchor_of
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats
from forecasts.store import ForecastStore
from tests.forecasts.build import HOUR
from tests.forecasts.world import DAY, START, day, exactly, forecasts, grid_days, measured, noisy

PRICE, CARBON = Signal.PRICE, Signal.CARBON
ZONE = "DE-LU"
WAVE = 300 + 80 * np.sin(np.arange(24) / 24 * 2 * np.pi) + 30 * np.cos(np.arange(24) / 6 * 2 * np.pi)
"""A day that repeats."""
EUR: dict[str, Any] = {"signal": PRICE, "basis": None, "unit": "EUR/MWh"}


def looked(
    said: Iterable[ForecastSeries], at: datetime, signal: Signal = CARBON, order: Iterable[str] = ()
) -> Outlook | None:
    return make_outlook(Knowledge(VintageHistory(said)), ZONE, signal, at, tuple(order))


def outlook(*args: Any, **more: Any) -> Outlook:
    made = looked(*args, **more)
    assert made is not None
    return made


def expected(o: Outlook) -> Floats:
    return o.scale.from_z(o.ours)


def content(o: Outlook | None) -> Any:
    """All that an outlook says, to the bit."""
    if o is None:
        return None
    return (
        *(o.unit, o.basis, o.start, o.scale, digest(o.ours), digest(o.errors)),
        *({name: digest(v) for name, v in each.items()} for each in (o.weights, o.bands, o.models)),
    )


def digest(values: Floats) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:8]


class TestWhatIsKnown:
    @pytest.mark.parametrize("late_h", [0, 1, 5, 23, 24, 25, 30, 100])
    @pytest.mark.parametrize("hour", [0, 6])
    def test_it_goes_on_where_outcomes_end(self, late_h: int, hour: int) -> None:
        """Whatever the delay and the time of day: each hour is foreseen at its hour."""
        at = day(30) + hour * HOUR
        o = outlook(measured(np.tile(WAVE, 40), every_h=1, late_h=late_h), at)
        assert o.start == at
        assert o.n_hours == HORIZON_DAYS * 24
        came = WAVE[(hour + np.arange(o.n_hours)) % 24]
        np.testing.assert_allclose(expected(o), came, atol=1)
        # And what would have been foreseen is held against the hours that it was for.
        assert np.isfinite(o.errors[:18]).all()
        assert np.nanmax(np.abs(o.errors)) < 0.05

    @pytest.mark.parametrize("ahead_h", [1, 11, 24, 36, 190])
    def test_what_is_cleared_ahead_is_nothing_to_foresee(self, ahead_h: int) -> None:
        said = measured(np.tile(WAVE, 40), every_h=1, late_h=-ahead_h, kind=Kind.CLEARED, **EUR)
        o = outlook(said, day(30), PRICE)
        assert np.isnan(expected(o)[:ahead_h]).all()
        np.testing.assert_allclose(expected(o)[ahead_h:], WAVE[np.arange(ahead_h, 192) % 24], atol=1)

    def test_where_all_is_cleared_there_is_no_outlook(self) -> None:
        said = measured(np.tile(WAVE, 60), every_h=1, late_h=-300, kind=Kind.CLEARED, **EUR)
        assert looked(said, day(30), PRICE) is None

    @pytest.mark.parametrize(
        ("hours", "made"), [(0, False), (1, False), (167, False), (168, True), (170, True)]
    )
    def test_a_week_is_needed(self, hours: int, made: bool) -> None:
        assert MIN_DAYS == 7
        values = np.tile(WAVE, 10)
        values[: 240 - hours] = np.nan
        assert (looked(measured(values, every_h=1), day(10)) is not None) == made

    @pytest.mark.parametrize(("hours", "made"), [(168, True), (169, False), (800, False)])
    @pytest.mark.parametrize("n_days", [60, 90])
    def test_outcomes_that_ended_long_ago_tell_of_nothing(self, hours: int, made: bool, n_days: int) -> None:
        """As a hole that long in the past ends history, so does one that reaches until now."""
        said = measured(grid_days(n_days), every_h=1)
        o = looked(said, day(n_days) + hours * HOUR)
        assert (o is not None) == made
        if o is not None:
            assert np.isfinite(o.ours).all()

    def test_holes_and_spikes_and_negative_prices(self) -> None:
        values = grid_days(80, level=20)
        values[100:150] = np.nan
        values[-40:-25] = np.nan
        values[-200] = 9000
        values[-10:] -= 150
        o = outlook(measured(values, every_h=1, **EUR), day(80), PRICE)
        assert np.isfinite(o.ours).all()
        assert all(np.isfinite(band).all() for band in o.bands.values())
        assert expected(o).min() < 0
        assert expected(o).max() < 1000

    def test_a_signal_that_never_moves(self) -> None:
        flat = np.full(40 * 24, 250.0)
        o = outlook([*measured(flat), *forecasts(flat, exactly)], day(30))
        np.testing.assert_allclose(expected(o), 250.0, atol=1e-6)
        for band in o.bands.values():
            np.testing.assert_allclose(o.scale.from_z(o.ours + band), 250.0, atol=1e-3)

    def test_what_is_made_up_teaches_nothing(self) -> None:
        made_up = measured(grid_days(40), kind=Kind.SYNTHETIC, source="typical")
        assert looked(made_up, day(30)) is None
        real = measured(np.tile(WAVE, 40))
        assert content(looked([*made_up, *real], day(30))) == content(looked(real, day(30)))

    def test_a_forecast_is_no_outcome_until_it_is_repeated_afterwards(self) -> None:
        ahead = forecasts(np.tile(WAVE, 40), lambda _, values: values + 1)
        assert looked(ahead, day(30)) is None
        again = measured(np.tile(WAVE, 40), kind=Kind.FORECAST, source="told")
        assert looked([*ahead, *again], day(30)) is not None

    def test_what_was_only_said_again_is_no_outcome(self) -> None:
        ahead = forecasts(np.tile(WAVE, 40), exactly)
        again = measured(np.tile(WAVE, 40), kind=Kind.FORECAST, source="told")
        assert looked([*ahead, *again], day(30)) is None, "nobody knows what came"
        assert looked([*ahead, *measured(np.tile(WAVE, 40))], day(30)) is not None

    def test_of_two_units_and_two_bases_the_first_in_order_counts(self) -> None:
        a = measured(np.tile(WAVE, 40), source="a")
        b = measured(np.tile(2 * WAVE, 40), source="b", basis=Basis.MARGINAL)
        for order, basis, factor in ((("a", "b"), Basis.AVERAGE, 1), (("b",), Basis.MARGINAL, 2)):
            o = outlook([*a, *b], day(30), order=order)
            assert o.basis is basis
            np.testing.assert_allclose(expected(o)[:24], factor * WAVE, atol=1)
        usd = measured(np.tile(3 * WAVE, 40), source="usd", **{**EUR, "unit": "USD/MWh"})
        eur = measured(np.tile(WAVE, 40), source="eur", **EUR)
        o = outlook([*usd, *eur], day(30), PRICE, ["usd"])
        assert o.unit == "USD/MWh"
        np.testing.assert_allclose(expected(o)[:24], 3 * WAVE, atol=1)

    def test_the_calendar_of_a_place_is_no_matter(self) -> None:
        """Weeks later, clocks having changed in Europe or America in between, all is the same."""
        values = grid_days(40)
        said = [*measured(values, late_h=1), *forecasts(values, noisy(10))]
        first = outlook(said, day(35))
        for weeks in (10, 40):
            move = np.timedelta64(weeks * 7, "D")
            later = [
                replace(s, start=s.start + move, end=s.end + move, known_at=s.known_at + weeks * 7 * DAY)
                for s in said
            ]
            o = outlook(later, day(35) + weeks * 7 * DAY)
            assert content(replace(o, start=first.start)) == content(first)


class TestWeights:
    @pytest.mark.parametrize("late_h", [0, 1, 7, 30])
    def test_who_is_perfect_has_nearly_all_and_noise_nearly_nothing(self, late_h: int) -> None:
        values = grid_days(50)
        said = [
            *measured(values, late_h=late_h, every_h=1),
            *forecasts(values, exactly, source="perfect"),
            *forecasts(values, noisy(200), source="noise"),
        ]
        o = outlook(said, day(45))
        assert o.weights["perfect"][:48].min() > 0.97
        assert o.weights["noise"][:48].max() < 0.01
        np.testing.assert_allclose(sum(o.weights.values()), 1.0)

    def test_what_the_other_lead_times_are_worth_does_not_matter(self) -> None:
        """One that knows the first day, and nothing of the second."""
        values = grid_days(60)

        def near(_: datetime, came: Floats) -> Floats:
            rng = np.random.default_rng(int(came[0] * 1000))
            return came + np.where(np.arange(48) < 24, 2, 150) * rng.normal(size=48)

        o = outlook([*measured(values), *forecasts(values, near)], day(55))
        assert o.weights["told"][:24].min() > 0.9
        assert o.weights["told"][24:48].max() < 0.1

    def test_for_who_turns_to_noise_what_it_said_before_stands_in_and_a_day_after_it_is_believed_again(
        self,
    ) -> None:
        values, good, rng = grid_days(60), noisy(6), np.random.default_rng(5)

        def turns(moment: datetime, came: Floats) -> Floats:
            said = good(moment, came)
            return 300 + 150 * rng.normal(size=len(came)) if day(45) <= moment < day(46) else said

        said = [*measured(values, late_h=1, every_h=1), *forecasts(values, turns, source="turns")]
        knowledge = Knowledge(VintageHistory(said))

        def made(at: float) -> tuple[int | None, float]:
            """How many days old what it is taken to say is, and its mean error."""
            o = make_outlook(knowledge, ZONE, CARBON, day(at))
            assert o is not None
            assert o.weights["turns"][:48].mean() > 0.8, "noise tells nothing of it in its senses"
            voice = o.voices["turns"]
            reach = np.flatnonzero(np.isfinite(voice.said))
            errors = np.abs(o.scale.from_z(voice.said[reach]) - values[int(at * 24) + reach])
            return voice.age_days, float(errors.mean())

        for at, age_days in ((44.75, 0), (45.0, 1), (45.25, 1), (45.75, 1), (47.0, 0)):
            found, error = made(at)
            assert found == age_days
            assert error < 8

    @pytest.mark.parametrize("ages", [(0, 0), (1, 0), (2, 1), (2, 2)])
    def test_what_is_older_counts_for_less_and_the_others_for_more(self, ages: tuple[int, int]) -> None:
        weights = {OURS: np.linspace(0.1, 0.4, 192), "a": np.full(192, 0.2), "b": np.linspace(0.7, 0.4, 192)}
        got = aged(weights, dict(zip("ab", ages, strict=True)))
        assert sum(got.values()) == pytest.approx(1)
        for name, age in zip("ab", ages, strict=True):
            if age:
                ahead = weights[name][24 * age : 24 * age + 100]
                assert got[name][:100] == pytest.approx(ahead * 0.5**age, rel=1e-9)
        assert (got[OURS] >= weights[OURS] - 1e-12).all()

    def test_ours_has_the_rest_where_it_counted_for_nothing(self) -> None:
        got = aged({OURS: np.zeros(192), "a": np.ones(192)}, {"a": 1})
        assert got[OURS] == pytest.approx(0.5)

    def test_without_a_record_it_has_no_weight_yet(self) -> None:
        values = grid_days(50)
        old = forecasts(values, exactly, source="old")
        new = [s for s in forecasts(values, exactly, source="new") if s.known_at >= day(36)]
        o = outlook([*measured(values), *old, *new], day(45))
        assert set(o.weights) == {OURS, "old"}
        later = outlook([*measured(values), *old, *new], day(47))
        assert set(later.weights) == {OURS, "old", "new"}

    def test_who_fell_silent_takes_no_part(self) -> None:
        values = grid_days(50)
        silent = [s for s in forecasts(values, exactly, source="silent") if s.known_at < day(40)]
        o = outlook([*measured(values), *silent], day(45))
        assert set(o.weights) == {OURS}

    def test_what_was_said_in_another_unit_or_of_another_basis_is_another_thing(self) -> None:
        """A source that told of marginal carbon until lately: what it told then is no record of what it tells now."""
        values = grid_days(60)
        told = forecasts(values, exactly)
        changed = [
            replace(s, basis=Basis.MARGINAL, values=3 * s.values) if s.known_at < day(30) else s for s in told
        ]
        since = [s for s in told if s.known_at >= day(30)]
        a, b = (outlook([*measured(values), *said], day(55), order=["measured"]) for said in (changed, since))
        assert content(a) == content(b)


class TestBands:
    def test_they_hold_what_they_promise(self) -> None:
        """Over three weeks of outlooks, of what came."""
        values = grid_days(110, seed=3)
        said = [*measured(values), *forecasts(values, noisy(15))]
        knowledge = Knowledge(VintageHistory(said))
        below = []
        for n in range(64, 101, 2):
            o = make_outlook(knowledge, ZONE, CARBON, day(n))
            assert o is not None
            z = o.scale.to_z(values[n * 24 : n * 24 + 48])
            (heard,) = [s for s in said if s.source == "told" and s.known_at == day(n)]
            mixed = o.weights[OURS][:48] * o.ours[:48] + o.weights["told"][:48] * o.scale.to_z(heard.values)
            below.append([(z <= mixed + band[:48]).mean() for band in o.bands.values()])
        assert np.mean(below, axis=0) == pytest.approx(PROBABILITIES, abs=0.06)

    def test_they_ascend_and_need_a_record(self) -> None:
        o = outlook(measured(grid_days(60)), day(55))
        assert (np.diff([o.bands[p] for p in PROBABILITIES], axis=0) >= 0).all()
        young = outlook(measured(grid_days(60)), day(9))
        assert all(np.isnan(band).all() for band in young.bands.values())


class TestBeside:
    def world(self, n_days: int = 90) -> tuple[Floats, Floats]:
        """Carbon of which nothing can be foreseen, and a price that follows it."""
        rng = np.random.default_rng(7)
        carbon = 300 + 60 * rng.normal(size=24 * n_days)
        return carbon, carbon / 5 + rng.normal(size=24 * n_days)

    def test_a_forecast_of_carbon_helps_to_foresee_the_price(self) -> None:
        carbon, price = self.world()
        cleared = measured(price, every_h=24, kind=Kind.CLEARED, source="market", **EUR)
        alone = [*cleared, *measured(carbon)]
        told = [*alone, *forecasts(carbon, exactly)]
        came = price[80 * 24 : 82 * 24]
        errors = [
            np.abs(expected(outlook(said, day(80), PRICE))[:48] - came).mean() for said in (alone, told)
        ]
        assert errors[1] < 0.5 * errors[0]

    def test_a_cleared_price_helps_to_foresee_carbon(self) -> None:
        carbon, price = self.world()
        cleared = measured(price, every_h=24, late_h=-36, kind=Kind.CLEARED, source="market", **EUR)
        came = carbon[80 * 24 : 80 * 24 + 12]
        errors = [
            np.abs(expected(outlook(said, day(80)))[:12] - came).mean()
            for said in (measured(carbon), [*cleared, *measured(carbon)])
        ]
        assert errors[1] < 0.5 * errors[0]

    @pytest.mark.parametrize("ended", [20, 60, 78, 79.9])
    def test_another_signal_that_ended(self, ended: float) -> None:
        carbon, price = self.world()
        cleared = measured(price, every_h=24, kind=Kind.CLEARED, source="market", **EUR)
        o = outlook([*cleared, *(s for s in measured(carbon) if s.known_at <= day(ended))], day(80), PRICE)
        assert np.isfinite(o.ours).all()


# One world for the properties below: what is changed in it is known later, or not at all.
VALUES = grid_days(24, seed=9)
SAID = [
    *measured(VALUES, late_h=2),
    *measured(VALUES / 4, every_h=24, late_h=-30, kind=Kind.CLEARED, source="market", **EUR),
    *forecasts(VALUES, noisy(20), source="a"),
    *forecasts(VALUES, noisy(60), source="b"),
    *forecasts(VALUES / 4, noisy(5), source="p", reach_h=96, **EUR),
]


@settings(deadline=None, max_examples=25)
@given(
    at=st.integers(40, 84).map(lambda n: START + 6 * n * HOUR),
    signal=st.sampled_from([PRICE, CARBON]),
    data=st.data(),
)
def test_nothing_known_later_changes_an_outlook(at: datetime, signal: Signal, data: st.DataObject) -> None:
    """Whatever is left out, changed or added of what becomes known after a moment."""
    before = [s for s in SAID if s.known_at <= at]
    after = [s for s in SAID if s.known_at > at]
    kept = data.draw(st.lists(st.sampled_from(after), max_size=12, unique_by=id)) if after else []
    factor = data.draw(st.sampled_from([-3.0, 0.0, 1.0, 50.0]))
    back = data.draw(st.integers(0, 400))
    lies = [
        replace(
            s,
            values=s.values * factor,
            # Of the past too: a correction that comes later.
            start=s.start - np.timedelta64(back, "h"),
            end=s.end - np.timedelta64(back, "h"),
            kind=data.draw(st.sampled_from([s.kind, Kind.ACTUAL])),
            source=data.draw(st.sampled_from([s.source, "late"])),
        )
        for s in kept
    ]
    soonest = [replace(s, known_at=at + timedelta(microseconds=1)) for s in lies]
    made = looked(before, at, signal)
    assert made is not None
    for later in (kept, lies, soonest):
        assert content(looked([*before, *later], at, signal)) == content(made)


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(30, 88).map(lambda n: START + 6 * n * HOUR), st.sampled_from([PRICE, CARBON])),
        min_size=2,
        max_size=5,
        unique=True,
    )
)
def test_the_order_of_asking_does_not_matter(asked: list[tuple[datetime, Signal]]) -> None:
    history = VintageHistory(SAID)
    together = Knowledge(history)
    for at, signal in asked:
        alone = make_outlook(Knowledge(history), ZONE, signal, at)
        assert content(make_outlook(together, ZONE, signal, at)) == content(alone)


def test_a_store_tells_the_same(store: ForecastStore) -> None:
    said = [s for s in SAID if s.known_at <= day(15)]
    store.append_all(said)
    for signal in (PRICE, CARBON):
        from_store = make_outlook(Knowledge(store), ZONE, signal, day(14))
        assert from_store is not None
        assert content(from_store) == content(looked(said, day(14), signal))


class TestOutlooks:
    @given(st.integers(0, 60 * 24 * 400), st.integers(-14 * 60, 14 * 60))
    def test_the_moments_are_multiples_of_six_hours_in_utc(self, minutes: int, offset: int) -> None:
        moment = START + timedelta(minutes=minutes, microseconds=3)
        anchor = anchor_of(moment.astimezone(timezone(timedelta(minutes=offset))))
        assert anchor == anchor_of(moment)
        assert anchor.tzinfo is UTC
        assert timedelta(0) <= moment - anchor < 6 * HOUR
        assert (anchor.hour % 6, anchor.minute, anchor.microsecond) == (0, 0, 0)

    def test_it_is_made_from_what_was_known_at_its_moment(self) -> None:
        all_of_them = Outlooks(VintageHistory(SAID))
        o = all_of_them.at(ZONE, CARBON, day(15) + 5.9 * HOUR)
        assert content(o) == content(looked(SAID, day(15)))
        assert all_of_them.at(ZONE, CARBON, day(15)) is o
        assert all_of_them.at(ZONE, CARBON, day(15) + 6 * HOUR) is not o
        assert all_of_them.at("GB", CARBON, day(15)) is None

    def test_made_ahead_it_keeps_nobody_waiting(self) -> None:
        ahead = Outlooks(VintageHistory(SAID), made_ahead=True)
        assert ahead.at(ZONE, CARBON, day(15)) is None
        o = ahead.make(ZONE, CARBON, day(15))
        assert o is not None
        assert ahead.at(ZONE, CARBON, day(16)) is o
        assert ahead.at(ZONE, CARBON, day(14.9)) is None, "nothing from the future"
        assert ahead.at(ZONE, CARBON, day(17)) is None, "nothing too old"

    def test_each_signal_has_its_order(self) -> None:
        a = measured(np.tile(WAVE, 40), source="a")
        b = measured(np.tile(2 * WAVE, 40), source="b", basis=Basis.MARGINAL)
        for order in (
            {(ZONE, CARBON): ["b"]},
            {("*", CARBON): ["b"]},
            {("*", CARBON): ["a"], (ZONE, CARBON): ["b"]},
        ):
            o = Outlooks(VintageHistory([*a, *b]), order).at(ZONE, CARBON, day(20))
            assert o is not None
            assert o.basis is Basis.MARGINAL

    def test_two_at_once_ask_the_store_once(self) -> None:
        history = VintageHistory(SAID)
        asked: list[datetime] = []
        both = threading.Barrier(2)

        class Slow:
            """The history, asked by two threads that begin together."""

            def as_of(self, *question: Any, **more: Any) -> tuple[ForecastSeries, ...]:
                asked.append(question[2])
                return history.as_of(*question, **more)

        outlooks, made = Outlooks(Slow()), []

        def ask() -> None:
            both.wait()
            made.append(outlooks.at(ZONE, CARBON, day(15)))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        once = len(asked)
        asked.clear()
        Outlooks(Slow()).at(ZONE, CARBON, day(15))
        assert len(asked) == once
        assert made[0] is made[1]


class TestTheOtherSignal:
    """A price learns from carbon as it was forecast, and never from what carbon came to be later."""

    def told(self, error: float, seed: int = 3) -> tuple[list[ForecastSeries], Floats]:
        draw = np.random.default_rng(seed)
        n = 24 * 110
        carbon = 300 + 60 * draw.standard_normal(n)
        price = 50 + 0.5 * (carbon - 300) + draw.standard_normal(n)
        wrong = 60 * np.random.default_rng(seed + 1).standard_normal(n)

        def said(_: datetime, values: Floats) -> Floats:
            noise = wrong[: len(values)] if len(values) <= n else np.resize(wrong, len(values))
            return np.maximum(0.0, 300 + (1 - error) * (values - 300) + error * np.roll(noise, int(_.day)))

        vintages = [
            *measured(carbon),
            *forecasts(carbon, said),
            *measured(price, signal=Signal.PRICE, unit="EUR/MWh", basis=None, source="market"),
        ]
        return vintages, price

    @pytest.mark.parametrize(("error", "least", "most"), [(0.0, 0.5, 0.9), (1.0, 0.6, 0.95)])
    def test_bands_of_a_price_hold_however_good_carbon_is_forecast(
        self, error: float, least: float, most: float
    ) -> None:
        vintages, price = self.told(error)
        inside = []
        for at in range(90, 102, 3):
            o = looked(vintages, day(at), Signal.PRICE)
            assert o is not None
            z = o.scale.to_z(price[at * 24 : at * 24 + 48]) - o.ours[:48]
            inside.append((z >= o.bands[0.1][:48]) & (z <= o.bands[0.9][:48]))
        assert least < np.mean(inside) < most
