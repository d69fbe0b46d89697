from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import ForecastRejected, InputError, ShifterError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest
from forecasts.sources.csv import CsvOptions, CsvSource
from forecasts.sources.http import HttpClient
from forecasts.testing import ReplyServer, Said
from tests.forecasts.build import T0, hours

HEADER = "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh"
ISSUED = "2026-01-09T12:00:00Z"


def rows(
    n: int = 3, zone: str = "DE-LU", issued: str = ISSUED, first: int = 0, price: float = 50
) -> list[str]:
    return [
        f"{zone},{issued},2026-01-10T{k:02}:00:00Z,2026-01-10T{k + 1:02}:00:00Z,{price + k},{300 + k}"
        for k in range(first, first + n)
    ]


def read(tmp_path: Path, lines: list[str] | bytes, **options: Any) -> list[ForecastSeries]:
    path = tmp_path / "forecasts.csv"
    path.write_bytes(lines if isinstance(lines, bytes) else "\n".join([*lines, ""]).encode())
    return CsvSource(CsvOptions(path=path, **options)).read(now=T0)


def refused(tmp_path: Path, lines: list[str] | bytes, line: int, **options: Any) -> str:
    with pytest.raises((InputError, ForecastRejected)) as caught:
        read(tmp_path, lines, **options)
    assert caught.value.field == f"{tmp_path / 'forecasts.csv'}:{line}"
    assert caught.value.hint
    return caught.value.detail


