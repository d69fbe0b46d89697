"""Every built-in source through the suite that third parties can run on theirs, against a local server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from forecasts.series import Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.csv import CsvOptions, CsvSource
from forecasts.sources.energy_charts import EnergyChartsOptions, EnergyChartsSource
from forecasts.sources.http import HttpClient
from forecasts.sources.neso import NesoOptions, NesoSource
from forecasts.sources.typical import TypicalOptions, TypicalSource
from forecasts.testing import Asked, FakeTime, ForecastSourceContract, ReplyServer, Said
from tests.contract.payloads import (
    MIDNIGHT,
    NOW,
    as_json,
    ec_carbon,
    ec_price,
    neso_api,
    neso_region,
    neso_rows,
)

BOTH = (Signal.PRICE, Signal.CARBON)


class OverHttp:
    """A server that answers as the API does, and a client that does not really wait."""

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        time = FakeTime()
        self.http = HttpClient(clock=time.clock, sleep=time.sleep, wall=time.wall)
        with ReplyServer(self.reply) as self.server:
            yield
        self.http.close()

    def reply(self, asked: Asked) -> Said:
        raise NotImplementedError


class TestTypical(ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        return TypicalSource(TypicalOptions())

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", BOTH, NOW, NOW + timedelta(days=2))


class TestTypicalWithErrors(TestTypical):
    def make_source(self) -> ForecastSource:
        return TypicalSource(TypicalOptions(seed=7, forecast_error=0.4, profiles={"FR": "DE-LU"}))

    def request(self) -> FetchRequest:
        return FetchRequest("FR", BOTH, NOW, NOW + timedelta(days=7))


class TestNesoNational(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return as_json({"data": neso_rows()})

    def make_source(self) -> ForecastSource:
        return NesoSource(NesoOptions(base_url=self.server.url), http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("GB", (Signal.CARBON,), NOW, NOW + timedelta(days=2))


class TestNesoWithWhatCame(TestNesoNational):
    def reply(self, asked: Asked) -> Said:
        return neso_api()(asked)

    def request(self) -> FetchRequest:
        return FetchRequest("GB", (Signal.CARBON,), NOW - timedelta(days=2), NOW + timedelta(days=2))

    def now(self) -> datetime:
        return NOW


class TestNesoRegion(TestNesoNational):
    def reply(self, asked: Asked) -> Said:
        return as_json(neso_region())

    def request(self) -> FetchRequest:
        return FetchRequest("GB-13", (Signal.CARBON,), NOW, NOW + timedelta(days=2))


class TestEnergyCharts(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        return as_json(ec_price() if asked.path == "/price" else ec_carbon())

    def make_source(self) -> ForecastSource:
        return EnergyChartsSource(EnergyChartsOptions(base_url=self.server.url), http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", BOTH, NOW, NOW + timedelta(days=1))


class TestEnergyChartsWithWhatCame(TestEnergyCharts):
    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", BOTH, MIDNIGHT, NOW + timedelta(days=1))

    def now(self) -> datetime:
        return NOW


CSV = """\
zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh,price_per_mwh_p90
GB,2026-11-23T06:00:00Z,2026-11-23T10:00:00Z,2026-11-23T11:00:00Z,70.5,180,90
GB,2026-11-23T06:00:00Z,2026-11-23T11:00:00Z,2026-11-23T12:00:00Z,64.2,170,80
GB,2026-11-23T09:00:00Z,2026-11-23T10:00:00Z,2026-11-23T11:00:00Z,71.5,185,95
"""


class TestCsvFile(ForecastSourceContract):
    @pytest.fixture(autouse=True)
    def _write(self, tmp_path: Path) -> None:
        self.path = tmp_path / "forecasts.csv"
        self.path.write_text(CSV)

    def make_source(self) -> ForecastSource:
        return CsvSource(CsvOptions(path=self.path))

    def request(self) -> FetchRequest:
        return FetchRequest("GB", BOTH, NOW, NOW + timedelta(hours=12))


class TestCsvUrl(OverHttp, TestCsvFile):
    def reply(self, asked: Asked) -> Said:
        return Said(CSV.encode())

    def make_source(self) -> ForecastSource:
        return CsvSource(CsvOptions(url=f"{self.server.url}/f.csv"), http=self.http)
