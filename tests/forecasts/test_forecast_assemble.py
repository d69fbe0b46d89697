from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasts.assemble import frame_from_series, frame_from_store
from forecasts.errors import ForecastRejected, InputError
from forecasts.extend import MEAN, extend
from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import PLANNED, Basis, ForecastSeries, Kind, Signal
from forecasts.slots import SLOT_MINUTES, SlotGrid, as_datetime64
from forecasts.store import ForecastStore
from tests.forecasts.build import HOUR, T0, hours, series

PRICE, CARBON = Signal.PRICE, Signal.CARBON
GRID = SlotGrid(T0, 60, 4)


def frame(said: Iterable[ForecastSeries], grid: SlotGrid = GRID, **more: Any) -> ForecastFrame:
    return frame_from_series(
        said, grid, **{"as_of": T0, "zones": ["DE-LU"], "currency": "EUR", "extend": False, **more}
    )


def price(f: ForecastFrame, zone: str = "DE-LU") -> SignalFrame:
    found = f.get(zone, PRICE)
    assert found is not None
    return found


class TestVintages:
    def test_nothing_known_later_is_seen(self) -> None:
        said = [
            series([1, 1, 1, 1], known_at=hours(-2)),
            series([2, 2, 2, 2], known_at=T0),
            series([3, 3, 3, 3], known_at=T0 + timedelta(microseconds=1)),
        ]
        assert price(frame(said)).values.tolist() == [2] * 4
        assert price(frame(said, as_of=hours(-1))).values.tolist() == [1] * 4
        assert price(frame(said, as_of=hours(-3))).missing_slots == 4

    def test_each_interval_has_its_newest(self) -> None:
        said = [series([1, 1, 1, 1], known_at=hours(-2)), series([9], start=hours(1), known_at=hours(-1))]
        got = price(frame(said))
        assert got.values.tolist() == [1, 9, 1, 1]
        assert got.known_at == (hours(-2), hours(-1), hours(-2), hours(-2))
        assert got.age_s(T0) == 3600

    def test_the_order_in_which_they_are_given_does_not_matter(self) -> None:
        said = [series([float(k)] * 4, known_at=hours(-k)) for k in range(1, 5)]
        assert price(frame(said)).values.tolist() == price(frame(said[::-1])).values.tolist() == [1] * 4

    def test_of_two_known_at_once_the_later_issue_speaks(self) -> None:
        said = [series([1.0] * 4, issued_at=hours(-3)), series([2.0] * 4, issued_at=hours(-5))]
        assert price(frame(said)).values[0] == price(frame(said[::-1])).values[0] == 1


class TestSources:
    def test_preference_by_zone_and_signal(self) -> None:
        said = [
            series([1.0] * 2, source="a", known_at=hours(-9)),
            series([2.0] * 4, source="b", known_at=hours(-1)),
        ]
        got = price(frame(said, preference={("DE-LU", PRICE): ["a", "b"]}))
        assert got.values.tolist() == [1, 1, 2, 2]
        assert got.source == ("a", "a", "b", "b")
        assert price(frame(said, preference={("*", PRICE): ["a"]})).source == ("a", "a", "b", "b")
        assert price(frame(said, preference={("FR", PRICE): ["a"], ("*", CARBON): ["a"]})).source[0] == "b"

    def test_real_before_synthetic(self) -> None:
        said = [
            series([1.0] * 2, source="real", known_at=hours(-9)),
            series([2.0] * 4, source="a-typical", kind=Kind.SYNTHETIC),
        ]
        f = frame(said)
        assert price(f).values.tolist() == [1, 1, 2, 2]
        assert price(f).synthetic
        assert any("synthetic" in w for w in f.warnings)

    def test_bases_are_never_mixed(self) -> None:
        said = [
            series([100.0] * 2, signal=CARBON, source="avg", known_at=hours(-1)),
            series([900.0] * 4, signal=CARBON, source="moer", basis=Basis.MARGINAL, known_at=hours(-2)),
        ]
        f = frame(said)
        got = f.get("DE-LU", CARBON)
        assert got is not None
        assert got.basis is Basis.AVERAGE
        np.testing.assert_array_equal(got.values, [100, 100, np.nan, np.nan])
        assert any("moer left out" in w for w in f.warnings)
        other = frame(said, preference={("*", CARBON): ["moer"]}).get("DE-LU", CARBON)
        assert other is not None
        assert (other.basis, other.values.tolist()) == (Basis.MARGINAL, [900] * 4)