class TestReading:
    def test_the_contracts_file(self, tmp_path: Path) -> None:
        price, carbon = sorted(read(tmp_path, [HEADER, *rows()]), key=lambda s: s.signal, reverse=True)
        assert (price.signal, price.unit, price.values.tolist()) == (Signal.PRICE, "EUR/MWh", [50, 51, 52])
        assert (carbon.unit, carbon.basis, carbon.values.tolist()) == (
            "gCO2e/kWh",
            Basis.AVERAGE,
            [300, 301, 302],
        )
        assert price.known_at == price.issued_at == datetime(2026, 1, 9, 12, tzinfo=UTC)
        assert price.kind is Kind.FORECAST
        assert price.start[0] == np.datetime64("2026-01-10T00:00")

    def test_vintages(self, tmp_path: Path) -> None:
        later = rows(2, issued="2026-01-09T18:00:00Z", price=90)
        found = read(tmp_path, [HEADER, *later, *rows()])
        assert [s.known_at.hour for s in found if s.signal is Signal.PRICE] == [12, 18]

    def test_fetch_sees_no_later_issue_and_no_other_window(self, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        lines = [HEADER, *rows(), *rows(2, issued="2026-01-10T01:00:00Z", price=90)]
        path.write_text("\n".join(lines))
        source = CsvSource(CsvOptions(path=path))

        def ask(now: datetime, first: float = 0, last: float = 3) -> list[float]:
            start, end = hours(first), hours(last)
            said = source.fetch(FetchRequest("DE-LU", (Signal.PRICE,), start, end), now=now)
            return [s.values[0] for s in said]

        assert ask(T0) == [50]
        assert ask(hours(1)) == [50, 90]
        assert ask(T0 - timedelta(days=2)) == []
        assert ask(hours(1), 2, 3) == [50]
        assert ask(hours(1), 3, 4) == []

    def test_any_order_bom_crlf_blank_lines_and_extra_columns(self, tmp_path: Path) -> None:
        lines = [f"note,{HEADER}", *(f"x,{r}" for r in rows()[::-1]), ""]
        body = b"\xef\xbb\xbf" + "\r\n".join(lines).encode()
        assert read(tmp_path, body)[0].values.tolist() == [50, 51, 52]

    @pytest.mark.parametrize(
        ("named", "hint"), [("price", "Is 'price' it? Name it 'price_per_mwh'"), ("note", "says nothing")]
    )
    def test_a_file_without_any_value_is_refused(self, tmp_path: Path, named: str, hint: str) -> None:
        """As where the one column that has any is called otherwise."""
        path = tmp_path / "f.csv"
        lines = [HEADER.replace("price_per_mwh", named), *(r[: r.rindex(",") + 1] for r in rows())]
        path.write_text("\n".join(lines))
        with pytest.raises(InputError, match="no row has a value under carbon_g_per_kwh") as e:
            CsvSource(CsvOptions(path=path)).read(now=T0)
        assert hint in e.value.hint
        assert e.value.field == f"{path}:1"

    def test_quantiles(self, tmp_path: Path) -> None:
        header = f"{HEADER},price_per_mwh_p10,price_per_mwh_p97.5,carbon_g_per_kwh_p90,price_per_mwh_plan"
        found = read(tmp_path, [header, *(f"{r},{40 + k},{70 + k},,x" for k, r in enumerate(rows()))])
        price = next(s for s in found if s.signal is Signal.PRICE)
        carbon = next(s for s in found if s.signal is Signal.CARBON)
        assert {p: b.tolist() for p, b in price.quantiles.items()} == {0.1: [40, 41, 42], 0.975: [70, 71, 72]}
        assert carbon.quantiles == {}

    def test_its_terms_are_those_of_every_series(self, tmp_path: Path) -> None:
        terms = {"licence": "internal use only", "attribution": "EPEX", "restricted": True}
        for s in read(tmp_path, [HEADER, *rows()], **terms):
            assert (s.licence, s.attribution, s.restricted) == tuple(terms.values())
        assert not any(s.restricted for s in read(tmp_path, [HEADER, *rows()]))

    def test_a_column_says_what_the_values_are(self, tmp_path: Path) -> None:
        """What was made up stays so on its way through a file."""

        def kinds(*told: str, **options: Any) -> set[Kind]:
            lines = [f"{row},{kind}" for row, kind in zip(rows(len(told)), told, strict=True)]
            return {s.kind for s in read(tmp_path, [f"{HEADER},kind", *lines], **options)}

        assert kinds("synthetic", "synthetic") == {Kind.SYNTHETIC}
        assert kinds("cleared", "forecast", "cleared") == {Kind.FORECAST}, "no more than the least of them"
        assert kinds("", "") == {Kind.FORECAST}
        assert kinds("", "cleared", kind="cleared") == {Kind.CLEARED}
        assert kinds("peak", "base", columns={"kind": None}) == {Kind.FORECAST}, "another column of that name"
        lines = [f"{row},{kind}" for row, kind in zip(rows(2), ("forecast", "fake"), strict=True)]
        said = refused(tmp_path, [f"{HEADER},kind", *lines], 3)
        assert said == "kind: 'fake' is not actual, cleared, forecast or synthetic."

    def test_columns_and_units_can_be_mapped(self, tmp_path: Path) -> None:
        lines = ["from;ct;lbs", "2026-01-10 01:00;5,0;1000", "2026-01-10 02:00;6;500"]
        lines[1] = lines[1].replace(",", ".")
        price, carbon = read(
            tmp_path,
            lines,
            columns={
                "zone": None,
                "issued_at": None,
                "start": "from",
                "end": None,
                "price": "ct",
                "carbon": "lbs",
            },
            zone="DE-LU",
            price_unit="ct/kWh",
            carbon_unit="lbs/MWh",
            step_minutes=60,
            timezone="Europe/Berlin",
            delimiter=";",
            basis="marginal",
        )
        assert price.values.tolist() == [50, 60]
        assert carbon.values.tolist() == pytest.approx([453.59237, 226.796185])
        assert carbon.basis is Basis.MARGINAL
        assert price.start[0] == np.datetime64("2026-01-10T00:00")
        assert (price.known_at, price.issued_at) == (T0, None)

    def test_only_one_signal(self, tmp_path: Path) -> None:
        lines = [",".join(line.split(",")[:-1]) for line in [HEADER, *rows()]]
        (price,) = read(tmp_path, lines)
        assert price.signal is Signal.PRICE

    def test_trailing_empty_cells_are_a_shorter_vintage(self, tmp_path: Path) -> None:
        lines = rows(4)
        lines[2] = lines[2].replace(",52.0,", ",,").replace(",52,", ",,")
        lines[3] = lines[3].replace(",53,", ",,")
        price = next(s for s in read(tmp_path, [HEADER, *lines]) if s.signal is Signal.PRICE)
        assert price.values.tolist() == [50, 51]

    def test_static_carbon_is_fine_unless_it_is_a_feed(self, tmp_path: Path) -> None:
        line = f"DE-LU,{ISSUED},2026-01-10T00:00:00Z,2026-02-10T00:00:00Z,31,300"
        assert len(read(tmp_path, [HEADER, line])) == 2
        with pytest.raises(ForecastRejected, match="frozen"):
            read(tmp_path, [HEADER, line], refuse_flat_carbon=True)

    def test_the_file_is_read_again_when_it_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        path.write_text("\n".join([HEADER, *rows()]))
        source = CsvSource(CsvOptions(path=path))
        first = source.read(now=T0)
        assert source.read(now=T0)[0] is first[0]
        path.write_text("\n".join([HEADER, *rows(price=70)]))
        os.utime(path, ns=(1, 1))
        assert source.read(now=T0)[0].values[0] == 70

    def test_a_url(self, server: ReplyServer, http: HttpClient) -> None:
        server.reply = lambda _: Said("\n".join([HEADER, *rows()]).encode())
        source = CsvSource(CsvOptions(url=f"{server.url}/f.csv?key=hush"), http=http)
        assert source.read(now=T0)[0].values.tolist() == [50, 51, 52]
        assert "hush" not in source.info.url
        server.reply = lambda _: Said(b"<html>", 404)
        with pytest.raises(SourceUnavailable, match="404"):
            source.read(now=T0)

    @pytest.mark.parametrize("body", [b"<html>\n<body>Sorry, we are down</body>\n</html>\n", b"", b"{}"])
    def test_a_url_that_answers_something_else_with_a_200(
        self, server: ReplyServer, http: HttpClient, body: bytes
    ) -> None:
        said = Said("\n".join([HEADER, *rows()]).encode())
        server.reply = lambda _: said
        source = CsvSource(CsvOptions(url=f"{server.url}/f.csv"), http=http)
        assert len(source.read(now=T0)) == 2
        server.reply = lambda _: Said(body)
        with pytest.raises(InputError, match=r"there is no column|the file is empty"):
            source.read(now=T0)
        server.reply = lambda _: said
        assert len(source.read(now=T0)) == 2, "it is as good as before"


class TestLocalTimes:
    OPTIONS: dict[str, Any] = {  # noqa: RUF012
        "columns": {"zone": None, "issued_at": None, "carbon": None},
        "zone": "DE-LU",
        "timezone": "Europe/Berlin",
    }

    def table(self, starts: list[str], ends: list[str]) -> list[str]:
        pairs = zip(starts, ends, strict=True)
        return ["start,end,price_per_mwh", *(f"{a},{b},{k}" for k, (a, b) in enumerate(pairs))]

    def test_the_hour_that_comes_twice(self, tmp_path: Path) -> None:
        times = [f"2026-10-25 {h}:00" for h in ("01", "02", "02", "03", "04")]
        (s,) = read(tmp_path, self.table(times[:-1], times[1:]), **self.OPTIONS)
        assert s.values.tolist() == [0, 1, 2, 3]
        assert s.end[-1] - s.start[0] == np.timedelta64(4, "h")

    def test_the_hour_that_is_left_out(self, tmp_path: Path) -> None:
        times = [f"2026-03-29 {h}:00" for h in ("01", "03", "04")]
        (s,) = read(tmp_path, self.table(times[:-1], times[1:]), **self.OPTIONS)
        assert s.end[-1] - s.start[0] == np.timedelta64(2, "h")
        times[1] = "2026-03-29 02:00"
        said = refused(tmp_path, self.table(times[:-1], times[1:]), 2, **self.OPTIONS)
        assert "does not exist in Europe/Berlin" in said

    def test_without_a_zone_they_are_refused(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows()]
        lines[2] = lines[2].replace("T01:00:00Z,", "T01:00:00,")
        assert "has no time zone" in refused(tmp_path, lines, 3)


class TestRowsThatAreWrong:
    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            (",51,", ",fifty,", "'fifty' is not a number"),
            (",51,", ",nan,", "not a finite number"),
            (",51,", ",inf,", "not a finite number"),
            (",51,", ",1_0,", "not a finite number"),
            (",51,", ',"5,1",', "not a number"),
            (",51,", ",1e9,", "outside -1000 to 20000"),
            (",301", ",-3", "outside 0 to 2500"),
            (",301", "", "5 fields where the header has 6"),
            (",301", ",301,9", "7 fields"),
            ("DE-LU", "", "zone is empty"),
            ("2026-01-10T01:00:00Z", "10/01/2026", "not a time"),
            ("2026-01-10T02:00:00Z", "2026-01-10T01:00:00Z", "end is not after the start"),
            ("2026-01-09T12", "yesterday", "not a time"),
        ],
    )
    def test_a_row_is_named_by_file_and_line(self, tmp_path: Path, old: str, new: str, what: str) -> None:
        lines = [HEADER, *rows()]
        assert old in lines[2]
        lines[2] = lines[2].replace(old, new, 1)
        assert what in refused(tmp_path, lines, 3)

    def test_every_mistake_is_named_at_once(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows(9)]
        for k in (2, 5, 8):
            lines[k] = lines[k].replace("Z", "", 1)
        with pytest.raises(InputError) as caught:
            read(tmp_path, lines)
        found = [caught.value, *caught.value.also]
        assert [e.field.rpartition(":")[2] for e in found] == ["3", "6", "9"]

    def test_not_a_flood_of_them(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            read(tmp_path, [HEADER, *["a,b"] * 5000])
        assert len(caught.value.also) == 19

    def test_a_file_cut_off(self, tmp_path: Path) -> None:
        body = "\n".join([HEADER, *rows()]).encode()
        refused(tmp_path, body[:-30], 4)

    def test_an_open_quote(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows()]
        lines[2] = '"' + lines[2]
        assert "cannot be read" in refused(tmp_path, lines, 3)

    def test_not_utf8(self, tmp_path: Path) -> None:
        body = (
            "\n".join([HEADER, *rows()])
            .encode()
            .replace(b"DE-LU,2026-01-09T12:00:00Z,2026-01-10T01", b"\xfc,")
        )
        assert "0xfc is not UTF-8" in refused(tmp_path, body, 3)

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "the file is empty"),
            (b"\n\n", "the file is empty"),
            ((HEADER + "\n").encode(), "no row follows the header"),
        ],
    )
    def test_empty(self, tmp_path: Path, body: bytes, said: str) -> None:
        assert said in refused(tmp_path, body, 1)

    def test_headers(self, tmp_path: Path) -> None:
        assert "no column 'zone'" in refused(tmp_path, [HEADER.replace("zone", "Zone"), *rows()], 1)
        assert "comes twice" in refused(tmp_path, [HEADER + ",zone", *rows()], 1)
        neither = HEADER.replace("price_per_mwh", "p").replace("carbon_g_per_kwh", "c")
        assert "no column 'price_per_mwh'" in refused(tmp_path, [neither, *rows()], 1)

    def test_a_duplicate(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows(), rows()[1]]
        assert "comes twice, first in line 3" in refused(tmp_path, lines, 5)

    def test_a_gap(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows(2), *rows(2, first=3)]
        assert "follows a gap of 1:00:00 after line 3" in refused(tmp_path, lines, 4)

    def test_an_overlap(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows()]
        lines[1] = lines[1].replace("T01:00:00Z", "T01:30:00Z")
        assert "overlaps" in refused(tmp_path, lines, 3)

    def test_a_hole(self, tmp_path: Path) -> None:
        lines = [HEADER, *rows()]
        lines[2] = lines[2].replace(",51,", ",,")
        assert "is empty between rows" in refused(tmp_path, lines, 3)

    def test_huge(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="more than 100 bytes"):
            read(tmp_path, [HEADER, *rows()], max_bytes=100)
        field = [HEADER, rows()[0].replace("DE-LU", "x" * 200_000)]
        assert "cannot be read" in refused(tmp_path, field, 2)

    @given(st.binary(max_size=300))
    def test_whatever_it_holds_the_answer_is_an_error_of_ours(self, tmp_path_factory, noise: bytes) -> None:
        body = (HEADER + "\n").encode() + noise
        with pytest.raises(ShifterError):
            read(tmp_path_factory.mktemp("noise"), body)


class TestOptions:
    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceUnavailable, match=r"nowhere\.csv cannot be read"):
            CsvSource(CsvOptions(path=tmp_path / "nowhere.csv")).read(now=T0)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"path": "a", "url": "http://b"},
            {"path": "a", "timezone": "Mars/Olympus"},
            {"path": "a", "columns": {"zone": None}},
            {"path": "a", "columns": {"end": None}},
            {"path": "a", "columns": {"price": None, "carbon": None}},
            {"path": "a", "delimeter": ";"},
            {"path": "a", "columns": {"cabron": "x"}},
        ],
    )
    def test_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            CsvOptions(**options)

    def test_units_are_checked_when_it_is_made(self) -> None:
        with pytest.raises(ForecastRejected) as caught:
            CsvSource(CsvOptions(path=Path("a"), price_unit="EUR/barrel"))
        assert caught.value.field == "price_unit"
