"""What is right in a reply and easily taken wrongly, and what comes of replies once they are in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasts.errors import SourceUnavailable
from forecasts.ingest import ingest
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.energy_charts import EnergyChartsOptions, EnergyChartsSource
from forecasts.sources.http import HttpClient
from forecasts.sources.neso import NesoOptions, NesoSource
from forecasts.sources.pace import HOST_RATES
from forecasts.store import ForecastStore
from forecasts.testing import FakeTime, ReplyServer
from tests.contract.payloads import (
    CLOSED,
    NOW,
    SLOT,
    as_json,
    ec_carbon,
    ec_price,
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
def http() -> Iterator[HttpClient]:
    time = FakeTime()
    client = HttpClient(clock=time.clock, sleep=time.sleep, wall=time.wall)
    yield client
    client.close()


@pytest.fixture
def neso(server: ReplyServer, http: HttpClient) -> NesoSource:
    return NesoSource(NesoOptions(base_url=server.url), http=http)


@pytest.fixture
def charts(server: ReplyServer, http: HttpClient) -> EnergyChartsSource:
    return EnergyChartsSource(EnergyChartsOptions(base_url=server.url, allow_restricted=True), http=http)


@pytest.fixture
def store() -> ForecastStore:
    made = ForecastStore(create_engine("sqlite://"))
    made.create_tables()
    return made


@pytest.fixture
def ask(server: ReplyServer) -> Callable[..., ForecastSeries]:
    def ask(
        source: ForecastSource, body: Any, zone: str, signal: Signal, now: datetime = NOW
    ) -> ForecastSeries:
        server.reply = lambda _: as_json(body)
        *_, said = source.fetch(FetchRequest(zone, (signal,), now, now + DAY), now=now)
        return said

    return ask


class TestNeso:
    @pytest.mark.parametrize(
        "now",
        [
            datetime(2026, 6, 30, 23, 10, tzinfo=UTC),  # already July in London
            datetime(2026, 10, 25, 0, 10, tzinfo=UTC),  # the hour that comes twice
            datetime(2026, 3, 29, 0, 40, tzinfo=UTC),  # and the one that does not come
        ],
    )
    def test_british_summer_time_is_nowhere(self, ask: Any, neso: NesoSource, now: datetime) -> None:
        """Paths by date mean days of London, whatever the documents say; those by moment are in UTC."""
        slot = now.replace(minute=now.minute // 30 * 30)
        said = ask(neso, {"data": neso_rows(start=slot)}, "GB", CARBON, now)
        assert said.start[0] == np.datetime64(slot.replace(tzinfo=None))
        assert said.end[-1] - said.start[0] == np.timedelta64(48, "h")

    def test_one_path_by_moment_and_no_other(self, ask: Any, neso: NesoSource, server: ReplyServer) -> None:
        now = datetime(2026, 6, 30, 23, 10, tzinfo=UTC)
        ask(neso, {"data": neso_rows(start=now.replace(minute=0))}, "GB", CARBON, now)
        assert [a.path for a in server.asked] == ["/intensity/2026-06-30T23:01Z/fw48h"]

    @pytest.mark.parametrize("actual", [None, 3, "n/a"])
    def test_what_was_measured_is_not_what_was_forecast(
        self, ask: Any, neso: NesoSource, actual: Any
    ) -> None:
        rows = neso_rows()
        for row in rows:
            row["intensity"]["actual"] = actual
            row["intensity"]["something"] = row["new"] = "unknown fields are ignored"
        assert ask(neso, {"data": rows}, "GB", CARBON).values[:2].tolist() == [150, 157]

    @pytest.mark.parametrize("n_regions", [17, 18])
    @pytest.mark.parametrize("n_rows", [1, 96])
    def test_a_list_of_all_regions_is_not_one(
        self, ask: Any, neso: NesoSource, n_regions: int, n_rows: int
    ) -> None:
        """18 in truth (the last is GB), 17 in the documents; by region id there is never such a list."""
        regions = [{"regionid": i + 1, "intensity": {"forecast": 100 + i}} for i in range(n_regions)]
        body = {"data": [{**row, "regions": regions} for row in neso_rows(n_rows)]}
        with pytest.raises(SourceUnavailable, match="no half-hours of a region"):
            ask(neso, body, "GB-13", CARBON)

    def test_regions_are_17_and_gb_is_gb(self, neso: NesoSource) -> None:
        assert neso.info.zones == ("GB", *(f"GB-{i}" for i in range(1, 18)))

    def test_its_terms_are_those_of_the_vintage(self, ask: Any, neso: NesoSource) -> None:
        said = ask(neso, neso_region(), "GB-13", CARBON)
        assert (said.licence, said.restricted) == ("CC BY 4.0", False)
        assert "National Energy System Operator" in said.attribution

    def test_its_clock_and_ours_may_differ(self, ask: Any, neso: NesoSource) -> None:
        """Theirs behind: a half-hour too many, which is past. Theirs ahead is a beginning cut off, refused."""
        said = ask(neso, {"data": neso_rows(96, SLOT - HALF_HOUR)}, "GB", CARBON)
        assert (said.start[0], len(said)) == (np.datetime64("2026-11-23T10:00"), 95)


class TestEnergyCharts:
    def test_days_asked_for_are_local(
        self, ask: Any, charts: EnergyChartsSource, server: ReplyServer
    ) -> None:
        now = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)  # half past midnight of the 24th in Berlin
        ask(charts, ec_price(192, now.replace(minute=0)), "DE-LU", PRICE, now)
        assert server.asked[0].query == {"bzn": "DE-LU", "start": "2026-11-24", "end": "2026-11-25"}

    @pytest.mark.parametrize("zone", ["DK1", "PL", "SE4", "CH"])
    def test_prices_are_in_euro_everywhere(self, ask: Any, charts: EnergyChartsSource, zone: str) -> None:
        assert ask(charts, ec_price(), zone, PRICE).unit == "EUR/MWh"

    def test_carbon_that_was_measured_is_no_forecast(self, ask: Any, charts: EnergyChartsSource) -> None:
        body = ec_carbon() | {"more": 1, "deprecated": True}
        body["co2eq"] = [7.0] * 192
        said = ask(charts, body, "FR", CARBON)
        assert said.kind is Kind.FORECAST
        assert 7.0 not in said.values
        assert said.unit == "gCO2e/kWh"

    def test_negative_prices_and_zeros_are_prices(self, ask: Any, charts: EnergyChartsSource) -> None:
        body = ec_price()
        body["price"][50:60] = [0, -0.01, -120.5, 0, 0, 0, 0, 0, 0, 0]
        assert ask(charts, body, "DE-LU", PRICE).values[50:53].tolist() == [0, -0.01, -120.5]

    def test_the_licence_is_kept_with_the_vintage(
        self, charts: EnergyChartsSource, server: ReplyServer, store: ForecastStore
    ) -> None:
        server.reply = lambda _: as_json(ec_price(licence=CLOSED))
        ingest(store, charts, FetchRequest("ES", (PRICE,), NOW, NOW + DAY), now=NOW)
        (said,) = store.as_of("ES", PRICE, NOW, NOW, NOW + HALF_HOUR)
        assert (said.licence, said.restricted) == (CLOSED, True)

    def test_its_pace(self) -> None:
        """More than one in 25 s is answered with 429 sooner or later."""
        assert HOST_RATES["api.energy-charts.info"] == 1 / 25
        assert HOST_RATES["api.carbonintensity.org.uk"] == 1


class TestInTheStore:
    """What both share: nobody but us keeps what they said."""

    def test_the_same_body_is_no_new_vintage(
        self, charts: EnergyChartsSource, server: ReplyServer, store: ForecastStore
    ) -> None:
        server.reply = lambda asked: as_json(ec_price() if asked.path == "/price" else ec_carbon())
        window = FetchRequest("DE-LU", (PRICE, CARBON), NOW, NOW + DAY)
        for k, want in enumerate(("new", "unchanged", "unchanged")):
            done = ingest(store, charts, window, now=NOW + k * HALF_HOUR)
            assert [d.status for d in done] == [want, want]
        assert {(v.known_at, v.confirmed_at) for v in store.vintages()} == {(NOW, NOW + 2 * HALF_HOUR)}

    def test_what_came_is_corrected_by_a_new_vintage(
        self, neso: NesoSource, server: ReplyServer, store: ForecastStore
    ) -> None:
        """Revised for a day: what was known before the correction stays as it was, and so does what became null."""
        window = FetchRequest("GB", (CARBON,), SLOT - DAY, SLOT + DAY)
        revised, withdrawn = SLOT - 5 * HALF_HOUR, SLOT - 8 * HALF_HOUR

        def later(at: datetime) -> int | None:
            return {revised: 300, withdrawn: None}.get(at, neso_actual(at))

        for now, came in ((NOW, neso_actual), (NOW + HALF_HOUR, later)):
            server.reply = neso_api(came, now)
            [done] = ingest(store, neso, window, now=now)
            assert done.status == "new"

        def known(moment: datetime, start: datetime, end: datetime) -> list[tuple[Kind, float]]:
            told = store.as_of("GB", CARBON, moment, start, end)
            return [(s.kind, float(v)) for s in told for v in s.values]

        for moment, value in ((NOW, neso_actual(revised)), (NOW + HALF_HOUR, 300)):
            assert known(moment, revised, revised + HALF_HOUR) == [(Kind.ACTUAL, value)]
            assert known(moment, withdrawn, withdrawn + HALF_HOUR) == [(Kind.ACTUAL, neso_actual(withdrawn))]
        assert known(NOW, SLOT, SLOT + HALF_HOUR) == [(Kind.FORECAST, 150)], "it had begun, and was not over"
        assert known(NOW + HALF_HOUR, SLOT, SLOT + HALF_HOUR) == [(Kind.ACTUAL, neso_actual(SLOT))]
        newest = store.latest("neso:GB:carbon", NOW + HALF_HOUR)
        assert newest is not None
        assert newest.kind is Kind.FORECAST, "what comes next is compared with it"

    def test_what_was_known_earlier_does_not_replace_what_was_known_later(
        self, neso: NesoSource, server: ReplyServer, store: ForecastStore
    ) -> None:
        """A clock that jumped back, or an archive that is imported: the newest by `known_at` speaks."""
        window = FetchRequest("GB", (CARBON,), SLOT, SLOT + DAY)
        for minute, more in ((20, 0), (5, 100)):
            rows = neso_rows()
            for row in rows:
                row["intensity"]["forecast"] += more
            server.reply = lambda _, rows=rows: as_json({"data": rows})  # type: ignore[misc]
            ingest(store, neso, window, now=SLOT + timedelta(minutes=minute))

        def first(minute: int) -> float:
            (said,) = store.as_of("GB", CARBON, SLOT + timedelta(minutes=minute), SLOT, SLOT + HALF_HOUR)
            return float(said.values[0])

        assert (first(20), first(10)) == (150, 250)
        assert store.as_of("GB", CARBON, SLOT, SLOT, SLOT + DAY) == ()
