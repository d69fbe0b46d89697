"""Settings into sources: what is refused before anything starts, and what a file's prices are taken to be in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasts.frame import ForecastFrame
from forecasts.outlook import OURS
from forecasts.outlooks import Outlooks
from forecasts.series import Kind, Signal
from forecasts.slots import SlotGrid
from forecasts.sources.base import FetchRequest
from forecasts.store import ForecastStore
from shifter.clock import ManualClock, SystemClock
from shifter.errors import InputError
from shifter.files import read_fleet
from shifter.ingest import Polled
from shifter.load_wiring import announced_loads, realtime_maker
from shifter.planner import InProcessPlanner
from shifter.settings import load_settings
from shifter.store.db import Database
from shifter.views import TelemetrySample
from shifter.wiring import (
    _heeded,
    frame_maker,
    outlooks_of,
    polled_sources,
    service_config,
    wiring_mistakes,
)
from tests.daemon.world import daemon, settings, until
from tests.forecasts.build import series

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


TARIFF: dict[str, Any] = {
    "name": "tariff",
    "options": {"currency": "EUR", "timezone": "Europe/Berlin", "wholesale": {"name": "energy_charts"}},
}


def test_what_a_site_pays_and_the_markets_price_are_not_one(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="tariff tells what a site pays, and energy_charts the wholesale"
    ) as e:
        _polled(tmp_path, TARIFF, {"name": "energy_charts"})
    assert "signals: [carbon]" in e.value.hint
    contract = {"name": "tariff", "options": {**TARIFF["options"], "wholesale": None, "price_per_mwh": 90}}
    with pytest.raises(InputError, match="would be neither"):
        _polled(tmp_path, {"name": "energy_charts"}, contract)


def test_each_market_beside_a_tariff_is_named_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTSOE_API_KEY", "x")
    entsoe = {"name": "entsoe"}
    with pytest.raises(InputError) as e:
        _polled(tmp_path, {"name": "energy_charts"}, TARIFF, entsoe)
    assert [one.field for one in (e.value, *e.value.also)] == ["forecasts.sources[0]", "forecasts.sources[2]"]
    elsewhere = {**TARIFF, "zones": ["FR"]}
    assert len(_polled(tmp_path, {"name": "energy_charts", "zones": ["DE-LU"]}, elsewhere)) == 2


def test_a_market_that_was_asked_once_does_not_price_what_a_site_pays(tmp_path: Path) -> None:
    """Its prices are in the store still, and no frame and no lesson is made of them."""
    polled = _polled(tmp_path, TARIFF, {"name": "energy_charts", "signals": ["carbon"]})
    store = ForecastStore(create_engine("sqlite://"))
    store.create_tables()
    known = START - timedelta(hours=1)
    for source, price in (("energy_charts", 60.0), ("tariff", 210.0), ("push:desk", 200.0)):
        said = series(np.full(24, price), zone="DE-LU", source=source, start=START, known_at=known)
        store.append(said)
    heeded = _heeded(store, polled)
    window = (START, START, START + timedelta(hours=24))
    assert {s.source for s in heeded.as_of("DE-LU", Signal.PRICE, *window)} == {"tariff", "push:desk"}
    without = _heeded(store, _polled(tmp_path, {"name": "energy_charts"}))
    assert len(without.as_of("DE-LU", Signal.PRICE, *window)) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"name": "energy_charts", "signals": ["carbon"]},
        {"name": "energy_charts", "shadow": True},
        {"name": "typical"},
    ],
)
def test_beside_a_tariff_others_tell_something_else_or_are_on_trial(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    assert [p.name for p in _polled(tmp_path, TARIFF, other)] == ["tariff", other["name"]]


def test_price_and_carbon_are_asked_for_and_more_where_it_is_listed(tmp_path: Path) -> None:
    usual = {"name": "entsoe", "zones": ["DE-LU"]}
    [polled] = _polled(tmp_path, usual)
    assert set(polled.source.info.signals) > set(polled.signals) == {Signal.PRICE}
    [polled] = _polled(tmp_path, {**usual, "signals": ["price", "wind", "load"]})
    assert polled.signals == (Signal.PRICE, Signal.WIND, Signal.LOAD)


def test_outlooks_are_made_by_the_rules_of_the_settings(tmp_path: Path) -> None:
    csv = {"name": "csv", "options": {"path": _file(tmp_path), "name": "told"}}
    given = settings(tmp_path, forecasts={"sources": [csv], "learning": {"weigh_sources": False}})
    fleet = read_fleet(tmp_path / "fleet.yaml")
    store = ForecastStore(create_engine("sqlite://"))
    store.create_tables()
    hours = np.arange(24 * 30)
    for source, known in (("meter", 24), ("told", 0)):
        for day in range(30):
            values = 100 + 50 * np.sin(hours[:24] / 4) + day
            begin = START + timedelta(days=day)
            kind = Kind.ACTUAL if known else Kind.FORECAST
            known_at = begin + timedelta(hours=known)
            store.append(series(values, source=source, start=begin, known_at=known_at, kind=kind))
    made = outlooks_of(given, fleet, store, polled_sources(given, fleet))
    assert made is not None
    moment = START + timedelta(days=29)
    outlook = made.make("DE-LU", Signal.PRICE, moment)
    assert outlook is not None
    assert list(outlook.weights) == [OURS]
    weighed = Outlooks(store).make("DE-LU", Signal.PRICE, moment)
    assert weighed is not None
    assert set(weighed.weights) == {OURS, "told"}


class TestOrder:
    """`forecasts.order` and `max_age_hours_by_zone`, as far as the frame that they make."""

    def made(self, folder: Path, **more: Any) -> Any:
        path = _file(folder)
        sources = [
            {"name": "csv", "options": {"path": path, "name": name}} for name in ("first", "second", "third")
        ]
        given = settings(folder, forecasts={"sources": sources, **more})
        fleet = read_fleet(folder / "fleet.yaml")
        return given, fleet, polled_sources(given, fleet)

    def frame(self, folder: Path, ages_h: Mapping[str, float], **more: Any) -> ForecastFrame:
        """Of a store in which each source said its own price so many hours ago."""
        given, fleet, polled = self.made(folder, **more)
        store = ForecastStore(create_engine("sqlite://"))
        store.create_tables()
        for source, age_h in ages_h.items():
            known_at = START - timedelta(hours=age_h)
            store.append(series([age_h] * 2, source=source, start=START, known_at=known_at))
        return frame_maker(given, fleet, store, polled)(SlotGrid(START, 60, 2), START)

    def test_another_order_for_one_signal(self, tmp_path: Path) -> None:
        ages = {"first": 1, "second": 2, "third": 3, "push:desk": 4}
        assert self.frame(tmp_path, ages).price_per_mwh("DE-LU").tolist() == [1, 1]
        order = {"DE-LU": {"price": ["third", "first"], "carbon": ["second"]}}
        assert self.frame(tmp_path, ages, order=order).price_per_mwh("DE-LU").tolist() == [3, 3]
        everywhere = {"*": {"price": ["second"]}}
        assert self.frame(tmp_path, ages, order=everywhere).price_per_mwh("DE-LU").tolist() == [2, 2]
        pushed = {"DE-LU": {"price": ["push:desk"]}}
        assert self.frame(tmp_path, ages, order=pushed).price_per_mwh("DE-LU").tolist() == [4, 4]
        rest = {"second": 2, "third": 3}
        assert self.frame(tmp_path, rest, order=pushed).price_per_mwh("DE-LU").tolist() == [2, 2]

    def test_what_is_too_old_yields(self, tmp_path: Path) -> None:
        ages = {"first": 30, "second": 5}
        assert self.frame(tmp_path, ages).price_per_mwh("DE-LU").tolist() == [30, 30]
        assert self.frame(tmp_path, ages, max_age_hours=20).price_per_mwh("DE-LU").tolist() == [5, 5]
        own = {"DE-LU": {"price": 20}}
        f = self.frame(tmp_path, ages, max_age_hours_by_zone=own)
        assert f.price_per_mwh("DE-LU").tolist() == [5, 5]
        assert (
            "zone DE-LU price: what first said 30 h ago is older than 20 h; second speaks in its place."
            in f.warnings
        )
        longer = {"DE-LU": {"price": 40}, "*": {"price": 2}}
        f = self.frame(tmp_path, ages, max_age_hours=3, max_age_hours_by_zone=longer)
        assert f.price_per_mwh("DE-LU").tolist() == [30, 30], "the zone's own counts"

    @pytest.mark.parametrize(
        ("more", "field", "hint"),
        [
            ({"order": {"FR": {"price": ["first"]}}}, "forecasts.order.FR", "Zones are DE-LU"),
            (
                {"order": {"DE-LU": {"price": ["entsoe"]}}},
                "forecasts.order.DE-LU.price[0]",
                "first, second, third",
            ),
            (
                {"order": {"*": {"carbon": ["first", "second", "first"]}}},
                "forecasts.order.*.carbon[2]",
                "Name each once",
            ),
            (
                {"max_age_hours_by_zone": {"GB": {"carbon": 3}}},
                "forecasts.max_age_hours_by_zone.GB",
                "Zones are",
            ),
        ],
    )
    def test_what_there_is_not_is_named(
        self, tmp_path: Path, more: dict[str, Any], field: str, hint: str
    ) -> None:
        with pytest.raises(InputError) as refused:
            self.frame(tmp_path, {}, **more)
        assert refused.value.field == field
        assert hint in refused.value.hint


def test_the_settings_say_how_often_or_the_source_does(tmp_path: Path) -> None:
    [polled] = _polled(tmp_path, {"name": "csv", "options": {"path": _file(tmp_path)}})
    assert str(polled.publication_of(Signal.PRICE)) == "every 5 min"
    [polled] = _polled(tmp_path, {"name": "csv", "poll_minutes": 90, "options": {"path": _file(tmp_path)}})
    assert str(polled.publication_of(Signal.PRICE)) == "every 90 min"


def test_every_number_of_the_service_is_the_settings(tmp_path: Path) -> None:
    given = settings(
        tmp_path,
        telemetry={"max_age_s": 77},
        guard={"hold_s": 78},
        admission={"wait_s": 3, "max_workloads": 5},
        retention={
            "plans_days": 1,
            "events_days": 2,
            "audit_days": 3,
            "workloads_days": 4,
            "forecasts_days": 5,
            "telemetry_days": 6,
        },
    )
    made = service_config(given, SystemClock(), 1.0)
    assert (made.telemetry_max_age_s, made.guard_hold_s) == (77, 78)
    assert (made.admission_wait_s, made.max_workloads) == (3, 5)
    assert (made.plans_days, made.events_days, made.audit_days) == (1, 2, 3)
    assert (made.workloads_days, made.forecasts_days, made.telemetry_days) == (4, 5, 6)


def test_measured_load_is_wired_with_its_prior_holidays_and_what_is_announced(tmp_path: Path) -> None:
    (tmp_path / "shifter.yaml").write_text(
        "realtime:\n"
        "  profile: measured\n"
        "  prior: realtime.csv\n"
        "  holidays: [2026-12-25]\n"
        "  announced:\n"
        "    - {name: launch, start: 2026-01-12T00:00:00Z, end: 2026-01-13T00:00:00Z, factor: 2, pool: h100}\n"
    )
    given = load_settings(tmp_path / "shifter.yaml", {}, {}).realtime
    assert given.prior == str(tmp_path / "realtime.csv")
    made = settings(tmp_path, realtime=given.model_dump(exclude_unset=True))
    fleet = read_fleet(tmp_path / "fleet.yaml")
    clock = ManualClock(START)
    database = Database(f"sqlite:///{tmp_path / 'shifter.db'}")
    database.upgrade()
    load = realtime_maker(made, fleet, clock, database)(SlotGrid(START, 60, 72))
    basis = load.basis["fra", "h100"].words
    assert basis.startswith("nothing measured yet: the whole pool (")
    assert basis.endswith("; announced: launch, x 2")
    for prior, q in (("typical", 10.0), ("whole_pool", 16.0)):
        made = settings(tmp_path, realtime={"profile": "measured", "prior": prior})
        held = realtime_maker(made, fleet, clock, database)(SlotGrid(START, 60, 24)).at(("fra", "h100"), 0.99)
        assert held.max() == pytest.approx(q, abs=2)
    database.close()


def test_what_is_announced_must_name_a_site_and_a_pool_that_there_are(tmp_path: Path) -> None:
    window = {"name": "a", "start": "2026-01-12T00:00:00Z", "end": "2026-01-13T00:00:00Z"}
    wrong = [{**window, "site": "fran"}, {**window, "pool": "a100"}, window]
    made = settings(tmp_path, realtime={"profile": "measured", "announced": wrong})
    found = wiring_mistakes(made, read_fleet(tmp_path / "fleet.yaml"))
    assert [e.field for e in found] == ["realtime.announced[0].site", "realtime.announced[1].pool"]
    with pytest.raises(InputError, match="there is no site fran"):
        announced_loads(made, read_fleet(tmp_path / "fleet.yaml"))


def test_the_daemon_learns_from_telemetry_before_its_first_plan(tmp_path: Path) -> None:
    made = daemon(tmp_path, planner=InProcessPlanner(), realtime={"profile": "measured"})
    try:
        now = made.clock.now()
        samples = [TelemetrySample("fra", now - timedelta(minutes=20 * i), "h100", 4.0) for i in range(360)]
        made.service.telemetry(samples, "meter")
        made.start()
        until(lambda: made.service.core.state.published)
        held = {row.realtime_q for row in made.service.plan().slots}
        assert max(held) < 16
        assert (
            "forecast from 5.0 days measured"
            in made.service.core.realtime(SlotGrid(START, 60, 2)).basis["fra", "h100"].words
        )
        assert made.service.core.config.load_days == 400
    finally:
        made.stop()
