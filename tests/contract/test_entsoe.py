"""ENTSO-E through the suite of sources, and each trap that its documents and its users tell of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from forecasts.errors import ForecastRejected, InputError, ShifterError, SourceUnavailable
from forecasts.marketday import market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.entsoe import CET, EIC_OF_ZONE, TWO_AUCTIONS, EntsoeOptions, EntsoeSource
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import MIDNIGHT, NOW
from tests.contract.test_sources import OverHttp

PRICE = (Signal.PRICE,)
DAY = timedelta(days=1)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
TODAY, TOMORROW = (MIDNIGHT, MIDNIGHT + DAY), (MIDNIGHT + DAY, MIDNIGHT + 2 * DAY)
TOKEN = "0a1b2c3d-tell-no-one"
NS = "urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3"
Span = tuple[datetime, datetime]


def prices(n: int = 96, base: float = 60.0) -> dict[int, Any]:
    """By position, no two in a row the same."""
    return {k + 1: round(base + 37 * (k % 11) / 11, 2) for k in range(n)}


def period(span: Span, points: Mapping[Any, Any] | None = None, resolution: str = "PT15M") -> str:
    step = timedelta(minutes=int(resolution[2:-1]))
    told = prices((span[1] - span[0]) // step) if points is None else points
    inner = "".join(
        f"<Point><position>{p}</position><price.amount>{v}</price.amount></Point>" for p, v in told.items()
    )
    start, end = (f"{t:%Y-%m-%dT%H:%MZ}" for t in span)
    interval = f"<timeInterval><start>{start}</start><end>{end}</end></timeInterval>"
    return f"<Period>{interval}<resolution>{resolution}</resolution>{inner}</Period>"


def series(*periods: str, zone: str = "FR", curve: str | None = "A03", **over: str | None) -> str:
    """A TimeSeries; `sequence`, `currency`, `unit`, `contract`, `revision` are left out where they are None."""
    given = {"sequence": "1", "currency": "EUR", "unit": "MWH", "contract": "A01", "revision": None, **over}
    eic = EIC_OF_ZONE[zone]
    named = {
        "auction.type": "A01",
        "businessType": "A62",
        "in_Domain.mRID": eic,
        "out_Domain.mRID": eic,
        "contract_MarketAgreement.type": given["contract"],
        "currency_Unit.name": given["currency"],
        "price_Measure_Unit.name": given["unit"],
        "classificationSequence_AttributeInstanceComponent.position": given["sequence"],
        "revisionNumber": given["revision"],
        "curveType": curve,
    }
    told = "".join(f"<{name}>{text}</{name}>" for name, text in named.items() if text is not None)
    return f"<TimeSeries><mRID>1</mRID>{told}{''.join(periods)}</TimeSeries>"


def document(*inner: str, namespace: str = NS, root: str = "Publication_MarketDocument") -> str:
    head = "<mRID>1</mRID><revisionNumber>1</revisionNumber><createdDateTime>2026-11-23T10:20:00Z</createdDateTime>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{namespace}">{head}{"".join(inner)}</{root}>'
    )


def acknowledgement(text: str) -> str:
    namespace = "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:0"
    reason = f"<Reason><code>999</code><text>{text}</text></Reason>"
    return document(reason, namespace=namespace, root="Acknowledgement_MarketDocument")


def both_days(zone: str = "FR", base: float = 60.0, **over: Any) -> list[str]:
    """A TimeSeries a day, as the platform has them."""
    return [series(period(day, prices(base=base)), zone=zone, **over) for day in (TODAY, TOMORROW)]


class TestEntsoe(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return Said(document(*both_days()).encode())

    def make_source(self) -> ForecastSource:
        return EntsoeSource(
            EntsoeOptions(base_url=f"{self.server.url}/api", api_key=SecretStr(TOKEN)), http=self.http
        )

    def request(self) -> FetchRequest:
        return FetchRequest("FR", PRICE, NOW, NOW + DAY)


Ask = Callable[..., list[ForecastSeries]]
One = Callable[..., ForecastSeries]


class OverXml(OverHttp):
    said: Said

    def reply(self, asked: Asked) -> Said:
        return self.said

    @pytest.fixture
    def ask(self) -> Ask:
        """What the source makes of a body, a reply, or TimeSeries; by default of France for a day from NOW on."""

        def ask(
            *said: Any, zone: str = "FR", now: datetime = NOW, start: datetime | None = None, days: float = 1
        ) -> list[ForecastSeries]:
            whole = said[0] if said and isinstance(said[0], Said) else Said(document(*said).encode())
            self.said = whole
            start = start or now
            options = EntsoeOptions(base_url=f"{self.server.url}/api", api_key=SecretStr(TOKEN))
            request = FetchRequest(zone, PRICE, start, start + timedelta(days=days))
            return EntsoeSource(options, http=self.http).fetch(request, now=now)

        return ask

    @pytest.fixture
    def one(self, ask: Ask) -> One:
        def one(*said: Any, **how: Any) -> ForecastSeries:
            [found] = ask(*said, **how)
            return found

        return one


class TestTheReply(OverXml):
    def test_the_prices(self, one: One) -> None:
        found = one(*both_days())
        assert (found.unit, found.kind, found.known_at) == ("EUR/MWh", Kind.CLEARED, NOW)
        assert (found.restricted, found.note, len(found)) == (False, "", 192)
        assert found.start[0] == np.datetime64("2026-11-22T23:00")
        assert found.values[:2].tolist() == [60.0, 63.36]

    def test_whole_market_days_are_asked_for_in_utc(self, one: One) -> None:
        one(*both_days())
        [asked] = self.server.asked
        assert asked.path == "/api"
        assert asked.query == {
            "documentType": "A44",
            "in_Domain": "10YFR-RTE------C",
            "out_Domain": "10YFR-RTE------C",
            "contract_MarketAgreement.type": "A01",
            "periodStart": "202611222300",
            "periodEnd": "202611242300",
            "securityToken": TOKEN,
        }

    def test_zones(self) -> None:
        assert set(EIC_OF_ZONE) > TWO_AUCTIONS
        assert all(len(code) == 16 for code in EIC_OF_ZONE.values())

    @pytest.mark.parametrize("version", ["7:0", "7:3"])
    def test_any_version_of_the_document(self, one: One, version: str) -> None:
        body = document(*both_days(), namespace=NS.replace("7:3", version))
        assert len(one(Said(body.encode()))) == 192
        assert len(one(Said(body.encode("utf-8-sig")))) == 192

    def test_negative_prices_and_thousands_in_positions(self, one: One) -> None:
        """Eleven days in one period have more than a thousand quarters."""
        span = (MIDNIGHT, MIDNIGHT + 11 * DAY)
        told = {f"{k:,}": "-3.20" if k == 1000 else v for k, v in prices(11 * 96).items()}
        found = one(series(period(span, told), curve="A01"), days=10)
        assert found.values[999] == -3.2
        assert np.count_nonzero(found.values < 0) == 1

    @pytest.mark.parametrize(("currency", "unit"), [("PLN", "PLN/MWh"), ("GBP", "GBP/MWh")])
    def test_the_currency_is_that_of_the_document(self, one: One, currency: str, unit: str) -> None:
        assert one(*both_days(currency=currency)).unit == unit

    def test_units_are_converted_and_unknown_ones_refused(self, one: One) -> None:
        assert one(series(period(TODAY, {1: 0.0625}), unit="KWH")).values[1] == 62.5
        with pytest.raises(ForecastRejected, match="EUR/MAW"):
            one(*both_days(unit="MAW"))

    @pytest.mark.parametrize("other", [{"currency": "PLN"}, {"unit": "KWH"}])
    def test_mixed_currencies_are_refused(self, one: One, other: dict[str, Any]) -> None:
        with pytest.raises(ForecastRejected, match="the prices are in"):
            one(both_days()[0], both_days(**other)[1])

    def test_what_lies_outside_the_window_is_left_out(self, one: One) -> None:
        days = [(MIDNIGHT + k * DAY, MIDNIGHT + (k + 1) * DAY) for k in range(-2, 4)]
        found = one(*(series(period(day)) for day in days))
        assert (found.start[0], len(found)) == (np.datetime64("2026-11-22T23:00"), 192)
        assert one(series(period((days[0][0], days[-1][1])))).start[0] == found.start[0]
        holed = series(period(days[0], {2: 1.0}), curve="A01")
        assert len(one(holed, *both_days())) == 192, "whatever is wrong with it"

    def test_before_noon_there_is_today_only(self, one: One) -> None:
        assert one(both_days()[0]).end[-1] == np.datetime64("2026-11-23T23:00")

    def test_what_is_over_is_stale_unless_the_past_is_asked_for(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            one(both_days()[0], now=NOW + DAY, start=NOW, days=3)
        assert len(one(both_days()[0], now=NOW + 9 * DAY, start=NOW)) == 96

    def test_nothing_in_the_window(self, one: One) -> None:
        for said in ([], both_days()[:1]):
            with pytest.raises(SourceUnavailable, match="Not published yet"):
                one(*said, now=NOW + DAY)


class TestCurves(OverXml):
    """A03 leaves out the positions that repeat the one before; of A01 every one must be there."""

    @pytest.mark.parametrize("gone", [(40,), (2,), (95, 96), (50, 51, 52, 96)])
    def test_what_a03_leaves_out_repeats(self, one: One, gone: tuple[int, ...]) -> None:
        said = prices()
        expected = list(said.values())
        for k in gone:
            del said[k]
            expected[k - 1] = expected[k - 2]
        found = one(series(period(TODAY, said)), both_days()[1])
        assert found.values[:96].tolist() == expected
        assert found.values[96:].tolist() == list(prices().values()), "the next day is not shifted"

    def test_one_point_may_be_all(self, one: One) -> None:
        found = one(series(period(TODAY, {1: 42})))
        assert (len(found), set(found.values)) == (96, {42.0})

    def test_before_the_first_there_is_nothing_to_repeat(self, one: One) -> None:
        said = prices()
        del said[1]
        with pytest.raises(
            ForecastRejected, match="position 1 of 96 from 2026-11-23T23:00:00Z on is missing"
        ):
            one(both_days()[0], series(period(TOMORROW, said)))

    @pytest.mark.parametrize("curve", ["A01", None])
    @pytest.mark.parametrize("gone", [1, 40, 96])
    def test_gaps_of_a01_are_gaps(self, one: One, curve: str | None, gone: int) -> None:
        said = prices()
        del said[gone]
        with pytest.raises(ForecastRejected, match=f"position {gone} of 96 .* is missing"):
            one(series(period(TODAY, said), curve=curve))
        assert len(one(series(period(TODAY), curve=curve))) == 96

    def test_other_curves_are_refused(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match="A02"):
            one(series(period(TODAY), curve="A02"))

    def test_from_hours_to_quarters_within_a_reply(self, one: One) -> None:
        now = datetime(2025, 9, 30, 9, tzinfo=UTC)
        days = [market_day(date(2025, *day), CET) for day in ((9, 30), (10, 1))]
        found = one(series(period(days[0], resolution="PT60M"), period(days[1])), now=now)
        assert len(found) == 24 + 96
        assert set(found.end[:24] - found.start[:24]) == {np.timedelta64(HOUR)}
        assert set(found.end[24:] - found.start[24:]) == {np.timedelta64(QUARTER)}

    def test_several_periods_of_a_series(self, one: One) -> None:
        noon = MIDNIGHT + 12 * HOUR
        halves = period((MIDNIGHT, noon), {1: 5}), period((noon, TODAY[1]), {1: 7, 48: 9})
        found = one(series(*reversed(halves)))
        assert (found.values[47], found.values[48], found.values[95]) == (5, 7, 9)

    def test_half_hours_of_ireland(self, one: One) -> None:
        found = one(series(period(TODAY, resolution="PT30M"), zone="IE-SEM"), zone="IE-SEM")
        assert len(found) == 48

    @pytest.mark.parametrize(("day", "n"), [((2026, 10, 25), 100), ((2027, 3, 28), 92)])
    @pytest.mark.parametrize("curve", ["A01", "A03"])
    def test_days_on_which_the_clock_changes(
        self, one: One, day: tuple[int, int, int], n: int, curve: str
    ) -> None:
        span = market_day(date(*day), CET)
        told = prices(n)
        if curve == "A03":
            told.popitem()
        found = one(series(period(span, told), curve=curve), now=span[0] + 12 * HOUR, days=0.1)
        assert len(found) == n
        assert found.end[-1] == np.datetime64(span[1].replace(tzinfo=None))

    def test_a_day_that_is_cut_off_is_refused(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match="came with 80 of 96 steps"):
            one(both_days()[0], series(period((TOMORROW[0], TOMORROW[0] + 80 * QUARTER))))

    def test_a_day_that_is_missing_is_refused(self, one: One) -> None:
        after = series(period((TOMORROW[1], TOMORROW[1] + DAY)))
        with pytest.raises(
            ForecastRejected, match="nothing is said between 2026-11-23T23:00:00Z and 2026-11-24T23"
        ):
            one(both_days()[0], after, days=3)


class TestAuctions(OverXml):
    """Sequence 1 is the coupled auction; 2, EXAA's, is seen hours earlier and at times alone."""

    @pytest.mark.parametrize("zone", sorted(TWO_AUCTIONS))
    @pytest.mark.parametrize("first", ["1", "2"])
    def test_of_both_the_first_counts_in_any_order(self, one: One, zone: str, first: str) -> None:
        second = "2" if first == "1" else "1"
        said = [both_days(zone, base=60.0 if n == "1" else 90.0, sequence=n) for n in (first, second)]
        found = one(*said[0], *said[1], zone=zone)
        assert (found.kind, len(found), found.values[0]) == (Kind.CLEARED, 192, 60.0)

    def test_the_earlier_alone_is_a_forecast_that_says_so(self, one: One) -> None:
        found = one(*both_days("DE-LU", sequence="2"), zone="DE-LU")
        assert found.kind is Kind.FORECAST
        assert "the earlier auction, EXAA's" in found.note

    def test_the_earlier_may_end_within_a_day(self, one: One) -> None:
        part = period((TODAY[0], TODAY[0] + 80 * QUARTER))
        assert len(one(series(part, zone="AT", sequence="2"), zone="AT")) == 80

    def test_in_no_zone_is_another_sequence_cleared(self, one: One) -> None:
        found = one(*both_days(sequence="2"))
        assert found.kind is Kind.FORECAST
        assert "another auction" in found.note

    def test_of_tomorrow_the_earlier_is_told_until_the_first_is_there(self, ask: Ask) -> None:
        """Never mixed: a day is one auction's, and one series has one kind."""
        first = both_days("DE-LU")[0]
        early = both_days("DE-LU", base=90.0, sequence="2")
        today, tomorrow = ask(*early, first, zone="DE-LU")
        assert (today.kind, len(today), today.values[0]) == (Kind.CLEARED, 96, 60.0)
        assert (tomorrow.kind, len(tomorrow), tomorrow.values[0]) == (Kind.FORECAST, 96, 90.0)
        assert tomorrow.start[0] == today.end[-1]

    def test_a_part_of_the_first_is_not_filled_from_the_second(self, ask: Ask) -> None:
        part = series(period((TODAY[0], TODAY[0] + 80 * QUARTER)), zone="DE-LU")
        with pytest.raises(ForecastRejected, match="came with 80 of 96 steps"):
            ask(part, *both_days("DE-LU", sequence="2"), zone="DE-LU")

    def test_where_there_are_two_one_without_its_number_is_refused(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match="does not say whose"):
            one(*both_days("AT", sequence=None), zone="AT")
        assert one(*both_days(sequence=None)).kind is Kind.CLEARED, "elsewhere there is but one"

    def test_intraday_auctions_are_left_out(self, one: One) -> None:
        intraday = both_days("ES", base=90.0, contract="A07", currency="XXX")
        assert one(*intraday, *both_days("ES"), zone="ES").values[0] == 60.0

    def test_two_that_disagree_are_refused(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match=r"disagree about 2026-11-22T23:00:00Z: 60 for .* and 90"):
            one(*both_days(), *both_days(base=90.0))
        with pytest.raises(ForecastRejected, match="disagree"):
            one(*both_days(), series(period(TODAY, {1: 60.0}, "PT60M")))

    def test_two_that_agree_are_one(self, one: One) -> None:
        assert len(one(*both_days(), *both_days())) == 192

    @pytest.mark.parametrize("turn", [1, -1])
    def test_a_later_revision_wins(self, one: One, turn: int) -> None:
        said = [*both_days(), *both_days(base=70.0, revision="2"), *both_days(base=90.0, revision="10")]
        assert one(*said[::turn]).values[0] == 90.0

    def test_another_zone_is_refused(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match="about 10YBE----------2 instead of FR"):
            one(*both_days("BE"))

    def test_a_reply_that_is_full_may_lack_some(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="100 TimeSeries"):
            one(*both_days() * 50)