class TestCurrency:
    def test_converted_only_at_a_given_rate(self) -> None:
        said = [series([50.0] * 4, unit="USD/MWh", zone="ERCOT", quantiles={0.9: np.full(4, 60.0)})]
        got = price(frame(said, zones=["ERCOT"], fx={"USD": 0.9}), "ERCOT")
        assert (got.unit, got.values.tolist()) == ("EUR/MWh", [45] * 4)
        assert got.quantiles[0.9].tolist() == [54] * 4

    def test_refused_without_a_rate(self) -> None:
        said = [series([50.0] * 4, unit="USD/MWh")]
        with pytest.raises(InputError) as caught:
            frame(said)
        assert "priced in USD, the fleet in EUR" in caught.value.detail
        assert caught.value.field == "forecasts.fx"
        assert "fx: {USD: 1.23}" in caught.value.hint

    def test_another_zone_in_another_currency_is_no_matter(self) -> None:
        frame([series([50.0], unit="USD/MWh", zone="ERCOT")], zones=["DE-LU"])


class TestResolutions:
    @pytest.mark.parametrize("slot", SLOT_MINUTES)
    @pytest.mark.parametrize("start", ["2026-03-28T23:00Z", "2026-10-24T22:00Z"])
    def test_market_days_of_23_and_25_hours(self, slot: int, start: str) -> None:
        begin = datetime.fromisoformat(start)
        n = 23 if begin.month == 3 else 25
        prices = series(np.arange(float(n)), start=begin)
        grid = SlotGrid(begin, slot, n * 60 // slot)
        got = price(frame([prices], grid))
        assert got.values.tolist() == np.repeat(np.arange(float(n)), 60 // slot).tolist()

    def test_hours_and_quarters_in_one_frame(self) -> None:
        said = [
            series([40.0] * 4, known_at=hours(-2)),
            series([10, 20, 30, 40], start=hours(1), step_minutes=15, known_at=hours(-1)),
        ]
        assert price(frame(said)).values.tolist() == [40, 25, 40, 40]

    def test_a_slot_that_straddles_two_sources_is_worth_the_lesser(self) -> None:
        said = [
            series([10.0, 10, 10], step_minutes=15, source="a", kind=Kind.CLEARED, attribution="A"),
            series([50.0], source="b", attribution="B"),
        ]
        f = frame(said, preference={("*", PRICE): ["a", "b"]})
        got = price(f)
        assert got.values[0] == 20
        assert (got.kind[0], got.source[0]) == (Kind.FORECAST, "a+b")
        assert got.attribution[0] == "A; B"

    def test_a_half_published_slot_is_missing(self) -> None:
        got = price(frame([series([10.0, 20, 30], step_minutes=30)]))
        np.testing.assert_array_equal(got.values, [15, np.nan, np.nan, np.nan])
        assert got.kind == (Kind.FORECAST, *[Kind.MISSING] * 3)
        assert got.source == ("test", "", "", "")
        assert got.known_at[1] is None

    def test_quantiles(self) -> None:
        said = [series([10.0, 20], quantiles={0.1: np.array([5.0, 15]), 0.9: np.array([15.0, 30])})]
        got = price(frame(said))
        np.testing.assert_array_equal(got.quantiles[0.9], [15, 30, np.nan, np.nan])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(-4, 12), st.sampled_from([5, 15, 30, 60]), st.integers(1, 20)), max_size=5
        ),
        st.sampled_from(SLOT_MINUTES),
    )
    def test_equals_a_look_at_every_minute(self, blocks: list[tuple[int, int, int]], slot: int) -> None:
        said = [
            series(
                np.arange(n) * 7 % 11 + 100.0 * k,
                start=hours(start / 4),
                step_minutes=step,
                known_at=hours(-20 + k),
            )
            for k, (start, step, n) in enumerate(blocks)
        ]
        grid = SlotGrid(T0, slot, 180 // slot)
        minutes = np.full(180, np.nan)
        at = np.datetime64("2026-01-10") + np.arange(180) * np.timedelta64(1, "m")
        for s in said:  # the newest is the last
            for a, b, v in zip(s.start, s.end, s.values, strict=True):
                minutes[(at >= a) & (at < b)] = v
        want = minutes.reshape(-1, slot).mean(axis=1)  # NaN where any minute is
        np.testing.assert_allclose(price(frame(said, grid)).values, want, rtol=1e-12)


class TestExtension:
    def test_the_day_before_at_the_same_time(self) -> None:
        day = np.arange(24.0)
        f = frame([series(day)], SlotGrid(T0, 60, 60), extend=True)
        got = price(f)
        assert got.values.tolist() == [*day, *day, *day[:12]]
        assert got.kind == (*[Kind.FORECAST] * 24, *[Kind.MODEL] * 36)
        assert got.source[30] == "test (day before)"
        assert got.known_at[30] == hours(-1)
        assert any("published until 2026-01-11T00:00:00Z; 36 of 60 slots" in w for w in f.warnings)

    def test_what_was_known_before_the_grid_helps(self) -> None:
        got = price(frame([series(np.arange(24.0), start=hours(-24))], extend=True))
        assert got.values.tolist() == [0, 1, 2, 3]
        assert set(got.kind) == {Kind.MODEL}

    def test_without_a_day_before_the_mean(self) -> None:
        got = price(frame([series([10.0, 20])], extend=True))
        assert got.values.tolist() == [10, 20, 15, 15]
        assert got.kind[2] is Kind.MODEL
        assert got.source[2] == "test (mean)"

    def test_nothing_known_stays_missing(self) -> None:
        f = frame([], zones=["GB"], extend=True)
        for signal in PLANNED:
            got = f.get("GB", signal)
            assert got is not None
            assert np.isnan(got.values).all()
            assert set(got.kind) == {Kind.MISSING}
        assert "zone GB carbon: no source says anything; all 4 slots are missing." in f.warnings

    def test_made_up_stays_made_up(self) -> None:
        said = [series(np.arange(24.0), start=hours(-24), kind=Kind.SYNTHETIC)]
        assert set(price(frame(said, extend=True)).kind) == {Kind.SYNTHETIC}

    def test_published_values_are_never_touched(self) -> None:
        values = np.r_[np.arange(6.0), np.full(3, np.nan), np.arange(3.0)]
        done = extend(values, timedelta(hours=2))
        known = np.isfinite(values)
        assert done.values[known].tolist() == values[known].tolist()
        assert done.filled.tolist() == (~known).tolist()
        assert np.isfinite(done.values).all()
        assert set(done.origin[~known]) == {MEAN}  # not a day has passed

    @given(
        st.sampled_from(SLOT_MINUTES),
        st.lists(st.booleans(), min_size=1, max_size=100),
    )
    def test_extension_against_a_look_back(self, slot: int, known: list[bool]) -> None:
        values = np.where(known, np.arange(len(known)) * 1.5, np.nan)
        per_day = 1440 // slot
        done = extend(values, timedelta(minutes=slot))
        for i, v in enumerate(values):
            earlier = [j for j in range(i - per_day, -1, -per_day) if np.isfinite(values[j])]
            if np.isfinite(v):
                want = v
            elif earlier:
                want = values[earlier[0]]
            else:
                want = np.nan if not any(known) else values[known].mean()
            np.testing.assert_equal(done.values[i], want)

    def test_a_slot_that_does_not_divide_the_day(self) -> None:
        with pytest.raises(InputError):
            extend(np.array([1.0]), timedelta(minutes=7))


class TestAge:
    def test_old_vintages_are_named(self) -> None:
        said = [series([100.0] * 4, zone="GB", signal=CARBON, known_at=hours(-7.4))]
        f = frame(said, zones=["GB"], max_age=timedelta(hours=2))
        assert "zone GB carbon: newest vintage is 7 h old." in f.warnings
        assert not any("old" in w for w in frame(said, zones=["GB"], max_age=8 * HOUR).warnings)

    def test_cleared_prices_do_not_age(self) -> None:
        said = [series([1.0] * 4, kind=Kind.CLEARED, known_at=hours(-30))]
        assert not any("old" in w for w in frame(said, max_age=HOUR).warnings)

    def test_each_zone_and_signal_has_its_own(self) -> None:
        said = [
            series([100.0] * 4, zone=z, signal=signal, known_at=hours(-5))
            for z in ("GB", "FR")
            for signal in (CARBON, PRICE)
        ]
        longest = {("*", CARBON): 3 * HOUR, ("GB", CARBON): 6 * HOUR, ("GB", PRICE): HOUR}
        found = [w for w in frame(said, zones=["GB", "FR"], max_age=longest).warnings if "old" in w]
        assert found == [
            "zone FR carbon: newest vintage is 5 h old.",
            "zone GB price: newest vintage is 5 h old.",
        ], "and prices of France may be as old as they like"

    def test_a_few_old_slots_are_told(self) -> None:
        said = [
            series([1.0, 2], source="a", known_at=hours(-1)),
            series([5.0] * 4, source="b", known_at=hours(-30)),
        ]
        f = frame(said, max_age=9 * HOUR)
        assert "zone DE-LU price: 2 of 4 slots stand on a vintage that is up to 30 h old." in f.warnings


class TestFallback:
    """A source that is older than its budget yields to the next in order that is not."""

    ORDER: ClassVar[dict[tuple[str, Signal], list[str]]] = {("*", PRICE): ["a", "b", "c"]}

    def told(self, *said: ForecastSeries, **more: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        f = frame(list(said), preference=self.ORDER, max_age=6 * HOUR, **more)
        return price(f).source, f.warnings

    def test_the_next_that_is_fresh_speaks_and_it_is_said(self) -> None:
        a = series([1.0] * 4, source="a", known_at=hours(-7))
        b = series([2.0] * 4, source="b", known_at=hours(-8))
        c = series([3.0] * 3, source="c", known_at=hours(-6))
        source, warnings = self.told(a, b, c)
        assert source == ("c", "c", "c", "a"), "and of those that are old the first in order"
        assert warnings == (
            "zone DE-LU price: what a said 7 h ago is older than 6 h; c speaks in its place.",
            "zone DE-LU price: 1 of 4 slots stand on a vintage that is up to 7 h old.",
            "zone DE-LU carbon: no source says anything; all 4 slots are missing.",
        )

    def test_a_fresh_one_keeps_its_place(self) -> None:
        a = series([1.0] * 2, source="a", known_at=hours(-6))
        b = series([2.0] * 4, source="b", known_at=hours(-9))
        source, warnings = self.told(a, b)
        assert source == ("a", "a", "b", "b")
        assert not any("in its place" in w for w in warnings)

    def test_where_all_are_old_the_best_is_used_and_marked(self) -> None:
        a = series([1.0] * 4, source="a", known_at=hours(-30))
        b = series([2.0] * 4, source="b", known_at=hours(-7))
        source, warnings = self.told(a, b)
        assert source == ("a",) * 4
        assert warnings[0] == "zone DE-LU price: newest vintage is 30 h old."

    def test_what_is_cleared_does_not_yield(self) -> None:
        a = series([1.0] * 4, source="a", known_at=hours(-30), kind=Kind.CLEARED)
        b = series([2.0] * 4, source="b", known_at=hours(-1))
        assert self.told(a, b)[0] == ("a",) * 4

    @pytest.mark.parametrize("order", [["a", "b"], ["b", "a"], []])
    def test_nothing_real_yields_to_what_is_made_up(self, order: list[str]) -> None:
        a = series([1.0] * 4, source="a", known_at=hours(-30))
        b = series([2.0] * 4, source="b", known_at=hours(-1), kind=Kind.SYNTHETIC)
        f = frame([a, b], preference={("*", PRICE): order}, max_age=6 * HOUR)
        first = order[0] if order else "a"
        assert price(f).source == (first,) * 4, "it comes first only where it is named first"

    def test_three_of_which_one_is_made_up(self) -> None:
        a = series([1.0] * 2, source="a", known_at=hours(-30))
        b = series([2.0] * 4, source="b", known_at=hours(-1), kind=Kind.SYNTHETIC)
        c = series([3.0], source="c", known_at=hours(-1))
        assert self.told(a, b, c)[0] == ("c", "a", "b", "b")

    def test_the_basis_does_not_change_with_age(self) -> None:
        a = series([100.0] * 4, signal=CARBON, source="a", known_at=hours(-30))
        b = series([900.0] * 4, signal=CARBON, source="b", known_at=hours(-1), basis=Basis.MARGINAL)
        f = frame([a, b], preference={("*", CARBON): ["a", "b"]}, max_age=6 * HOUR)
        assert f.carbon_g_per_kwh("DE-LU").tolist() == [100.0] * 4
        assert "zone DE-LU carbon: b left out, of another basis than average." in f.warnings

    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.integers(0, 40),
                st.integers(0, 3),
                st.integers(1, 4),
                st.sampled_from([Kind.FORECAST, Kind.CLEARED, Kind.SYNTHETIC]),
            ),
            max_size=8,
        )
    )
    def test_against_a_look_at_each_hour(self, told: list[tuple[str, int, int, int, Kind]]) -> None:
        said = [
            series(np.full(n, 10.0 * i), start=hours(first), source=s, known_at=hours(-age), kind=kind)
            for i, (s, age, first, n, kind) in enumerate(told)
        ]
        plain = frame(said, preference=self.ORDER)
        aged = frame(said, preference=self.ORDER, max_age=6 * HOUR)
        assert np.isnan(price(aged).values).tolist() == np.isnan(price(plain).values).tolist(), (
            "nothing is lost"
        )
        for slot in range(4):
            of_slot = [s for s in said if s.start[0] <= as_datetime64(hours(slot)) < s.end[-1]]
            young = [
                s
                for s in of_slot
                if s.kind is Kind.CLEARED or (s.kind is Kind.FORECAST and s.known_at >= hours(-6))
            ]
            if young and price(plain).kind[slot] is not Kind.SYNTHETIC:
                known_at = price(aged).known_at[slot]
                assert known_at is not None
                assert price(aged).kind[slot] is Kind.CLEARED or known_at >= hours(-6)
            if not young:
                assert price(aged).source[slot] == price(plain).source[slot]
        if not any("in its place" in w for w in aged.warnings):
            assert price(aged).source == price(plain).source


