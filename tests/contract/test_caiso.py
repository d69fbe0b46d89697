"""CAISO's day-ahead market through the suite of sources, and each trap of OASIS."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.marketday import market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.caiso import NODES, PACIFIC, CaisoOptions, CaisoSource
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW
from tests.contract.test_sources import OverHttp

HOUR = timedelta(hours=1)
TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)  # in Los Angeles, at NOW
PRICE = (Signal.PRICE,)
NODE = "TH_NP15_GEN-APND"
HEADER = (
    "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,OPR_INTERVAL,NODE_ID_XML,NODE_ID,NODE,MARKET_RUN_ID,"
    "LMP_TYPE,XML_DATA_ITEM,PNODE_RESMRID,GRP_TYPE,POS,MW,GROUP"
)
COLUMNS = HEADER.split(",")


def row(start: datetime, price: Any, kind: str = "LMP", hour: int = 1, **over: Any) -> dict[str, str]:
    node = over.get("NODE", NODE)
    said = dict.fromkeys(("NODE_ID_XML", "NODE_ID", "NODE", "PNODE_RESMRID"), node) | {
        "INTERVALSTARTTIME_GMT": f"{start:%Y-%m-%dT%H:%M:%S}-00:00",
        "INTERVALENDTIME_GMT": f"{start + HOUR:%Y-%m-%dT%H:%M:%S}-00:00",
        "OPR_DT": f"{start.astimezone(PACIFIC):%Y-%m-%d}",
        "OPR_HR": hour,
        "OPR_INTERVAL": 0,
        "MARKET_RUN_ID": "DAM",
        "LMP_TYPE": kind,
        "XML_DATA_ITEM": "LMP_PRC",
        "GRP_TYPE": "ALL_APNODES",
        "POS": 0,
        "MW": price,
        "GROUP": 1,
        **over,
    }
    return {name: str(value) for name, value in said.items()}


def day(which: date, node: str = NODE, base: float = 40.0) -> list[dict[str, str]]:
    """All hours of one kind after the other, the newest first; five kinds, one of which is the price."""
    opens, closes = market_day(which, PACIFIC)
    hours = [opens + k * HOUR for k in reversed(range((closes - opens) // HOUR))]
    kinds = {"MCE": 1.0, "LMP": base, "MCC": -3.0, "MCL": 0.5, "MGHG": 9.0}
    return [
        row(start, level + (start - opens) // HOUR, kind, (start - opens) // HOUR + 1, NODE=node)
        for kind, level in kinds.items()
        for start in hours
    ]


def report(rows: Sequence[dict[str, str]], columns: Sequence[str] = COLUMNS) -> str:
    return "\n".join([",".join(columns), *(",".join(r[c] for c in columns) for r in rows)])


def zipped(text: str, name: str = "20261123_20261124_PRC_LMP_DAM_20261123_02_20_00_v12.csv") -> Said:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return Said(made.getvalue(), 200, {"Content-Type": "application/x-zip-compressed"})


def error(code: str, description: str, prefix: str = "m:") -> Said:
    inside = (
        f"<{prefix}ERR_CODE>{code}</{prefix}ERR_CODE>\n<{prefix}ERR_DESC>{description}</{prefix}ERR_DESC>"
    )
    text = f'<?xml version="1.0"?>\n<{prefix}OASISReport><{prefix}ERROR>{inside}</{prefix}ERROR></{prefix}OASISReport>'
    return zipped(text, "INVALID_REQUEST.xml")


class TestCaiso(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return zipped(report([*day(TODAY), *day(TOMORROW)]))

    def make_source(self) -> ForecastSource:
        return CaisoSource(CaisoOptions(base_url=self.server.url), http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("CAISO-NP15", PRICE, NOW, NOW + timedelta(days=1))


Ask = Callable[..., ForecastSeries]


class TestTraps(OverHttp):
    said: Said

    def reply(self, asked: Asked) -> Said:
        return self.said

    def source(self) -> CaisoSource:
        return CaisoSource(CaisoOptions(base_url=f"{self.server.url}/oasisapi"), http=self.http)

    @pytest.fixture
    def ask(self) -> Ask:
        """What rows, the text of a CSV or a reply answer."""

        def ask(
            said: Any, zone: str = "CAISO-NP15", now: datetime = NOW, hours: float = 24
        ) -> ForecastSeries:
            if not isinstance(said, Said):
                said = zipped(said if isinstance(said, str) else report(said))
            self.said = said
            [found] = self.source().fetch(
                FetchRequest(zone, PRICE, now, now + timedelta(hours=hours)), now=now
            )
            return found

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        found = ask([*day(TODAY), *day(TOMORROW)])
        assert (found.unit, found.kind, found.restricted) == ("USD/MWh", Kind.CLEARED, False)
        assert (found.known_at, found.issued_at) == (NOW, None)
        assert found.start[0] == np.datetime64("2026-11-23T08:00"), "midnight in Los Angeles"
        assert found.values.tolist() == 2 * [40.0 + k for k in range(24)], "LMP alone, in order of time"

    @pytest.mark.parametrize("zone", NODES)
    def test_what_is_asked_for(self, ask: Ask, zone: str) -> None:
        node = f"TH_{zone[-4:]}_GEN-APND"
        ask(day(TODAY, node), zone)
        [asked] = self.server.asked
        assert asked.path == "/oasisapi/SingleZip"
        assert asked.query == {
            "resultformat": "6",
            "queryname": "PRC_LMP",
            "version": "12",
            "market_run_id": "DAM",
            "node": node,
            "startdatetime": "20261123T08:00-0000",
            "enddatetime": "20261125T08:00-0000",
        }

    @pytest.mark.parametrize(
        ("which", "hours", "window"),
        [
            (date(2026, 3, 8), 23, ("20260308T08:00-0000", "20260309T07:00-0000")),
            (date(2026, 7, 14), 24, ("20260714T07:00-0000", "20260715T07:00-0000")),
            (date(2026, 11, 1), 25, ("20261101T07:00-0000", "20261102T08:00-0000")),
        ],
    )
    def test_days_of_23_and_25_hours(
        self, ask: Ask, which: date, hours: int, window: tuple[str, str]
    ) -> None:
        opens, _ = market_day(which, PACIFIC)
        rows = day(which)
        assert max(int(r["OPR_HR"]) for r in rows) == hours
        found = ask(rows, now=opens, hours=hours)
        [asked] = self.server.asked
        assert (asked.query["startdatetime"], asked.query["enddatetime"]) == window
        assert len(found) == hours
        assert np.all(found.end - found.start == np.timedelta64(1, "h"))
        assert found.values.tolist() == [40.0 + k for k in range(hours)]

    def test_tomorrow_is_the_last_day_that_is_asked_for(self, ask: Ask) -> None:
        ask(day(TODAY), hours=24 * 7)
        assert self.server.asked[-1].query["enddatetime"] == "20261125T08:00-0000"

    def test_nothing_is_asked_about_the_day_after(self) -> None:
        later = FetchRequest("CAISO-NP15", PRICE, NOW + timedelta(days=2), NOW + timedelta(days=3))
        assert self.source().fetch(later, now=NOW) == []
        assert self.server.asked == []

    def test_before_one_there_is_today_alone(self, ask: Ask) -> None:
        assert ask(day(TODAY)).end[-1] == np.datetime64("2026-11-24T08:00")

    def test_a_day_of_the_past_can_be_asked_for(self) -> None:
        self.said = zipped(report(day(TODAY)))
        window = FetchRequest("CAISO-NP15", PRICE, *market_day(TODAY, PACIFIC))
        [found] = self.source().fetch(window, now=NOW + timedelta(days=30))
        assert len(found) == 24

    def test_an_hour_too_many_at_either_end_is_left_out(self, ask: Ask) -> None:
        opens, _ = market_day(TODAY, PACIFIC)
        _, closes = market_day(TOMORROW, PACIFIC)
        found = ask([*day(TODAY), *day(TOMORROW), row(opens - HOUR, 7), row(closes, 7)])
        assert len(found) == 48

    def test_half_a_day_is_refused(self, ask: Ask) -> None:
        rows = [r for r in [*day(TODAY), *day(TOMORROW)] if r["INTERVALSTARTTIME_GMT"] < "2026-11-25T03"]
        with pytest.raises(ForecastRejected, match="market day 2026-11-24"):
            ask(rows)

    def test_a_day_without_its_beginning_is_refused(self, ask: Ask) -> None:
        rows = [r for r in day(TODAY) if r["INTERVALSTARTTIME_GMT"] >= "2026-11-23T10"]
        with pytest.raises(ForecastRejected, match="not at midnight"):
            ask(rows)

    def test_a_hole_is_refused(self, ask: Ask) -> None:
        rows = [r for r in day(TODAY) if r["OPR_HR"] != "7"]
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask(rows)

    def test_a_row_that_comes_twice_counts_once(self, ask: Ask) -> None:
        rows = day(TODAY)
        assert len(ask([*rows, *rows])) == 24

    def test_two_prices_for_one_hour_are_refused(self, ask: Ask) -> None:
        opens, _ = market_day(TODAY, PACIFIC)
        with pytest.raises(ForecastRejected, match="twice"):
            ask([*day(TODAY), row(opens, 99)])

    def test_negative_prices_are_prices(self, ask: Ask) -> None:
        assert ask(day(TODAY, base=-45.0)).values[0] == -45.0

    @pytest.mark.parametrize("name", ["VALUE", "LMP"])
    def test_the_price_by_another_name_and_columns_in_another_order(self, ask: Ask, name: str) -> None:
        rows = [{**r, name: r["MW"]} for r in day(TODAY)]
        found = ask(report(rows, [name, *(c for c in reversed(COLUMNS) if c != "MW")]))
        assert found.values[0] == 40.0

    @pytest.mark.parametrize(
        "gone", ["MW", "LMP_TYPE", "NODE", "INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT"]
    )
    def test_a_column_that_is_missing_is_named(self, ask: Ask, gone: str) -> None:
        with pytest.raises(SourceUnavailable, match=f"no column {gone}"):
            ask(report(day(TODAY), [c for c in COLUMNS if c != gone]))

    def test_another_node_is_refused(self, ask: Ask) -> None:
        with pytest.raises(
            ForecastRejected, match="for the node TH_SP15_GEN-APND instead of TH_NP15_GEN-APND"
        ):
            ask(day(TODAY, "TH_SP15_GEN-APND"))

    @pytest.mark.parametrize("price", ["", "nan", "n/a"])
    def test_what_is_no_price_is_refused(self, ask: Ask, price: str) -> None:
        opens, _ = market_day(TODAY, PACIFIC)
        with pytest.raises(ForecastRejected, match="MW"):
            ask([row(opens, price)])

    @pytest.mark.parametrize("said", ["", "2026-11-23T08:00:00", "11/23/2026 08:00"])
    def test_a_time_without_its_zone_is_an_error(self, ask: Ask, said: str) -> None:
        with pytest.raises(SourceUnavailable, match="INTERVALSTARTTIME_GMT"):
            ask([row(NOW, 40, INTERVALSTARTTIME_GMT=said)])

    def test_times_with_another_offset_are_the_same_moments(self, ask: Ask) -> None:
        rows = [
            {**r, **{c: datetime.fromisoformat(r[c]).astimezone(PACIFIC).isoformat() for c in COLUMNS[:2]}}
            for r in day(TODAY)
        ]
        assert ask(rows).start[0] == np.datetime64("2026-11-23T08:00")

    @pytest.mark.parametrize(
        ("code", "description", "hint"),
        [
            ("1000", "No data returned for the specified selection", "13:00 Pacific"),
            (
                "1015",
                "GroupZip DownLoad is in Processing, Please Submit request after Sometime",
                "13:00 Pacific",
            ),
            ("1004", "Data can be requested for period of 31 days only", "shorter window"),
            ("1005", "Report name does not exist, please use valid report name", "next poll"),
        ],
    )
    @pytest.mark.parametrize("prefix", ["m:", ""])
    def test_an_error_comes_as_a_success(
        self, ask: Ask, code: str, description: str, hint: str, prefix: str
    ) -> None:
        with pytest.raises(SourceUnavailable, match=f"the error {code}: {description}") as caught:
            ask(error(code, f"\n {description.replace(',', '&#44;')} ", prefix))
        assert hint in caught.value.hint
        assert caught.value.facts["err_code"] == code

    def test_xml_that_is_no_error(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="without an error code"):
            ask(zipped("<m:OASISReport/>", "a.XML"))

    def test_rows_and_none_of_them_a_price(self, ask: Ask) -> None:
        for rows in ([], [r for r in day(TODAY) if r["LMP_TYPE"] != "LMP"]):
            with pytest.raises(SourceUnavailable, match="without a price"):
                ask(report(rows))

    def test_a_page_in_place_of_the_zip(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="retry your request after 5 seconds"):
            ask(
                Said(
                    b"<html>CAISO Acceptable Use Policy Violation. Please retry your request after 5 seconds.</html>"
                )
            )

    def test_a_status_that_is_not_a_success(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="answered 404: 'gone'"):
            ask(Said(b"gone", 404))

    def test_too_many_requests_are_left_to_the_client(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="status 429"):
            ask(Said(status=429))
        assert len(self.server.asked) == self.http.retry.attempts

    def test_a_zip_that_is_cut_off(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="not a whole zip"):
            ask(Said(zipped(report(day(TODAY))).body[:-30]))

    def test_a_bomb(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="unpacks to more than"):
            ask(zipped("0" * 2**25))

    def test_a_table_that_cannot_be_read(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="cannot be read"):
            ask(report(day(TODAY)) + '\n"2026')

    def test_an_empty_file_has_no_columns(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="MW or VALUE or LMP"):
            ask("")

    def test_now_may_be_in_any_zone(self, ask: Ask) -> None:
        """Late in the evening in Los Angeles it is tomorrow in UTC, and not there."""
        late = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
        ask([*day(TODAY), *day(TOMORROW)], now=late.astimezone(PACIFIC))
        assert self.server.asked[-1].query["startdatetime"] == "20261123T08:00-0000"
        assert self.server.asked[-1].query["enddatetime"] == "20261125T08:00-0000"


POWER = (Signal.LOAD, Signal.WIND, Signal.SOLAR)
ALL = (Signal.PRICE, *POWER)
TIMES = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "OPR_DT", "OPR_HR", "OPR_INTERVAL")
DEMAND = (
    *TIMES,
    "LOAD_TYPE",
    "MARKET_RUN_ID",
    "TAC_AREA_NAME",
    "LABEL",
    "XML_DATA_ITEM",
    "POS",
    "MW",
    "GROUP",
)
RENEWABLES = (
    *TIMES,
    "TRADING_HUB",
    "RENEWABLE_TYPE",
    "LABEL",
    "XML_DATA_ITEM",
    "MW",
    "MARKET_RUN_ID",
    "GROUP",
)


def power(which: date, **over: Any) -> list[dict[str, str]]:
    """The hours of a day, with what is in neither report; the newest first."""
    rows = [r for r in day(which) if r["LMP_TYPE"] == "LMP"]
    return [dict.fromkeys({*DEMAND, *RENEWABLES}, "") | {**r, "LMP_TYPE": ""} | over for r in rows]


def demand(which: date) -> list[dict[str, str]]:
    areas = {"PGE-TAC": 9000, "CA ISO-TAC": 24000, "PACE": 6000}
    return [
        row | {"MW": str(base + int(row["OPR_HR"]))}
        for area, base in areas.items()
        for row in power(which, TAC_AREA_NAME=area, XML_DATA_ITEM="SYS_FCST_DA_MW")
    ]


def renewables(which: date) -> list[dict[str, str]]:
    hubs = {("NP15", "Solar"): 100, ("SP15", "Solar"): 200, ("ZP26", "Solar"): 50}
    hubs |= {("NP15", "Wind"): 1000, ("SP15", "Wind"): 2000}
    return [
        row | {"MW": str(base + int(row["OPR_HR"]))}
        for (hub, kind), base in hubs.items()
        for row in power(which, TRADING_HUB=hub, RENEWABLE_TYPE=kind, XML_DATA_ITEM="RENEW_FCST_DA_MW")
    ]


class WithPower(OverHttp):
    """OASIS with all reports, of the days that a request asks for, until tomorrow."""

    def reply(self, asked: Asked) -> Said:
        start, end = (
            datetime.strptime(asked.query[key], "%Y%m%dT%H:%M%z") for key in ("startdatetime", "enddatetime")
        )
        assert end - start <= timedelta(days=31), "more is answered with an error"
        made, columns = {
            "PRC_LMP": (day, COLUMNS),
            "SLD_FCST": (demand, DEMAND),
            "SLD_REN_FCST": (renewables, RENEWABLES),
        }[asked.query["queryname"]]
        which, rows = start.astimezone(PACIFIC).date(), []
        while which <= TOMORROW and market_day(which, PACIFIC)[1] <= end:
            rows += made(which)
            which += timedelta(days=1)
        return zipped(report(rows, columns)) if rows else error("1000", "No data returned")

    def source(self) -> CaisoSource:
        return CaisoSource(CaisoOptions(base_url=self.server.url), http=self.http)

    def ask(self, signal: Signal, start: datetime, end: datetime) -> ForecastSeries:
        [found] = self.source().fetch(FetchRequest("CAISO-NP15", (signal,), start, end), now=NOW)
        return found


class TestCaisoPower(WithPower, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        return self.source()

    def request(self) -> FetchRequest:
        return FetchRequest("CAISO-ZP26", POWER, NOW, NOW + timedelta(days=1))


class TestPower(WithPower):
    @pytest.mark.parametrize(
        ("signal", "first"), [(Signal.LOAD, 24001.0), (Signal.WIND, 3002.0), (Signal.SOLAR, 353.0)]
    )
    def test_the_whole_system_added_up(self, signal: Signal, first: float) -> None:
        found = self.ask(signal, NOW, NOW + timedelta(days=1))
        assert (found.unit, found.kind) == ("MW", Kind.FORECAST)
        assert (len(found), found.values[0]) == (48, first)
        assert found.start[0] == np.datetime64("2026-11-23T08:00")

    def test_what_is_asked_for(self) -> None:
        for signal in POWER:
            self.ask(signal, NOW, NOW + timedelta(days=1))
        told = [
            (a.query["queryname"], a.query["version"], a.query["market_run_id"]) for a in self.server.asked
        ]
        assert told == [("SLD_FCST", "1", "DAM"), *2 * [("SLD_REN_FCST", "1", "DAM")]]
        assert all("node" not in asked.query for asked in self.server.asked)

    def test_a_hub_that_is_missing_is_not_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [r for which in (TODAY, TOMORROW) for r in renewables(which)]
        without = [r for r in rows if r["TRADING_HUB"] != "SP15"]
        self.server.reply = lambda _: zipped(report(without, RENEWABLES))
        with pytest.raises(ForecastRejected, match="the wind of SP15 is missing"):
            self.ask(Signal.WIND, NOW, NOW + timedelta(days=1))
        part = [r for r in rows if r["TRADING_HUB"] != "SP15" or r["OPR_HR"] != "7"]
        self.server.reply = lambda _: zipped(report(part, RENEWABLES))
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            self.ask(Signal.SOLAR, NOW, NOW + timedelta(days=1))

    def test_two_figures_for_one_hour_are_refused(self) -> None:
        rows = demand(TODAY)
        self.server.reply = lambda _: zipped(report([*rows, {**rows[30], "MW": "7"}], DEMAND))
        with pytest.raises(ForecastRejected, match="told of twice"):
            self.ask(Signal.LOAD, NOW, NOW + timedelta(days=1))

    def test_other_runs_are_left_out(self) -> None:
        more = [row | {"MARKET_RUN_ID": "7DA", "MW": "1"} for row in demand(TODAY)]
        self.server.reply = lambda _: zipped(report([*more, *demand(TODAY)], DEMAND))
        assert self.ask(Signal.LOAD, NOW, NOW + timedelta(hours=1)).values.min() > 24000

    @pytest.mark.parametrize("signal", ALL)
    def test_days_of_23_and_25_hours_in_a_sum(self, signal: Signal) -> None:
        for which, hours in ((date(2026, 3, 8), 23), (date(2026, 11, 1), 25)):
            assert len(self.ask(signal, *market_day(which, PACIFIC))) == hours


class TestLongWindows(WithPower):
    """A request is for 31 times 24 hours at most, and 31 days of autumn are more."""

    @pytest.mark.parametrize(
        ("signal", "first", "requests"),
        [(Signal.PRICE, date(2025, 11, 25), 13), *((s, date(2026, 10, 20), 2) for s in POWER)],
    )
    def test_a_year_is_asked_for_in_parts_and_joined(
        self, signal: Signal, first: date, requests: int
    ) -> None:
        start, end = market_day(first, PACIFIC)[0], market_day(TOMORROW, PACIFIC)[1]
        found = self.ask(signal, start, end + timedelta(days=2))
        assert len(self.server.asked) == requests
        assert found.start[0] == np.datetime64(start.replace(tzinfo=None))
        assert len(found) == (end - start) // HOUR

    def test_31_days_across_the_autumn(self) -> None:
        found = self.ask(
            Signal.PRICE, *(market_day(date(2026, *on), PACIFIC)[0] for on in ((10, 15), (11, 15)))
        )
        assert len(found) == 31 * 24 + 1
        assert len(self.server.asked) == 2

    def test_the_last_part_may_not_be_published_yet(self) -> None:
        start = market_day(TOMORROW - timedelta(days=30), PACIFIC)[0]
        self.server.reply = lambda asked: (
            error("1000", "No data") if asked.query["startdatetime"] > "20261123T12" else self.reply(asked)
        )
        assert len(self.ask(Signal.PRICE, start, NOW + timedelta(days=1))) == 30 * 24 + 1

    def test_a_part_in_the_middle_that_is_missing_is_a_hole(self) -> None:
        start = market_day(date(2026, 8, 1), PACIFIC)[0]
        self.server.reply = lambda asked: (
            error("1000", "No data") if len(self.server.asked) == 2 else self.reply(asked)
        )
        with pytest.raises(ForecastRejected, match="nothing is said between 2026-08-31T07:00:00Z"):
            self.ask(Signal.PRICE, start, NOW)

    def test_any_other_error_is_one(self) -> None:
        start = market_day(date(2026, 8, 1), PACIFIC)[0]
        self.server.reply = lambda asked: (
            error("1004", "31 days only") if len(self.server.asked) == 3 else self.reply(asked)
        )
        with pytest.raises(SourceUnavailable, match="the error 1004"):
            self.ask(Signal.PRICE, start, NOW)
