from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.pool import StaticPool

from forecasts import questions, tables
from forecasts.errors import ForecastRejected
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.spans import to_us
from forecasts.store import ForecastStore
from tests.forecasts.build import HOUR, T0, hours, series

PRICE = Signal.PRICE
FAR = hours(10_000)


@lru_cache(maxsize=1)
def memory() -> ForecastStore:
    """One store for all examples of a property, each in a zone of its own: tables are slow to make."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    store = ForecastStore(engine)
    store.create_tables()
    return store


def told(
    found: tuple[ForecastSeries, ...], start: datetime, end: datetime, step_minutes: int = 15
) -> list[tuple[float, ...] | None]:
    """What is said at each instant: value, 0.9 quantile, known_at; None where nobody speaks."""
    out: list[tuple[float, ...] | None] = []
    n = int((end - start) / timedelta(minutes=step_minutes))
    for k in range(n):
        t = as_datetime64(start + k * timedelta(minutes=step_minutes))
        here = [(s, i) for s in found for i in np.flatnonzero((s.start <= t) & (t < s.end))]
        assert len(here) <= 1, "one source says one thing at a time"
        out.append(None if not here else _said(here[0][0], int(here[0][1])))
    return out


def _said(s: ForecastSeries, i: int) -> tuple[float, ...]:
    band = s.quantiles.get(0.9)
    return float(s.values[i]), -1.0 if band is None else float(band[i]), s.known_at.timestamp()


def brute_force(
    appended: list[ForecastSeries], moment: datetime, start: datetime, end: datetime
) -> list[tuple[float, ...] | None]:
    """At each instant, the newest series known by `moment` that covers it."""
    known = sorted((s for s in appended if s.known_at <= moment), key=lambda s: s.known_at, reverse=True)
    out: list[tuple[float, ...] | None] = []
    for k in range(int((end - start) / timedelta(minutes=15))):
        t = as_datetime64(start + k * timedelta(minutes=15))
        here = next((s for s in known if s.start[0] <= t < s.end[-1]), None)
        out.append(None if here is None else _said(here, int(np.searchsorted(here.start, t, "right")) - 1))
    return out


class TestAppend:
    def test_what_goes_in_comes_out(self, store: ForecastStore) -> None:
        s = series(
            [1.5, -2.25, 0.1 + 0.2],
            quantiles={0.1: np.array([1.0, -3, 0]), 0.975: np.array([2.0, -1, 1])},
            issued_at=T0 - 2 * HOUR,
            kind=Kind.CLEARED,
            licence="CC BY 4.0",
            attribution="somebody",
            restricted=True,
        )
        done = store.append(s)
        assert (done.status, done.changed_values) == ("new", 9)
        for got in (
            store.read(done.vintage_id),
            store.latest(s.key, FAR),
            *store.as_of("DE-LU", PRICE, FAR, T0, FAR),
        ):
            assert got is not None
            assert (got.key, got.unit, got.kind, got.known_at) == (s.key, s.unit, s.kind, s.known_at)
            assert (got.issued_at, got.licence, got.attribution) == (s.issued_at, s.licence, s.attribution)
            assert got.restricted
            assert np.array_equal(got.start, s.start)
            assert np.array_equal(got.end, s.end)
            assert got.values.tolist() == s.values.tolist()
            assert {p: b.tolist() for p, b in got.quantiles.items()} == {
                p: b.tolist() for p, b in s.quantiles.items()
            }

    def test_the_same_body_is_no_new_vintage_but_is_fresher(self, store: ForecastStore) -> None:
        first = series([1, 2, 3], known_at=T0)
        again = replace(first, known_at=hours(2))
        assert store.append(first).status == "new"
        assert store.append(again).status == "unchanged"
        assert store.append(again).status == "duplicate"
        (vintage,) = store.vintages()
        assert (vintage.known_at, vintage.confirmed_at) == (T0, hours(2))
        assert store.vintages(moment=hours(1))[0].confirmed_at == T0
        (s,) = store.as_of("DE-LU", PRICE, hours(5), T0, FAR)
        assert s.known_at == hours(2)
        (s,) = store.as_of("DE-LU", PRICE, hours(1), T0, FAR)
        assert s.known_at == T0

    def test_the_same_values_issued_again_are_a_vintage_that_writes_nothing(
        self, store: ForecastStore
    ) -> None:
        for k in range(2):
            done = store.append(series([1, 2], known_at=hours(k), issued_at=hours(k)))
            assert (done.status, done.changed_values) == ("new", 2 - 2 * k)
        (s,) = store.as_of("DE-LU", PRICE, hours(1), T0, FAR)
        assert (s.known_at, s.issued_at) == (hours(1), hours(1))

    def test_what_changed_is_counted(self, store: ForecastStore) -> None:
        store.append(series([1, 2, 3, 4], known_at=T0))
        done = store.append(series([2, 9, 4, 5], start=hours(1), known_at=hours(1)))
        assert (done.status, done.changed_values) == ("new", 2)  # 3 became 9, and 5 is new
        assert [v.n_changed for v in store.vintages()] == [2, 4]

    def test_several_bodies_of_one_series_at_once_are_each_seen_again(self, store: ForecastStore) -> None:
        """Whether apart (a hole that is over lies between), or of the same intervals."""
        yesterday, today = series([1, 2], start=hours(-24)), series([3, 4])
        other = series([5, 6, 7], start=hours(-24))
        for k in range(4):
            polled = [replace(s, known_at=hours(k)) for s in (yesterday, today, other)]
            done = store.append_all(polled[:2] if k == 2 else polled)
            # What a poll leaves out is not seen to be as it was: only what speaks of other intervals is untouched.
            want = ["unchanged", "unchanged", "new" if k == 3 else "unchanged"][: len(done)]
            assert [d.status for d in done] == (["new"] * 3 if k == 0 else want)
            assert {d.status for d in store.append_all(polled[: len(done)])} == {"duplicate"}
        assert len(store.vintages()) == 4
        found = store.as_of("DE-LU", PRICE, hours(1), hours(-24), hours(2))
        assert [(s.values.tolist(), s.known_at) for s in found] == [
            ([5, 6, 7], hours(1)),
            ([3, 4], hours(1)),
        ]

    def test_what_one_poll_left_out_is_seen_again_in_the_next(self, store: ForecastStore) -> None:
        yesterday, today = series([1, 2], start=hours(-24)), series([3, 4])
        for k in range(6):
            for s in (yesterday, today) if k % 2 == 0 else (today,):
                assert store.append(replace(s, known_at=hours(k))).status == (
                    "new" if k == 0 else "unchanged"
                )
        assert len(store.vintages()) == 2

    def test_what_an_archive_repeats_is_what_stood_then_not_what_came_later(
        self, store: ForecastStore
    ) -> None:
        for k, value, status in (
            (0, 50.0, "new"),
            (4, 60.0, "new"),
            (2, 50.0, "unchanged"),
            (3, 60.0, "new"),
        ):
            assert store.append(series([value], known_at=hours(k))).status == status
        (s,) = store.as_of("DE-LU", PRICE, hours(2.5), T0, FAR)
        assert (s.values.tolist(), s.known_at) == ([50], hours(2))
        assert [v.known_at for v in store.vintages(moment=hours(3.5))] == [hours(3), hours(0)]

    def test_appending_follows_no_more_of_the_past_than_can_matter(self, store: ForecastStore) -> None:
        """However far back the index would lead where nothing covers a window: the reach of the series ends it."""
        for k in range(30):
            store.append(series([float(k), 0.0], start=hours(k), known_at=hours(k)))
        with store.engine.connect() as db:
            row = db.execute(select(tables.series)).one()
            assert row.reach_us == 2 * 3600 * 10**6
            bounds = questions.bounds(row, to_us(hours(28)), to_us(hours(40)), to_us(FAR))
            assert bounds["since"] == to_us(hours(26))
            seen = db.execute(questions.captures(tables.fetch.c.fetched_at_us), bounds).scalars().all()
            assert seen == [to_us(hours(k)) for k in (29, 28, 27)]
        store.append(series(np.arange(100.0), start=hours(30), known_at=hours(30)))
        found = store.as_of("DE-LU", PRICE, FAR, hours(100), FAR)
        assert [len(s) for s in found] == [30]

    def test_a_correction_is_a_new_vintage_and_the_old_one_stays(self, store: ForecastStore) -> None:
        for k, value in enumerate([50.0, 60.0, 50.0]):
            assert store.append(series([value], known_at=hours(k))).status == "new"
        for k, value in enumerate([50.0, 60.0, 50.0]):
            (s,) = store.as_of("DE-LU", PRICE, hours(k), T0, FAR)
            assert s.values.tolist() == [value]

    def test_a_missed_capture_is_a_gap_not_unchanged(self, store: ForecastStore) -> None:
        """Nothing was heard at 01:00: what was said at 00:00 is then an hour old, not confirmed."""
        store.append(series([1, 2], known_at=T0))
        store.append(series([1, 2], known_at=hours(2)))
        (s,) = store.as_of("DE-LU", PRICE, hours(1.5), T0, FAR)
        assert s.known_at == T0
        (age,) = store.ages(hours(1.5))
        assert age.age_s == 1.5 * 3600

    def test_what_a_shorter_vintage_leaves_out_is_as_old_as_it_was(self, store: ForecastStore) -> None:
        store.append(series([1, 2, 3, 4], known_at=T0))
        store.append(series([9, 2], known_at=hours(1)))
        a, b = store.as_of("DE-LU", PRICE, hours(1), T0, FAR)
        assert (a.values.tolist(), a.known_at) == ([9, 2], hours(1))
        assert (b.values.tolist(), b.known_at) == ([3, 4], T0)

    def test_quarters_become_hours_and_back(self, store: ForecastStore) -> None:
        store.append(series(np.arange(8), step_minutes=15, known_at=T0))
        store.append(series([100.0], step_minutes=60, known_at=hours(1)))
        store.append(series(np.arange(8), step_minutes=15, known_at=hours(2)))
        got = [
            [v for s in store.as_of("DE-LU", PRICE, hours(k), T0, FAR) for v in s.values] for k in range(3)
        ]
        assert got == [[*range(8)], [100, 4, 5, 6, 7], [*range(8)]]

    def test_a_vintage_that_begins_inside_an_old_interval_cuts_it(self, store: ForecastStore) -> None:
        store.append(series([7.0], step_minutes=60, known_at=T0))
        store.append(series([1, 2], start=hours(0.5), step_minutes=15, known_at=hours(1)))
        a, b = store.as_of("DE-LU", PRICE, hours(1), T0, FAR)
        assert (a.values.tolist(), a.end[0]) == ([7], as_datetime64(hours(0.5)))
        assert b.values.tolist() == [1, 2]

    def test_an_archive_imported_later(self, store: ForecastStore) -> None:
        store.append(series([3, 3], known_at=hours(3)))
        store.append(series([1, 1], known_at=hours(1)))
        store.append(series([2, 1], known_at=hours(2)))
        for k, want in ((0, []), (1, [[1, 1]]), (2, [[2, 1]]), (3, [[3, 3]])):
            assert [s.values.tolist() for s in store.as_of("DE-LU", PRICE, hours(k), T0, FAR)] == want

    def test_unit_and_basis_may_not_change(self, store: ForecastStore) -> None:
        store.append(series([1, 2]))
        with pytest.raises(ForecastRejected, match="kept in EUR/MWh"):
            store.append(series([1, 2], unit="GBP/MWh", known_at=T0))
        store.append(series([1, 2], signal=Signal.CARBON))
        with pytest.raises(ForecastRejected, match="marginal"):
            store.append(series([1, 2], signal=Signal.CARBON, basis=Basis.MARGINAL, known_at=T0))
        assert len(store.vintages()) == 2

    def test_a_gap_or_nan_never_gets_in(self, store: ForecastStore) -> None:
        with pytest.raises(ForecastRejected):
            store.append(series([1, np.nan, 3]))
        assert store.vintages() == []

    def test_threads(self, store: ForecastStore) -> None:
        def work(k: int) -> None:
            for j in range(5):
                store.append(series(np.full(24, 10.0 * k + j), known_at=hours(5 * k + j)))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for k in range(20):
            (s,) = store.as_of("DE-LU", PRICE, hours(k), T0, FAR)
            assert s.values[0] == 10 * (k // 5) + k % 5


class TestAsk:
    def test_zones_signals_and_sources_are_apart(self, store: ForecastStore) -> None:
        store.append(series([1.0], source="a"))
        store.append(series([2.0], source="b"))
        store.append(series([3.0], zone="FR"))
        store.append(series([4.0], signal=Signal.CARBON))
        both = store.as_of("DE-LU", PRICE, FAR, T0, FAR)
        assert sorted(s.source for s in both) == ["a", "b"]
        (only,) = store.as_of("DE-LU", PRICE, FAR, T0, FAR, sources=["b"])
        assert only.values.tolist() == [2]
        assert store.as_of("DE-LU", PRICE, FAR, T0, FAR, sources=[]) == ()
        assert store.as_of("XX", PRICE, FAR, T0, FAR) == ()

    def test_the_window_is_half_open(self, store: ForecastStore) -> None:
        store.append(series([1, 2, 3]))
        (s,) = store.as_of("DE-LU", PRICE, FAR, hours(1), hours(2))
        assert s.values.tolist() == [2]
        assert store.as_of("DE-LU", PRICE, FAR, hours(3), hours(4)) == ()
        assert store.as_of("DE-LU", PRICE, FAR, hours(2), hours(2)) == ()
        (s,) = store.as_of("DE-LU", PRICE, FAR, hours(0.5), hours(0.75))
        assert s.end[0] - s.start[0] == np.timedelta64(15, "m")

    def test_a_long_interval_that_began_before_the_window(self, store: ForecastStore) -> None:
        store.append(series([5.0], step_minutes=60 * 24 * 31, known_at=T0))
        (s,) = store.as_of("DE-LU", PRICE, FAR, hours(24 * 30), hours(24 * 30 + 1))
        assert s.values.tolist() == [5]

    def test_rejections_are_remembered_and_never_answer(self, store: ForecastStore) -> None:
        store.append(series([1.0], known_at=T0))
        store.record_rejection(
            source="test", zone="DE-LU", signal=PRICE, known_at=hours(1), reason="a gap at 05:00"
        )
        rejected, accepted = store.vintages()
        assert (rejected.status, rejected.reason) == ("rejected", "a gap at 05:00")
        assert accepted.status == "accepted"
        assert store.read(rejected.id) is None
        (s,) = store.as_of("DE-LU", PRICE, FAR, T0, FAR)
        assert s.known_at == T0
        (age,) = store.ages(hours(3))
        assert (age.age_s, age.rejected_since_count) == (3 * 3600, 1)

    def test_a_series_that_was_only_ever_rejected_has_no_age(self, store: ForecastStore) -> None:
        store.record_rejection(source="x", zone="GB", signal=Signal.CARBON, known_at=T0, reason="NaN")
        (age,) = store.ages(hours(1))
        assert (age.age_s, age.known_at, age.rejected_since_count) == (None, None, 1)
        store.append(series([1.0], source="x", zone="GB", signal=Signal.CARBON))

    def test_listing(self, store: ForecastStore) -> None:
        for k in range(3):
            store.append(series([float(k)], known_at=hours(k)))
        store.append(series([7.0], zone="FR", known_at=hours(9)))
        assert [v.known_at for v in store.vintages(zone="DE-LU")] == [hours(2), hours(1), hours(0)]
        assert len(store.vintages(limit=2)) == 2
        assert [v.zone for v in store.vintages(moment=hours(1))] == ["DE-LU", "DE-LU"]
        assert store.vintages(source="nobody") == []
        assert store.vintages(signal=Signal.CARBON) == []
        assert store.latest("test:FR:price", hours(8)) is None


def test_prune_forgets_delivery_and_nothing_else(store: ForecastStore) -> None:
    store.append(series(np.arange(48.0), known_at=T0))
    store.append(series(np.arange(24.0), start=hours(-24), known_at=hours(-24)))
    store.append(series([99.0], start=hours(30), known_at=hours(1)))
    store.record_rejection(source="test", zone="DE-LU", signal=PRICE, known_at=hours(-30), reason="old")
    before = told(store.as_of("DE-LU", PRICE, FAR, hours(24), hours(48)), hours(24), hours(48))
    assert store.prune(hours(24)) == 48
    assert told(store.as_of("DE-LU", PRICE, FAR, hours(24), hours(48)), hours(24), hours(48)) == before
    assert store.as_of("DE-LU", PRICE, FAR, hours(-24), hours(24)) == ()
    assert [v.status for v in store.vintages()] == ["accepted", "accepted"]
    store.prune(FAR)
    assert store.vintages() == []
    assert store.ages(FAR) == []
    store.append(series([1.0], unit="GBP/MWh"))  # a clean slate


def test_prune_leaves_what_goes_on_exact(store: ForecastStore) -> None:
    """Cut in the midst of an interval, and again later."""
    first = store.append(series([1, 2, 3, 4], step_minutes=120, quantiles={0.9: np.array([2.0, 3, 4, 5])}))
    short = store.append(series([9.0], known_at=T0))
    for k in (1, 4):
        store.record_rejection(
            source="test", zone="DE-LU", signal=PRICE, known_at=hours(k), reason="a gap at 05:00"
        )
    after = told(store.as_of("DE-LU", PRICE, FAR, hours(3), hours(8)), hours(3), hours(8))
    assert store.prune(hours(3)) == 2 + 1  # of the first the one that ended, and the half of another
    assert store.prune(hours(3)) == 0
    assert told(store.as_of("DE-LU", PRICE, FAR, hours(0), hours(8)), hours(3), hours(8)) == after
    assert store.as_of("DE-LU", PRICE, FAR, T0, hours(3)) == ()
    assert store.read(short.vintage_id) is None
    left = store.read(first.vintage_id)
    assert left is not None
    assert (left.values.tolist(), left.start[0]) == ([2, 3, 4], as_datetime64(hours(3)))
    assert left.quantiles[0.9].tolist() == [3, 4, 5]
    assert [(v.status, v.known_at) for v in store.vintages()] == [
        ("rejected", hours(4)),
        ("accepted", hours(-1)),
    ]
    again = series(
        [1, 2, 3, 4], step_minutes=120, quantiles={0.9: np.array([2.0, 3, 4, 5])}, known_at=hours(5)
    )
    assert store.append(again).status == "unchanged"
    assert store.prune(hours(7)) == 3


def test_a_busy_day_is_quick(engine: Engine) -> None:
    """NESO as it is: a vintage of 96 half-hours every half-hour, most of it revised."""
    store = ForecastStore(engine)
    store.create_tables()
    rng = np.random.default_rng(0)
    values = rng.uniform(100, 300, 200)
    for k in range(48):
        values[rng.integers(0, 200, 30)] += 1
        store.append(
            series(
                values[k : k + 96],
                start=hours(k / 2),
                step_minutes=30,
                signal=Signal.CARBON,
                known_at=hours(k / 2),
            )
        )
    (s,) = store.as_of("DE-LU", Signal.CARBON, hours(23.5), hours(24), hours(71.5))
    assert len(s) == 95


numbers = count()
blocks = st.tuples(
    st.integers(-4, 12),  # start [quarters]
    st.sampled_from([15, 30, 60]),
    st.lists(st.sampled_from([0.0, 1.0, 2.0, -5.5]), min_size=1, max_size=8),
    st.booleans(),  # with a quantile
)


@settings(max_examples=50, deadline=None)
@given(
    vintages=st.dictionaries(st.integers(0, 20), blocks, min_size=1, max_size=7),
    order=st.randoms(use_true_random=False),
    moments=st.lists(st.integers(-1, 21), min_size=1, max_size=4),
)
def test_as_of_equals_brute_force(vintages: dict, order, moments: list[int]) -> None:
    appended = [
        series(
            values,
            start=hours(start / 4),
            step_minutes=step,
            known_at=hours(k),
            quantiles={0.9: np.asarray(values) + 1} if banded else {},
        )
        for k, (start, step, values, banded) in vintages.items()
    ]
    order.shuffle(appended)
    store, zone = memory(), f"zone-{next(numbers)}"
    appended = [replace(s, zone=zone) for s in appended]
    for s in appended:
        store.append(s)
    assert {store.append(s).status for s in appended} == {"duplicate"}
    start, end = hours(-1), hours(12)
    for k in moments:
        found = store.as_of(zone, PRICE, hours(k), start, end)
        assert all(s.known_at <= hours(k) for s in found), "nothing from the future"
        assert told(found, start, end) == brute_force(appended, hours(k), start, end)
    for v in store.vintages(zone=zone):
        (said,) = [s for s in appended if s.known_at == v.known_at]
        read = store.read(v.id)
        assert read is not None
        assert read.values.tolist() == said.values.tolist()
        assert np.array_equal(read.end, said.end)


@settings(max_examples=50, deadline=None)
@given(
    vintages=st.dictionaries(st.integers(0, 20), blocks, min_size=1, max_size=7),
    cuts=st.lists(st.integers(-5, 60), min_size=1, max_size=3),
    moment=st.integers(0, 21),
)
def test_prune_changes_no_answer_of_what_is_kept(vintages: dict, cuts: list[int], moment: int) -> None:
    """Wherever it cuts, in whatever order: later answers are those of before, and of earlier there are none."""
    store, zone = memory(), f"pruned-{next(numbers)}"
    for k, (start, step, values, banded) in vintages.items():
        bands = {0.9: np.asarray(values) + 1} if banded else {}
        s = series(
            values, zone=zone, start=hours(start / 4), step_minutes=step, known_at=hours(k), quantiles=bands
        )
        store.append(s)
    start, end = hours(-2), hours(12)
    before = told(store.as_of(zone, PRICE, hours(moment), start, end), start, end)
    for cut in cuts:
        store.prune(hours(cut / 5))  # in the midst of an interval, too
    n = int((max(hours(max(cuts) / 5), start) - start) / timedelta(minutes=15))
    after = told(store.as_of(zone, PRICE, hours(moment), start, end), start, end)
    whole = hours(max(cuts) / 5) <= start + n * timedelta(minutes=15)
    assert after[:n] == [None] * n
    assert after[n + (not whole) :] == before[n + (not whole) :]
    assert all(
        v.first_start is None or v.first_start >= hours(max(cuts) / 5) for v in store.vintages(zone=zone)
    )


class TestAppendAll:
    DAY = np.arange(24.0)

    def test_all_in_their_order(self, store: ForecastStore) -> None:
        one, two = series(self.DAY), series(self.DAY, zone="FR")
        later = series(self.DAY[::-1], known_at=hours(1))
        done = store.append_all([two, one, later])
        assert [(d.key, d.status) for d in done] == [(s.key, "new") for s in (two, one, later)]
        assert store.append_all([]) == []
        newest = store.latest(one.key, hours(2))
        assert newest is not None
        assert newest.values.tolist() == self.DAY[::-1].tolist()

    @pytest.mark.parametrize("first", [0, 1])
    def test_or_none(self, store: ForecastStore, first: int) -> None:
        """The unit can be compared only with what is stored: it is found out when others are written already."""
        store.append(series(self.DAY))
        pounds = series(self.DAY[::-1], unit="GBP/MWh", known_at=hours(1))
        other = series(self.DAY, zone="AT" if first else "FR", known_at=hours(1))
        with pytest.raises(ForecastRejected, match="is kept in EUR/MWh"):
            store.append_all([other, pounds] if first else [pounds, other])
        assert [v.zone for v in store.vintages()] == ["DE-LU"]
        assert [a.zone for a in store.ages(FAR)] == ["DE-LU"]
        with pytest.raises(ForecastRejected, match="unit 'EUR/kWh'"):
            store.append_all([other, series(self.DAY, unit="EUR/kWh", zone="BE")])
        assert [a.zone for a in store.ages(FAR)] == ["DE-LU"]
