import numpy as np
import pytest

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.series import Signal
from forecasts.sources.values import moment, numbers
from forecasts.units import (
    CURRENCIES,
    ROUGHLY_PER_EURO,
    convert,
    currency_of,
    is_canonical,
    parse_unit,
    plausible,
)


@pytest.mark.parametrize(
    ("text", "canonical", "factor"),
    [
        ("EUR/MWh", "EUR/MWh", 1),
        ("EUR / MWh", "EUR/MWh", 1),
        ("  eur/mwh ", "EUR/MWh", 1),
        ("€/MWh", "EUR/MWh", 1),
        ("£/kWh", "GBP/MWh", 1000),
        ("USD/MWh", "USD/MWh", 1),
        ("EUR/kWh", "EUR/MWh", 1000),
        ("ct/kWh", "EUR/MWh", 10),
        ("p/kWh", "GBP/MWh", 10),
        ("pence/kWh", "GBP/MWh", 10),
        ("DKK/MWh", "DKK/MWh", 1),
    ],
)
def test_price_units(text: str, canonical: str, factor: float) -> None:
    unit = parse_unit(text, Signal.PRICE)
    assert (unit.canonical, unit.factor) == (canonical, factor)


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("gCO2/kWh", 1),
        ("gCO2e/kWh", 1),
        ("gCO2eq/kWh", 1),
        ("g CO2-eq / kWh", 1),
        ("g/kWh", 1),
        ("kg/MWh", 1),
        ("kgCO2e/MWh", 1),
        ("kg CO2/kWh", 1000),
        ("lbs/MWh", 0.45359237),
        ("lb/MWh", 0.45359237),
        ("lbs CO2/MWh", 0.45359237),
        ("tCO2/MWh", 1000),
        ("t/GWh", 1),
        ("tonnes/MWh", 1000),
    ],
)
def test_carbon_units(text: str, factor: float) -> None:
    unit = parse_unit(text, Signal.CARBON)
    assert unit.canonical == "gCO2e/kWh"
    assert unit.factor == pytest.approx(factor, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("$/MWh", Signal.PRICE),  # American, Australian, Canadian?
        ("c/kWh", Signal.PRICE),
        ("EUR", Signal.PRICE),
        ("EUR/MW", Signal.PRICE),
        ("XXX/MWh", Signal.PRICE),
        ("", Signal.PRICE),
        ("gCO2/kWh", Signal.PRICE),
        ("EUR/MWh", Signal.CARBON),
        ("ton/MWh", Signal.CARBON),  # short or metric?
        ("gCO2/MJ", Signal.CARBON),
        ("gH2O/kWh", Signal.CARBON),
    ],
)
def test_an_unknown_unit_names_the_field_and_the_known_ones(text: str, signal: Signal) -> None:
    with pytest.raises(ForecastRejected) as caught:
        parse_unit(text, signal, field="columns.price")
    assert caught.value.field == "columns.price"
    assert repr(text) in caught.value.detail
    assert "/MWh" in caught.value.hint


def test_conversion() -> None:
    assert convert(np.array([1000.0]), parse_unit("lbs/MWh", Signal.CARBON)).tolist() == [453.59237]
    assert convert(np.array([[-0.05, 0.2]]), parse_unit("EUR/kWh", Signal.PRICE)).tolist() == [[-50, 200]]


def test_canonical_and_currency() -> None:
    assert is_canonical("EUR/MWh", Signal.PRICE)
    assert not is_canonical("EUR/kWh", Signal.PRICE)
    assert not is_canonical("EUR / MWh", Signal.PRICE)
    assert not is_canonical("gCO2/kWh", Signal.CARBON)
    assert currency_of("GBP/MWh") == "GBP"
    with pytest.raises(ForecastRejected, match="not a price"):
        currency_of("gCO2e/kWh")


def test_what_is_plausible_holds_the_extremes_seen() -> None:
    low, high = plausible(Signal.PRICE, "EUR/MWh")
    assert low < -500  # DE-LU, 2023
    assert plausible(Signal.PRICE, "USD/MWh")[1] > 8995  # ERCOT, February 2021
    assert plausible(Signal.PRICE, "AUD/MWh")[1] > 20300  # the NEM's cap, 2025
    assert plausible(Signal.PRICE, "AUD/MWh")[0] < -1000  # and its floor
    assert high < 100_000


@pytest.mark.parametrize(
    ("per_kwh", "currency"),
    [(31, "JPY"), (70, "HUF"), (160, "KRW"), (2500, "VND"), (1450, "IDR"), (0.4, "EUR")],
)
def test_a_household_tariff_is_plausible_in_its_currency_and_a_thousand_of_it_are_not(
    per_kwh: float, currency: str
) -> None:
    low, high = plausible(Signal.PRICE, f"{currency}/MWh")
    assert low < 0 < 1000 * per_kwh < high < 1000 * 1000 * per_kwh


def test_every_currency_is_worth_something() -> None:
    assert set(ROUGHLY_PER_EURO) == CURRENCIES
    assert all(1 <= worth <= 50_000 for worth in ROUGHLY_PER_EURO.values())
    assert plausible(Signal.CARBON, "gCO2e/kWh") == (0, 2500), "and carbon has none"


@pytest.mark.parametrize("said", [10**400, -(10**400), float("inf"), float("nan"), "7", True])
def test_what_json_calls_a_number_and_is_none_is_refused(said: object) -> None:
    with pytest.raises(ForecastRejected, match=r"price\[1\] is"):
        numbers([1.5, said], "price")
    assert numbers([1.5, None, 7], "price")[[0, 2]].tolist() == [1.5, 7.0]


@pytest.mark.parametrize("said", [None, 7, "soon", "2026-01-10T00:00:00", "0001-01-01T00:00:00+10:00"])
def test_what_is_no_time_in_utc_is_refused(said: object) -> None:
    with pytest.raises(SourceUnavailable, match=r"valid_from is .*, not a time with its zone"):
        moment(said, "valid_from")
    assert moment("2026-01-10T01:00:00+01:00", "valid_from").isoformat() == "2026-01-10T00:00:00+00:00"