class TestLicence:
    """Whose terms a value stands under goes with it, into the slots that are filled in from it too."""

    CLOSED: ClassVar[dict[str, Any]] = {
        "licence": "internal use only",
        "restricted": True,
        "attribution": "EPEX",
    }

    def test_each_slot_has_its_terms(self) -> None:
        said = [
            series([10.0, 20], source="a", licence="CC BY 4.0"),
            series([1.0, 2, 30], source="b", **self.CLOSED),
        ]
        got = price(frame(said, preference={("*", PRICE): ["a", "b"]}))
        assert got.licence == ("CC BY 4.0", "CC BY 4.0", "internal use only", "")
        assert got.restricted == (False, False, True, False)

    def test_a_slot_of_two_stands_under_both(self) -> None:
        said = [
            series([10.0] * 2, step_minutes=15, source="a", licence="CC BY 4.0"),
            series([50.0], source="b", **self.CLOSED),
        ]
        got = price(frame(said, preference={("*", PRICE): ["a", "b"]}))
        assert (got.licence[0], got.restricted[0]) == ("CC BY 4.0; internal use only", True)

    def test_what_is_filled_in_from_it_is_no_less_restricted(self) -> None:
        got = price(frame([series([10.0, 20], **self.CLOSED)], extend=True))
        assert got.kind[2] is Kind.MODEL
        assert got.restricted == (True,) * 4
        assert set(got.licence) == {"internal use only"}

    def test_what_may_not_be_passed_on_is_withheld_and_said_so(self) -> None:
        band = {0.9: np.array([30.0, 40])}
        said = [
            series([10.0, 20], quantiles=band, **self.CLOSED),
            series([200.0, 210, 190], signal=CARBON, licence="CC BY 4.0"),
        ]
        whole = frame(said)
        shown = whole.shareable()
        assert whole.price_per_mwh("DE-LU")[:2].tolist() == [10, 20], "the plan is made from the whole"
        assert np.isnan(shown.price_per_mwh("DE-LU")).all()
        assert np.isnan(price(shown).quantiles[0.9]).all()
        assert price(shown).source == price(whole).source
        assert shown.carbon_g_per_kwh("DE-LU")[:3].tolist() == [200, 210, 190]
        assert shown.warnings[:-1] == whole.warnings
        assert shown.warnings[-1] == (
            "zone DE-LU price: 2 of 4 slots are withheld, their licence does not allow passing them on: "
            "internal use only"
        )
        assert frame([series([10.0])]).shareable().warnings == frame([series([10.0])]).warnings


