"""Settings into sources: what is refused before anything starts, and what a file's prices are taken to be in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forecasts.series import Signal
from forecasts.sources.base import FetchRequest
from shifter.errors import InputError
from shifter.files import read_fleet
from shifter.ingest import Polled
from shifter.wiring import polled_sources
from tests.daemon.world import settings

START = datetime(2026, 1, 10, tzinfo=UTC)


def _polled(folder: Path, *sources: dict[str, Any], currency: str = "EUR") -> tuple[Polled, ...]:
    given = settings(folder, forecasts={"sources": list(sources)})
    fleet = folder / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("currency: EUR", f"currency: {currency}"))
    return polled_sources(given, read_fleet(fleet))


def _file(folder: Path) -> str:
    path = folder / "forecasts.csv"
    path.write_text(
        "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh\n"
        "DE-LU,2026-01-09T12:00:00Z,2026-01-10T00:00:00Z,2026-01-10T01:00:00Z,80,300\n"
    )
    return str(path)


@pytest.mark.parametrize(("options", "unit"), [({}, "GBP/MWh"), ({"currency": "EUR"}, "EUR/MWh")])
def test_a_file_is_in_the_fleets_currency_unless_it_says_otherwise(
    options: dict[str, str], unit: str, tmp_path: Path
) -> None:
    given = {"name": "csv", "options": {"path": _file(tmp_path), **options}}
    [polled] = _polled(tmp_path, given, currency="GBP")
    request = FetchRequest("DE-LU", (Signal.PRICE,), START, START + timedelta(hours=1))
    [series] = [s for s in polled.source.fetch(request, now=START) if s.signal is Signal.PRICE]
    assert series.unit == unit


def test_each_source_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = _file(tmp_path)
    one = {"name": "csv", "options": {"path": path}}
    with pytest.raises(InputError, match="a source named csv already") as refused:
        _polled(tmp_path, one, one)
    assert refused.value.field == "forecasts.sources[1]"
    named = {"name": "csv", "options": {"path": path, "name": "ours"}}
    assert [p.name for p in _polled(tmp_path, one, named)] == ["csv", "ours"]
