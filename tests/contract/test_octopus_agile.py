"""Octopus Agile through the suite of sources, and each trap that its documents and its users tell of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.octopus_agile import OctopusAgileOptions, OctopusAgileSource
from forecasts.testing import Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW, as_json
from tests.contract.test_sources import OverHttp

HALF_HOUR = timedelta(minutes=30)
TONIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)  # 23:00 in London, in winter
PATH = "/products/AGILE-24-10-01/electricity-tariffs/E-1R-AGILE-24-10-01-C/standard-unit-rates/"
PRICE = (Signal.PRICE,)


def row(start: datetime, pence: float, end: datetime | None = None, **over: Any) -> dict[str, Any]:
    return {
        "value_exc_vat": pence,
        "value_inc_vat": round(1.05 * pence, 4),
        "valid_from": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "valid_to": f"{end or start + HALF_HOUR:%Y-%m-%dT%H:%M:%SZ}",
        "payment_method": None,
        **over,
    }


def rows(
    start: datetime = datetime(2026, 11, 23, 10, tzinfo=UTC), end: datetime = TONIGHT
) -> list[dict[str, Any]]:
    """The newest first, as the API has them."""
    n = (end - start) // HALF_HOUR
    return [row(start + k * HALF_HOUR, 20.0 + 0.5 * (k % 9)) for k in reversed(range(n))]


def page(results: list[dict[str, Any]], following: str | None = None) -> dict[str, Any]:
    return {"count": len(results), "next": following, "previous": None, "results": results}


class TestOctopusAgile(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return as_json(page(rows()))

    def make_source(self) -> ForecastSource:
        return OctopusAgileSource(OctopusAgileOptions(base_url=self.server.url), http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("GB-13", PRICE, NOW, NOW + timedelta(days=1))


Ask = Callable[..., ForecastSeries]


class TestTraps(OverHttp):
    said: Callable[[Asked], Said]

    def reply(self, asked: Asked) -> Said:
        return self.said(asked)

    @pytest.fixture
    def ask(self) -> Ask:
        def ask(
            said: Any, zone: str = "GB-13", now: datetime = NOW, days: float = 1, **options: Any
        ) -> ForecastSeries:
            self.said = (
                said if callable(said) else lambda _: said if isinstance(said, Said) else as_json(said)
            )
            given = OctopusAgileOptions(base_url=self.server.url, **options)
            request = FetchRequest(zone, PRICE, now, now + timedelta(days=days))
            [found] = OctopusAgileSource(given, http=self.http).fetch(request, now=now)
            return found

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        found = ask(page(rows()))
        assert (found.unit, found.kind, found.restricted) == ("GBP/MWh", Kind.CLEARED, True)
        assert found.values[:2].tolist() == [200.0, 205.0], "pence a kWh without VAT, in order of time"
        assert found.start[0] == np.datetime64("2026-11-23T10:00")

    def test_times_are_asked_for_in_utc_and_say_so(self, ask: Ask) -> None:
        ask(page(rows()))
        [asked] = self.server.asked
        assert asked.path == PATH
        assert asked.query["period_from"] == "2026-11-23T10:20:00Z", (
            "without a zone it would be read as London's"
        )
        assert asked.query["page_size"] == "1500"

    def test_before_four_the_last_hour_of_the_day_is_missing_and_not_free(self, ask: Ask) -> None:
        found = ask(page(rows()))
        assert found.end[-1] == np.datetime64("2026-11-23T23:00")
        assert found.values.min() > 0

    @pytest.mark.parametrize(("day", "halves"), [((2026, 10, 25), 50), ((2027, 3, 28), 46)])
    def test_days_on_which_the_clock_changes(self, ask: Ask, day: tuple[int, int, int], halves: int) -> None:
        """From 23:00 to 23:00 in London."""
        noon = datetime(*day, 12, tzinfo=UTC)
        start = noon.replace(hour=22 if halves == 50 else 23) - timedelta(days=1)
        said = rows(start, start + halves * HALF_HOUR)
        found = ask(page(said), now=start, days=2)
        assert len(found) == halves
        assert str(found.end[-1])[11:16] == ("23:00" if halves == 50 else "22:00")

    def test_negative_prices_are_prices(self, ask: Ask) -> None:
        found = ask(page([row(NOW.replace(minute=0), -3.2)]))
        assert found.values.tolist() == [-32.0]

    def test_with_vat_is_read_and_never_worked_out(self, ask: Ask) -> None:
        found = ask(page([row(NOW.replace(minute=0), 20.0, value_inc_vat=20.0)]), vat=True)
        assert found.values.tolist() == [200.0]

    def test_pages_are_followed(self, ask: Ask) -> None:
        said = rows()

        def answer(asked: Asked) -> Said:
            if asked.query.get("page") == "2":
                return as_json(page(said[10:]))
            return as_json(page(said[:11], f"{self.server.url}{PATH}?page=2"))  # a row came in between

        assert len(ask(answer)) == len(said)

    def test_a_page_elsewhere_is_not(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="elsewhere"):
            ask(page(rows(), "http://127.0.0.1:9/next"))

    def test_pages_without_end_are_an_error(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="more than 50 pages"):
            ask(lambda _: as_json(page(rows(), f"{self.server.url}{PATH}?page=2")))

    def test_of_two_payment_methods_one_is_ours(self, ask: Ask) -> None:
        start = NOW.replace(minute=0)
        both = [
            row(start, pence, None, payment_method=method, valid_to=None)
            for method, pence in (("DIRECT_DEBIT", 24.0), ("NON_DIRECT_DEBIT", 26.0))
        ]
        for method, price in (("DIRECT_DEBIT", 240.0), ("NON_DIRECT_DEBIT", 260.0)):
            found = ask(page(both), payment_method=method)
            assert set(found.values) == {price}

    def test_one_price_for_years_is_told_for_the_window_by_the_half_hour(self, ask: Ask) -> None:
        found = ask(page([row(datetime(2025, 7, 1, tzinfo=UTC), 24.0, valid_to=None)]))
        assert found.start[0] == np.datetime64("2026-11-23T10:00")
        assert len(found) == 49, "of a day from 10:20 on"

    def test_two_prices_for_one_half_hour_are_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected):
            ask(page([*rows(), row(NOW.replace(minute=0), 99.0)]))

    def test_a_hole_is_refused(self, ask: Ask) -> None:
        said = rows()
        with pytest.raises(ForecastRejected):
            ask(page(said[:5] + said[6:]))

    def test_a_null_at_the_end_is_not_published_yet(self, ask: Ask) -> None:
        found = ask(page([row(TONIGHT, 20.0, value_exc_vat=None), *rows()]))
        assert found.end[-1] == np.datetime64("2026-11-23T23:00")

    def test_a_price_that_does_not_keep_to_half_hours_is_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="half-hours"):
            ask(page([row(NOW.replace(minute=15), 20.0)]))

    def test_a_product_that_is_gone(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="404: Not found") as caught:
            ask(as_json({"detail": "Not found."}, 404))
        assert "still sold" in caught.value.hint

    @pytest.mark.parametrize("body", [{}, [], {"results": None}, page([{"value_exc_vat": 1.0}]), page(["x"])])  # type: ignore[list-item]
    def test_another_shape_is_an_error(self, ask: Ask, body: Any) -> None:
        with pytest.raises(SourceUnavailable):
            ask(body)

    @pytest.mark.parametrize("said", ["2026-11-23 10:00", "soon", 7])
    def test_a_time_without_its_zone_is_an_error(self, ask: Ask, said: Any) -> None:
        with pytest.raises(SourceUnavailable, match="valid_from"):
            ask(page([row(NOW.replace(minute=0), 20.0, valid_from=said)]))

    def test_nothing_published(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="16:00 in London"):
            ask(page([]))

    def test_gb_alone_has_no_price_until_the_region_is_named(self, ask: Ask) -> None:
        with pytest.raises(InputError, match="each region"):
            ask(page(rows()), zone="GB")
        ask(page(rows()), zone="GB", region="C")
        assert self.server.asked[-1].path == PATH
