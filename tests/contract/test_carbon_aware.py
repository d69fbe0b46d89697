"""The Carbon Aware SDK's formats through the suite of sources, and each trap of its files and its WebApi."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.carbon_aware import CarbonAwareOptions, CarbonAwareSource
from forecasts.sources.registry import check_local
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW, as_json
from tests.contract.test_sources import OverHttp

CARBON = (Signal.CARBON,)
HOUR = timedelta(hours=1)
TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
BOM = b"\xef\xbb\xbf"
PATH = "/emissions/forecasts/current"


def row(k: int, **over: Any) -> dict[str, Any]:
    """An hour of the SDK's own sample; a value of None in `over` leaves the key out."""
    whole = {
        "Location": "eastus",
        "Time": f"{TEN + k * HOUR:%Y-%m-%dT%H:%M:%S}+00:00",
        "Rating": 200 + 7 * (k % 5),
        "Duration": "01:00:00",
        **over,
    }
    return {key: value for key, value in whole.items() if value is not None}


def rows(n: int = 24, **over: Any) -> list[dict[str, Any]]:
    return [row(k, **over) for k in range(n)]


def bluehands(n: int = 96) -> dict[str, Any]:
    """A country's file, from midnight on; nowhere does it say which country."""
    midnight = TEN.replace(hour=0)
    quarter = timedelta(minutes=15)
    return {
        "GeneratedAt": "2026-11-23T00:00:00+00:00",
        "UpdatedAt": "2026-11-23T10:07:31.1234567+00:00",
        "Emissions": [
            {
                "Time": (midnight + k * quarter).isoformat(),
                "Rating": 310.5 + k % 7,
                "Duration": "00:15:00",
            }
            for k in range(n)
        ],
    }


def points(n: int = 24, minutes: int = 60, step: timedelta = HOUR) -> list[dict[str, Any]]:
    return [
        {
            "location": "PJM_ROANOKE",
            "timestamp": (TEN + k * step).isoformat(),
            "duration": minutes,
            "value": 500.5 + k % 5,
        }
        for k in range(n)
    ]


def forecast(data: Any = None, **over: Any) -> dict[str, Any]:
    data = points() if data is None else data
    return {
        "generatedAt": "2026-11-23T10:15:00+00:00",
        "requestedAt": "2026-11-23T10:20:01.8644078+00:00",
        "location": "eastus",
        "windowSize": 60,
        "optimalDataPoints": [
            {"location": "PJM_ROANOKE", "timestamp": "soon", "duration": -1, "value": "low"}
        ],
        "forecastData": data,
        **over,
    }


class TestFile(ForecastSourceContract):
    @pytest.fixture(autouse=True)
    def _write(self, tmp_path: Path) -> None:
        self.path = tmp_path / "emissions.json"
        self.path.write_bytes(BOM + json.dumps({"Emissions": rows()}).encode())

    def make_source(self) -> ForecastSource:
        return CarbonAwareSource(
            CarbonAwareOptions(path=self.path, basis=Basis.AVERAGE, zones={"US-PJM": "eastus"})
        )

    def request(self) -> FetchRequest:
        return FetchRequest("US-PJM", CARBON, NOW, NOW + timedelta(days=1))