def test_from_the_store_as_from_series(store: ForecastStore) -> None:
    said = [
        series(np.arange(24.0), start=hours(-24), known_at=hours(-30)),
        series([5, 6, 7], known_at=hours(-2), source="b"),
        series([8, 9], known_at=hours(-1)),
        series([77.0] * 9, known_at=hours(1)),
        series([200, 210, 190], signal=CARBON, known_at=hours(-1)),
    ]
    for s in said:
        store.append(s)
    more: dict[str, Any] = {
        "as_of": T0,
        "zones": ["GB", "DE-LU"],
        "currency": "EUR",
        "max_age": HOUR / 2,
        "preference": {("DE-LU", PRICE): ["test", "b"]},
    }
    grid = SlotGrid(T0, 30, 96)
    from_store, from_series = frame_from_store(store, grid, **more), frame_from_series(said, grid, **more)
    assert from_store.to_dict() == from_series.to_dict()
    assert from_store.price_per_mwh("DE-LU")[:6].tolist() == [8, 8, 9, 9, 7, 7]


def test_to_dict_and_back() -> None:
    said = [
        series([10.0, 20], quantiles={0.9: np.array([15.0, 30])}, attribution="somebody", licence="its own")
    ]
    f = frame(said, extend=True)
    again = ForecastFrame.from_dict(f.to_dict())
    assert again.to_dict() == f.to_dict()
    assert again.signals[0].licence == ("its own",) * 4
    assert again.grid == f.grid
    assert again.signals[0].kind == f.signals[0].kind


