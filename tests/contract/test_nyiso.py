"""NYISO's postings through the suite of sources, and each trap of their clock and their server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.marketday import market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.nyiso import EASTERN, NAMES, NyisoOptions, NyisoSource
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW
from tests.contract.test_sources import OverHttp

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)  # in New York, at NOW
LOADS = (
    "Capitl",
    "Centrl",
    "Dunwod",
    "Genese",
    "Hud Vl",
    "Longil",
    "Mhk Vl",
    "Millwd",
    "N.Y.C.",
    "North",
    "West",
)
COLUMNS = (
    "Time Stamp",
    "Name",
    "PTID",
    "LBMP ($/MWHr)",
    "Marginal Cost Losses ($/MWHr)",
    "Congestion ($/MWHr)",
)
PTIDS = {"CAPITL": 61757, "HUD VL": 61758, "N.Y.C.": 61761, "H Q": 61844, "PJM": 61847}


def stamps(which: date, days: int = 1) -> list[str]:
    """What a clock in New York shows at the start of every hour of some days; in autumn one time twice."""
    opens, closes = market_day(which, EASTERN)[0], market_day(which + timedelta(days=days - 1), EASTERN)[1]
    return [
        f"{(opens + k * HOUR).astimezone(EASTERN):%m/%d/%Y %H:%M}" for k in range((closes - opens) // HOUR)
    ]


def prices(which: date, **over: Any) -> list[dict[str, Any]]:
    """By the hour, and in each hour by zone and neighbour."""
    return [
        dict(zip(COLUMNS, (stamp, name, ptid, round(30 + k + ptid % 10 / 4, 2), 1.5, -0.25), strict=True))
        | over
        for k, stamp in enumerate(stamps(which))
        for name, ptid in PTIDS.items()
    ]


def loads(which: date, days: int = 6) -> list[dict[str, Any]]:
    return [
        {"Time Stamp": stamp, **{zone: 1000 * n + k for n, zone in enumerate(LOADS, 1)}, "NYISO": 99999}
        for k, stamp in enumerate(stamps(which, days))
    ]


def csv(
    rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None, *, quoted: bool = False
) -> Said:
    columns = columns or list(rows[0])
    mark = '"' if quoted else ""
    head = ",".join(f"{mark}{column}{mark}" for column in columns)
    lines = (
        ",".join(f'"{row[c]}"' if quoted and c == "Time Stamp" else str(row[c]) for c in columns)
        for row in rows
    )
    return Said("\r\n".join([head, *lines, ""]).encode(), 200, {"Content-Type": "text/csv"})


def price_path(which: date) -> str:
    return f"/DAM_LBMP_ZONE/CSV/{which:%Y/%m/%d}/damlbmp_zone-{which:%Y%m%d}.csv"


def load_path(which: date) -> str:
    return f"/ISO_LF/CSV/{which:%Y/%m/%d}/isolf-{which:%Y%m%d}.csv"


class OverFiles(OverHttp):
    """A server of files; what is not there answers 404."""

    files: dict[str, Said]

    def reply(self, asked: Asked) -> Said:
        return self.files.get(asked.path, Said(b"<Error><Code>NoSuchKey</Code></Error>", 404))

    @pytest.fixture(autouse=True)
    def _files(self) -> None:
        self.files = {price_path(day): csv(prices(day)) for day in (TODAY, TOMORROW)}
        self.files[load_path(TODAY)] = csv(loads(TODAY), quoted=True)

    def source(self) -> NyisoSource:
        return NyisoSource(NyisoOptions(base_url=self.server.url), http=self.http)


class TestNyiso(OverFiles, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        return self.source()

    def request(self) -> FetchRequest:
        return FetchRequest("NYISO-NYC", (Signal.PRICE, Signal.LOAD), NOW, NOW + DAY)


Ask = Callable[..., ForecastSeries]


class Asking(OverFiles):
    @pytest.fixture
    def ask(self) -> Ask:
        def ask(
            signal: Signal = Signal.PRICE,
            zone: str = "NYISO-NYC",
            now: datetime = NOW,
            start: datetime | None = None,
            end: datetime | None = None,
        ) -> ForecastSeries:
            start = start or now
            [found] = self.source().fetch(FetchRequest(zone, (signal,), start, end or start + DAY), now=now)
            return found

        return ask


class TestPrices(Asking):
    def test_the_reply(self, ask: Ask) -> None:
        found = ask()
        assert (found.unit, found.kind, found.known_at) == ("USD/MWh", Kind.CLEARED, NOW)
        assert found.start[0] == np.datetime64("2026-11-23T05:00"), "midnight in New York; a time is a start"
        assert found.values.tolist() == 2 * [30.25 + k for k in range(24)]
        assert [asked.path for asked in self.server.asked] == [price_path(TODAY), price_path(TOMORROW)]

    @pytest.mark.parametrize(("zone", "first"), [("NYISO-HUDVL", 32.0), ("NYISO-CAPITL", 31.75)])
    def test_each_zone_has_its_name(self, ask: Ask, zone: str, first: float) -> None:
        assert ask(zone=zone).values[0] == first
        assert len(NAMES) == 11

    def test_before_eleven_there_is_today_alone(self, ask: Ask) -> None:
        for status in (404, 403):
            self.files[price_path(TOMORROW)] = Said(b"<Error/>", status)
            assert len(ask()) == 24

    def test_nothing_is_there(self, ask: Ask) -> None:
        self.files = {}
        with pytest.raises(SourceUnavailable, match="answered 404") as caught:
            ask()
        assert "11:00 Eastern" in caught.value.hint

    def test_tomorrow_is_the_last_day(self) -> None:
        later = FetchRequest("NYISO-NYC", (Signal.PRICE,), NOW + 2 * DAY, NOW + 3 * DAY)
        assert self.source().fetch(later, now=NOW) == []
        assert self.server.asked == []

    @pytest.mark.parametrize(
        ("which", "n"), [(date(2026, 3, 8), 23), (date(2026, 7, 14), 24), (date(2026, 11, 1), 25)]
    )
    def test_days_of_23_and_25_hours(self, ask: Ask, which: date, n: int) -> None:
        opens, closes = market_day(which, EASTERN)
        assert len(set(stamps(which))) == min(n, 24)
        self.files = {price_path(which): csv(prices(which))}
        found = ask(now=opens, end=closes)
        assert np.all(found.end - found.start == np.timedelta64(1, "h"))
        assert found.values.tolist() == [30.25 + k for k in range(n)], "in the order of the file"

    def test_an_hour_that_comes_twice_and_is_told_once(self, ask: Ask) -> None:
        which = date(2026, 11, 1)
        rows = [row for row in prices(which) if row["Name"] == "N.Y.C."]
        self.files = {price_path(which): csv([*rows[:2], *rows[3:]])}
        with pytest.raises(ForecastRejected, match="nothing is said between 2026-11-01T06:00:00Z"):
            ask(now=market_day(which, EASTERN)[0])

    @pytest.mark.parametrize(
        ("which", "again", "why"),
        [
            (TODAY, 5, "clocks show 2026-11-23 05:00 once, not again"),
            (date(2026, 11, 1), 2, "2026-11-01 01:00 comes 3 times"),
        ],
    )
    def test_an_hour_too_often(self, ask: Ask, which: date, again: int, why: str) -> None:
        rows = [row for row in prices(which) if row["Name"] == "N.Y.C."]
        self.files = {price_path(which): csv([*rows, rows[again]])}
        with pytest.raises(ForecastRejected, match=why):
            ask(now=market_day(which, EASTERN)[0], end=market_day(which, EASTERN)[1])

    def test_an_hour_that_clocks_leave_out(self, ask: Ask) -> None:
        which = date(2026, 3, 8)
        rows = prices(which)
        self.files = {price_path(which): csv([*rows, rows[2] | {"Time Stamp": "03/08/2026 02:00"}])}
        with pytest.raises(ForecastRejected, match="clocks never show 2026-03-08 02:00"):
            ask(now=market_day(which, EASTERN)[0])

    def test_a_long_window_is_a_file_a_day(self, ask: Ask) -> None:
        days = [TODAY - k * DAY for k in range(40)]
        self.files = {price_path(day): csv(prices(day)) for day in days}
        found = ask(start=NOW - 39 * DAY, end=NOW + DAY)
        assert len(found) == 40 * 24 + 1, "with the hour that came twice"
        del self.files[price_path(days[7])]
        with pytest.raises(ForecastRejected, match="nothing is said between 2026-11-16T05:00:00Z"):
            ask(start=NOW - 39 * DAY, end=NOW + DAY)

    @pytest.mark.parametrize("part", [slice(0, 60), slice(40, None)])
    def test_half_a_day_is_refused(self, ask: Ask, part: slice) -> None:
        self.files[price_path(TODAY)] = csv(prices(TODAY)[part])
        with pytest.raises(ForecastRejected, match="not from 2026-11-23T05:00:00Z"):
            ask()

    def test_a_file_of_another_day_is_refused(self, ask: Ask) -> None:
        self.files[price_path(TODAY)] = self.files[price_path(TOMORROW)]
        with pytest.raises(ForecastRejected, match="the prices are from 2026-11-24T05:00:00Z"):
            ask()

    def test_a_zone_that_is_absent(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="no price of GENESE"):
            ask(zone="NYISO-GENESE")

    @pytest.mark.parametrize("price", [-45.5, 0.0, 1999.0])
    def test_negative_and_high_prices_are_prices(self, ask: Ask, price: float) -> None:
        self.files[price_path(TODAY)] = csv(prices(TODAY, **{"LBMP ($/MWHr)": price}))
        assert ask().values[0] == price

    @pytest.mark.parametrize("price", ["", "n/a", "nan"])
    def test_what_is_no_price_is_refused(self, ask: Ask, price: str) -> None:
        self.files[price_path(TODAY)] = csv(prices(TODAY, **{"LBMP ($/MWHr)": price}))
        with pytest.raises(ForecastRejected, match="LBMP"):
            ask()

    @pytest.mark.parametrize("stamp", ["", "2026-11-23 00:00", "11/23/2026 24:00", "11/23/2026"])
    def test_what_is_no_time(self, ask: Ask, stamp: str) -> None:
        self.files[price_path(TODAY)] = csv(prices(TODAY, **{"Time Stamp": stamp}))
        with pytest.raises(SourceUnavailable, match="not a time"):
            ask()

    @pytest.mark.parametrize("gone", [*COLUMNS[:2], COLUMNS[3]])
    def test_a_column_that_is_missing_is_named(self, ask: Ask, gone: str) -> None:
        self.files[price_path(TODAY)] = csv(prices(TODAY), [c for c in COLUMNS if c != gone])
        with pytest.raises(SourceUnavailable) as caught:
            ask()
        assert f"no column {gone}" in caught.value.detail

    def test_a_page_with_200(self, ask: Ask) -> None:
        self.files[price_path(TODAY)] = Said(b"<html>We have moved</html>")
        with pytest.raises(SourceUnavailable, match="page of HTML"):
            ask()

    def test_what_is_cut_off(self, ask: Ask) -> None:
        self.files[price_path(TODAY)] = Said(csv(prices(TODAY)).body[:-25])
        with pytest.raises(SourceUnavailable, match="too short"):
            ask()

    @pytest.mark.parametrize(("status", "said"), [(400, "answered 400"), (503, "did not answer")])
    def test_other_answers_are_errors(self, ask: Ask, status: int, said: str) -> None:
        self.files[price_path(TODAY)] = Said(b"no", status)
        with pytest.raises(SourceUnavailable, match=said):
            ask()


class TestLoad(Asking):
    def test_the_reply(self, ask: Ask) -> None:
        found = ask(Signal.LOAD)
        assert (found.unit, found.kind, len(found)) == ("MW", Kind.FORECAST, 6 * 24)
        assert (found.start[0], found.values[1]) == (np.datetime64("2026-11-23T05:00"), 9001)
        assert ask(Signal.LOAD, "NYISO-HUDVL").values[0] == 5000, "by any letters"

    def test_just_after_midnight_there_is_yesterdays(self, ask: Ask) -> None:
        found = ask(Signal.LOAD, now=datetime(2026, 11, 24, 5, 10, tzinfo=UTC))
        assert [asked.path for asked in self.server.asked] == [load_path(TOMORROW), load_path(TODAY)]
        assert found.end[-1] == np.datetime64("2026-11-29T05:00")

    def test_nothing_is_there(self, ask: Ask) -> None:
        self.files = {}
        with pytest.raises(SourceUnavailable, match=r"isolf-20261122\.csv answered 404"):
            ask(Signal.LOAD)

    @pytest.mark.parametrize(
        ("which", "n"), [(date(2026, 10, 30), 6 * 24 + 1), (date(2026, 3, 6), 6 * 24 - 1)]
    )
    def test_days_on_which_the_clock_changes(self, ask: Ask, which: date, n: int) -> None:
        self.files = {load_path(which): csv(loads(which))}
        found = ask(Signal.LOAD, now=market_day(which, EASTERN)[0])
        assert found.values.tolist() == [9000 + k for k in range(n)]

    def test_an_hour_that_comes_twice_and_is_told_once(self, ask: Ask) -> None:
        """How NYISO tells of it is not known: it is not guessed."""
        which = date(2026, 10, 30)
        rows = loads(which)
        twice = next(k for k, row in enumerate(rows) if row["Time Stamp"] == rows[k + 1]["Time Stamp"])
        self.files = {load_path(which): csv([*rows[:twice], *rows[twice + 1 :]])}
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask(Signal.LOAD, now=market_day(which, EASTERN)[0])

    def test_a_zone_that_is_absent_or_a_file_without_rows(self, ask: Ask) -> None:
        for rows in (loads(TODAY), []):
            self.files[load_path(TODAY)] = csv(rows, ["Time Stamp", *(["West"] if rows else LOADS)])
            with pytest.raises(SourceUnavailable, match=r"no load of N\.Y\.C\."):
                ask(Signal.LOAD)

    @pytest.mark.parametrize("start", [NOW + 7 * DAY, NOW - 3 * DAY])
    def test_what_it_cannot_know_is_not_asked(self, start: datetime) -> None:
        window = FetchRequest("NYISO-NYC", (Signal.LOAD,), start, start + DAY)
        assert self.source().fetch(window, now=NOW) == []
        assert self.server.asked == []
