"""What a customer of Octopus pays in Great Britain: half-hourly import prices until 23:00 tomorrow. No key.

https://developer.octopus.energy/rest. A price is final once it is published, about 16:00 in London, and there is no
history of what was said before: `known_at` is the time of the fetch. Network charges and levies are in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

import numpy as np
from pydantic import Field

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64, floor_to_slot, isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, join_url, shared_client
from forecasts.sources.publication import MarketDaily
from forecasts.sources.values import moment_in, numbers
from forecasts.units import convert, parse_unit

UNIT = "p/kWh"
SLOT = timedelta(minutes=30)
MOST_PAGES = 50
PAGE_ROWS = 1500
"""The most that the API gives at once: a month."""

REGION_OF_ZONE = dict(zip((f"GB-{i}" for i in range(1, 15)), "PNGFMDKEBALHCJ", strict=True))
"""The distribution regions by NESO's number, and Octopus's letter for each: one name of a place for both."""

Region = Literal["A", "B", "C", "D", "E", "F", "G", "H", "J", "K", "L", "M", "N", "P"]


class OctopusAgileOptions(SourceOptions):
    """Whose tariff, and which of its prices."""

    base_url: str = Field("https://api.octopus.energy/v1", description="or a mirror's")
    product: str = Field(
        "AGILE-24-10-01",
        pattern=r"^[A-Z0-9][A-Z0-9-]*$",
        description="the product's code, as the contract says; Agile or any other with standard unit rates",
    )
    region: Region | None = Field(
        None, description="whose prices those of the zone GB are; GB-1 to GB-14 name their own"
    )
    vat: bool = Field(False, description="with VAT, for who cannot reclaim it")
    payment_method: Literal["DIRECT_DEBIT", "NON_DIRECT_DEBIT"] = Field(
        "DIRECT_DEBIT", description="where a product's prices differ by it"
    )


class OctopusAgileSource:
    """The zones are `GB-1` to `GB-14`, the distribution regions by NESO's number, and `GB` where `region` is set."""

    Options = OctopusAgileOptions

    def __init__(self, options: OctopusAgileOptions, *, http: HttpClient | None = None) -> None:
        self.options = options
        self._http = http
        self.info = SourceInfo(
            name="octopus_agile",
            title="Octopus Agile (Great Britain)",
            signals=(Signal.PRICE,),
            zones=("GB", *REGION_OF_ZONE),
            units={Signal.PRICE: UNIT},
            resolution_minutes=(30,),
            horizon=timedelta(hours=31),
            past=timedelta(days=365),
            publication=MarketDaily(
                time(16), "Europe/London", slow=timedelta(hours=1), ends=time(23), late=timedelta(hours=4)
            ),
            licence="Octopus Energy's terms for customers",
            attribution="Octopus Energy",
            url="https://octopus.energy/smart/agile",
            rate_limit="none published",
            notes=("a retail price: network charges, levies and the supplier's margin are in it",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: the half-hours of the window that have a price."""
        known_zone(self.info, request.zone)
        if Signal.PRICE not in request.signals:
            return []
        url, rows = self._rows(self._region(request.zone), request)
        spans = sorted(
            {span for row in rows if self._is_ours(row) for span in self._halves(url, row, request)}
        )
        if not spans:
            raise SourceUnavailable(
                f"{url} has no price from {isoformat_z(request.start)} to {isoformat_z(request.end)}.",
                hint="Prices until 23:00 tomorrow come about 16:00 in London; it is asked again at the next poll.",
            )
        series = ForecastSeries(
            zone=request.zone,
            signal=Signal.PRICE,
            unit=parse_unit(UNIT, Signal.PRICE).canonical,
            source=self.info.name,
            known_at=now,
            start=np.array([as_datetime64(start) for start, _ in spans]),
            end=np.array([as_datetime64(start + SLOT) for start, _ in spans]),
            values=convert(np.array([pence for _, pence in spans]), parse_unit(UNIT, Signal.PRICE)),
            kind=Kind.CLEARED,
            licence=self.info.licence,
            attribution=self.info.attribution,
            restricted=True,  # the terms say nothing of passing it on
        )
        return [check_series(series, now=now if request.end > now else None)]

    def _region(self, zone: str) -> str:
        region = REGION_OF_ZONE.get(zone, self.options.region)
        if region is None:
            raise InputError(
                "the source octopus_agile has a price for each region, and none for GB.",
                field="zone",
                hint="Name the region (GB-13 is London), or set its option region to the letter in your tariff's code.",
                zone=zone,
            )
        return region

    def _rows(self, region: str, request: FetchRequest) -> tuple[str, list[Any]]:
        """The address, and every row of every page: the newest come first."""
        product = self.options.product
        path = f"products/{product}/electricity-tariffs/E-1R-{product}-{region}/standard-unit-rates/"
        first = url = join_url(self.options.base_url, path)
        # Without an offset they would be London's.
        window = {
            "period_from": _utc(request.start),
            "period_to": _utc(request.end),
            "page_size": str(PAGE_ROWS),
        }
        query: Mapping[str, str] | None = window
        found: list[Any] = []
        for _ in range(MOST_PAGES):
            status, body = (self._http or shared_client()).get_json(url, query)
            found += _results(first, status, body)
            following = body.get("next")
            if following is None:
                return first, found
            if not isinstance(following, str) or not following.startswith(first):
                raise SourceUnavailable(
                    f"{first}: the next page is said to be elsewhere.", hint="Has the API changed?"
                )
            url, query = following, None
        raise SourceUnavailable(
            f"{first} has more than {MOST_PAGES} pages for {isoformat_z(request.start)} to {isoformat_z(request.end)}.",
            hint="Ask for a shorter window.",
        )

    def _is_ours(self, row: Any) -> bool:
        return not isinstance(row, Mapping) or row.get("payment_method") in (
            None,
            self.options.payment_method,
        )

    def _halves(self, url: str, row: Any, request: FetchRequest) -> Iterator[tuple[datetime, float]]:
        """The half-hours of the window that a row says the price of; of products other than Agile it may be years."""
        key = "value_inc_vat" if self.options.vat else "value_exc_vat"
        if not isinstance(row, Mapping) or key not in row:
            raise SourceUnavailable(f"{url}: a row has no {key}.", hint="Has the API changed?")
        [value] = numbers([row[key]], f"{url}: {key}")
        start = moment_in(row, "valid_from", url)
        end = None if row.get("valid_to") is None else moment_in(row, "valid_to", url)
        if not np.isfinite(value):
            return
        moment = floor_to_slot(max(start, request.start), 30)
        while moment < min(end or request.end, request.end):
            if moment < start or (end is not None and moment + SLOT > end):
                raise ForecastRejected(
                    f"{url}: the price from {isoformat_z(start)} does not keep to half-hours.",
                    field="valid_from",
                    hint="Refused whole.",
                )
            yield moment, float(value)
            moment += SLOT


def _results(url: str, status: int, body: Any) -> list[Any]:
    if isinstance(body, Mapping) and isinstance(results := body.get("results"), list) and status == 200:
        return results
    said = body.get("detail") if isinstance(body, Mapping) else None
    raise SourceUnavailable(
        f"{url} answered {status}{f': {said}' if isinstance(said, str) else ' without results'}.",
        hint="Is the product still sold, and sold in this region?",
        status=status,
    )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
