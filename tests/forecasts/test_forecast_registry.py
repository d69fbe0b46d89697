from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasts.errors import InputError, SourceUnavailable
from forecasts.ingest import ingest
from forecasts.series import ForecastSeries, Signal
from forecasts.sources import registry
from forecasts.sources.base import FetchRequest, ForecastSource, SourceInfo
from forecasts.sources.registry import make_source, source_names
from forecasts.store import ForecastStore
from tests.forecasts.build import T0, hours, series


def test_the_built_in_sources() -> None:
    given: dict[str, dict[str, Any]] = {name: {} for name in source_names()}
    given["csv"] = {"path": "x.csv"}
    given["openadr3"] = {"base_url": "https://vtn.example.org", "zones": {"DE-LU": "day-ahead"}}
    given["carbon_aware"] = {"path": "x.json", "basis": "average"}
    given["tariff"] = {"currency": "EUR", "timezone": "Europe/Berlin", "price_per_mwh": 80.0}
    assert {"aemo", "caiso", "entsoe", "electricity_maps", "energy_charts", "neso", "octopus_agile"} < set(
        given
    )
    for name, options in given.items():
        source = make_source(name, options)
        assert isinstance(source, ForecastSource)
        assert source.info.name == name


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="'neso'"):
        make_source("nesso")
    with pytest.raises(InputError, match="Known are aemo"):
        make_source("zzz")


def test_every_wrong_option_is_named() -> None:
    with pytest.raises(InputError) as caught:
        make_source("typical", {"sede": 1, "forecast_error": 9, "horizon_hours": "soon"})
    mistakes = {e.field: e for e in (caught.value, *caught.value.also)}
    assert set(mistakes) == {
        "sources.typical.sede",
        "sources.typical.forecast_error",
        "sources.typical.horizon_hours",
    }
    assert "'seed'" in mistakes["sources.typical.sede"].hint


def test_a_source_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_module:Source", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    assert source_names() == ("broken",)
    with pytest.raises(InputError, match="cannot be loaded"):
        make_source("broken")
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    with pytest.raises(InputError, match="is the package installed"):
        make_source("csv")


def test_requests_and_own_zones() -> None:
    with pytest.raises(InputError, match="no zone"):
        FetchRequest("GB", (Signal.PRICE,), datetime(2026, 1, 1), T0)  # noqa: DTZ001
    with pytest.raises(InputError, match="not after"):
        FetchRequest("GB", (Signal.PRICE,), T0, T0)
    with pytest.raises(InputError, match="Did you mean DE-LU"):
        make_source("typical").fetch(FetchRequest("DE_LU", (Signal.PRICE,), T0, hours(1)), now=T0)


@pytest.mark.parametrize(
    "module",
    ["forecasts.assemble", "forecasts.sources.registry", "forecasts.sources.neso", "forecasts.sources.csv"],
)
def test_nothing_slow_is_imported_before_it_is_used(module: str) -> None:
    slow = ("requests", "pandas", "sqlalchemy", "scipy")
    code = f"import sys, {module}; print([m for m in {slow!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Scripted:
    """A source that says what it is told to."""

    def __init__(self, **said: Any) -> None:
        self.said = said
        info = make_source("typical").info
        self.info = SourceInfo(**{**vars(info), "name": "test", "synthetic": False})

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        (signal,) = request.signals
        answer = self.said[signal.value]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


class TestIngest:
    REQUEST = FetchRequest("DE-LU", (Signal.PRICE, Signal.CARBON), T0, hours(24))
    DAY = 60 + np.arange(24.0)

    def run(self, store: ForecastStore, now: datetime, **said: Any) -> list[str]:
        return [i.status for i in ingest(store, Scripted(**said), self.REQUEST, now=now)]

    def test_new_unchanged_and_nothing(self, store: ForecastStore) -> None:
        said = series(self.DAY, known_at=T0)
        assert self.run(store, T0, price=[said], carbon=[]) == ["new", "nothing"]
        assert self.run(store, T0, price=[said], carbon=[]) == ["unchanged", "nothing"]

    def test_one_that_fails_does_not_take_the_other_with_it(self, store: ForecastStore) -> None:
        carbon = series(self.DAY, signal=Signal.CARBON, known_at=T0)
        assert self.run(store, T0, price=SourceUnavailable("down"), carbon=[carbon]) == ["unavailable", "new"]

    def test_what_is_unfit_is_remembered_and_the_vintage_before_stays(self, store: ForecastStore) -> None:
        self.run(store, T0, price=[series(self.DAY, known_at=T0)], carbon=[])
        per_kwh = series(self.DAY / 1000, known_at=hours(1))
        assert self.run(store, hours(1), price=[per_kwh], carbon=[])[0] == "rejected"
        rejected = store.vintages(signal=Signal.PRICE)[0]
        assert (rejected.status, rejected.known_at) == ("rejected", hours(1))
        assert "a thousandth of" in rejected.reason
        (s,) = store.as_of("DE-LU", Signal.PRICE, hours(2), T0, hours(24))
        assert s.values.tolist() == self.DAY.tolist()

    def test_a_file_of_vintages_is_taken_once(self, store: ForecastStore, tmp_path: Path) -> None:
        rows = [
            f"DE-LU,2026-01-09T{issue + 10}:00:00Z,2026-01-10T{h:02}:00:00Z,2026-01-10T{h + 1:02}:00:00Z,"
            f"{50 + issue * h}"
            for issue in range(3)
            for h in range(4)
        ]
        path = tmp_path / "f.csv"
        path.write_text("\n".join(["zone,issued_at,start,end,price_per_mwh", *rows]))
        source = make_source("csv", {"path": str(path)})
        for want in ("new", "unchanged", "unchanged"):
            done = ingest(store, source, self.REQUEST, now=T0)
            assert [(i.status, i.vintages_count) for i in done] == [(want, 3), ("nothing", 0)]
        assert len(store.vintages()) == 3

    def test_typical_polls_add_only_what_is_new(self, store: ForecastStore) -> None:
        source = make_source("typical", {"horizon_hours": 48})
        for k in range(3):
            window = FetchRequest("GB", (Signal.CARBON,), hours(k), hours(k) + timedelta(days=2))
            ingest(store, source, window, now=hours(k))
        assert [v.n_changed for v in store.vintages()] == [1, 1, 48]
