"""What is planned by: where an outcome is known it stands, and where it is not each counts by its record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.assemble import frame_from_series, frame_from_store
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.history import VintageHistory
from forecasts.mixing import Mixed, in_doubt, mix
from forecasts.models.days import Scale
from forecasts.outlook import OURS, Outlook
from forecasts.outlooks import Outlooks
from forecasts.provenance import Said
from forecasts.series import FACTS, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Floats, SlotGrid
from forecasts.surprise import Habit, Voice
from tests.forecasts.build import HOUR, T0, hours, series
from tests.forecasts.world import DAY, day, exactly, forecasts, grid_days, measured, noisy

PRICE, CARBON = Signal.PRICE, Signal.CARBON
ZONE = "DE-LU"
N_HOURS = 192


NOTHING_IS_USUAL = Habit(np.nan, np.nan, 0.0)


def learnt(
    ours: Any = 0.0,
    *,
    start: datetime = T0,
    bands: Any = None,
    habit: Habit = NOTHING_IS_USUAL,
    then: Any = None,
    age_days: int | None = 0,
    **weights: Any,
) -> Outlook:
    """An outlook on a scale that is about one to one where values are small."""
    full = {name: np.broadcast_to(np.asarray(w, dtype=float), N_HOURS) for name, w in weights.items()}
    rest = 1.0 - sum(full.values(), np.zeros(N_HOURS))
    return Outlook(
        ZONE,
        CARBON,
        "gCO2e/kWh",
        Basis.AVERAGE,
        start,
        Scale(100.0, 1e6),
        np.broadcast_to(np.asarray(ours, dtype=float), N_HOURS) / 1e6,
        {OURS: rest, **full},
        {p: np.full(N_HOURS, b / 1e6) for p, b in (bands or {}).items()},
        {"all": np.ones(N_HOURS)},
        dict.fromkeys(full, Voice(habit, on_scale(then), age_days)),
        np.empty((0, N_HOURS)),
    )


def on_scale(said: Any) -> Floats:
    """(n_hours,), NaN where nothing was said."""
    z = np.full(N_HOURS, np.nan)
    if said is not None:
        z[: len(said)] = (np.asarray(said) - 100.0) / 1e6
    return z


def mixed(
    o: Outlook, said: list[ForecastSeries], grid: SlotGrid, told: list[Said], values: Any, **more: Any
) -> Mixed:
    return mix(o, grid, np.asarray(values, dtype=float), told, said, **more)


def carbon(values: Any, source: str = "a", **more: Any) -> ForecastSeries:
    return series(values, signal=CARBON, source=source, **more)


FOUR = SlotGrid(T0, 60, 4)


class TestMix:
    def test_by_hand(self) -> None:
        a, b = carbon([110.0] * 4, "a"), carbon([140.0] * 2, "b")
        o = learnt(ours=[20.0] + [30.0] * 191, a=0.5, b=0.25)
        got = mixed(o, [a, b], FOUR, [Said(Kind.FORECAST, "a")] * 4, a.values)
        # a quarter each of b and of ours, half of a; then, where b is silent, two thirds and one third.
        assert got.values == pytest.approx([120.0, 122.5, 116.6667, 116.6667])
        assert got.changed.all()
        assert got.sources == ("a+b+our models",) * 2 + ("a+our models",) * 2
        assert got.kinds == (Kind.MODEL,) * 4

    CALM = 110.0 + 5.0 * (np.arange(24) % 2)
    WILD = 110.0 + 90.0 * (np.arange(24) % 2)

    def when(self, said: Any, *, known: timedelta = timedelta(0), as_of: datetime = T0, **more: Any) -> Mixed:
        """What is made of a source that says this, whose usual leap and distance are those of `CALM`."""
        o = learnt(100.0, a=0.9, habit=Habit(2e-5, 2e-4, 0.0), **more)
        grid = SlotGrid(T0, 60, len(said))
        told = [Said(Kind.FORECAST, "a")] * len(said)
        return mixed(o, [carbon(said, known_at=T0 + known)], grid, told, said, as_of=as_of)

    def test_for_who_goes_mad_after_the_outlook_was_made_what_it_said_then_stands_in(self) -> None:
        calm, wild = self.when(self.CALM, then=self.CALM - 3), self.when(self.WILD, then=self.CALM - 3)
        assert calm.values == pytest.approx(0.9 * self.CALM + 20.0)
        assert wild.values == pytest.approx(0.9 * (self.CALM - 3) + 20.0, rel=1e-4)
        assert calm.stood_in == {}
        assert wild.stood_in == {"a": T0}
        [words] = in_doubt(wild)
        assert words == (
            "what a says now is unlike all it said before; what it said by 2026-01-10 00:00 UTC stands in"
        )

    def test_where_what_it_said_then_does_not_reach_ours_do(self) -> None:
        wild = self.when(self.WILD, then=self.CALM[:12])
        assert wild.values[:12] == pytest.approx(0.9 * self.CALM[:12] + 20.0, rel=1e-4)
        assert wild.values[12:] == pytest.approx([200.0] * 12)
        assert wild.sources[12:] == (OURS,) * 12

    def test_where_nothing_stands_in_it_counts_for_nothing(self) -> None:
        for wild in (self.when(self.WILD), self.when(self.WILD, age_days=None)):
            assert wild.values == pytest.approx([200.0] * 24)
            assert wild.stood_in == {"a": None}
            assert in_doubt(wild) == ["what a says now is unlike all it said before; it counts for nothing"]

    @pytest.mark.parametrize("known", [timedelta(0), 7 * HOUR, 12 * HOUR])
    def test_who_was_mad_when_the_outlook_was_made_may_be_itself_again(self, known: timedelta) -> None:
        """Then it counts as ever, however old what stood in for it was."""
        more: dict[str, Any] = {"then": self.CALM - 3, "age_days": 1, "known": known}
        still, again = (self.when(said, **more) for said in (self.WILD, self.CALM))
        assert still.values == pytest.approx(0.45 * (self.CALM - 3) + 0.55 * 200.0, rel=1e-4)
        assert still.stood_in == {"a": T0 - DAY}
        assert again.values == pytest.approx(0.9 * self.CALM + 20.0)
        assert again.stood_in == {}

    def test_what_stands_in_is_never_older_than_two_days_and_an_outlook(self) -> None:
        more: dict[str, Any] = {"then": self.CALM - 3, "age_days": 2}
        assert self.when(self.WILD, as_of=T0 + 8 * HOUR, **more).stood_in == {"a": T0 - 2 * DAY}
        assert self.when(self.WILD, as_of=T0 + 9 * HOUR, **more).stood_in == {"a": None}

    def test_what_is_too_old_to_be_planned_by_stands_in_only_where_nobody_else_speaks(self) -> None:
        o = learnt(100.0, a=0.5, b=0.4, habit=Habit(2e-5, 2e-4, 0.0), then=self.CALM, age_days=1)
        wild, calm = carbon(self.WILD, "a"), carbon(np.full(12, 130.0), "b")
        told = [Said(Kind.FORECAST, "a")] * 24
        grid = SlotGrid(T0, 60, 24)
        got = mixed(o, [wild, calm], grid, told, wild.values, as_of=T0, longest=12 * HOUR)
        assert got.sources == ("b+our models",) * 12 + ("a+our models",) * 12
        got = mixed(o, [wild, calm], grid, told, wild.values, as_of=T0, longest=24 * HOUR)
        assert got.sources[0] == "a+b+our models"

    def test_where_all_say_what_none_said_before_something_has_happened(self) -> None:
        o = learnt(100.0, a=0.5, b=0.4, habit=Habit(2e-5, 2e-4, 0.0), then=self.CALM)
        both = [carbon(self.WILD, "a"), carbon(self.WILD, "b")]
        told = [Said(Kind.FORECAST, "a")] * 24
        got = mixed(o, both, SlotGrid(T0, 60, 24), told, self.WILD)
        assert got.stood_in == {}
        assert got.values == pytest.approx(0.9 * self.WILD + 20.0)
        one = mixed(o, [both[0], carbon(self.CALM, "b")], SlotGrid(T0, 60, 24), told, self.WILD)
        assert one.stood_in == {"a": T0}

    def test_who_was_mad_and_is_silent_now_is_not_told_of(self) -> None:
        o = learnt(100.0, a=0.5, b=0.4, habit=Habit(2e-5, 2e-4, 0.0), then=self.CALM, age_days=1)
        calm = carbon(self.CALM, "b")
        got = mixed(o, [calm], SlotGrid(T0, 60, 24), [Said(Kind.FORECAST, "b")] * 24, calm.values)
        assert got.stood_in == {}
        assert got.sources == ("b+our models",) * 24

    def test_who_only_says_again_what_it_said_keeps_its_weight(self) -> None:
        """The end of a day is wilder than the whole of it: that was known when the outlook was made."""
        got = self.when(self.WILD, then=self.WILD)
        assert got.values == pytest.approx(0.9 * self.WILD + 20.0, rel=1e-3)

    def test_by_an_outlook_of_yesterday_nobody_goes_mad(self) -> None:
        got = self.when(self.WILD, then=self.CALM, start=T0 - DAY)
        assert got.values == pytest.approx(0.9 * self.WILD + 20.0)
        # But until the next one is made, with some hours to spare.
        assert self.when(self.WILD, then=self.CALM, known=7 * HOUR).stood_in == {"a": T0}
        assert self.when(self.WILD, then=self.CALM, known=9 * HOUR).stood_in == {}

    def test_of_few_hours_none_is_thought_mad(self) -> None:
        got = self.when(self.WILD[:4], then=self.CALM)
        assert got.values == pytest.approx(0.9 * self.WILD[:4] + 20.0)

    def test_the_mad_give_no_shape_to_what_stands_in(self) -> None:
        o = learnt(100.0, a=0.9, habit=Habit(2e-5, 2e-4, 0.0), then=[110.0] * 24)
        wild = carbon(np.random.default_rng(0).normal(110, 300, 48), step_minutes=30)
        told = [Said(Kind.FORECAST, "a")] * 48
        got = mixed(o, [wild], SlotGrid(T0, 30, 48), told, wild.values)
        assert got.values == pytest.approx([0.9 * 110.0 + 20.0] * 48, rel=1e-4)

    def test_who_is_believed_alone_is_named_alone(self) -> None:
        got = mixed(
            learnt(50.0, a=0.995), [carbon([110.0] * 4)], FOUR, [Said(Kind.FORECAST, "a")] * 4, [110.0] * 4
        )
        assert got.sources == ("a",) * 4
        assert got.kinds == (Kind.FORECAST,) * 4
        assert got.values == pytest.approx([110.2] * 4)

    @settings(deadline=None)
    @given(
        st.lists(st.sampled_from(list(Kind)), min_size=4, max_size=4),
        st.lists(st.floats(10, 500), min_size=4, max_size=4),
        st.floats(0, 1),
        st.booleans(),
    )
    def test_facts_and_what_is_made_up_never_change(
        self, kinds: list[Kind], values: list[float], weight: float, has_record: bool
    ) -> None:
        told = [Said(k, "" if k is Kind.MISSING else "a") for k in kinds]
        known = np.where([k is Kind.MISSING for k in kinds], np.nan, values)
        weights: dict[str, Any] = {"a": weight} if has_record else {}
        o = learnt(7.0, bands={0.1: -5.0, 0.9: 5.0}, **weights)
        got = mixed(o, [carbon(values)], FOUR, told, known)
        for i, kind in enumerate(kinds):
            if kind in FACTS:
                assert got.values[i] == values[i]
                assert not got.changed[i]
                assert got.quantiles[0.1][i] == got.quantiles[0.9][i] == values[i]
            elif kind is Kind.SYNTHETIC:
                assert got.values[i] == values[i]
                assert not got.changed[i]
                assert np.isnan(got.quantiles[0.9][i])
            elif kind is Kind.FORECAST and not has_record:
                assert got.values[i] == values[i]
                assert not got.changed[i]
            elif kind in {Kind.FORECAST, Kind.MISSING}:
                assert got.quantiles[0.1][i] < got.values[i] < got.quantiles[0.9][i]

    def test_where_nobody_speaks_ours_does_however_little_it_counts(self) -> None:
        got = mixed(
            learnt(5.0, a=1.0),
            [carbon([110.0] * 2)],
            FOUR,
            [Said(Kind.FORECAST, "a")] * 2 + [Said(Kind.MISSING)] * 2,
            [110.0, 110.0, np.nan, np.nan],
        )
        assert got.values == pytest.approx([110, 110, 105, 105])
        assert got.sources == ("a", "a", OURS, OURS)

    def test_who_speaks_alone_is_heard_however_little_it_counts(self) -> None:
        """Where our models have nothing to say, as the outcome is known but another was preferred."""
        o = learnt(np.nan, a=1e-20)
        got = mixed(o, [carbon([140.0] * 4)], FOUR, [Said(Kind.FORECAST, "a")] * 4, [140.0] * 4)
        assert got.values == pytest.approx([140.0] * 4)

    def test_before_and_beyond_its_hours_an_outlook_tells_nothing(self) -> None:
        grid = SlotGrid(hours(-2), 60, 196)
        got = mixed(learnt(5.0), [], grid, [Said(Kind.MISSING)] * 196, np.full(196, np.nan))
        assert np.isfinite(got.values).tolist() == [False] * 2 + [True] * 192 + [False] * 2

    def test_carbon_is_never_negative_and_a_price_may_be(self) -> None:
        o = learnt(-150.0, bands={0.1: -60.0, 0.9: 60.0})
        nothing = [Said(Kind.MISSING)] * 4
        got = mixed(o, [], FOUR, nothing, [np.nan] * 4)
        assert got.values.tolist() == [0.0] * 4
        assert got.quantiles[0.1].tolist() == [0.0] * 4
        price = mixed(replace(o, signal=PRICE), [], FOUR, nothing, [np.nan] * 4)
        assert price.values == pytest.approx([-50.0] * 4)
        assert price.quantiles[0.1] == pytest.approx([-110.0] * 4)

    def test_in_another_currency(self) -> None:
        o = learnt(20.0, bands={0.9: 10.0}, a=0.5)
        got = mixed(o, [carbon([50.0] * 4)], FOUR, [Said(Kind.FORECAST, "a")] * 4, [50.0] * 4, rate=0.5)
        # Ours are 120, 60 in this one.
        assert got.values == pytest.approx([55.0] * 4)
        assert got.quantiles[0.9] == pytest.approx([60.0] * 4)

    def test_who_is_too_old_counts_only_where_nobody_younger_speaks(self) -> None:
        a, b = carbon([110.0] * 4, "a"), carbon([140.0] * 2, "b")
        told = [Said(Kind.FORECAST, "b")] * 2 + [Said(Kind.FORECAST, "a")] * 2
        got = mixed(learnt(0.0, a=0.5, b=0.25), [b, a], FOUR, told, [140, 140, 110, 110], yielding={"a"})
        assert got.values == pytest.approx([120.0, 120.0, 106.6667, 106.6667])
        assert got.sources == ("b+our models",) * 2 + ("a+our models",) * 2


class TestWithinTheHour:
    @pytest.mark.parametrize("slot", [5, 10, 15, 30])
    @pytest.mark.parametrize("offset_slots", [0, 1])
    def test_slots_keep_their_usual_shape(self, slot: int, offset_slots: int) -> None:
        """Wherever in an hour the grid begins."""
        per_hour = 60 // slot
        shape = np.tile(np.linspace(-9, 9, per_hour), 24)
        shape[-per_hour:] *= 3  # the last hour of a day has a shape of its own
        known = 3 * 24 * per_hour
        n = known + 2 * 24 * per_hour
        level = np.repeat(100.0 + 5 * np.arange(5 * 24), per_hour)
        values = np.where(np.arange(n) < known, level + np.tile(shape, 5), np.nan)[offset_slots:]
        told = [Said(Kind.ACTUAL if np.isfinite(v) else Kind.MISSING, "x") for v in values]
        grid = SlotGrid(T0 + offset_slots * timedelta(minutes=slot), slot, n - offset_slots)
        facts = series(values[: known - offset_slots], start=grid.start, step_minutes=slot, kind=Kind.ACTUAL)
        got = mixed(learnt(33.0), [facts], grid, told, values)
        np.testing.assert_allclose(got.values[known - offset_slots :], 133.0 + np.tile(shape, 2), atol=1e-6)
        np.testing.assert_array_equal(got.values[: known - offset_slots], values[: known - offset_slots])

    def test_without_facts_it_is_that_of_what_is_said(self) -> None:
        said = carbon([1.0, 9.0] * 24, step_minutes=30)
        told = [Said(Kind.FORECAST, "a")] * 48 + [Said(Kind.MISSING)] * 48
        values = np.append(said.values, np.full(48, np.nan))
        got = mixed(learnt(0.0), [said], SlotGrid(T0, 30, 96), told, values)
        assert got.values[48:] == pytest.approx([96.0, 104.0] * 24)

    def test_a_wild_source_that_is_preferred_gives_no_shape_where_there_are_facts(self) -> None:
        wild = carbon(np.random.default_rng(0).normal(0, 100, 48), "wild", step_minutes=30)
        facts = carbon([5.0] * 24, "facts", kind=Kind.ACTUAL)
        told = [Said(Kind.FORECAST, "wild")] * 48 + [Said(Kind.MISSING)] * 48
        values = np.append(wild.values, np.full(48, np.nan))
        got = mixed(learnt(0.0), [wild, facts], SlotGrid(T0, 30, 96), told, values)
        assert got.values[48:] == pytest.approx([100.0] * 48)

    def test_what_is_made_up_gives_no_shape(self) -> None:
        values = np.array([1.0, 99.0] * 24 + [np.nan] * 48)
        told = [Said(Kind.SYNTHETIC, "typical")] * 48 + [Said(Kind.MISSING)] * 48
        got = mixed(learnt(0.0), [], SlotGrid(T0, 30, 96), told, values)
        assert got.values[48:] == pytest.approx([100.0] * 48)

    def test_a_grid_of_less_than_an_hour(self) -> None:
        got = mixed(learnt(0.0), [], SlotGrid(T0, 15, 3), [Said(Kind.MISSING)] * 3, [np.nan] * 3)
        assert got.values == pytest.approx([100.0] * 3)


class TestDoubt:
    def doubt(self, o: Outlook, *said: ForecastSeries) -> list[str]:
        told = [Said(Kind.FORECAST, said[0].source)] * 4
        return in_doubt(mixed(o, list(said), FOUR, told, said[0].values))

    def test_who_is_overruled_is_named_with_its_share_and_where(self) -> None:
        share = np.full(N_HOURS, 0.9)
        share[2] = 0.12
        words = self.doubt(learnt(a=share), carbon([1.0] * 4))
        assert words == ["a counts for 12% of what is expected 2 h ahead, by its record"]

    def test_who_is_as_good_as_the_others_is_not(self) -> None:
        assert self.doubt(learnt(a=0.6), carbon([1.0] * 4)) == []
        assert self.doubt(learnt(a=0.5, b=0.45), carbon([1.0] * 4), carbon([1.0] * 4, "b")) == []

    def test_where_it_does_not_speak_it_is_not_doubted(self) -> None:
        share = np.full(N_HOURS, 0.9)
        share[4:] = 0.01
        assert self.doubt(learnt(a=share), carbon([1.0] * 4)) == []

    def test_nor_are_we(self) -> None:
        assert self.doubt(learnt(a=0.99), carbon([1.0] * 4)) == []

    def test_several(self) -> None:
        words = self.doubt(learnt(a=0.1, b=0.05), carbon([1.0] * 4), carbon([1.0] * 4, "b"))
        assert [w.split(" counts for")[0] for w in words] == ["a", "b"]


VALUES = grid_days(40, seed=11)
SAID = [
    *measured(VALUES, late_h=1, every_h=1, licence="CC BY 4.0", attribution="The grid"),
    *forecasts(VALUES, noisy(10), source="good", licence="closed", restricted=True),
    *forecasts(VALUES, noisy(150), source="wild"),
]
NOW = day(30) + 8 * HOUR
GRID = SlotGrid(NOW, 60, 72)
HISTORY = VintageHistory(SAID)


def framed(said: list[ForecastSeries] = SAID, grid: SlotGrid = GRID, **more: Any) -> ForecastFrame:
    history = VintageHistory(said)
    given_ = {"as_of": grid.start, "zones": [ZONE], "currency": "EUR", "outlooks": Outlooks(history), **more}
    return frame_from_store(history, grid, **given_)


def of(frame: ForecastFrame, signal: Signal = CARBON) -> SignalFrame:
    found = frame.get(ZONE, signal)
    assert found is not None
    return found


def plain(frame: ForecastFrame) -> dict[str, Any]:
    return frame.to_dict()


class TestFrame:
    def test_what_is_nearly_right_is_believed_and_beyond_it_we_fill_in(self) -> None:
        got = of(framed(preference={("*", CARBON): ["good", "wild", "measured"]}))
        came = VALUES[30 * 24 + 8 :][:72]
        assert np.abs(got.values[:46] - came[:46]).mean() < 12
        assert np.abs(got.values[46:] - came[46:]).mean() < 60
        assert set(got.kind) == {Kind.MODEL}
        assert all("good" in source and OURS in source for source in got.source[:46])
        assert set(got.source[46:]) == {OURS}
        assert got.missing_slots == 0

    def test_a_wild_source_that_is_preferred_does_not_mislead(self) -> None:
        with_it = framed(preference={("*", CARBON): ["wild", "good"]})
        came = VALUES[30 * 24 + 8 :][:40]
        naive = of(framed(preference={("*", CARBON): ["wild", "good"]}, outlooks=None))
        assert np.abs(naive.values[:40] - came).mean() > 80
        assert np.abs(of(with_it).values[:40] - came).mean() < 15
        assert any("wild counts for" in w and w.startswith("zone DE-LU carbon: ") for w in with_it.warnings)
        assert not any("good counts for" in w for w in with_it.warnings)

    def test_who_has_gone_mad_is_told_of_and_what_stands_in_is_as_old_as_it_is(self) -> None:
        def spoilt(s: ForecastSeries) -> ForecastSeries:
            noise = np.random.default_rng(1).normal(300, 150, len(s))
            return replace(s, values=noise) if s.source == "good" and s.known_at > NOW - DAY else s

        said = [spoilt(s) for s in SAID if s.source != "wild"]
        f, made = framed(said, preference={("*", CARBON): ["good", "measured"]}), NOW.replace(hour=6)
        [words] = [w for w in f.warnings if "unlike" in w]
        assert words == (
            f"zone {ZONE} carbon: what good says now is unlike all it said before; what it said by "
            f"{made - DAY:%Y-%m-%d %H:%M} UTC stands in."
        )
        got = of(f)
        came = VALUES[30 * 24 + 8 :][:72]
        assert np.abs(got.values[:20] - came[:20]).mean() < 25
        # A day before the outlook was made, and beyond its reach what our models said then.
        assert got.known_at[1] == made - DAY
        assert got.source[1] == f"good+{OURS}"
        beyond = got.source.index(OURS)
        assert got.known_at[beyond] == made
        assert all(got.restricted)

    def test_the_terms_of_all_that_was_learnt_from_hold(self) -> None:
        got = of(framed())
        assert all(got.restricted)
        assert all("closed" in terms and "CC BY 4.0" in terms for terms in got.licence)
        assert set(got.attribution) == {"The grid"}
        assert np.isnan(got.shareable().values).all()

    def test_quantiles_ascend_and_hold_the_value_near_them(self) -> None:
        got = of(framed())
        bands = np.array([got.quantiles[p] for p in sorted(got.quantiles)])
        assert sorted(got.quantiles) == [0.05, 0.1, 0.25, 0.75, 0.9, 0.95]
        assert np.isfinite(bands).all()
        assert (np.diff(bands, axis=0) >= -1e-9).all()
        assert (bands[0] < got.values).all()
        assert (got.values < bands[-1]).all()

    def test_a_source_with_bands_of_its_own_makes_none_cross(self) -> None:
        def narrow(s: ForecastSeries) -> ForecastSeries:
            return replace(s, quantiles={0.02: s.values - 1, 0.5: s.values, 0.98: s.values + 1})

        said = [narrow(s) if s.source == "good" else s for s in SAID]
        got = of(framed(said, SlotGrid(NOW, 60, 10 * 24)))
        levels = sorted(got.quantiles)
        for i in range(len(got.values)):
            told = [got.quantiles[p][i] for p in levels if np.isfinite(got.quantiles[p][i])]
            assert (np.diff(told) >= -1e-9).all()

    def test_cleared_prices_stand_as_they_are(self) -> None:
        eur: dict[str, Any] = {"signal": PRICE, "basis": None, "unit": "EUR/MWh"}
        cleared = measured(VALUES / 4, every_h=24, late_h=-36, kind=Kind.CLEARED, source="market", **eur)
        said = [*cleared, *forecasts(VALUES / 4, noisy(40), source="guess", reach_h=96, **eur)]
        got = of(framed(said, SlotGrid(NOW, 60, 72), preference={("*", PRICE): ["market"]}), PRICE)
        n = got.kind.count(Kind.CLEARED)
        assert 0 < n < 72
        assert set(got.kind[:n]) == {Kind.CLEARED}
        np.testing.assert_array_equal(got.values[:n], VALUES[30 * 24 + 8 :][:n] / 4)
        for band in got.quantiles.values():
            np.testing.assert_array_equal(band[:n], got.values[:n])
        assert set(got.kind[n:]) == {Kind.MODEL}

    def test_in_the_currency_of_the_fleet(self) -> None:
        usd: dict[str, Any] = {"signal": PRICE, "basis": None, "unit": "USD/MWh"}
        said = [*measured(VALUES, **usd), *forecasts(VALUES, noisy(5), **usd)]
        one, half = (of(framed(said, fx={"USD": rate}), PRICE) for rate in (1.0, 0.5))
        np.testing.assert_allclose(half.values, one.values / 2)
        assert half.unit == "EUR/MWh"
        for p, band in half.quantiles.items():
            np.testing.assert_allclose(band, one.quantiles[p] / 2)

    def test_what_was_learnt_in_a_currency_without_a_rate_is_left_aside(self) -> None:
        eur: dict[str, Any] = {"signal": PRICE, "basis": None, "unit": "EUR/MWh"}
        usd = Outlooks(VintageHistory(measured(VALUES, **{**eur, "unit": "USD/MWh"})))
        told = measured(VALUES, source="b", **eur)
        frames = [
            frame_from_series(told, GRID, as_of=NOW, zones=[ZONE], currency="EUR", outlooks=outlooks)
            for outlooks in (usd, None)
        ]
        assert plain(frames[0]) == plain(frames[1])

    def test_bases_are_never_mixed(self) -> None:
        marginal = measured(3 * VALUES, source="a-marginal", basis=Basis.MARGINAL)
        got = of(framed([*marginal, *SAID], preference={("*", CARBON): ["good"]}))
        # Learnt of what comes first by name, which is another thing than what is asked for.
        assert got.basis is Basis.AVERAGE
        assert np.abs(got.values - VALUES[30 * 24 + 8 :][:72]).mean() < 100
        ordered = Outlooks(VintageHistory([*marginal, *SAID]), {("*", CARBON): ["good", "measured"]})
        same = of(framed([*marginal, *SAID], preference={("*", CARBON): ["good"]}, outlooks=ordered))
        assert OURS in same.source[0]

    def test_what_is_made_up_stays_made_up(self) -> None:
        made_up = series(
            np.full(48, 1.0),
            start=NOW,
            known_at=NOW - HOUR,
            signal=CARBON,
            source="typical",
            kind=Kind.SYNTHETIC,
        )
        facts = [s for s in SAID if s.source == "measured"]
        f = framed([*facts, made_up])
        got = of(f)
        assert got.values[1:48].tolist() == [1.0] * 47
        assert set(got.kind[:48]) == {Kind.SYNTHETIC}
        assert set(got.source[48:]) == {OURS}
        assert f.get(ZONE, CARBON) is not None
        assert any("synthetic" in w for w in f.warnings)

    def test_a_source_without_a_record_stays_as_it_said(self) -> None:
        facts = [s for s in SAID if s.source == "measured"]
        new = carbon([777.0] * 24, "new", start=NOW, known_at=NOW)
        got = of(framed([*facts, new]))
        assert got.values[:24].tolist() == [777.0] * 24
        assert set(got.source[:24]) == {"new"}
        assert set(got.kind[:24]) == {Kind.FORECAST}
        assert set(got.source[24:]) == {OURS}

    def test_without_history_enough_it_is_as_it_was_before(self) -> None:
        short = [s for s in SAID if s.known_at > day(25)]
        for extend in (True, False):
            assert plain(framed(short, extend=extend)) == plain(framed(short, extend=extend, outlooks=None))
        assert any(source.endswith("(day before)") for source in of(framed(short)).source)

    def test_where_nothing_is_to_be_filled_in_nothing_is_learnt_from(self) -> None:
        assert plain(framed(extend=False)) == plain(framed(extend=False, outlooks=None))

    def test_beyond_the_outlook_the_day_before_is_repeated(self) -> None:
        got = of(framed(grid=SlotGrid(NOW, 60, 10 * 24)))
        assert got.source[-1] == f"{OURS} (day before)"
        assert got.kind[-1] is Kind.MODEL
        assert got.values[-1] == got.values[-1 - 24]
        assert got.missing_slots == 0

    @pytest.mark.parametrize("signal", [PRICE, CARBON])
    def test_where_nothing_was_heard_within_a_week_nothing_is_said(self, signal: Signal) -> None:
        """An outlook may be a day older than the plan: what it was learnt from, and the terms, are past by then."""
        meaning: dict[str, Any] = {"signal": signal}
        if signal is PRICE:
            meaning |= {"basis": None, "unit": "EUR/MWh"}
        history = VintageHistory(measured(VALUES, **meaning))
        for ago in (7, 7.5, 8, 20):
            outlooks = Outlooks(history, made_ahead=True)
            for back in range(0, 31, 6):
                outlooks.make(ZONE, signal, day(40 + ago) - back * HOUR)
            grid = SlotGrid(day(40 + ago), 60, 24)
            f = frame_from_store(
                history, grid, as_of=grid.start, zones=[ZONE], currency="EUR", outlooks=outlooks
            )
            assert of(f, signal).missing_slots == 24

    def test_errors_of_price_and_carbon_are_compared_hour_by_hour(self) -> None:
        """Only of outlooks made at one moment: six hours apart they tell of other hours."""
        eur: dict[str, Any] = {"signal": PRICE, "basis": None, "unit": "EUR/MWh"}
        history = VintageHistory([*measured(VALUES), *measured(VALUES / 4, source="market", **eur)])
        found = []
        for hours_apart in (0, 6):
            outlooks = Outlooks(history, made_ahead=True)
            outlooks.make(ZONE, CARBON, day(30) + 6 * HOUR)
            outlooks.make(ZONE, PRICE, day(30) + (6 - hours_apart) * HOUR)
            f = frame_from_store(history, GRID, as_of=NOW, zones=[ZONE], currency="EUR", outlooks=outlooks)
            found.append(of(f).price_correlation)
        together, apart = found
        assert together is not None
        assert together > 0.9
        assert apart is None

    def test_who_is_too_old_yields_to_our_younger_source(self) -> None:
        stopped = [s for s in SAID if s.source != "good" or s.known_at <= NOW - 20 * HOUR]
        order = {("*", CARBON): ["good", "wild", "measured"]}
        f = framed(stopped, preference=order, max_age=timedelta(hours=12))
        assert any("wild speaks in its place" in w for w in f.warnings)
        assert not any("good" in source for source in of(f).source)
        # Who may be as old as it likes counts by its record.
        assert "good" in of(framed(stopped, preference=order)).source[0]

    @pytest.mark.parametrize("minutes", [0, 30])
    def test_half_hours(self, minutes: int) -> None:
        grid = SlotGrid(NOW + timedelta(minutes=minutes), 30, 96)
        got = of(framed(grid=grid))
        hourly = of(framed(grid=SlotGrid(NOW, 60, 50)))
        index = (np.arange(96) + minutes // 30) // 2
        np.testing.assert_allclose(got.values, hourly.values[index], rtol=1e-9)

    def test_given_series_serve_as_a_store_does(self) -> None:
        from_series = frame_from_series(
            [s for s in SAID if s.known_at > NOW - 12 * DAY],
            GRID,
            as_of=NOW,
            zones=[ZONE],
            currency="EUR",
            outlooks=Outlooks(HISTORY),
        )
        np.testing.assert_allclose(of(from_series).values, of(framed()).values)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 47).map(lambda n: NOW + n * HOUR / 2), st.data())
def test_nothing_known_later_changes_a_frame(now: datetime, data: st.DataObject) -> None:
    later = [s for s in SAID if s.known_at > now]
    lies = [
        replace(s, values=s.values * 9, kind=Kind.ACTUAL)
        for s in data.draw(st.lists(st.sampled_from(later), max_size=8, unique_by=id))
    ]
    grid = SlotGrid(now, 30, 60)
    told = [s for s in SAID if s.known_at <= now]
    assert plain(framed(told, grid)) == plain(framed([*told, *lies], grid))


def test_a_perfect_source_is_repeated_as_it_said() -> None:
    said = [*measured(VALUES), *forecasts(VALUES, exactly, source="perfect")]
    got = of(framed(said))
    came: Floats = VALUES[30 * 24 + 8 :][:46]
    np.testing.assert_allclose(got.values[:46], came, atol=1.0)