class TestWrongValues(OverXml):
    @pytest.mark.parametrize("amount", ["", "n/a", "1,5", "NaN", "inf", "1_0", "1e400", "12 EUR"])
    def test_what_is_no_price(self, one: One, amount: str) -> None:
        with pytest.raises(ForecastRejected, match=r"price\.amount"):
            one(series(period(TODAY, prices() | {7: amount})))

    @pytest.mark.parametrize("position", ["0", "97", "-1", "1.0", "1,00", "", "9" * 5000])
    def test_what_is_no_position(self, one: One, position: str) -> None:
        with pytest.raises(ForecastRejected, match="position"):
            one(series(period(TODAY, prices() | {position: 1})))

    def test_a_position_comes_once(self, one: One) -> None:
        with pytest.raises(ForecastRejected, match="position 7 comes twice"):
            one(series(period(TODAY, prices() | {"7": 1})))

    @pytest.mark.parametrize("resolution", ["PT1M", "PT45M", "PT1440M"])
    def test_what_is_no_resolution(self, one: One, resolution: str) -> None:
        with pytest.raises(ForecastRejected, match=f"{resolution}' is not 15, 30 or 60 minutes"):
            one(series(period(TODAY, resolution=resolution)))

    @pytest.mark.parametrize(
        "span",
        [
            (TODAY[0], TODAY[1] - timedelta(minutes=5)),
            (TODAY[1], TODAY[1] - HOUR),
            (TODAY[0], TODAY[0] + 500 * DAY),
        ],
    )
    def test_what_is_no_period(self, one: One, span: Span) -> None:
        with pytest.raises(ForecastRejected, match="does not divide 2026-11-2"):
            one(series(period(span, {1: 1})))

    @pytest.mark.parametrize(
        "said", ["2026-11-22T23:00", "soon", "0001-01-01T00:00+12:00", "2026-11-22T24:30Z", ""]
    )
    def test_what_is_no_time(self, one: One, said: str) -> None:
        with pytest.raises(ForecastRejected, match="timeInterval"):
            one(series(period(TODAY).replace("2026-11-22T23:00Z", said)))

    @pytest.mark.parametrize("over", [{"currency": None}, {"unit": None}])
    def test_what_must_be_said(self, one: One, over: dict[str, Any]) -> None:
        with pytest.raises(ForecastRejected, match=r"a TimeSeries has no .*_Unit\.name"):
            one(*both_days(**over))


