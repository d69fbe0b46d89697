"""Each trap that the sources' documents and their users' issues tell of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest
from forecasts.sources.energy_charts import EnergyChartsOptions, EnergyChartsSource
from forecasts.sources.http import HttpClient
from forecasts.sources.neso import NesoOptions, NesoSource
from forecasts.testing import FakeTime, ReplyServer, Said
from tests.contract.payloads import (
    CLOSED,
    MIDNIGHT,
    NOW,
    OPEN,
    SLOT,
    as_json,
    ec_carbon,
    ec_price,
    ec_times,
    neso_region,
    neso_rows,
)

PRICE, CARBON = Signal.PRICE, Signal.CARBON
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture
def server() -> Iterator[ReplyServer]:
    with ReplyServer() as running:
        yield running


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def http(fake_time: FakeTime) -> Iterator[HttpClient]:
    client = HttpClient(clock=fake_time.clock, sleep=fake_time.sleep, wall=fake_time.wall)
    yield client
    client.close()


class TestNeso:
    @pytest.fixture
    def ask(self, server: ReplyServer, http: HttpClient) -> Callable[..., ForecastSeries]:
        def ask(body: Any, zone: str = "GB", now: datetime = NOW) -> ForecastSeries:
            server.reply = lambda _: body if isinstance(body, Said) else as_json(body)
            source = NesoSource(NesoOptions(base_url=server.url), http=http)
            (said,) = source.fetch(FetchRequest(zone, (CARBON,), now, now + timedelta(days=2)), now=now)
            return said

        return ask

    @pytest.mark.parametrize(("minute", "asked"), [(0, "10:01"), (20, "10:01"), (30, "10:31"), (59, "10:31")])
    def test_it_asks_a_minute_past_the_half_hour(
        self, ask: Any, server: ReplyServer, minute: int, asked: str
    ) -> None:
        now = SLOT + timedelta(minutes=minute)
        ask({"data": neso_rows(start=SLOT if minute < 30 else SLOT + HALF_HOUR)}, now=now)
        assert server.asked[0].path == f"/intensity/2026-11-23T{asked}Z/fw48h"

    def test_the_reply(self, ask: Any) -> None:
        said = ask({"data": neso_rows()})
        assert len(said) == 96
        assert (said.values[1], said.unit, said.basis) == (157, "gCO2e/kWh", Basis.AVERAGE)
        assert said.start[0] == np.datetime64("2026-11-23T10:00")
        assert (said.known_at, said.issued_at) == (NOW, None)
        assert said.licence == "CC BY 4.0"

    def test_97_rows(self, ask: Any) -> None:
        """On the boundary the API begins with the half-hour that ends there."""
        said = ask({"data": neso_rows(97, SLOT - HALF_HOUR)})
        assert len(said) == 96
        assert said.start[0] == np.datetime64("2026-11-23T10:00")

    @pytest.mark.parametrize("body", [{}, {"data": []}, {"data": None}, [], None, {"data": {}}])
    def test_nothing_with_a_200(self, ask: Any, body: Any) -> None:
        with pytest.raises(SourceUnavailable, match="without any data"):
            ask(body)

    @pytest.mark.parametrize("status", [200, 400, 404])
    def test_error_shapes(self, ask: Any, status: int) -> None:
        error = {"error": {"code": "400 Bad Request", "message": "Please enter a valid date"}}
        with pytest.raises(SourceUnavailable, match="Please enter a valid date"):
            ask(as_json(error, status))

    def test_a_server_error_is_tried_again(self, ask: Any, server: ReplyServer) -> None:
        with pytest.raises(SourceUnavailable, match="status 500"):
            ask(as_json({"error": {"code": "500", "message": "x"}}, 500))
        assert len(server.asked) == 4

    @pytest.mark.parametrize("body", [b"<html>Sorry</html>", b"", b'{"data": [{"from": "2026'])
    def test_html_empty_and_cut_off_with_a_200(self, ask: Any, body: bytes) -> None:
        with pytest.raises(SourceUnavailable, match="not JSON"):
            ask(Said(body))

    def test_a_short_horizon_is_a_short_vintage(self, ask: Any) -> None:
        assert len(ask({"data": neso_rows(26)})) == 26

    def test_trailing_nulls_too(self, ask: Any) -> None:
        rows = neso_rows()
        for row in rows[90:]:
            row["intensity"]["forecast"] = None
        assert len(ask({"data": rows})) == 90

    def test_a_null_in_the_middle_is_refused(self, ask: Any) -> None:
        rows = neso_rows()
        rows[7]["intensity"]["forecast"] = None
        with pytest.raises(ForecastRejected, match="13:30:00Z"):
            ask({"data": rows})

    def test_all_null(self, ask: Any) -> None:
        rows = neso_rows()
        for row in rows:
            row["intensity"]["forecast"] = None
        with pytest.raises(SourceUnavailable, match="every forecast is null"):
            ask({"data": rows})

    def test_the_beginning_cut_off(self, ask: Any) -> None:
        with pytest.raises(ForecastRejected, match="begins at 2026-11-23T11:00:00Z instead of"):
            ask({"data": neso_rows(90, SLOT + 2 * HALF_HOUR)})

    def test_only_the_past(self, ask: Any) -> None:
        with pytest.raises(SourceUnavailable, match="no half-hour from"):
            ask({"data": neso_rows(4, SLOT - 4 * HALF_HOUR)})

    def test_a_hole_and_a_repeat(self, ask: Any) -> None:
        rows = neso_rows()
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask({"data": rows[:9] + rows[10:]})
        with pytest.raises(ForecastRejected, match="comes twice"):
            ask({"data": rows[:9] + rows[8:]})

    def test_frozen(self, ask: Any) -> None:
        rows = neso_rows()
        for row in rows:
            row["intensity"]["forecast"] = 200
        with pytest.raises(ForecastRejected, match="frozen"):
            ask({"data": rows})

    @pytest.mark.parametrize("bad", ["200", True, [1], -4, 9000])
    def test_values_that_are_none(self, ask: Any, bad: Any) -> None:
        rows = neso_rows()
        rows[3]["intensity"]["forecast"] = bad
        with pytest.raises(ForecastRejected):
            ask({"data": rows})

    @pytest.mark.parametrize(
        "change",
        [
            {"from": 5},
            {"to": "noon"},
            {"from": "2026-11-23T11:30"},  # whose time?
            {"from": "2026-11-23T12:30+01:00"},
            {"intensity": None},
            {"intensity": {}},
        ],
    )
    def test_missing_fields(self, ask: Any, change: dict[str, Any]) -> None:
        rows = neso_rows()
        rows[3] |= change
        with pytest.raises(SourceUnavailable):
            ask({"data": rows})

    def test_a_region_answers_with_an_object(self, ask: Any, server: ReplyServer) -> None:
        said = ask(neso_region(), zone="GB-13")
        assert server.asked[0].path == "/regional/intensity/2026-11-23T10:01Z/fw48h/regionid/13"
        assert (said.zone, len(said)) == ("GB-13", 96)

    def test_or_with_a_list_of_one(self, ask: Any) -> None:
        assert len(ask({"data": [neso_region()["data"]]}, zone="GB-13")) == 96

    def test_the_national_list_is_not_a_region(self, ask: Any) -> None:
        with pytest.raises(SourceUnavailable, match="no half-hours of a region"):
            ask({"data": neso_rows()}, zone="GB-13")
        with pytest.raises(SourceUnavailable, match="not a list"):
            ask(neso_region())

    def test_another_region_is_refused(self, ask: Any) -> None:
        with pytest.raises(ForecastRejected, match="region 12 instead of 13"):
            ask(neso_region(region=12), zone="GB-13")

    @pytest.mark.parametrize("zone", ["GB-18", "GB-0", "UK", "gb", "GB-London"])
    def test_zones_it_does_not_have(self, ask: Any, zone: str) -> None:
        with pytest.raises(InputError):
            ask({"data": neso_rows()}, zone=zone)

    def test_windows_it_has_nothing_for_are_not_asked(self, server: ReplyServer, http: HttpClient) -> None:
        source = NesoSource(NesoOptions(base_url=server.url), http=http)
        day = timedelta(days=1)
        assert source.fetch(FetchRequest("GB", (CARBON,), NOW + 3 * day, NOW + 4 * day), now=NOW) == []
        assert source.fetch(FetchRequest("GB", (CARBON,), NOW - 3 * day, NOW - day), now=NOW) == []
        assert source.fetch(FetchRequest("GB", (PRICE,), NOW, NOW + day), now=NOW) == []
        assert server.asked == []


class TestEnergyCharts:
    @pytest.fixture
    def ask(self, server: ReplyServer, http: HttpClient) -> Callable[..., ForecastSeries]:
        def ask(
            body: Any,
            zone: str = "DE-LU",
            signal: Signal = PRICE,
            *,
            now: datetime = NOW,
            days: float = 1,
            **options: Any,
        ) -> ForecastSeries:
            server.reply = lambda _: body if isinstance(body, Said) else as_json(body)
            source = EnergyChartsSource(EnergyChartsOptions(base_url=server.url, **options), http=http)
            request = FetchRequest(zone, (signal,), now, now + timedelta(days=days))
            (said,) = source.fetch(request, now=now)
            return said

        return ask

    def test_prices(self, ask: Any, server: ReplyServer) -> None:
        said = ask(ec_price())
        assert server.asked[0].path == "/price"
        assert server.asked[0].query == {"bzn": "DE-LU", "start": "2026-11-23", "end": "2026-11-24"}
        assert (said.unit, said.kind, said.basis, len(said)) == ("EUR/MWh", Kind.CLEARED, None, 192)
        assert (said.start[0], said.end[-1]) == (
            np.datetime64("2026-11-22T23:00"),
            np.datetime64("2026-11-24T23:00"),
        )
        assert "CC BY 4.0" in said.licence
        assert not said.restricted

    def test_carbon_is_that_of_the_country(self, ask: Any, server: ReplyServer) -> None:
        said = ask(ec_carbon(), "DK2", CARBON)
        assert server.asked[0].path == "/co2eq"
        assert server.asked[0].query["country"] == "dk"
        assert (said.kind, said.basis, len(said)) == (Kind.FORECAST, Basis.AVERAGE, 192 - 41)
        assert said.start[0] == np.datetime64(ec_times(42)[41], "s")

    def test_switzerland_is_hourly(self, ask: Any) -> None:
        said = ask(ec_price(48, step_minutes=60), "CH")
        assert said.end[-1] - said.start[-1] == np.timedelta64(1, "h")

    def test_the_end_is_included(self, ask: Any) -> None:
        """One interval of the day after comes along at times."""
        assert len(ask(ec_price(193))) == 192

    @pytest.mark.parametrize(
        ("start", "hours"),
        [(datetime(2026, 10, 24, 22, tzinfo=UTC), 25), (datetime(2026, 3, 28, 23, tzinfo=UTC), 23)],
    )
    def test_days_of_23_and_25_hours(self, ask: Any, start: datetime, hours: int) -> None:
        now = start + timedelta(hours=1)
        said = ask(ec_price(4 * hours, start), now=now, days=0.5)
        assert len(said) == 4 * hours
        with pytest.raises(ForecastRejected, match="market day"):
            ask(ec_price(92, start) if hours == 25 else ec_price(90, start), now=now, days=0.5)

    def test_from_hours_to_quarters_at_midnight(self, ask: Any) -> None:
        start = datetime(2025, 9, 29, 22, tzinfo=UTC)
        times = ec_times(24, start, 60) + ec_times(96, start + timedelta(days=1))
        body = {**ec_price(120), "unix_seconds": times}
        said = ask(body, now=start + timedelta(hours=3))
        assert {int(m) for m in (said.end - said.start).astype("timedelta64[m]").astype(int)} == {15, 60}

    @pytest.mark.parametrize("gone", [45, 46, 95, 96, 97, 190])
    def test_a_missing_interval_is_not_a_long_one(self, ask: Any, gone: int) -> None:
        body = ec_price()
        del body["unix_seconds"][gone], body["price"][gone]
        with pytest.raises(ForecastRejected):
            ask(body)

    @pytest.mark.parametrize("gone", [[1], [40], [44], [3, 5], [3, 4], [10, 11, 12], [1, 40, 43]])
    def test_the_past_is_cut_at_its_last_gap(self, ask: Any, gone: list[int]) -> None:
        """What is missing is over (NOW is in interval 45): the day ahead is not lost for it."""
        body, whole = ec_price(), ask(ec_price())
        for i in gone[::-1]:
            del body["unix_seconds"][i], body["price"][i]
        nulls = ec_price()
        for i in gone:
            nulls["price"][i] = None
        for said in (ask(body), ask(nulls)):
            assert said.start.tolist() == whole.start[gone[-1] + 1 :].tolist()
            assert said.end.tolist() == whole.end[gone[-1] + 1 :].tolist()
            assert said.values.tolist() == whole.values[gone[-1] + 1 :].tolist()
            assert "is left out, for it has a gap" in said.note
        assert whole.note == ""

    @pytest.mark.parametrize("gone", [94, 95, 96, 97])
    def test_nor_is_one_around_midnight(self, ask: Any, gone: int) -> None:
        """There the step may change; that must not hide the hole behind it."""
        body = ec_price()
        del body["unix_seconds"][gone], body["price"][gone]
        said = ask(body, now=MIDNIGHT + timedelta(hours=30), days=0.5)
        assert said.start[0] == np.datetime64(ec_times(192)[gone + 1], "s")
        assert set(np.diff(said.start)) == {np.timedelta64(15, "m")}

    def test_a_gap_in_what_was_asked_of_the_past_is_refused(
        self, server: ReplyServer, http: HttpClient
    ) -> None:
        body = ec_price(96, MIDNIGHT - timedelta(days=1))
        body["price"][40] = None
        server.reply = lambda _: as_json(body)
        source = EnergyChartsSource(EnergyChartsOptions(base_url=server.url), http=http)
        with pytest.raises(ForecastRejected, match="value of"):
            source.fetch(FetchRequest("FR", (PRICE,), MIDNIGHT - timedelta(days=1), MIDNIGHT), now=NOW)

    def test_the_forecast_of_carbon_too(self, ask: Any) -> None:
        body = ec_carbon(measured=30)
        body["co2eq_forecast"][41] = None
        assert ask(body, signal=CARBON).start[0] == np.datetime64(ec_times(43)[42], "s")
        body["co2eq_forecast"][45] = None
        with pytest.raises(ForecastRejected, match="value of"):
            ask(body, signal=CARBON)

    def test_the_last_interval_missing(self, ask: Any) -> None:
        with pytest.raises(ForecastRejected, match="market day"):
            ask(ec_price(191))

    def test_nulls(self, ask: Any) -> None:
        body = ec_price()
        body["price"][96:] = [None] * 96
        assert len(ask(body)) == 96  # tomorrow is not published yet
        body["price"][50] = None
        with pytest.raises(ForecastRejected, match="value of"):
            ask(body)
        body["price"] = [None] * 192
        with pytest.raises(SourceUnavailable, match="every value is null"):
            ask(body)

    def test_unequal_arrays(self, ask: Any) -> None:
        body = ec_price()
        body["price"].pop()
        with pytest.raises(ForecastRejected, match="191 values for 192 times"):
            ask(body)

    @pytest.mark.parametrize("unit", ["EUR / kWh", "EUR / barrel", None, 7])
    def test_units(self, ask: Any, unit: Any) -> None:
        body = ec_price() | {"unit": unit}
        if unit == "EUR / kWh":
            body["price"] = [p / 1000 for p in body["price"]]
            assert ask(body).values.tolist() == pytest.approx(ec_price()["price"])
        else:
            with pytest.raises(ForecastRejected) as caught:
                ask(body)
            assert caught.value.field == "unit"

    @pytest.mark.parametrize("licence", [CLOSED, "", "all rights reserved"])
    def test_restricted_licences_are_refused(self, ask: Any, licence: str) -> None:
        with pytest.raises(ForecastRejected, match="does not allow this use") as caught:
            ask(ec_price(licence=licence))
        assert "allow_restricted" in caught.value.hint
        said = ask(ec_price(licence=licence), allow_restricted=True)
        assert said.restricted
        assert said.licence == (licence or "the reply states no licence")

    def test_carbon_is_open_unless_the_reply_says_otherwise(self, ask: Any) -> None:
        """Theirs is the institute's own figure, whose reply has had no license_info so far."""
        said = ask(ec_carbon(), signal=CARBON)
        assert (said.licence, said.restricted) == ("not stated by the reply", False)
        assert not ask(ec_carbon() | {"license_info": OPEN}, signal=CARBON).restricted
        closed = ec_carbon() | {"license_info": CLOSED}
        with pytest.raises(ForecastRejected, match="carbon of DE-LU does not allow this use"):
            ask(closed, signal=CARBON)
        said = ask(closed, signal=CARBON, allow_restricted=True)
        assert (said.licence, said.restricted) == (CLOSED, True)

    def test_restricted_zones_are_known_only_when_allowed(self, ask: Any, server: ReplyServer) -> None:
        with pytest.raises(InputError):
            ask(ec_price(licence=CLOSED), "ES")
        assert server.asked == []
        assert ask(ec_price(licence=CLOSED), "ES", allow_restricted=True).restricted

    def test_no_content(self, ask: Any, server: ReplyServer) -> None:
        with pytest.raises(SourceUnavailable, match="404: no content available"):
            ask(as_json({"detail": "no content available"}, 404))
        assert len(server.asked) == 1

    def test_a_bad_zone_as_they_say_it(self, ask: Any) -> None:
        with pytest.raises(SourceUnavailable, match="400: unknown bzn"):
            ask(as_json({"detail": "unknown bzn"}, 400))

    def test_too_many_requests(self, server: ReplyServer, http: HttpClient, fake_time: FakeTime) -> None:
        replies = [as_json({"detail": "slow down"}, 429, **{"Retry-After": "20"}), as_json(ec_price())]
        server.reply = lambda _: replies.pop(0)
        source = EnergyChartsSource(EnergyChartsOptions(base_url=server.url), http=http)
        source.fetch(FetchRequest("FR", (PRICE,), NOW, NOW + timedelta(days=1)), now=NOW)
        assert 20 in fake_time.slept

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            {"license_info": "CC BY 4.0", "unit": "EUR / MWh"},
            {**ec_price(), "unix_seconds": [*range(191), "noon"]},
            {**ec_price(), "price": "high"},
            {**ec_price(1)},
            {**ec_price(0)},
            {**ec_price(), "unix_seconds": [t + 0.5 for t in ec_times(192)]},
            {**ec_price(), "unix_seconds": ec_times(192)[::-1]},
        ],
    )
    def test_other_shapes(self, ask: Any, body: Any) -> None:
        with pytest.raises((ForecastRejected, SourceUnavailable)):
            ask(body)

    def test_what_has_ended(self, ask: Any) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            ask(ec_price(96, MIDNIGHT - timedelta(days=1)))

    def test_the_past_can_be_asked_for(self, server: ReplyServer, http: HttpClient) -> None:
        server.reply = lambda _: as_json(ec_price(96, MIDNIGHT - timedelta(days=1)))
        source = EnergyChartsSource(EnergyChartsOptions(base_url=server.url), http=http)
        yesterday = FetchRequest("FR", (PRICE,), MIDNIGHT - timedelta(days=1), MIDNIGHT)
        (said,) = source.fetch(yesterday, now=NOW)
        assert said.known_at == NOW
        assert server.asked[0].query["start"] == server.asked[0].query["end"] == "2026-11-22"