class TestBluehands(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return as_json(bluehands()) if asked.path == "/forecasts/de.json" else Said(b"<Error/>", 404)

    def make_source(self) -> ForecastSource:
        options = CarbonAwareOptions(
            url=f"{self.server.url}/forecasts/{{location}}.json", basis=Basis.AVERAGE, zones={"DE-LU": "de"}
        )
        return CarbonAwareSource(options, http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", CARBON, NOW, NOW + timedelta(hours=12))


class TestWebApi(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return as_json([forecast()])

    def make_source(self) -> ForecastSource:
        options = CarbonAwareOptions(
            base_url=self.server.url, basis=Basis.MARGINAL, zones={"US-PJM": "eastus"}
        )
        return CarbonAwareSource(options, http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("US-PJM", CARBON, NOW, NOW + timedelta(days=1))


Ask = Callable[..., ForecastSeries]


class TestTrapsOfFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "emissions.json"

    @pytest.fixture
    def ask(self, path: Path) -> Ask:
        def ask(said: Any, zone: str = "eastus", now: datetime = NOW, **options: Any) -> ForecastSeries:
            said = {"Emissions": said} if isinstance(said, list) else said
            path.write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())
            source = CarbonAwareSource(CarbonAwareOptions(path=path, basis=Basis.AVERAGE, **options))
            [found] = source.fetch(FetchRequest(zone, CARBON, now, now + timedelta(days=1)), now=now)
            return found

        return ask

    def test_a_file(self, ask: Ask) -> None:
        found = ask(rows())
        assert (found.unit, found.kind, found.basis) == ("gCO2e/kWh", Kind.FORECAST, Basis.AVERAGE)
        assert (found.known_at, found.issued_at, found.restricted) == (NOW, None, True)
        assert found.values[:2].tolist() == [200, 207]
        assert found.start[0] == np.datetime64("2026-11-23T10:00")
        assert len(found) == 24

    def test_numbers_in_quotes_keys_in_any_case_and_a_bom(self, ask: Ask) -> None:
        said = [{key.lower(): value for key, value in one.items()} for one in rows(Rating="57.5")]
        found = ask(BOM + json.dumps({"eMISSIONS": said}).encode(), refuse_flat_carbon=False)
        assert set(found.values) == {57.5}

    @pytest.mark.parametrize(
        ("said", "hours"), [("01:00", 1), ("1:00:00", 1), ("00:15:00.0000000", 0.25), ("1.00:00:00", 24)]
    )
    def test_durations(self, ask: Ask, said: str, hours: float) -> None:
        found = ask(rows(1, Duration=said), now=TEN, refuse_flat_carbon=False)
        assert found.end[0] - found.start[0] == np.timedelta64(int(60 * hours), "m")

    @pytest.mark.parametrize("said", ["60", "01:00:00:00", 60, "-01:00:00", "PT1H"])
    def test_other_durations_are_refused(self, ask: Ask, said: Any) -> None:
        with pytest.raises(InputError, match="HH:MM:SS"):
            ask(rows(Duration=said))

    @pytest.mark.parametrize("absent", [None, "00:00:00"])
    def test_without_durations_an_hour_lasts_until_the_next(self, ask: Ask, absent: str | None) -> None:
        found = ask(rows(5, Duration=absent))
        assert set(found.end - found.start) == {np.timedelta64(1, "h")}
        assert found.end[-1] == np.datetime64("2026-11-23T15:00"), "the last is as long as the one before it"

    def test_without_durations_a_gap_is_no_long_interval(self, ask: Ask) -> None:
        said = rows(Duration=None)
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask(said[:5] + said[6:])

    def test_without_durations_one_row_has_no_length(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="length cannot be known"):
            ask(rows(1, Duration=None))

    def test_a_gap_is_refused(self, ask: Ask) -> None:
        said = rows()
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask(said[:5] + said[6:])

    @pytest.mark.parametrize("duration", ["01:00:00", None])
    def test_duplicates_are_refused(self, ask: Ask, duration: str | None) -> None:
        with pytest.raises(ForecastRejected, match="comes twice"):
            ask([*rows(Duration=duration), row(3, Duration=duration)])

    def test_the_newest_first_is_an_order_too(self, ask: Ask) -> None:
        assert ask(rows()[::-1]).values.tolist() == ask(rows()).values.tolist()

    def test_of_two_locations_one_is_asked_for(self, ask: Ask) -> None:
        both = [*rows(), *rows(Location="westus", Rating="90")]
        assert ask(both).values.min() == 200
        assert set(ask(both, zone="US-W", zones={"US-W": "westus"}, refuse_flat_carbon=False).values) == {90}
        with pytest.raises(InputError, match="'GB'") as caught:
            ask(both, zone="GB")
        assert "eastus, westus" in caught.value.hint

    def test_a_row_without_its_location_is_not_left_out(self, ask: Ask) -> None:
        with pytest.raises(InputError, match="some have none"):
            ask([*rows(3), row(3, Location=None)])

    def test_a_location_that_the_option_names_wrongly(self, ask: Ask) -> None:
        with pytest.raises(InputError, match=r"'DE-LU' \(germany\)") as caught:
            ask(rows(), zone="DE-LU", zones={"DE-LU": "germany"})
        assert "eastus" in caught.value.hint

    def test_a_file_without_locations_is_that_of_the_one_zone_that_is_named(self, ask: Ask) -> None:
        said = {**bluehands(), "GeneratedAt": None}
        assert len(ask(said, zone="DE-LU", zones={"DE-LU": "de"})) == 96
        for zone, zones in (("DE-LU", {}), ("FR", {"DE-LU": "de"}), ("FR", {"DE-LU": "de", "FR": "fr"})):
            with pytest.raises(InputError, match=f"which location it is of.*'{zone}'") as caught:
                ask(said, zone=zone, zones=zones)
            assert "option zones" in caught.value.hint

    def test_a_time_without_a_zone_is_not_guessed(self, ask: Ask) -> None:
        with pytest.raises(InputError, match="no time zone") as caught:
            ask(rows(Time="2026-11-23T10:00:00"))
        assert "End it in Z" in caught.value.hint

    @pytest.mark.parametrize("said", ["noon", 1795000000, "0001-01-01T00:00:00+01:00"])
    def test_other_times_are_refused(self, ask: Ask, said: Any) -> None:
        with pytest.raises(InputError, match="not a time"):
            ask(rows(Time=said))

    def test_local_times_are_moments(self, ask: Ask) -> None:
        found = ask(rows(1, Time="2026-11-23T11:00:00+01:00"))
        assert found.start[0] == np.datetime64("2026-11-23T10:00")

    @pytest.mark.parametrize("said", ["", "57,3", "NaN", "inf", True, [1], -5, 9999])
    def test_other_ratings_are_refused(self, ask: Ask, said: Any) -> None:
        with pytest.raises(ForecastRejected):
            ask([*rows(3), row(3, Rating=said), row(4)])

    def test_a_null_is_not_published_yet(self, ask: Ask) -> None:
        assert len(ask([*rows(3), {**row(3), "Rating": None}])) == 3
        with pytest.raises(ForecastRejected, match="value of"):
            ask([*rows(3), {**row(3), "Rating": None}, row(4)])
        with pytest.raises(SourceUnavailable, match="every value"):
            ask([{**row(0), "Rating": None}])

    def test_when_it_was_issued(self, ask: Ask, path: Path) -> None:
        """The later of the two: what bluehands calls generated is the beginning of the data."""
        found = ask(bluehands(), zone="DE", zones={"DE": "de"})
        assert found.issued_at == datetime(2026, 11, 23, 10, 7, 31, 123456, UTC)
        assert found.known_at == NOW

    def test_a_file_that_was_not_written_yet_is_not_known(self, ask: Ask, path: Path) -> None:
        path.write_text(json.dumps(bluehands()))
        source = CarbonAwareSource(CarbonAwareOptions(path=path, basis=Basis.AVERAGE, zones={"DE": "de"}))
        assert source.fetch(FetchRequest("DE", CARBON, TEN, TEN + HOUR), now=TEN) == []

    def test_what_is_over(self, ask: Ask, path: Path) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            ask(rows(), now=NOW + timedelta(days=2))
        source = CarbonAwareSource(CarbonAwareOptions(path=path, basis=Basis.AVERAGE))
        past = FetchRequest("eastus", CARBON, TEN, TEN + HOUR)
        assert source.fetch(past, now=NOW + timedelta(days=2)), "the past was asked for"
        later = FetchRequest("eastus", CARBON, TEN + timedelta(days=3), TEN + timedelta(days=4))
        assert source.fetch(later, now=NOW) == []

    def test_a_static_factor_is_allowed_where_it_is_meant(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="stands still"):
            ask(rows(Rating=100))
        assert len(ask(rows(Rating=100), refuse_flat_carbon=False)) == 24

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"Emissions": {}}', b'{"Emissions": [1]}', b"<html>"]
    )
    def test_another_file_is_an_error(self, ask: Ask, path: Path, body: bytes) -> None:
        with pytest.raises(InputError) as caught:
            ask(body)
        assert caught.value.field == str(path)
        source = CarbonAwareSource(CarbonAwareOptions(path=path, basis=Basis.AVERAGE))
        with pytest.raises(InputError):
            check_local(source)

    def test_no_rows(self, ask: Ask) -> None:
        with pytest.raises(InputError, match="eastus"):
            ask([])

    def test_locations_that_are_no_names(self, ask: Ask) -> None:
        with pytest.raises(InputError, match="'eastus'"):
            ask(rows(Location={"name": "eastus"}))

    def test_no_file(self, ask: Ask, path: Path, tmp_path: Path) -> None:
        """Asked for a forecast, it cannot be had just now; before a start, it is a mistake in the settings."""
        for missing in (path, tmp_path):
            source = CarbonAwareSource(CarbonAwareOptions(path=missing, basis=Basis.AVERAGE))
            with pytest.raises(SourceUnavailable, match="cannot be read"):
                source.fetch(FetchRequest("eastus", CARBON, NOW, NOW + HOUR), now=NOW)
            with pytest.raises(InputError, match="cannot be read") as caught:
                check_local(source)
            assert caught.value.field == "path"
        ask(rows())
        check_local(CarbonAwareSource(CarbonAwareOptions(path=path, basis=Basis.AVERAGE)))

    def test_too_large(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("forecasts.sources.carbon_aware.MAX_BYTES", 100)
        with pytest.raises(InputError, match="more than 100 bytes"):
            ask(rows())


class TestTrapsOverHttp(OverHttp):
    said: Callable[[Asked], Said]

    def reply(self, asked: Asked) -> Said:
        return self.said(asked)

    @pytest.fixture
    def ask(self) -> Ask:
        def ask(said: Any, zone: str = "eastus", now: datetime = NOW, **options: Any) -> ForecastSeries:
            self.said = lambda _: said if isinstance(said, Said) else as_json(said)
            where = options.pop("where", "base_url")
            given: Any = {where: self.server.url, "basis": Basis.MARGINAL, **options}
            source = CarbonAwareSource(CarbonAwareOptions(**given), http=self.http)
            [found] = source.fetch(FetchRequest(zone, CARBON, now, now + timedelta(days=1)), now=now)
            return found

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        found = ask([forecast()])
        assert (found.basis, found.kind, found.unit) == (Basis.MARGINAL, Kind.FORECAST, "gCO2e/kWh")
        assert found.values[:2].tolist() == [500.5, 501.5]
        assert found.issued_at == datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
        assert [(a.path, dict(a.query)) for a in self.server.asked] == [(PATH, {"location": "eastus"})]

    def test_a_window_is_asked_for_when_an_option_says_so(self, ask: Ask) -> None:
        ask([forecast()], zone="US-PJM", zones={"US-PJM": "eastus"}, window_minutes=60)
        assert self.server.asked[0].query == {"location": "eastus", "windowSize": "60"}

    def test_rolling_averages_are_refused(self, ask: Ask) -> None:
        said = [forecast(points(minutes=30, step=timedelta(minutes=5)))]
        with pytest.raises(ForecastRejected, match="averages over 30 minutes, one every 5") as caught:
            ask(said)
        assert "window_minutes to 5" in caught.value.hint

    def test_a_location_that_is_not_in_the_answer(self, ask: Ask) -> None:
        with pytest.raises(InputError, match="'uksouth'") as caught:
            ask([forecast(), forecast(location="westus")], zone="uksouth")
        assert "eastus, westus" in caught.value.hint
        assert ask([forecast(points(3)), forecast(location="westus")], zone="westus").end[
            -1
        ] == np.datetime64("2026-11-24T10:00")

    def test_a_clock_ahead_of_ours(self, ask: Ask) -> None:
        found = ask([forecast(generatedAt="2026-11-23T10:20:30+00:00")])
        assert (found.issued_at, found.known_at) == (None, NOW)

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (
                {"title": "ArgumentException", "detail": "no location eastus.", "status": 400},
                "no location eastus",
            ),
            ({"title": "One or more errors.", "errors": {"location": ["required"]}}, "location: .*required"),
            ({}, "without a forecast"),
            ([], "something else"),
        ],
    )
    def test_problems_are_told(self, ask: Ask, body: Any, why: str) -> None:
        with pytest.raises(SourceUnavailable, match=f"eastus.* answered 400.*{why}") as caught:
            ask(as_json(body, 400, **{"Content-Type": "application/problem+json"}))
        assert "option zones" in caught.value.hint

    def test_a_service_without_forecasts(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="501"):
            ask(as_json({"title": "NotImplementedException"}, 501))

    @pytest.mark.parametrize("where", ["base_url", "url"])
    def test_a_page_with_200(self, ask: Ask, where: str) -> None:
        with pytest.raises(SourceUnavailable, match="not JSON"):
            ask(Said(b"<html>We will be back</html>"), where=where)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [1],
            [forecast("x")],
            [forecast([])],
            [forecast([1])],
            [forecast([{"timestamp": "2026-11-23T10:00:00", "duration": 60, "value": 1}])],
            [forecast([{"timestamp": TEN.isoformat(), "duration": "an hour", "value": 1}])],
            [forecast([{"timestamp": TEN.isoformat(), "duration": 10**9, "value": 1}])],
            [forecast([{"timestamp": TEN.isoformat(), "duration": -60, "value": 1}])],
            [forecast([{"timestamp": TEN.isoformat(), "duration": 60}])],
        ],
    )
    def test_another_shape_is_an_error(self, ask: Ask, body: Any) -> None:
        with pytest.raises(SourceUnavailable):
            ask(body)

    def test_holes_and_duplicates_are_refused(self, ask: Ask) -> None:
        said = points()
        for wrong in (said[:5] + said[6:], [*said, said[3]]):
            with pytest.raises(ForecastRejected):
                ask([forecast(wrong)])

    def test_a_file_from_elsewhere_that_is_wrong_is_not_our_mistake(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="no time zone"):
            ask({"Emissions": rows(Time="2026-11-23T10:00")}, where="url")

    def test_a_country_that_is_not_there(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="'DE' answered 404"):
            ask(Said(b"<Error/>", 404), zone="DE", where="url")

    def test_a_location_is_no_path(self) -> None:
        self.said = lambda _: as_json(bluehands())
        options = CarbonAwareOptions(url=f"{self.server.url}/{{location}}.json", basis=Basis.AVERAGE)
        CarbonAwareSource(options, http=self.http).fetch(
            FetchRequest("../a?b", CARBON, NOW, NOW + HOUR), now=NOW
        )
        assert self.server.asked[0].path == "/..%2Fa%3Fb.json"


