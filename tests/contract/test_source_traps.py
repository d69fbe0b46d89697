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
from forecasts.testing import Asked, FakeTime, ReplyServer, Said
from tests.contract.payloads import (
    AFTER_THE_FACT,
    CLOSED,
    MIDNIGHT,
    NOW,
    OPEN,
    SLOT,
    as_json,
    ec_carbon,
    ec_price,
    ec_times,
    neso_actual,
    neso_api,
    neso_region,
    neso_rows,
)

PRICE, CARBON = Signal.PRICE, Signal.CARBON
HALF_HOUR, DAY = timedelta(minutes=30), timedelta(days=1)


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
        assert source.fetch(FetchRequest("GB-13", (CARBON,), NOW - 3 * day, NOW - day), now=NOW) == []
        assert source.fetch(FetchRequest("GB", (PRICE,), NOW - day, NOW + day), now=NOW) == []
        assert server.asked == []


class TestWhatCameByNeso:
    """`actual`, of the past part of the window."""

    @pytest.fixture
    def fetch(self, server: ReplyServer, http: HttpClient) -> Callable[..., list[ForecastSeries]]:
        source = NesoSource(NesoOptions(base_url=server.url), http=http)

        def fetch(
            reply: Callable[[Asked], Said] | None = None,
            zone: str = "GB",
            *,
            back: timedelta = 2 * DAY,
            ahead: timedelta = DAY,
            now: datetime = NOW,
        ) -> list[ForecastSeries]:
            server.reply = reply or neso_api(now=now)
            server.asked.clear()
            return source.fetch(FetchRequest(zone, (CARBON,), now - back, now + ahead), now=now)

        return fetch

    def test_it_stands_before_the_forecast(self, fetch: Any, server: ReplyServer) -> None:
        came, forecast = fetch()
        assert [a.path for a in server.asked] == [
            "/intensity/2026-11-23T10:01Z/fw48h",
            "/intensity/2026-11-21T10:01Z/2026-11-23T09:59Z",
        ]
        assert (came.kind, came.unit, came.basis) == (Kind.ACTUAL, "gCO2e/kWh", Basis.AVERAGE)
        assert (came.known_at, came.issued_at, came.licence) == (NOW, None, "CC BY 4.0")
        starts = [SLOT + k * HALF_HOUR for k in range(-96, 0)]
        assert came.start.tolist() == [at.replace(tzinfo=None) for at in starts], "none twice, none left out"
        assert came.values.tolist() == [neso_actual(at) for at in starts]
        assert came.end[-1] == forecast.start[0] == np.datetime64("2026-11-23T10:00")
        assert (forecast.kind, len(forecast), forecast.note) == (Kind.FORECAST, 96, "")

    def test_what_was_called_a_forecast_after_the_fact_is_not_read(self, fetch: Any) -> None:
        for told in (fetch(), fetch(neso_api(lambda at: None))):
            assert all(AFTER_THE_FACT not in series.values for series in told)
            assert [s.start[0] for s in told if s.kind is Kind.FORECAST] == [
                np.datetime64("2026-11-23T10:00")
            ]

    def test_what_is_null_is_not_measured_yet(self, fetch: Any) -> None:
        late = SLOT - 3 * HALF_HOUR
        came, _ = fetch(neso_api(lambda at: neso_actual(at) if at < late else None))
        assert came.end[-1] == np.datetime64("2026-11-23T08:30")
        [forecast] = fetch(neso_api(lambda at: None))
        assert (forecast.kind, forecast.note) == (Kind.FORECAST, ""), "nothing at all is no fault"

    def test_a_null_in_between_is_a_hole_and_not_filled_in(self, fetch: Any) -> None:
        hole = SLOT - 20 * HALF_HOUR
        before, after, _ = fetch(neso_api(lambda at: None if at == hole else neso_actual(at)))
        assert (len(before), len(after)) == (76, 19)
        assert after.start[0] - before.end[-1] == np.timedelta64(30, "m")

    def test_a_null_is_not_zero_and_zero_is_not_null(self, fetch: Any) -> None:
        came, _ = fetch(neso_api(lambda at: 0 if at.hour == 3 else neso_actual(at)))
        assert np.count_nonzero(came.values == 0) == 4

    @pytest.mark.parametrize(("days", "n"), [(13.9, 1), (14, 1), (14.1, 2), (60, 5)])
    def test_it_is_asked_for_in_parts(self, fetch: Any, server: ReplyServer, days: float, n: int) -> None:
        """14 days are what is given at once; the half-hour at a join comes with both parts."""
        told = fetch(back=days * DAY)
        assert all(s.note == "" for s in told), "none was refused"
        *parts, forecast = told
        assert len(parts) == len(server.asked) - 1 == n
        start = np.concatenate([s.start for s in parts])
        assert len(np.unique(np.diff(start))) == 1
        assert start[0] <= np.datetime64((NOW - days * DAY).replace(tzinfo=None)) < parts[0].end[0]
        assert parts[-1].end[-1] == forecast.start[0]

    def test_of_a_region_nothing_is_measured(self, fetch: Any, server: ReplyServer) -> None:
        [forecast] = fetch(lambda _: as_json(neso_region()), "GB-13")
        assert forecast.kind is Kind.FORECAST
        assert [a.path for a in server.asked] == ["/regional/intensity/2026-11-23T10:01Z/fw48h/regionid/13"]

    def test_a_half_hour_that_is_not_over_is_not_measured(self, fetch: Any) -> None:
        def hasty(asked: Asked) -> Said:
            return neso_api(now=NOW + DAY)(asked)

        for now, end in ((NOW, "10:00"), (SLOT, "10:00"), (SLOT + HALF_HOUR, "10:30")):
            came, forecast = fetch(hasty, now=now)
            assert came.end[-1] == forecast.start[0] == np.datetime64(f"2026-11-23T{end}")

    def test_the_past_alone(self, fetch: Any, server: ReplyServer) -> None:
        [came] = fetch(back=3 * DAY, ahead=-DAY)
        assert (came.kind, len(came)) == (Kind.ACTUAL, 97), "half-hours at both ends belong to it in part"
        assert [a.path for a in server.asked] == ["/intensity/2026-11-20T10:01Z/2026-11-22T10:19Z"]

    WRONG = (
        as_json({"error": {"code": "400 Bad Request", "message": "Please enter a valid date"}}, 400),
        as_json({"error": {"code": "500", "message": "x"}}, 500),
        Said(status=404),
        as_json({}),
        as_json({"data": []}),
        as_json(neso_region()),
        as_json({"data": ["x"]}),
        Said(b"<html>Sorry</html>"),
        as_json({"data": [{**neso_rows(1, SLOT - HALF_HOUR)[0], "intensity": {"actual": "n/a"}}]}),
        as_json({"data": [{**neso_rows(1, SLOT - HALF_HOUR)[0], "intensity": {"actual": 9000}}]}),
        as_json({"data": [{**neso_rows(1, SLOT - HALF_HOUR)[0], "intensity": {"actual": 90}}] * 2}),
    )

    @pytest.mark.parametrize("wrong", WRONG)
    def test_what_goes_wrong_with_it_leaves_the_forecast_alone(self, fetch: Any, wrong: Said) -> None:
        def reply(asked: Asked) -> Said:
            return neso_api()(asked) if asked.path.endswith("fw48h") else wrong

        [forecast] = fetch(reply)
        assert (forecast.kind, len(forecast)) == (Kind.FORECAST, 96)
        assert forecast.note.startswith("what was measured is left out: ")
        with pytest.raises((SourceUnavailable, ForecastRejected)):
            fetch(reply, ahead=-HALF_HOUR)  # where nothing else was asked for, that is told

    def test_a_part_that_is_refused_takes_no_other_with_it(self, fetch: Any) -> None:
        told = fetch(neso_api(lambda at: 200 if at < NOW - 20 * DAY else neso_actual(at)), back=40 * DAY)
        assert [len(s) for s in told] == [14 * 48, 96], "what stands still for days is a frozen feed"
        assert "frozen" in told[-1].note

    def test_what_was_refused_is_not_asked_for_again_that_day(self, fetch: Any, server: ReplyServer) -> None:
        def reply(asked: Asked) -> Said:
            return neso_api()(asked) if asked.path.endswith("fw48h") else Said(status=403)

        for hours, n in ((0, 2), (1, 1), (23, 1), (24, 2), (25, 1)):
            [forecast] = fetch(reply, now=NOW + timedelta(hours=hours))
            assert len(server.asked) == n
            assert bool(forecast.note) is (n == 2), "and said once"

    def test_an_outage_is_asked_for_again_at_once(self, fetch: Any) -> None:
        [forecast] = fetch(lambda asked: neso_api()(asked) if asked.path.endswith("fw48h") else as_json({}))
        assert forecast.note
        assert len(fetch()) == 2


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
            *_, said = source.fetch(request, now=now)  # carbon that was measured comes before it
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

    @pytest.fixture
    def carbon(self, server: ReplyServer, http: HttpClient) -> Callable[..., list[ForecastSeries]]:
        def carbon(
            body: Any, start: datetime = MIDNIGHT, end: datetime = NOW + DAY, now: datetime = NOW
        ) -> list[ForecastSeries]:
            server.reply = lambda _: as_json(body)
            source = EnergyChartsSource(EnergyChartsOptions(base_url=server.url), http=http)
            return source.fetch(FetchRequest("DE-LU", (CARBON,), start, end), now=now)

        return carbon

    def test_carbon_that_was_measured_is_what_came(self, carbon: Any) -> None:
        body = ec_carbon()
        came, forecast = carbon(body)
        assert (came.kind, came.basis, came.unit) == (Kind.ACTUAL, Basis.AVERAGE, "gCO2e/kWh")
        assert (came.licence, came.attribution) == (forecast.licence, forecast.attribution)
        assert came.values.tolist() == body["co2eq"][:41]
        assert came.end[-1] == forecast.start[0] == np.datetime64(ec_times(42)[41], "s")

    def test_what_is_said_to_be_measured_and_is_not_over_is_not(self, carbon: Any) -> None:
        body = ec_carbon(measured=100)
        body["co2eq_forecast"] = [500 + k for k in range(192)]
        came, forecast = carbon(body)
        assert came.end[-1] == forecast.start[0] == np.datetime64("2026-11-23T10:15")
        assert forecast.values[0] == 545

    def test_what_was_expected_of_the_past_gives_way_to_what_was_measured(self, carbon: Any) -> None:
        """Where both are told, the forecast of the past was made after the fact, or nobody knows when."""
        body = ec_carbon()
        body["co2eq_forecast"] = [500 + k for k in range(192)]
        body["co2eq"][10] = None
        before, after, forecast = carbon(body)
        assert (len(before), len(after), len(forecast)) == (10, 30, 151)
        assert forecast.start[0] == after.end[-1]
        assert forecast.note == ""

    @pytest.mark.parametrize("column", [[None] * 192, None])
    def test_where_nothing_is_measured_it_is_as_it_was(self, carbon: Any, column: Any) -> None:
        body = ec_carbon(measured=30) | {"co2eq": column}
        if column is None:
            del body["co2eq"]
        [forecast] = carbon(body)
        assert (forecast.kind, len(forecast), forecast.note) == (Kind.FORECAST, 162, "")

    @pytest.mark.parametrize("column", ["low", [1.0] * 191, ["x"] * 192, [9000.0] * 192, [7.0] * 192])
    def test_a_measured_column_that_is_wrong_leaves_the_forecast_alone(
        self, carbon: Any, column: Any
    ) -> None:
        body = ec_carbon(measured=144) | {"co2eq": column}
        now = MIDNIGHT + timedelta(hours=36)
        [forecast] = carbon(body, now=now, end=now + timedelta(hours=10))
        assert (forecast.kind, len(forecast)) == (Kind.FORECAST, 48)
        assert forecast.note.startswith("what was measured is left out: ")

    def test_a_missing_interval_of_the_past_cuts_what_was_measured_too(self, carbon: Any) -> None:
        body = ec_carbon()
        for column in ("unix_seconds", "co2eq", "co2eq_forecast"):
            del body[column][20]
        came, forecast = carbon(body)
        assert (len(came), len(forecast)) == (20, 151)
        assert "is left out, for it has a gap" in forecast.note

    def test_a_past_that_was_measured_needs_no_forecast(self, carbon: Any) -> None:
        body = ec_carbon(96, 96)
        [came] = carbon(body, MIDNIGHT, MIDNIGHT + DAY, now=MIDNIGHT + 2 * DAY)
        assert (came.kind, came.values.tolist()) == (Kind.ACTUAL, body["co2eq"])

    def test_a_forecast_that_is_missing_is_told_however_much_was_measured(self, carbon: Any) -> None:
        with pytest.raises(SourceUnavailable, match="every value is null"):
            carbon(ec_carbon() | {"co2eq_forecast": [None] * 192})

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
