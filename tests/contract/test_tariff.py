"""Tariffs through the suite of sources, against an independent reading of their rates, and each of their traps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.marketday import market_day
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.sources import registry
from forecasts.sources.base import ANY_ZONE, FetchRequest, ForecastSource
from forecasts.sources.registry import check_local
from forecasts.sources.tariff import DAYS, TariffOptions, TariffSource
from forecasts.sources.typical import TypicalOptions, TypicalSource
from forecasts.spans import from_us
from forecasts.testing import ForecastSourceContract
from tests.contract.payloads import NOW

PRICE = (Signal.PRICE,)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = {"from": "22:00", "to": "06:00", "price_per_mwh": 10.0}
WEEKEND = {"days": ["sat", "sun"], "price_per_mwh": 20.0}
WINTER = {"from": "17:00", "to": "20:30", "months": [1, 2, 11, 12], "price_per_mwh": 90.0}

WHOLESALE = """\
zone,issued_at,start,end,price_per_mwh,price_per_mwh_p10,price_per_mwh_p90,kind
DE-LU,2026-11-23T06:00:00Z,2026-11-23T10:00:00Z,2026-11-23T11:00:00Z,70,60,80,cleared
DE-LU,2026-11-23T06:00:00Z,2026-11-23T11:00:00Z,2026-11-23T12:00:00Z,-20,-30,-20,cleared
DE-LU,2026-11-23T09:00:00Z,2026-11-23T10:00:00Z,2026-11-23T11:00:00Z,75,65,85,forecast
"""


def tariff(**options: Any) -> TariffSource:
    given = {"currency": "EUR", "timezone": "Europe/Berlin", **options}
    if "wholesale" not in given:
        given.setdefault("price_per_mwh", 50.0)
    return TariffSource(TariffOptions.model_validate(given))


def ask(
    source: ForecastSource, start: datetime, end: datetime, zone: str = "DE-LU", now: datetime = NOW
) -> list[ForecastSeries]:
    return source.fetch(FetchRequest(zone, PRICE, start, end), now=now)


def one(source: ForecastSource, start: datetime, end: datetime) -> ForecastSeries:
    [found] = ask(source, start, end)
    return found


def hours_at(found: ForecastSeries) -> dict[float, float]:
    """How many hours there are of each price."""
    hours = (found.end - found.start) / np.timedelta64(1, "h")
    return {float(price): float(hours[found.values == price].sum()) for price in np.unique(found.values)}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "wholesale.csv"
    path.write_text(WHOLESALE)
    return path


class TestContract(ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        return tariff(zones=["DE-LU"], rates=[NIGHT, WEEKEND], network=[WINTER], tax_ratio=0.19)

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", PRICE, NOW, NOW + DAY)


class TestUponCsv(ForecastSourceContract):
    @pytest.fixture(autouse=True)
    def _write(self, csv: Path) -> None:
        self.path = csv

    def make_source(self) -> ForecastSource:
        wholesale = {"name": "csv", "options": {"path": str(self.path)}}
        return tariff(wholesale=wholesale, add_per_mwh=30, network=[WINTER], tax_ratio=0.19)

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", PRICE, NOW, NOW + DAY)


class TestUponTypical(ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        return tariff(wholesale={"name": "typical"}, margin_ratio=0.02, network=[NIGHT])

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", PRICE, NOW, NOW + 2 * DAY)


class TestByAnotherName(ForecastSourceContract):
    """Two tariffs of one daemon are told apart by their names."""

    def make_source(self) -> ForecastSource:
        return tariff(name="vendor", wholesale={"name": "typical"}, network=[NIGHT])

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", PRICE, NOW, NOW + 2 * DAY)

    def test_the_name_is_in_what_it_says(self) -> None:
        assert {s.source for s in self.answer()} == {"vendor"}
        assert one(tariff(name="vendor"), NOW, NOW + HOUR).source == "vendor"
        with pytest.raises(ValidationError, match="name"):
            tariff(name="a:b")


class TestContracts:
    def test_a_flat_tariff_is_one_number(self) -> None:
        found = one(tariff(), NOW, NOW + 2 * HOUR)
        assert (found.unit, found.kind, found.known_at) == ("EUR/MWh", Kind.CLEARED, NOW)
        assert set(found.values) == {50.0}
        assert found.start[0] == np.datetime64("2026-11-23T10:00")
        assert found.end[-1] == np.datetime64("2026-11-23T12:30"), "the half-hours that hold 10:20 to 12:20"
        assert len(found) == 5
        assert found.start.dtype == np.dtype("datetime64[us]")

    def test_a_moment_is_the_half_hour_that_holds_it(self) -> None:
        assert len(one(tariff(), NOW, NOW + timedelta(microseconds=1))) == 1

    def test_everything_upon_energy(self) -> None:
        found = one(
            tariff(add_per_mwh=30, network=[WINTER], tax_ratio=0.5), *market_day(date(2026, 11, 23), BERLIN)
        )
        assert hours_at(found) == {120.0: 20.5, 255.0: 3.5}

    def test_the_first_rate_that_holds_counts(self) -> None:
        sunday = market_day(date(2026, 11, 22), BERLIN)
        assert hours_at(one(tariff(rates=[NIGHT, WEEKEND]), *sunday)) == {10.0: 8, 20.0: 16}
        assert hours_at(one(tariff(rates=[WEEKEND, NIGHT]), *sunday)) == {20.0: 24}

    def test_past_midnight_each_side_is_of_its_own_day(self) -> None:
        """Of a rate for Mondays, those six hours are Monday's, and not the Tuesday's after its night."""
        found = tariff(rates=[{**NIGHT, "days": ["mon"]}])
        assert hours_at(one(found, *market_day(date(2026, 11, 23), BERLIN))) == {10.0: 8, 50.0: 16}
        assert hours_at(one(found, *market_day(date(2026, 11, 24), BERLIN))) == {50.0: 24}

    def test_months(self) -> None:
        found = tariff(network=[{"months": [11], "price_per_mwh": 5}])
        assert hours_at(
            one(found, datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
        ) == {
            50.0: 1,
            55.0: 23,
        }, "local midnight ends the month"

    def test_a_rate_from_a_quarter_past_is_exact(self) -> None:
        found = tariff(rates=[{"from": "11:45", "to": "12:15", "price_per_mwh": 1}])
        values = one(found, *market_day(date(2026, 11, 23), BERLIN))
        assert hours_at(values) == {1.0: 0.5, 50.0: 23.5}
        assert np.datetime64("2026-11-23T10:45") in values.start

    @pytest.mark.parametrize(
        ("when", "hours", "night"),
        [
            (date(2026, 3, 29), 23, 7),  # 02:00 to 03:00 there is not
            (date(2026, 10, 25), 25, 9),  # and here twice
            (date(2026, 11, 23), 24, 8),
        ],
    )
    def test_days_on_which_the_clock_changes(self, when: date, hours: int, night: int) -> None:
        found = one(tariff(rates=[NIGHT]), *market_day(when, BERLIN))
        assert len(found) == 2 * hours
        assert hours_at(found) == {10.0: night, 50.0: hours - night}

    @pytest.mark.parametrize(("when", "hours"), [(date(2026, 3, 29), 0), (date(2026, 10, 25), 2)])
    def test_the_hour_of_the_change(self, when: date, hours: int) -> None:
        found = one(
            tariff(rates=[{"from": "02:00", "to": "03:00", "price_per_mwh": 1}]), *market_day(when, BERLIN)
        )
        assert hours_at(found).get(1.0, 0) == hours

    def test_any_zone_unless_some_are_named(self) -> None:
        assert tariff().info.zones == (ANY_ZONE,)
        assert ask(tariff(), NOW, NOW + DAY, zone="home")
        with pytest.raises(InputError, match="'home'"):
            ask(tariff(zones=["DE-LU", "AT"]), NOW, NOW + DAY, zone="home")

    def test_another_signal(self) -> None:
        assert tariff().fetch(FetchRequest("DE-LU", (Signal.CARBON,), NOW, NOW + DAY), now=NOW) == []

    def test_it_needs_no_file(self) -> None:
        check_local(tariff())

    def test_an_absurd_price_is_refused(self) -> None:
        with pytest.raises(ForecastRejected, match="outside"):
            one(tariff(price_per_mwh=1e6), NOW, NOW + DAY)


class TestUponWholesale:
    @pytest.fixture
    def upon(self, csv: Path) -> Callable[..., TariffSource]:
        def upon(csv_options: Any = None, **options: Any) -> TariffSource:
            return tariff(
                wholesale={"name": "csv", "options": {"path": str(csv), **(csv_options or {})}}, **options
            )

        return upon

    def test_what_is_carried_over(self, upon: Callable[..., TariffSource]) -> None:
        terms = {"licence": "CC BY 4.0", "attribution": "them", "restricted": True}
        found = ask(upon(terms, add_per_mwh=10), NOW, NOW + DAY)
        assert [s.kind for s in found] == [Kind.CLEARED, Kind.FORECAST]
        assert [s.known_at.hour for s in found] == [6, 9]
        assert [s.issued_at.hour for s in found if s.issued_at] == [6, 9]
        for s in found:
            assert (s.source, s.licence, s.attribution, s.restricted) == ("tariff", "CC BY 4.0", "them", True)

    def test_the_price(self, upon: Callable[..., TariffSource]) -> None:
        found = ask(upon(margin_ratio=0.1, add_per_mwh=13, tax_ratio=0.2), NOW, NOW + DAY)
        assert found[0].values == pytest.approx([(77 + 13) * 1.2, (-22 + 13) * 1.2])
        assert found[0].quantiles[0.1] == pytest.approx([(66 + 13) * 1.2, (-33 + 13) * 1.2])
        assert found[0].quantiles[0.9] == pytest.approx([(88 + 13) * 1.2, (-22 + 13) * 1.2])

    def test_an_hour_is_cut_where_the_network_charge_changes(self, upon: Callable[..., TariffSource]) -> None:
        """11:15 in Berlin; at 11:45 nothing does, for both rates charge the same."""
        network = [
            {"from": "11:15", "to": "11:45", "price_per_mwh": 5},
            {"from": "11:45", "to": "13:00", "price_per_mwh": 5},
        ]
        found = ask(upon(network=network), NOW, NOW + DAY)[0]
        assert [str(t)[11:16] for t in found.start] == ["10:00", "10:15", "11:00"]
        assert found.end[-1] == np.datetime64("2026-11-23T12:00")
        assert found.values.tolist() == [70, 75, -15]
        assert found.quantiles[0.9].tolist() == [80, 85, -15]

    @pytest.mark.parametrize(
        ("minute", "values"), [(5, [0, 1, 102, 103, 104, 5]), (20, [100, 101, 2, 3, 4, 5])]
    )
    def test_intervals_finer_than_a_quarter(
        self, csv: Path, upon: Callable[..., TariffSource], minute: int, values: list[float]
    ) -> None:
        times = [datetime(2026, 11, 23, 10, minute, tzinfo=UTC) + k * timedelta(minutes=5) for k in range(6)]
        rows = [f"DE-LU,{t:%Y-%m-%dT%H:%MZ},{k}" for k, t in enumerate(times)]
        csv.write_text("\n".join(["zone,start,price_per_mwh", *rows]))
        options = {"step_minutes": 5, "columns": {"end": None, "issued_at": None}}
        network = [{"from": "11:15", "to": "11:30", "price_per_mwh": 100}]
        found = one(upon(options, network=network), NOW, NOW + DAY)
        assert found.values.tolist() == values
        assert len(found.start) == 6

    def test_currencies_must_agree(self, upon: Callable[..., TariffSource]) -> None:
        with pytest.raises(InputError, match="csv is in GBP, and the tariff in EUR"):
            ask(upon({"currency": "GBP"}), NOW, NOW + DAY)

    def test_zones_are_asked_for_as_they_are(self, upon: Callable[..., TariffSource]) -> None:
        with pytest.raises(InputError, match="'AT'"):
            ask(upon(), NOW, NOW + DAY, zone="AT")
        with pytest.raises(InputError, match="the source tariff does not know the zone 'DE-LU'"):
            ask(upon(zones=["AT"]), NOW, NOW + DAY)

    def test_its_zones_are_those_of_the_source_below(self) -> None:
        info = tariff(wholesale={"name": "typical"}).info
        assert info.zones == TypicalSource(TypicalOptions()).info.zones
        assert info.synthetic
        assert info.signals == PRICE
        assert info.basis is None

    def test_its_file_is_looked_at(self, csv: Path, upon: Callable[..., TariffSource]) -> None:
        check_local(upon())
        csv.unlink()
        with pytest.raises(InputError, match="cannot be read"):
            check_local(upon())
        with pytest.raises(SourceUnavailable):
            ask(upon(), NOW, NOW + DAY)

    def test_a_source_with_a_hole_is_refused_and_not_filled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        source = tariff(wholesale={"name": "typical"})
        below = TypicalSource(TypicalOptions())
        [said] = ask(below, NOW, NOW + DAY)
        said.start[5] += np.timedelta64(15, "m")
        monkeypatch.setattr(source._wholesale, "fetch", lambda *_, **__: [said])
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask(source, NOW, NOW + DAY)

    @pytest.mark.parametrize(
        ("wholesale", "field", "why"),
        [
            ({"name": "typicl"}, "name", "no forecast source 'typicl'"),
            ({"name": "neso"}, "name", "neso has no price"),
            ({"name": "typical", "options": {"sed": 1}}, "options.sed", "not permitted"),
            ({"name": "csv"}, "options", "path or url"),
            ({"name": "tariff"}, "name", "may not be a tariff's"),
        ],
    )
    def test_mistakes_in_it_are_named(self, wholesale: Any, field: str, why: str) -> None:
        with pytest.raises(InputError, match=why) as caught:
            tariff(wholesale=wholesale)
        assert caught.value.field == f"sources.tariff.wholesale.{field}"

    def test_a_tariff_by_another_name_is_one_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def registered(**_: Any) -> list[EntryPoint]:
            return [EntryPoint("ours", "forecasts.sources.tariff:TariffSource", registry.GROUP)]

        monkeypatch.setattr(registry, "entry_points", registered)
        options = {"currency": "EUR", "timezone": "UTC", "price_per_mwh": 1}
        with pytest.raises(InputError, match="may not be a tariff's"):
            tariff(wholesale={"name": "ours", "options": options})


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"price_per_mwh": None}, "give price_per_mwh"),
            ({"wholesale": {"name": "typical"}, "price_per_mwh": 1}, "either wholesale or price_per_mwh"),
            ({"wholesale": {"name": "typical"}, "rates": [NIGHT]}, "either wholesale or price_per_mwh"),
            ({"margin_ratio": 0.1}, "no wholesale"),
            ({"currency": "XXX"}, "not the code of a currency"),
            ({"timezone": "Europe/Atlantis"}, "not a time zone"),
            ({"timezone": "../etc"}, "not a time zone"),
            ({"timezone": "Europe"}, "not a time zone"),
            ({"tax_ratio": 19}, "less than or equal to 1"),
            ({"tax_ratio": -0.1}, "greater than or equal to 0"),
            ({"wholesale": {"name": "typical"}, "margin_ratio": -1}, "greater than -1"),
            ({"price_per_mwh": float("nan")}, "finite"),
            ({"add_per_mwh": float("inf")}, "finite"),
            ({"rate": [NIGHT]}, "not permitted"),
            ({"rates": [{**NIGHT, "from": "7:00"}]}, "'7:00' is not a time on a whole quarter"),
            ({"rates": [{**NIGHT, "from": "07:10"}]}, "whole quarter"),
            ({"rates": [{**NIGHT, "from": 420}]}, "420 is not a time"),
            ({"rates": [{**NIGHT, "to": "24:15"}]}, "whole quarter"),
            ({"rates": [{**NIGHT, "from": "24:00"}]}, "00:00"),
            ({"rates": [{**NIGHT, "to": "22:00"}]}, "are the same"),
            ({"rates": [{**NIGHT, "days": ["monday"]}]}, "'mon'"),
            ({"rates": [{**NIGHT, "days": []}]}, "at least 1"),
            ({"rates": [{**NIGHT, "months": [13]}]}, "less than or equal to 12"),
            ({"rates": [{"from": "22:00"}]}, "price_per_mwh"),
            ({"rates": [{**NIGHT, "until": "06:00"}]}, "not permitted"),
        ],
    )
    def test_mistakes_are_named(self, options: dict[str, Any], why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            tariff(**options)

    @pytest.mark.parametrize("whole", [{}, {"to": "24:00"}, {"from": "00:00"}])
    def test_a_rate_without_times_is_for_the_whole_day(self, whole: dict[str, str]) -> None:
        found = tariff(rates=[{**WEEKEND, **whole}])
        assert hours_at(one(found, *market_day(date(2026, 11, 21), BERLIN))) == {20.0: 24}

    def test_until_midnight(self) -> None:
        for to in ("24:00", "00:00"):
            found = tariff(rates=[{"from": "22:00", "to": to, "price_per_mwh": 1}])
            assert hours_at(one(found, *market_day(date(2026, 11, 21), BERLIN))) == {1.0: 2, 50.0: 22}


TZS = ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
CHANGES = (
    datetime(2026, 3, 29, tzinfo=UTC),  # Berlin
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, tzinfo=UTC),  # St John's
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 4, 4, tzinfo=UTC),  # Lord Howe, by half an hour
    datetime(2026, 12, 31, tzinfo=UTC),
)


@st.composite
def rates(draw: st.DrawFn) -> dict[str, Any]:
    begin, end = draw(st.lists(st.integers(0, 95), min_size=2, max_size=2, unique=True))
    rate: dict[str, Any] = {
        "from": f"{begin // 4:02}:{begin % 4 * 15:02}",
        "to": f"{end // 4:02}:{end % 4 * 15:02}",
        "price_per_mwh": draw(st.integers(-100, 400)),
    }
    if draw(st.booleans()):
        rate["days"] = draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True))
    if draw(st.booleans()):
        rate["months"] = draw(st.lists(st.integers(1, 12), min_size=1, unique=True))
    return rate


def minutes_of(rate: dict[str, Any]) -> set[str]:
    """Every "HH:MM" of a rate, walked from its beginning to its end."""
    at, found = datetime.strptime(rate["from"], "%H:%M").replace(tzinfo=UTC), set()
    while f"{at:%H:%M}" != rate["to"]:
        found.add(f"{at:%H:%M}")
        at += MINUTE
    return found


def reading(rules: list[dict[str, Any]], otherwise: float) -> Callable[[datetime], float]:
    """What a person with a clock, a calendar and the contract would say."""
    spelt = [(minutes_of(rule), rule) for rule in rules]

    def price(local: datetime) -> float:
        for minutes, rule in spelt:
            today = f"{local:%a}".lower() in rule.get("days", DAYS)
            if f"{local:%H:%M}" in minutes and today and local.month in rule.get("months", range(1, 13)):
                return float(rule["price_per_mwh"])
        return otherwise

    return price


windows = st.tuples(
    st.sampled_from(CHANGES), st.integers(-1500, 1500), st.integers(1, 1800), st.sampled_from(TZS)
)


def every_minute(found: ForecastSeries) -> list[tuple[datetime, float]]:
    return [
        (from_us(int(us)), float(value))
        for start, end, value in zip(found.start, found.end, found.values, strict=True)
        for us in np.arange(start, end, np.timedelta64(1, "m")).astype("datetime64[us]").astype(np.int64)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(rates(), max_size=4), st.lists(rates(), max_size=2), windows)
def test_every_minute_costs_what_the_contract_says(
    energy: list[dict[str, Any]], network: list[dict[str, Any]], window: tuple[datetime, int, int, str]
) -> None:
    change, offset, length, tz = window
    start = change + offset * MINUTE
    end = start + length * MINUTE
    found = one(tariff(timezone=tz, rates=energy, network=network, tax_ratio=0.25), start, end)
    of_energy, of_network = reading(energy, 50.0), reading(network, 0.0)
    said = every_minute(found)
    assert said[0][0] <= start < said[0][0] + HOUR / 2
    assert said[-1][0] < end + HOUR / 2
    assert said[-1][0] + MINUTE >= end
    for moment, price in said:
        local = moment.astimezone(ZoneInfo(tz))
        assert price == pytest.approx(1.25 * (of_energy(local) + of_network(local)), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(rates(), max_size=4), windows)
def test_every_minute_costs_what_is_upon_the_wholesale_price(
    network: list[dict[str, Any]], window: tuple[datetime, int, int, str]
) -> None:
    change, offset, length, tz = window
    start = change + offset * MINUTE
    end = start + length * MINUTE
    source = tariff(timezone=tz, wholesale={"name": "typical"}, margin_ratio=0.5, network=network)
    [found] = ask(source, start, end, now=start)
    [below] = ask(TypicalSource(TypicalOptions()), start, end, now=start)
    of_network, wholesale = reading(network, 0.0), dict(every_minute(below))
    said = every_minute(found)
    assert [moment for moment, _ in said] == list(wholesale)
    for moment, price in said:
        charge = of_network(moment.astimezone(ZoneInfo(tz)))
        assert price == pytest.approx(1.5 * wholesale[moment] + charge, abs=1e-9)
