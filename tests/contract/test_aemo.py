"""AEMO's pre-dispatch through the suite of sources, and each trap of NEMWEB and its files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.aemo import AemoOptions, AemoSource
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW
from tests.contract.test_sources import OverHttp

HALF_HOUR = timedelta(minutes=30)
TEN_HOURS = timedelta(hours=10)
REPORTS = "/Reports/Current/PredispatchIS_Reports/"
NAME = "PUBLIC_PREDISPATCHIS_202611232030_20261123200312.zip"  # 20:03:12 there is 10:03:12Z
OLDER = "PUBLIC_PREDISPATCHIS_202611232000_20261123193240.zip"
FIRST = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)  # where the first interval of NAME ends
PRICE = (Signal.PRICE,)
COLUMNS = (
    "PREDISPATCHSEQNO",
    "RUNNO",
    "REGIONID",
    "PERIODID",
    "INTERVENTION",
    "RRP",
    "EEP",
    "LASTCHANGED",
    "DATETIME",
)
REGIONS = {"NSW1": 100.0, "QLD1": 80.0, "SA1": -20.0, "TAS1": 60.0, "VIC1": 90.0}


def nem(moment: datetime) -> str:
    """As AEMO writes a moment: UTC+10 in any month."""
    return f"{moment + TEN_HOURS:%Y/%m/%d %H:%M:%S}"


def cells(region: str = "NSW1", period: int = 0, rrp: Any = 100.0, **over: Any) -> dict[str, str]:
    said = {
        "PREDISPATCHSEQNO": "2026112333",
        "RUNNO": "1",
        "REGIONID": region,
        "PERIODID": f"{period + 1:02d}",
        "INTERVENTION": "0",
        "RRP": str(rrp),
        "EEP": "0",
        "LASTCHANGED": nem(FIRST - timedelta(minutes=27)),
        "DATETIME": nem(FIRST + period * HALF_HOUR),
        **over,
    }
    return {name: str(value) for name, value in said.items()}


def run(n: int = 48) -> list[dict[str, str]]:
    return [cells(region, k, base + k % 9) for region, base in REGIONS.items() for k in range(n)]


SOLUTION = (
    "REGIONID",
    "INTERVENTION",
    "DATETIME",
    "TOTALDEMAND",
    "SS_SOLAR_UIGF",
    "SS_WIND_UIGF",
    "NETINTERCHANGE",
)
POWER = (Signal.LOAD, Signal.WIND, Signal.SOLAR)


def power(n: int = 48, **over: Any) -> list[dict[str, str]]:
    """Rows of REGION_SOLUTION, as those of `run`."""
    return [
        row | {"TOTALDEMAND": str(7000 + k), "SS_SOLAR_UIGF": "0", "SS_WIND_UIGF": str(800.25 + k)} | over
        for k, row in enumerate(cells(region, k) for region in REGIONS for k in range(n))
    ]


def solution(rows: Sequence[dict[str, str]], columns: Sequence[str] = SOLUTION) -> str:
    """That table behind the one of prices."""
    lines = [f"I,PREDISPATCH,REGION_SOLUTION,4,{','.join(columns)}"]
    lines += ["D,PREDISPATCH,REGION_SOLUTION,4," + ",".join(r.get(c, "1") for c in columns) for r in rows]
    return "\r\n".join([report(run()), *lines])


def report(rows: Sequence[dict[str, str]], columns: Sequence[str] = COLUMNS, version: str = "1") -> str:
    """Our table between two others, as in a real file; times are quoted there."""
    head = ["C,NEMP.WORLD,PREDISPATCHIS,AEMO,PUBLIC,2026/11/23,20:03:12,0000000123,PREDISPATCHIS,0000000123"]
    head += [
        "I,PREDISPATCH,CASE_SOLUTION,1,PREDISPATCHSEQNO,RUNNO",
        "D,PREDISPATCH,CASE_SOLUTION,1,2026112333,1",
    ]
    head += [f"I,PREDISPATCH,REGION_PRICES,{version},{','.join(columns)}"]
    body = [
        f"D,PREDISPATCH,REGION_PRICES,{version},"
        + ",".join(f'"{r[c]}"' if "/" in r[c] else r[c] for c in columns)
        for r in rows
    ]
    tail = [
        "I,PREDISPATCH,PRICESENSITIVITIES,1,REGIONID,RRPEEP1",
        "D,PREDISPATCH,PRICESENSITIVITIES,1,NSW1,7",
    ]
    return "\r\n".join([*head, *body, *tail, "C,END OF REPORT,9"])


def zipped(*texts: str | bytes, names: Sequence[str] = ("A.CSV", "B.CSV")) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in zip(names, texts, strict=False):
            archive.writestr(name, text)
    return made.getvalue()


def listing(*links: str) -> bytes:
    found = "<br>".join(f'<A HREF="{link}">a file</A>' for link in ("/Reports/Current/", *links))
    return f"<html><body><pre>{found}</pre></body></html>".encode()


class TestAemo(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        links = (REPORTS + OLDER, REPORTS + NAME)
        return Said(listing(*links) if asked.path == REPORTS else zipped(report(run())))

    def make_source(self) -> ForecastSource:
        return AemoSource(AemoOptions(base_url=self.server.url), http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("VIC1", PRICE, NOW, NOW + timedelta(days=1))


class TestAemoPower(TestAemo):
    def reply(self, asked: Asked) -> Said:
        return Said(listing(REPORTS + NAME) if asked.path == REPORTS else zipped(solution(power())))

    def request(self) -> FetchRequest:
        return FetchRequest("SA1", (Signal.PRICE, *POWER), NOW, NOW + timedelta(days=1))


Ask = Callable[..., list[ForecastSeries]]


class TestTraps(OverHttp):
    links: tuple[str, ...] = (REPORTS + NAME,)
    said: Said

    def reply(self, asked: Asked) -> Said:
        return Said(listing(*self.links)) if asked.path == REPORTS else self.said

    @pytest.fixture
    def ask(self) -> Ask:
        """What a file answers: rows, the text of a CSV, or the bytes of the reply."""

        def ask(
            said: Any = None,
            zone: str = "NSW1",
            now: datetime = NOW,
            start: datetime | None = None,
            hours: float = 24,
            signals: tuple[Signal, ...] = PRICE,
            **options: Any,
        ) -> list[ForecastSeries]:
            if not isinstance(said, bytes | Said):
                said = zipped(said if isinstance(said, str) else report(run() if said is None else said))
            self.said = said if isinstance(said, Said) else Said(said)
            source = AemoSource(AemoOptions(base_url=self.server.url, **options), http=self.http)
            start = start or now
            return source.fetch(FetchRequest(zone, signals, start, start + timedelta(hours=hours)), now=now)

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        [found] = ask()
        assert (found.unit, found.kind, found.restricted) == ("AUD/MWh", Kind.FORECAST, False)
        assert (len(found), found.values[0], found.values[1]) == (48, 100.0, 101.0)
        assert found.issued_at == datetime(2026, 11, 23, 10, 3, 12, tzinfo=UTC)
        assert found.known_at == NOW

    def test_a_time_is_the_end_of_its_interval(self, ask: Ask) -> None:
        [found] = ask([cells(DATETIME="2026/11/23 20:30:00")])
        assert (str(found.start[0])[:16], str(found.end[0])[:16]) == ("2026-11-23T10:00", "2026-11-23T10:30")

    @pytest.mark.parametrize("month", [1, 7])
    @pytest.mark.parametrize("zone", ["NSW1", "QLD1", "TAS1"])
    def test_ten_hours_ahead_of_utc_in_january_and_in_july(self, ask: Ask, month: int, zone: str) -> None:
        """Sydney and Hobart are at +11 in January; the market is not."""
        stamp = f"2026{month:02d}15"
        self.links = (f"PUBLIC_PREDISPATCHIS_{stamp}1230_{stamp}120245.zip",)
        now = datetime(2026, month, 15, 2, 10, tzinfo=UTC)
        [found] = ask([cells(zone, DATETIME=f"2026/{month:02d}/15 12:30:00")], zone, now)
        assert found.start[0] == np.datetime64(f"2026-{month:02d}-15T02:00")
        assert found.issued_at == datetime(2026, month, 15, 2, 2, 45, tzinfo=UTC)

    def test_columns_in_another_order_and_more_of_them(self, ask: Ask) -> None:
        rows = [{**row, "RRP1": "7777"} for row in run()]
        [plain], [found] = ask(), ask(report(rows, ("RRP1", *reversed(COLUMNS))))
        assert found.values.tolist() == plain.values.tolist()
        assert found.start.tolist() == plain.start.tolist()

    @pytest.mark.parametrize("version", ["2", "3.1", ""])
    def test_another_version_of_the_table(self, ask: Ask, version: str) -> None:
        [found] = ask(report(run(), version=version))
        assert len(found) == 48

    def test_a_table_whose_name_begins_like_ours_is_another(self, ask: Ask) -> None:
        text = report(run()).replace("PRICESENSITIVITIES", "REGION_PRICES_X")
        [found] = ask(text)
        assert len(found) == 48

    def test_what_was_done_in_an_intervention_is_not_the_price(self, ask: Ask) -> None:
        [found] = ask([*[cells(period=k, rrp=300, INTERVENTION=1) for k in range(48)], *run()])
        assert found.values.max() < 200

    def test_a_zip_with_two_members(self, ask: Ask) -> None:
        for others in (("README", "NSW1"), ("a.txt", report([cells(rrp=1)])), ("B.CSV", "C,nothing,here\n")):
            [found] = ask(zipped(others[1], report(run()), names=(others[0], "A.csv")))
            assert len(found) == 48
            assert found.values[0] == 100.0

    def test_of_two_members_both_are_read(self, ask: Ask) -> None:
        rows = run()
        [found] = ask(zipped(report(rows[:30]), report(rows[20:])))
        assert len(found) == 48, "and what both say is said once"

    def test_two_prices_for_one_half_hour_are_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="twice"):
            ask([*run(), cells(rrp=55)])

    def test_a_hole_is_refused(self, ask: Ask) -> None:
        rows = run()
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask([*rows[:5], *rows[6:]])

    @pytest.mark.parametrize("price", [-1000.0, 0.0, 20000.0])
    def test_negative_and_very_high_prices_are_prices(self, ask: Ask, price: float) -> None:
        [found] = ask([cells(rrp=price), cells(period=1)])
        assert found.values.tolist() == [price, 100.0]

    @pytest.mark.parametrize("price", ["", "nan", "n/a", "inf"])
    def test_what_is_no_price_is_refused(self, ask: Ask, price: str) -> None:
        with pytest.raises(ForecastRejected, match="RRP"):
            ask([cells(rrp=price), cells(period=1)])

    @pytest.mark.parametrize(
        "time", ["", "2026-11-23T20:30:00", "2026/11/23 24:30:00", "2026/11/23 20:30:00 AEDT"]
    )
    def test_another_form_of_time_is_an_error(self, ask: Ask, time: str) -> None:
        with pytest.raises(SourceUnavailable, match="not a time"):
            ask([cells(DATETIME=time)])

    @pytest.mark.parametrize("gone", ["REGIONID", "INTERVENTION", "DATETIME", "RRP"])
    def test_a_column_that_is_missing_is_named(self, ask: Ask, gone: str) -> None:
        with pytest.raises(SourceUnavailable, match=f"no column {gone}"):
            ask(report(run(), [c for c in COLUMNS if c != gone]))

    def test_a_row_that_is_cut_off_is_refused(self, ask: Ask) -> None:
        text = report([cells()])
        with pytest.raises(SourceUnavailable, match="12 fields"):
            ask(text.replace(',"2026/11/23 20:30:00"', ""))

    def test_rows_without_their_header_are_refused(self, ask: Ask) -> None:
        lines = report([cells()]).split("\r\n")
        with pytest.raises(SourceUnavailable, match="header has 0"):
            ask("\n".join(line for line in lines if not line.startswith("I,PREDISPATCH,REGION_PRICES")))

    def test_without_our_table(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="no table PREDISPATCH,REGION_PRICES"):
            ask("C,NEMP.WORLD\nC,END OF REPORT,2")

    @pytest.mark.parametrize("length", [1, 200_000])
    def test_a_field_without_end(self, ask: Ask, length: int) -> None:
        """It may have swallowed the rest of our table."""
        with pytest.raises(SourceUnavailable, match="cannot be read"):
            ask(report([cells()]) + '\r\n"' + length * "x")

    def test_a_region_that_is_absent(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="no price of TAS1"):
            ask([cells("NSW1")], "TAS1")

    def test_an_empty_listing(self, ask: Ask) -> None:
        self.links = ()
        with pytest.raises(SourceUnavailable, match="lists no run"):
            ask()

    @pytest.mark.parametrize(
        "link",
        [
            NAME,
            f"./{NAME}",
            f"/REPORTS/CURRENT/PredispatchIS_Reports/{NAME}",
            f"http://127.0.0.1:9/elsewhere/{NAME}",
            NAME.replace("_", "%5F"),
            NAME.replace("_", "&#95;").replace("2", "&#x32;"),
        ],
        ids=["relative", "dot", "absolute", "other host", "percent", "entities"],
    )
    def test_links_of_any_form(self, ask: Ask, link: str) -> None:
        self.links = (link,)
        ask()
        assert [asked.path for asked in self.server.asked] == [REPORTS, REPORTS + NAME]

    def test_the_newest_by_name_in_any_order(self, ask: Ask) -> None:
        again = NAME.replace("200312", "200515")  # the same run, published again
        others = "PUBLIC_PREDISPATCHIS_20261115_20261121.zip", "PUBLIC_P5MIN_202611232030_20261123202512.zip"
        self.links = (again, OLDER, NAME, *others)
        ask()
        assert self.server.asked[-1].path == REPORTS + again

    def test_what_is_published_later_is_not_known_yet(self, ask: Ask) -> None:
        """A clock that is behind, or a question about the past."""
        self.links = (OLDER, NAME)
        [found] = ask(now=datetime(2026, 11, 23, 10, 3, 11, tzinfo=UTC))
        assert self.server.asked[-1].path == REPORTS + OLDER
        assert found.issued_at == datetime(2026, 11, 23, 9, 32, 40, tzinfo=UTC)

    def test_a_name_with_no_time_in_it(self, ask: Ask) -> None:
        self.links = (NAME.replace("20261123200312", "20261023256199"),)
        with pytest.raises(SourceUnavailable, match="not a time"):
            ask()

    def test_forbidden(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="403") as caught:
            ask(Said(b"Forbidden", 403))
        assert "User-Agent like a browser's" in caught.value.hint

    def test_a_user_agent_is_sent_where_one_is_set(self, ask: Ask) -> None:
        ask()
        assert self.server.asked[-1].headers["user-agent"].startswith("shifter/")
        ask(user_agent="Mozilla/5.0 (shifter)")
        assert {asked.headers["user-agent"] for asked in self.server.asked[-2:]} == {"Mozilla/5.0 (shifter)"}

    def test_a_file_that_is_gone(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match=f"{NAME} answered 404"):
            ask(Said(status=404))

    def test_a_zip_that_is_cut_off(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="not a whole zip"):
            ask(zipped(report(run()))[:-30])

    def test_a_page_in_place_of_the_zip(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="Maintenance"):
            ask(b"<html>Maintenance</html>")

    def test_a_bomb(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("forecasts.sources.aemo.MOST_BYTES", 2**20)
        with pytest.raises(SourceUnavailable, match="unpacks to more than 1048576 bytes"):
            ask(zipped(bytes(2**24)))

    def test_too_many_members(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="9 files"):
            ask(zipped(*["x"] * 9, names=[f"{k}.csv" for k in range(9)]))

    def test_a_run_that_is_over_is_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            ask(now=NOW + timedelta(days=2))

    @pytest.mark.parametrize("start_h", [-2, 41])
    def test_nothing_is_asked_beyond_what_a_run_can_say(self, ask: Ask, start_h: float) -> None:
        assert ask(start=NOW + timedelta(hours=start_h), hours=1) == []
        assert self.server.asked == []

    def test_a_window_that_the_run_does_not_reach(self, ask: Ask) -> None:
        assert ask(start=NOW + timedelta(hours=30)) == []

    def test_load_wind_and_solar(self, ask: Ask) -> None:
        found = ask(solution(power()), signals=(Signal.SOLAR, *POWER, Signal.PRICE))
        assert [s.signal for s in found] == [Signal.PRICE, *POWER]
        assert [asked.path for asked in self.server.asked] == [REPORTS, REPORTS + NAME], "one file for all"
        assert {(s.unit, s.kind, len(s)) for s in found[1:]} == {("MW", Kind.FORECAST, 48)}
        assert [s.values[1] for s in found[1:]] == [7001.0, 801.25, 0.0]
        assert found[1].start[0] == np.datetime64("2026-11-23T10:00"), "a time is the end of its interval"
        assert found[1].issued_at == datetime(2026, 11, 23, 10, 3, 12, tzinfo=UTC)

    def test_an_intervention_is_left_out_of_the_load_too(self, ask: Ask) -> None:
        [found] = ask(solution([*power(TOTALDEMAND="1", INTERVENTION="1"), *power()]), signals=(Signal.LOAD,))
        assert found.values.min() >= 7000

    @pytest.mark.parametrize("signal", POWER)
    def test_a_file_of_prices_alone(self, ask: Ask, signal: Signal) -> None:
        with pytest.raises(SourceUnavailable, match="no table PREDISPATCH,REGION_SOLUTION"):
            ask(signals=(signal,))

    @pytest.mark.parametrize(
        ("signal", "column"),
        [
            (Signal.LOAD, "TOTALDEMAND"),
            (Signal.WIND, "SS_WIND_UIGF"),
            (Signal.SOLAR, "SS_SOLAR_UIGF"),
        ],
    )
    def test_each_figure_needs_its_column_alone(self, ask: Ask, signal: Signal, column: str) -> None:
        text = solution(power(), [c for c in SOLUTION if c != column])
        with pytest.raises(SourceUnavailable, match=f"PREDISPATCH,REGION_SOLUTION has no column {column}"):
            ask(text, signals=(signal,))
        assert len(ask(text, signals=tuple(s for s in POWER if s is not signal))) == 2

    def test_what_is_no_figure_is_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="SS_WIND_UIGF"):
            ask(solution(power(SS_WIND_UIGF="")), signals=(Signal.WIND,))