class TestOptions:
    def test_the_basis_is_not_guessed(self) -> None:
        with pytest.raises(
            ValidationError, match="say average or marginal, for the format does not"
        ) as caught:
            CarbonAwareOptions.model_validate({"path": "f.json"})
        assert caught.value.errors()[0]["loc"] == ("basis",)

    @pytest.mark.parametrize(
        "given", [{}, {"path": "f.json", "url": "http://x"}, {"url": "http://u", "base_url": "http://b"}]
    )
    def test_one_place(self, given: dict[str, str]) -> None:
        with pytest.raises(ValidationError, match="exactly one of path, url and base_url"):
            CarbonAwareOptions.model_validate({"basis": "average", **given})

    def test_a_window_is_the_services(self) -> None:
        with pytest.raises(ValidationError, match="window_minutes"):
            CarbonAwareOptions.model_validate({"basis": "average", "path": "f.json", "window_minutes": 5})

    def test_secrets_in_a_url_are_not_told(self) -> None:
        source = CarbonAwareSource(
            CarbonAwareOptions(url="http://me:pw@127.0.0.1/f.json?sig=abc", basis=Basis.AVERAGE)
        )
        assert "pw" not in source.info.url
        assert "abc" not in source.info.url

    def test_another_signal(self) -> None:
        source = CarbonAwareSource(CarbonAwareOptions(path=Path("none.json"), basis=Basis.AVERAGE))
        assert source.fetch(FetchRequest("DE", (Signal.PRICE,), NOW, NOW + HOUR), now=NOW) == []