class TestErrors(OverXml):
    NONE = "No matching data found for Data item ENERGY_PRICES [12.1.D]"

    def test_no_data_comes_with_200(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match=r"200: No matching data found") as caught:
            one(Said(acknowledgement(self.NONE).encode()))
        assert "Not published yet" in caught.value.hint

    def test_a_wrong_question_comes_with_400(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="400: The amount of requested data") as caught:
            one(Said(acknowledgement("The amount of requested data exceeds 1 year").encode(), 400))
        assert "Not published yet" not in str(caught.value)

    def test_a_token_that_is_wrong_or_has_expired(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="the token is wrong or has expired"):
            one(Said(acknowledgement(f"Unauthorized: {TOKEN}").encode(), 401))

    def test_without_a_token_nothing_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ENTSOE_API_KEY", raising=False)
        source = EntsoeSource(EntsoeOptions(base_url=self.server.url), http=self.http)
        with pytest.raises(InputError, match="ENTSOE_API_KEY") as caught:
            source.fetch(FetchRequest("FR", PRICE, NOW, NOW + DAY), now=NOW)
        assert "transparency.entsoe.eu" in caught.value.hint
        assert self.server.asked == []

    def test_the_token_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENTSOE_API_KEY", "of-the-environment")
        self.said = Said(document(*both_days()).encode())
        source = EntsoeSource(EntsoeOptions(base_url=self.server.url), http=self.http)
        source.fetch(FetchRequest("FR", PRICE, NOW, NOW + DAY), now=NOW)
        assert self.server.asked[0].query["securityToken"] == "of-the-environment"

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 503])
    @pytest.mark.parametrize("xml", [True, False])
    def test_no_error_shows_the_token(self, one: One, status: int, xml: bool) -> None:
        said = f"bad token {TOKEN} in ?securityToken={TOKEN}"
        body = acknowledgement(said) if xml else "x" * 100 + said
        with pytest.raises(ShifterError) as caught:
            one(Said(body.encode(), status))
        shown = f"{caught.value} {caught.value!r} {dict(caught.value.facts)}"
        assert TOKEN not in shown
        assert TOKEN[:8] not in shown

    def test_nor_does_that_of_a_host_that_is_down(self) -> None:
        options = EntsoeOptions(base_url="http://127.0.0.1:9/api", api_key=SecretStr(TOKEN))
        with pytest.raises(SourceUnavailable, match=r"securityToken=\*\*\*") as caught:
            EntsoeSource(options, http=self.http).fetch(FetchRequest("FR", PRICE, NOW, NOW + DAY), now=NOW)
        assert TOKEN not in f"{caught.value} {dict(caught.value.facts)} {options!r}"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    @pytest.mark.parametrize(
        "type_of_document",
        ['<!DOCTYPE a [<!ENTITY e "1">]>', '<!DOCTYPE a SYSTEM "file:///etc/passwd">', '<!ENTITY e "1">'],
    )
    def test_types_and_entities_are_refused_before_parsing(
        self, one: One, type_of_document: str, encoding: str
    ) -> None:
        body = document(*both_days()).replace("\n", type_of_document).replace("UTF-8", encoding)
        with pytest.raises(SourceUnavailable, match="DTD or entities" if encoding == "utf-8" else "not XML"):
            one(Said(body.encode(encoding)))

    @pytest.mark.parametrize(
        "page", ["<!DOCTYPE html><p>Maintenance", "<html><p>Maintenance</html>", "Maintenance", ""]
    )
    def test_a_page_with_200(self, one: One, page: str) -> None:
        with pytest.raises(SourceUnavailable, match=r"Maintenance|an empty body") as caught:
            one(Said(page.encode()))
        assert "maintenance page" in caught.value.hint

    def test_a_page_that_is_xml(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="200 with html, not with a Publication_MarketDocument"):
            one(Said(b"<html><body><p>Maintenance</p></body></html>"))

    def test_what_is_cut_off(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="cut off"):
            one(Said(document(*both_days()).encode()[:-40]))

    def test_a_zip(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="a ZIP archive"):
            one(Said(b"PK\x03\x04 and so on"))

    def test_a_document_of_load(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="GL_MarketDocument, not with a Publication"):
            one(Said(document(root="GL_MarketDocument").encode()))

    def test_prices_with_an_error(self, one: One) -> None:
        with pytest.raises(SourceUnavailable, match="answered 404"):
            one(Said(document(*both_days()).encode(), 404))


