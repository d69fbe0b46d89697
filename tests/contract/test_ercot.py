"""ERCOT's documents through the suite of sources, and each trap of their lists, their zips and their clock."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.ingest import ingest
from forecasts.marketday import market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.ercot import CENTRAL, HUBS, ErcotOptions, ErcotSource
from forecasts.store import ForecastStore
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW, as_json
from tests.contract.test_sources import OverHttp

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YESTERDAY, TODAY, TOMORROW = (date(2026, 11, day) for day in (22, 23, 24))  # in Texas, at NOW
LIST, DOWNLOAD = "/misapp/servlets/IceDocListJsonWS", "/misdownload/servlets/mirDownload"
TYPES = {"12331": Signal.PRICE, "12311": Signal.LOAD, "13028": Signal.WIND, "13483": Signal.SOLAR}
POWER = (Signal.LOAD, Signal.WIND, Signal.SOLAR)
LATE = datetime(2026, 11, 23, 20, tzinfo=UTC)  # an hour after tomorrow's prices

Rows = Sequence[dict[str, Any]]


def hours(which: date, days: int = 1) -> list[tuple[str, int, str]]:
    """Day, the hour that ends and the flag, of every hour of some local days, as ERCOT's clock has them."""
    found = []
    opens, _ = market_day(which, CENTRAL)
    _, closes = market_day(which + timedelta(days=days - 1), CENTRAL)
    for k in range((closes - opens) // HOUR):
        start = (opens + k * HOUR).astimezone(CENTRAL)
        found.append((f"{start:%m/%d/%Y}", start.hour + 1, "Y" if start.fold else "N"))
    return found


def prices(which: date, hubs: Sequence[str] = ("HB_BUSAVG", *HUBS.values())) -> list[dict[str, Any]]:
    """By the hour, and in each hour by point, as the files have them."""
    return [
        {
            "DeliveryDate": day,
            "HourEnding": f"{hour:02d}:00",
            "SettlementPoint": hub,
            "SettlementPointPrice": round(20 + k + 0.25 * p, 2),
            "DSTFlag": flag,
        }
        for k, (day, hour, flag) in enumerate(hours(which))
        for p, hub in enumerate(hubs)
    ]


def load(which: date = TODAY, days: int = 8) -> list[dict[str, Any]]:
    zones = {"North": 20000, "South": 15000, "West": 8000, "Houston": 12000}
    return [
        {
            "DeliveryDate": day,
            "HourEnding": f"{hour:02d}:00",
            **zones,
            "SystemTotal": 55000 + k,
            "DSTFlag": flag,
        }
        for k, (day, hour, flag) in enumerate(hours(which, days))
    ]


def power(signal: Signal, which: date = YESTERDAY, days: int = 9, gone: int = 24) -> list[dict[str, Any]]:
    """Of the `gone` first hours what was measured too, else that is blank."""
    figure, other = ("STWPF", "WGRPP") if signal is Signal.WIND else ("STPPF", "PVGRPP")
    return [
        {
            "DELIVERY_DATE": day,
            "HOUR_ENDING": hour,
            "SYSTEM_WIDE_GEN": 9999.5 if k < gone else "",
            "COP_HSL_SYSTEM_WIDE": 1,
            f"{figure}_SYSTEM_WIDE": 7000.5 + k,
            f"{other}_SYSTEM_WIDE": 2,
            "SYSTEM_WIDE_HSL": 9999.5 if k < gone else "",
            "DSTFlag": flag,
        }
        for k, (day, hour, flag) in enumerate(hours(which, days))
    ]


def csv(rows: Rows, columns: Sequence[str] | None = None) -> str:
    columns = columns or list(rows[0])
    return "\n".join([",".join(columns), *(",".join(str(row[c]) for c in columns) for row in rows)])


def zipped(*texts: str, names: Sequence[str] = ("cdr.csv", "more.csv")) -> Said:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in zip(names, texts, strict=False):
            archive.writestr(name, text)
    return Said(made.getvalue(), 200, {"Content-Type": "application/zip"})


def listed(id: int, published: datetime, kind: str = "csv", **over: Any) -> dict[str, Any]:
    local = published.astimezone(CENTRAL)
    told = {
        "ExpiredDate": (local + 31 * DAY).isoformat(),
        "ILMStatus": "EXT",
        "SecurityStatus": "P",
        "ContentSize": 1000,
        "Extension": "zip",
        "FileName": "",
        "ReportTypeID": 12331,
        "Prefix": "cdr",
        "FriendlyName": f"REPORT_{kind}",
        "ConstructedName": f"cdr.00012331.0000000000000000.{local:%Y%m%d.%H%M%S}000.REPORT_{kind}.zip",
        "DocID": str(id),
        "PublishDate": local.isoformat(),
        "ReportName": "Some report",
        "DUNS": "0000000000000",
        "DocCount": 0,
    }
    return {"Document": told | over}


def listing(*documents: dict[str, Any]) -> Said:
    return as_json({"ListDocsByRptTypeRes": {"DocumentList": list(documents)}})


def published(which: date) -> datetime:
    """When the prices of a day are out."""
    return datetime(which.year, which.month, which.day, 18, 51, 3, tzinfo=UTC) - DAY


def price_list(*days: date) -> Said:
    """As CSV and as XML, the newest first."""
    return listing(
        *(
            listed(
                int(f"{day:%Y%m%d}"),
                published(day),
                kind,
                DocID=f"{day:%Y%m%d}{'' if kind == 'csv' else '9'}",
            )
            for day in sorted(days, reverse=True)
            for kind in ("xml", "csv")
        )
    )


class OverMis(OverHttp):
    """A server with prices of three days, and forecasts of every hour, at their places; each may be replaced."""

    lists: dict[Signal, Said]
    files: dict[str, Said]

    def reply(self, asked: Asked) -> Said:
        if asked.path == LIST:
            return self.lists[TYPES[asked.query["reportTypeId"]]]
        assert asked.path == DOWNLOAD
        return self.files[asked.query["doclookupId"]]

    @pytest.fixture(autouse=True)
    def _documents(self) -> None:
        days = YESTERDAY, TODAY, TOMORROW
        self.files = {f"{day:%Y%m%d}": zipped(csv(prices(day))) for day in days}
        newest = [datetime(2026, 11, 23, hour, 30, 12, tzinfo=UTC) for hour in (9, 8, 20)]
        self.lists = {Signal.PRICE: price_list(*days)}
        made = {Signal.LOAD: load(), **{signal: power(signal) for signal in (Signal.WIND, Signal.SOLAR)}}
        for n, (signal, rows) in enumerate(made.items(), start=1):
            self.lists[signal] = listing(*(listed(10 * n + k, at) for k, at in enumerate(newest)))
            self.files |= {f"{10 * n}": zipped(csv(rows)), f"{10 * n + 2}": zipped(csv(rows))}

    def source(self) -> ErcotSource:
        return ErcotSource(ErcotOptions(base_url=self.server.url), http=self.http)


class TestErcot(OverMis, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        return self.source()

    def request(self) -> FetchRequest:
        return FetchRequest("ERCOT", (Signal.PRICE, *POWER), NOW, NOW + DAY)


Ask = Callable[..., ForecastSeries]


class Asking(OverMis):
    @pytest.fixture
    def ask(self) -> Ask:
        def ask(
            signal: Signal = Signal.PRICE,
            zone: str = "ERCOT",
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
        found = ask(now=LATE)
        assert (found.unit, found.kind, found.restricted) == ("USD/MWh", Kind.CLEARED, False)
        assert found.start[0] == np.datetime64("2026-11-23T06:00"), "midnight in Texas, where hour 01 starts"
        assert found.values.tolist() == 2 * [20.25 + k for k in range(24)]
        assert [asked.path for asked in self.server.asked] == [LIST, DOWNLOAD, DOWNLOAD]

    @pytest.mark.parametrize(
        ("zone", "first"), [("ERCOT", 20.25), ("ERCOT-HOUSTON", 20.5), ("ERCOT-WEST", 21.25)]
    )
    def test_each_zone_has_its_hub(self, ask: Ask, zone: str, first: float) -> None:
        found = ask(zone=zone)
        assert (found.zone, found.values[0]) == (zone, first)

    def test_before_one_there_is_today_alone(self, ask: Ask) -> None:
        """Tomorrow's document is listed, and not published yet by the clock of whoever asks."""
        found = ask()
        assert (len(found), found.end[-1]) == (24, np.datetime64("2026-11-24T06:00"))
        assert [a.query.get("doclookupId") for a in self.server.asked] == [None, "20261123"]

    def test_tomorrow_is_the_last_day(self) -> None:
        later = FetchRequest("ERCOT", (Signal.PRICE,), NOW + 2 * DAY, NOW + 3 * DAY)
        assert self.source().fetch(later, now=NOW) == []
        assert self.server.asked == []

    @pytest.mark.parametrize(
        ("which", "n"), [(date(2026, 3, 8), 23), (date(2026, 7, 14), 24), (date(2026, 11, 1), 25)]
    )
    def test_days_of_23_and_25_hours(self, ask: Ask, which: date, n: int) -> None:
        opens, closes = market_day(which, CENTRAL)
        rows = prices(which)
        assert len({row["HourEnding"] for row in rows}) == min(n, 24)
        assert ("03:00" in {row["HourEnding"] for row in rows}) == (n != 23)
        self.lists[Signal.PRICE] = price_list(which)
        self.files[f"{which:%Y%m%d}"] = zipped(csv(rows))
        found = ask(now=opens, end=closes)
        assert len(found) == n
        assert np.all(found.end - found.start == np.timedelta64(1, "h"))
        assert found.values.tolist() == [20.25 + k for k in range(n)]

    def autumn(self, ask: Ask, *flags: tuple[int, str]) -> ForecastSeries:
        """The day with two hours 02, with other flags."""
        which = date(2026, 11, 1)
        rows = [row for row in prices(which) if row["SettlementPoint"] == "HB_HUBAVG"]
        for k, flag in flags:
            rows[k]["DSTFlag"] = flag
        self.lists[Signal.PRICE] = price_list(which)
        self.files[f"{which:%Y%m%d}"] = zipped(csv(rows))
        opens, closes = market_day(which, CENTRAL)
        return ask(now=opens, end=closes)

    def test_the_flag_tells_the_hours_apart_and_not_their_order(self, ask: Ask) -> None:
        assert self.autumn(ask, (1, "Y"), (2, "N")).values[:4].tolist() == [20.25, 22.25, 21.25, 23.25]

    def test_without_their_flag_there_are_two_prices_for_one_hour(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="twice"):
            self.autumn(ask, (2, "N"))

    def test_a_flag_that_means_summer_is_refused(self, ask: Ask) -> None:
        """Were it set while clocks are an hour ahead, the hours would be exchanged, and nothing else would show it."""
        with pytest.raises(ForecastRejected, match="clocks show 2026-11-01 00:00 once, not again"):
            self.autumn(ask, (0, "Y"), (1, "Y"), (2, "N"))

    def test_an_hour_that_is_left_out_in_spring_is_refused(self, ask: Ask) -> None:
        which = date(2026, 3, 8)
        rows = [*prices(which), {**prices(which)[0], "HourEnding": "03:00"}]
        self.lists[Signal.PRICE] = price_list(which)
        self.files[f"{which:%Y%m%d}"] = zipped(csv(rows))
        with pytest.raises(ForecastRejected, match="clocks never show 2026-03-08 02:00"):
            ask(now=market_day(which, CENTRAL)[0])

    def test_a_correction_counts(self, ask: Ask) -> None:
        first, again = listed(1, published(TODAY)), listed(2, published(TODAY) + 3 * HOUR)
        self.files |= {
            "1": zipped(csv(prices(TODAY))),
            "2": zipped(csv(prices(TODAY, ["HB_X", "HB_Y", "HB_HUBAVG"]))),
        }
        for order in ((first, again), (again, first)):
            self.lists[Signal.PRICE] = listing(*order)
            assert ask().values[0] == 20.5

    def test_prices_that_are_late_come_in_the_morning(self, ask: Ask) -> None:
        self.lists[Signal.PRICE] = listing(listed(20261123, datetime(2026, 11, 23, 9, tzinfo=UTC)))
        assert len(ask()) == 24

    def test_a_long_window_is_as_many_documents_as_are_kept(self, ask: Ask) -> None:
        days = [TODAY - k * DAY for k in range(20)]
        self.lists[Signal.PRICE] = price_list(*days)
        self.files = {f"{day:%Y%m%d}": zipped(csv(prices(day))) for day in days}
        found = ask(start=NOW - 60 * DAY, end=NOW + DAY)
        assert len(found) == 20 * 24
        self.lists[Signal.PRICE] = price_list(*days[:7], *days[8:])
        with pytest.raises(ForecastRejected, match="nothing is said between 2026-11-16T06:00:00Z"):
            ask(start=NOW - 60 * DAY, end=NOW + DAY)

    def test_a_document_of_another_day_is_refused(self, ask: Ask) -> None:
        self.files["20261123"] = self.files["20261124"]
        with pytest.raises(ForecastRejected, match="the prices of 2026-11-23 are from 2026-11-24T06:00:00Z"):
            ask()

    @pytest.mark.parametrize("part", [slice(0, 90), slice(12, None)])
    def test_half_a_day_is_refused(self, ask: Ask, part: slice) -> None:
        self.files["20261123"] = zipped(csv(prices(TODAY)[part]))
        with pytest.raises(ForecastRejected, match="the prices of 2026-11-23 are from"):
            ask()

    def test_a_hole_is_refused(self, ask: Ask) -> None:
        rows = [row for row in prices(TODAY) if row["HourEnding"] != "07:00"]
        self.files["20261123"] = zipped(csv(rows))
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask()

    @pytest.mark.parametrize("price", [-250.0, 0.0, 5000.0])
    def test_negative_prices_and_that_at_the_cap_are_prices(self, ask: Ask, price: float) -> None:
        rows = [row | {"SettlementPointPrice": price} for row in prices(TODAY)]
        self.files["20261123"] = zipped(csv(rows))
        assert set(ask().values) == {price}

    @pytest.mark.parametrize("price", ["", "nan", "n/a"])
    def test_what_is_no_price_is_refused(self, ask: Ask, price: str) -> None:
        self.files["20261123"] = zipped(csv([row | {"SettlementPointPrice": price} for row in prices(TODAY)]))
        with pytest.raises(ForecastRejected, match="SettlementPointPrice"):
            ask()

    def test_a_hub_that_is_absent(self, ask: Ask) -> None:
        self.files["20261123"] = zipped(csv(prices(TODAY, ["HB_NORTH"])))
        with pytest.raises(SourceUnavailable, match="no price of HB_HUBAVG"):
            ask()

    @pytest.mark.parametrize(
        "gone", ["DeliveryDate", "HourEnding", "SettlementPoint", "SettlementPointPrice", "DSTFlag"]
    )
    def test_a_column_that_is_missing_is_named(self, ask: Ask, gone: str) -> None:
        rows = prices(TODAY)
        self.files["20261123"] = zipped(csv(rows, [c for c in rows[0] if c != gone]))
        with pytest.raises(SourceUnavailable, match=f"no column {gone}"):
            ask()

    def test_columns_in_another_order(self, ask: Ask) -> None:
        rows = prices(TODAY)
        self.files["20261123"] = zipped(csv(rows, list(reversed(rows[0]))))
        assert len(ask()) == 24

    @pytest.mark.parametrize(
        "over",
        [
            {"DeliveryDate": "2026-11-23"},
            {"DeliveryDate": ""},
            {"HourEnding": "00:00"},
            {"HourEnding": "25:00"},
            {"HourEnding": "01:15"},
            {"HourEnding": ""},
            {"DSTFlag": ""},
            {"DSTFlag": "true"},
        ],
    )
    def test_what_is_no_hour_is_refused(self, ask: Ask, over: dict[str, str]) -> None:
        self.files["20261123"] = zipped(csv([row | over for row in prices(TODAY)]))
        with pytest.raises(ForecastRejected, match="are not a day, the hour that ends"):
            ask()

    def test_of_two_members_the_table_counts(self, ask: Ask) -> None:
        self.files["20261123"] = zipped("<xml/>", csv(prices(TODAY)), names=("a.xml", "b.CSV"))
        assert len(ask()) == 24
        self.files["20261123"] = zipped("<xml/>", names=("a.xml",))
        with pytest.raises(SourceUnavailable, match="holds no CSV"):
            ask()

    def test_a_zip_that_is_cut_off(self, ask: Ask) -> None:
        self.files["20261123"] = Said(self.files["20261123"].body[:-30])
        with pytest.raises(SourceUnavailable, match="not a whole zip"):
            ask()

    def test_a_page_in_place_of_the_zip(self, ask: Ask) -> None:
        self.files["20261123"] = Said(b"<html>Maintenance</html>")
        with pytest.raises(SourceUnavailable, match="Maintenance"):
            ask()

    def test_a_bomb(self, ask: Ask) -> None:
        self.files["20261123"] = zipped("0" * 2**25)
        with pytest.raises(SourceUnavailable, match="unpacks to more than"):
            ask()

    def test_a_document_that_is_gone(self, ask: Ask) -> None:
        self.files["20261123"] = Said(b"gone", 404)
        with pytest.raises(SourceUnavailable, match="20261123 answered 404"):
            ask()


class TestLists(Asking):
    @pytest.mark.parametrize(
        "result", [{}, {"DocumentList": []}, {"DocumentList": None}, {"DocumentList": ""}]
    )
    @pytest.mark.parametrize("signal", [Signal.PRICE, Signal.LOAD])
    def test_an_empty_list(self, ask: Ask, signal: Signal, result: dict[str, Any]) -> None:
        self.lists[signal] = as_json({"ListDocsByRptTypeRes": result})
        with pytest.raises(SourceUnavailable, match="no document published by 2026-11-23T10:20:00Z"):
            ask(signal)

    @pytest.mark.parametrize(
        "body", [{}, [], None, {"ListDocsByRptTypeRes": None}, {"ListDocsByRptTypeRes": {"DocumentList": 7}}]
    )
    def test_another_shape(self, ask: Ask, body: Any) -> None:
        self.lists[Signal.PRICE] = as_json(body)
        with pytest.raises(SourceUnavailable, match="without a list of documents"):
            ask()

    def test_a_page_with_200(self, ask: Ask) -> None:
        self.lists[Signal.WIND] = Said(
            b"<html>Request unsuccessful</html>", 200, {"Content-Type": "text/html"}
        )
        with pytest.raises(SourceUnavailable, match="Request unsuccessful"):
            ask(Signal.WIND)

    def test_forbidden(self, ask: Ask) -> None:
        self.lists[Signal.PRICE] = Said(b"<html>Access denied</html>", 403)
        with pytest.raises(SourceUnavailable, match="answered 403"):
            ask()

    def test_a_single_document_may_stand_for_its_list(self, ask: Ask) -> None:
        one = listed(20261123, published(TODAY))
        self.lists[Signal.PRICE] = as_json({"ListDocsByRptTypeRes": {"DocumentList": one}})
        assert len(ask()) == 24

    @pytest.mark.parametrize(
        "over", [{"SecurityStatus": "S"}, {"FriendlyName": "REPORT_xml"}, {"FriendlyName": None}]
    )
    def test_what_is_not_public_or_no_csv_is_left_out(self, ask: Ask, over: dict[str, Any]) -> None:
        self.lists[Signal.PRICE] = listing(
            listed(7, published(TODAY) + HOUR, **over), listed(20261123, published(TODAY))
        )
        assert len(ask()) == 24

    @pytest.mark.parametrize(
        "item", ["x", {}, {"Document": None}, listed(0, NOW, DocID="1&x=2"), listed(0, NOW, DocID=None)]
    )
    def test_what_is_no_document(self, ask: Ask, item: Any) -> None:
        self.lists[Signal.PRICE] = as_json({"ListDocsByRptTypeRes": {"DocumentList": [item]}})
        with pytest.raises(SourceUnavailable, match="Has the format changed"):
            ask()

    @pytest.mark.parametrize("said", ["2026-11-22T12:51:03", "soon", None])
    def test_a_time_of_publication_without_its_zone(self, ask: Ask, said: Any) -> None:
        self.lists[Signal.PRICE] = listing(listed(20261123, NOW, PublishDate=said))
        with pytest.raises(SourceUnavailable, match="PublishDate"):
            ask()


class TestForecasts(Asking):
    @pytest.mark.parametrize(
        ("signal", "first", "start"),
        [
            (Signal.LOAD, 55000.0, "2026-11-23T06:00"),
            (Signal.WIND, 7000.5, "2026-11-22T06:00"),
            (Signal.SOLAR, 7000.5, "2026-11-22T06:00"),
        ],
    )
    def test_the_newest_that_is_published(self, ask: Ask, signal: Signal, first: float, start: str) -> None:
        found = ask(signal)
        assert (found.unit, found.kind) == ("MW", Kind.FORECAST)
        assert (found.values[0], found.start[0]) == (first, np.datetime64(start))
        assert found.end[-1] == np.datetime64("2026-12-01T06:00"), "seven days after today"
        assert found.issued_at == datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC)

    def test_what_was_measured_is_not_the_forecast(self, ask: Ask) -> None:
        assert 9999.5 not in ask(Signal.WIND).values

    @pytest.mark.parametrize(("blank", "start", "end"), [(slice(0, 24), 24, 216), (slice(200, 216), 0, 200)])
    def test_blanks_at_either_end_are_not_told(self, ask: Ask, blank: slice, start: int, end: int) -> None:
        rows = power(Signal.WIND)
        for row in rows[blank]:
            row["STWPF_SYSTEM_WIDE"] = ""
        self.files["20"] = zipped(csv(rows))
        assert ask(Signal.WIND).values.tolist() == [7000.5 + k for k in range(start, end)]

    def test_a_blank_in_between_is_refused(self, ask: Ask) -> None:
        rows = power(Signal.SOLAR)
        rows[50]["STPPF_SYSTEM_WIDE"] = ""
        self.files["30"] = zipped(csv(rows))
        with pytest.raises(ForecastRejected, match="is nan"):
            ask(Signal.SOLAR)

    def test_nothing_but_blanks(self, ask: Ask) -> None:
        self.files["10"] = zipped(csv([row | {"SystemTotal": ""} for row in load()]))
        with pytest.raises(SourceUnavailable, match="no figure of the load"):
            ask(Signal.LOAD)

    @pytest.mark.parametrize(
        ("which", "n"), [(date(2026, 10, 30), 8 * 24 + 1), (date(2027, 3, 12), 8 * 24 - 1)]
    )
    def test_weeks_in_which_the_clock_changes(self, ask: Ask, which: date, n: int) -> None:
        now = market_day(which, CENTRAL)[0] + HOUR
        self.lists[Signal.LOAD] = listing(listed(10, now))
        self.files["10"] = zipped(csv(load(which)))
        found = ask(Signal.LOAD, now=now)
        assert found.values.tolist() == [55000 + k for k in range(n)]

    @pytest.mark.parametrize("start", [NOW + 9 * DAY, NOW - 9 * DAY])
    def test_what_it_cannot_know_is_not_asked(self, start: datetime) -> None:
        assert self.source().fetch(FetchRequest("ERCOT", POWER, start, start + DAY), now=NOW) == []
        assert self.server.asked == []

    def test_a_forecast_that_is_over_is_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            ask(Signal.LOAD, now=NOW + 20 * DAY)


def keep(store: ForecastStore, source: ErcotSource, now: datetime) -> list[str]:
    window = FetchRequest("ERCOT-NORTH", (Signal.PRICE, *POWER), now, now + DAY)
    return [done.status for done in ingest(store, source, window, now=now)]


class TestInTheStore(OverMis):
    def test_all_four_signals_are_kept_and_compared_with_what_was_said_before(self) -> None:
        store = ForecastStore(create_engine("sqlite://"))
        store.create_tables()
        assert keep(store, self.source(), NOW) == 4 * ["new"]
        assert keep(store, self.source(), NOW + HOUR / 4) == 4 * ["unchanged"]
        rows = [row | {"SystemTotal": row["SystemTotal"] + 500} for row in load()]
        self.files["10"] = zipped(csv(rows))
        assert keep(store, self.source(), NOW + HOUR / 2) == ["unchanged", "new", "unchanged", "unchanged"]
        for known_at, first in ((NOW + HOUR / 4, 55004.0), (NOW + HOUR / 2, 55504.0)):
            (said,) = store.as_of("ERCOT-NORTH", Signal.LOAD, known_at, NOW, NOW + HOUR / 2)
            assert (said.values[0], said.kind, said.unit) == (first, Kind.FORECAST, "MW")

    def test_gigawatts_taken_for_megawatts_are_refused(self) -> None:
        store = ForecastStore(create_engine("sqlite://"))
        store.create_tables()
        keep(store, self.source(), NOW)
        self.files["10"] = zipped(csv([row | {"SystemTotal": row["SystemTotal"] / 1000} for row in load()]))
        assert keep(store, self.source(), NOW + HOUR / 2) == [
            "unchanged",
            "rejected",
            "unchanged",
            "unchanged",
        ]