def test_a_frame_that_was_kept_before_licences_were_can_be_read() -> None:
    """Plans are replayed from their inputs, which are kept for months."""
    kept = frame([series([10.0, 20])]).to_dict()
    for signal in kept["signals"]:
        for run in signal["provenance"]:
            del run["licence"], run["restricted"]
    again = ForecastFrame.from_dict(kept)
    assert price(again).values[:2].tolist() == [10, 20]
    assert price(again).licence == ()


def test_a_frame_knows_what_it_does_not_know() -> None:
    f = ForecastFrame.from_arrays(GRID, "EUR", {"A": [1, 2, np.nan, 4]}, {})
    assert np.isnan(f.carbon_g_per_kwh("A")).all()
    assert f.price_per_mwh("A")[3] == 4
    assert f.get("A", CARBON) is None
    assert price(f, "A").missing_slots == 1
    with pytest.raises(ForecastRejected, match="3 values for a grid of 4"):
        ForecastFrame.from_arrays(GRID, "EUR", {"A": [1, 2, 3]}, {})


def test_a_fleet_is_quick() -> None:
    said = [
        series(
            np.arange(96.0),
            start=hours(k / 2 - 24),
            step_minutes=30,
            zone=f"Z{z}",
            signal=CARBON,
            known_at=hours(k / 2 - 24),
        )
        for z in range(20)
        for k in range(48)
    ]
    began = time.perf_counter()
    f = frame(said, SlotGrid(T0, 30, 336), zones=[f"Z{z}" for z in range(20)], extend=True)
    assert time.perf_counter() - began < 3  # 0.1 s on a quiet desk
    assert f.as_of == datetime(2026, 1, 10, tzinfo=UTC)