POWER = (Signal.LOAD, Signal.WIND, Signal.SOLAR)
GL = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
BASES = {None: 50_000, "B16": 100, "B18": 1000, "B19": 5000}
"""Load, which has no type; sun, wind at sea, wind on land."""


def quantities(
    kind: str | None,
    *spans: Span,
    zone: str = "FR",
    resolution: str = "PT60M",
    unit: str = "MAW",
    **over: Any,
) -> str:
    """A TimeSeries of load or of a type of generation; `side` is "in" or "out", `base` its first figure."""
    side = over.get("side", "out" if kind is None else "in")
    base = over.get("base", BASES.get(kind, 7))
    step = timedelta(minutes=int(resolution[2:-1]))
    periods = "".join(
        period(span, {k + 1: base + k % 24 for k in range((span[1] - span[0]) // step)}, resolution)
        for span in spans or (TODAY, TOMORROW)
    ).replace("price.amount", "quantity")
    area = f"<{side}BiddingZone_Domain.mRID>{EIC_OF_ZONE[zone]}</{side}BiddingZone_Domain.mRID>"
    of_type = f"<MktPSRType><psrType>{kind}</psrType></MktPSRType>" if kind else ""
    measured = f"<quantity_Measure_Unit.name>{unit}</quantity_Measure_Unit.name>" if unit else ""
    told = f"<curveType>{over.get('curve', 'A01')}</curveType>{of_type}{periods}"
    return f"<TimeSeries><mRID>1</mRID><objectAggregation>A01</objectAggregation>{area}{measured}{told}</TimeSeries>"


def power(*told: str) -> Said:
    return Said(document(*told, namespace=GL, root="GL_MarketDocument").encode())


class TestEntsoePower(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        if asked.query["documentType"] == "A44":
            return Said(document(*both_days()).encode())
        kinds = [None] if asked.query["documentType"] == "A65" else ["B16", "B18", "B19"]
        return power(*(quantities(kind) for kind in kinds))

    def make_source(self) -> ForecastSource:
        return EntsoeSource(EntsoeOptions(base_url=self.server.url, api_key=SecretStr(TOKEN)), http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("FR", (Signal.PRICE, *POWER), NOW, NOW + DAY)


class TestLoadWindAndSolar(OverXml):
    @pytest.fixture
    def told(self) -> One:
        """What the source makes of a document's TimeSeries, asked for one signal of France for a day from NOW on."""

        def told(signal: Signal, *series: str, now: datetime = NOW, start: datetime = NOW) -> ForecastSeries:
            self.said = series[0] if isinstance(series[0], Said) else power(*series)
            options = EntsoeOptions(base_url=self.server.url, api_key=SecretStr(TOKEN))
            request = FetchRequest("FR", (signal,), start, start + DAY)
            [found] = EntsoeSource(options, http=self.http).fetch(request, now=now)
            return found

        return told

    def test_what_is_asked(self, told: One) -> None:
        told(Signal.LOAD, quantities(None))
        told(Signal.WIND, quantities("B19"))
        told(Signal.SOLAR, quantities("B16"))
        span = {"periodStart": "202611222300", "periodEnd": "202611242300", "securityToken": TOKEN}
        area = EIC_OF_ZONE["FR"]
        generation = {"documentType": "A69", "processType": "A01", "in_Domain": area, **span}
        assert [asked.query for asked in self.server.asked] == [
            {"documentType": "A65", "processType": "A01", "outBiddingZone_Domain": area, **span},
            generation,
            generation,
        ]

    def test_load(self, told: One) -> None:
        found = told(Signal.LOAD, quantities(None))
        assert (found.unit, found.kind, len(found)) == ("MW", Kind.FORECAST, 48)
        assert found.values[:2].tolist() == [50_000, 50_001]

    @pytest.mark.parametrize("turn", [1, -1])
    def test_wind_is_that_at_sea_and_that_on_land(self, told: One, turn: int) -> None:
        every = [quantities(kind) for kind in ("B16", "B18", "B19")][::turn]
        assert told(Signal.WIND, *every).values[:2].tolist() == [6000, 6002]
        assert told(Signal.SOLAR, *every).values[:2].tolist() == [100, 101]
        assert told(Signal.WIND, quantities("B19")).values[0] == 5000, "where there is none at sea"

    def test_hours_and_quarters_add_up(self, told: One) -> None:
        found = told(Signal.WIND, quantities("B18"), quantities("B19", resolution="PT15M"))
        assert len(found) == 192
        assert found.values[:5].tolist() == [6000, 6001, 6002, 6003, 6005]

    def test_where_one_ends_earlier_the_sum_ends(self, told: One) -> None:
        found = told(Signal.WIND, quantities("B18", TODAY), quantities("B19"))
        assert found.end[-1] == np.datetime64("2026-11-23T23:00")

    def test_where_one_has_a_hole_the_sum_is_refused(self, told: One) -> None:
        noon = MIDNIGHT + 12 * HOUR
        holed = quantities("B18", (TODAY[0], noon), (noon + HOUR, TOMORROW[1]))
        with pytest.raises(ForecastRejected, match="nothing is said between 2026-11-23T11:00:00Z"):
            told(Signal.WIND, holed, quantities("B19"))

    def test_what_plants_take_is_not_what_they_give(self, told: One) -> None:
        taken = quantities("B19", side="out", base=9)
        assert told(Signal.WIND, taken, quantities("B19")).values[0] == 5000

    def test_what_a03_leaves_out_repeats(self, told: One) -> None:
        of_one = quantities("B16", curve="A03").replace(
            "<Point><position>24</position><quantity>123</quantity></Point>", ""
        )
        assert told(Signal.SOLAR, of_one).values[22:25].tolist() == [122, 122, 100]

    @pytest.mark.parametrize("day", [date(2026, 10, 25), date(2027, 3, 28)])
    def test_days_on_which_the_clock_changes(self, told: One, day: date) -> None:
        span = market_day(day, CET)
        found = told(Signal.WIND, *(quantities(k, span) for k in ("B18", "B19")), now=span[0], start=span[0])
        assert len(found) == (span[1] - span[0]) // HOUR

    def test_night_is_zero_and_plants_may_draw(self, told: One) -> None:
        assert told(Signal.SOLAR, quantities("B16", base=-3)).values[0] == -3

    def test_a_part_of_a_day_is_a_shorter_vintage(self, told: One) -> None:
        assert len(told(Signal.LOAD, quantities(None, (TODAY[0], TODAY[0] + 20 * HOUR)))) == 20

    def test_two_that_disagree_are_refused(self, told: One) -> None:
        with pytest.raises(ForecastRejected, match="two of type B19 disagree"):
            told(Signal.WIND, quantities("B19"), quantities("B19", base=1))
        assert len(told(Signal.WIND, quantities("B19"), quantities("B19"))) == 48

    @pytest.mark.parametrize("unit", ["MWH", "", "MAH"])
    def test_another_unit_is_refused(self, told: One, unit: str) -> None:
        with pytest.raises(ForecastRejected, match=r"quantity_Measure_Unit\.name"):
            told(Signal.LOAD, quantities(None, unit=unit))

    def test_two_units_are_refused(self, told: One) -> None:
        with pytest.raises(ForecastRejected, match="it is in KW and MAW"):
            told(Signal.WIND, quantities("B18", unit="KW"), quantities("B19"))

    @pytest.mark.parametrize(("signal", "kind"), [(Signal.LOAD, None), (Signal.SOLAR, "B16")])
    def test_another_zone_is_refused(self, told: One, signal: Signal, kind: str | None) -> None:
        with pytest.raises(ForecastRejected, match="about 10YBE----------2 instead of FR"):
            told(signal, quantities(kind, zone="BE"))

    def test_a_zone_without_wind(self, told: One) -> None:
        with pytest.raises(SourceUnavailable, match="has no wind from 2026-11-22T23:00:00Z"):
            told(Signal.WIND, quantities("B16"))

    def test_generation_without_its_type_is_refused(self, told: One) -> None:
        with pytest.raises(ForecastRejected, match="MktPSRType/psrType"):
            told(Signal.WIND, quantities(None, side="in"))

    def test_prices_in_place_of_load(self, told: One) -> None:
        with pytest.raises(SourceUnavailable, match="Publication_MarketDocument, not with a GL_Market"):
            told(Signal.LOAD, Said(document(*both_days()).encode()))

    def test_no_data(self, told: One) -> None:
        with pytest.raises(SourceUnavailable, match="No matching data found"):
            told(Signal.LOAD, Said(acknowledgement("No matching data found for [6.1.B]").encode()))

    def test_what_is_over_is_stale(self, told: One) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            told(Signal.LOAD, quantities(None), now=NOW + 1.6 * DAY, start=NOW + DAY)


class TestLongWindows(OverHttp):
    """A reply has 100 TimeSeries at most, and a month is all that is given of some documents."""

    auctions: tuple[str, ...] = ("1",)
    last = date(2026, 11, 23)

    def reply(self, asked: Asked) -> Said:
        start, end = (
            datetime.strptime(asked.query[key], "%Y%m%d%H%M").replace(tzinfo=UTC)
            for key in ("periodStart", "periodEnd")
        )
        days = [start.astimezone(CET).date() + timedelta(days=k) for k in range((end - start + HOUR) // DAY)]
        spans = [market_day(day, CET) for day in days if day <= self.last]
        if not spans:
            return Said(acknowledgement("No matching data found").encode())
        if asked.query["documentType"] == "A65":
            return power(*(quantities(None, span) for span in spans))
        told = [
            series(period(span, {1: 50 + span[0].day}, "PT60M"), zone="AT", sequence=n)
            for span in spans
            for n in self.auctions
        ]
        return Said(document(*told[:100]).encode())

    def ask(self, signal: Signal, zone: str, start: date, now: datetime = NOW) -> ForecastSeries:
        options = EntsoeOptions(base_url=self.server.url, api_key=SecretStr(TOKEN))
        request = FetchRequest(zone, (signal,), market_day(start, CET)[0], now + 8 * DAY)
        [found] = EntsoeSource(options, http=self.http).fetch(request, now=now)
        return found

    @pytest.mark.parametrize(("signal", "zone"), [(Signal.PRICE, "AT"), (Signal.LOAD, "FR")])
    def test_half_a_year_is_asked_for_by_the_month_and_joined(self, signal: Signal, zone: str) -> None:
        found = self.ask(signal, zone, date(2026, 6, 1))
        assert len(self.server.asked) == 7, "the last of them about days to come"
        start, end = market_day(date(2026, 6, 1), CET)[0], market_day(self.last, CET)[1]
        assert len(found) == (end - start) // HOUR
        assert found.start[0] == np.datetime64("2026-05-31T22:00")

    def test_a_reply_that_is_full_is_asked_for_in_halves(self) -> None:
        self.auctions = ("1", "2", "3", "4", "5")
        found = self.ask(Signal.PRICE, "AT", date(2026, 11, 1))
        assert (found.kind, len(found)) == (Kind.CLEARED, 23 * 24)
        assert len(self.server.asked) == 1 + 2 + 1, "30 days, 15 and 15, and what is left"

    def test_nothing_published_of_any_part(self) -> None:
        self.last = date(2020, 1, 1)
        with pytest.raises(SourceUnavailable, match="No matching data found"):
            self.ask(Signal.PRICE, "AT", date(2026, 6, 1))
