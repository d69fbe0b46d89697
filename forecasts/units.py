"""The one place where units are read and converted: everything inside is `<CUR>/MWh`, `gCO2e/kWh` and `MW`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from forecasts.errors import ForecastRejected
from forecasts.series import CARBON_UNIT, PLANNED, POWER_UNIT, Signal
from forecasts.slots import Floats

GRAMS_PER_POUND = 453.59237  # exact by definition (international pound)

_BY_WORTH = {
    1: "CHF EUR GBP USD",
    2: "AUD BGN CAD NZD SGD",
    5: "AED BRL ILS MYR PEN PLN RON SAR",
    10: "CNY DKK HKD NOK SEK",
    20: "CZK MXN ZAR",
    50: "PHP THB TRY TWD UAH",
    100: "INR RSD",
    200: "JPY",
    500: "HUF",
    1000: "CLP",
    2000: "ARS KRW",
    5000: "COP",
    20000: "IDR",
    50000: "VND",
}
ROUGHLY_PER_EURO = {code: float(worth) for worth, codes in _BY_WORTH.items() for code in codes.split()}
"""How many units of a currency make a Euro, to an order of magnitude, by code (ISO 4217): what a price may be in.

It tells a sound price from a wrong unit, whose factors are a thousand. It converts nothing: rates are given.
"""

CURRENCIES = frozenset(ROUGHLY_PER_EURO)
"""Codes (ISO 4217) that a price may be in."""

PLAUSIBLE: dict[Signal, tuple[float, float]] = {
    # In Euro, of which the other currencies' are multiples. Beyond every cap in force: SDAC -500 to 4000 EUR, ERCOT
    # 5000 USD (9000 until 2022), the NEM -1000 to 20300 AUD, which is raised each year.
    Signal.PRICE: (-1000.0, 20000.0),
    # Lignite is about 1200, oil shale 1400; twice that is a wrong unit.
    Signal.CARBON: (0.0, 2500.0),
    # The largest zones draw a few hundred GW. A wind farm or a solar field at rest draws a little itself.
    Signal.LOAD: (0.0, 2e6),
    Signal.WIND: (-2000.0, 1e6),
    Signal.SOLAR: (-2000.0, 1e6),
}

# A minor unit, only where it can mean one currency: "c" is an American, an Australian and a Euro cent.
_MINOR = {"ct": "EUR", "eurocent": "EUR", "p": "GBP", "pence": "GBP"}
_SYMBOLS = {"€": "EUR", "£": "GBP"}
_POWER = {"kw": 0.001, "mw": 1.0, "gw": 1000.0}
_PER_MWH = {"mwh": 1.0, "kwh": 1000.0, "gwh": 0.001}
_GRAMS = {
    "g": 1.0,
    "gram": 1.0,
    "grams": 1.0,
    "kg": 1000.0,
    "lb": GRAMS_PER_POUND,
    "lbs": GRAMS_PER_POUND,
    "t": 1e6,
    "tonne": 1e6,
    "tonnes": 1e6,
}
_CARBON_NAME = re.compile(r"(?<=[a-z])[\s_]*(?:co2)?[\s_-]*(?:eq|e)?\.?$")

KNOWN = {
    Signal.PRICE: "EUR/MWh, EUR/kWh (or another ISO 4217 code), €/MWh, £/MWh, ct/kWh (euro cent), p/kWh",
    Signal.CARBON: "gCO2/kWh, gCO2e/kWh, kgCO2/MWh, lbs/MWh, tCO2/MWh",
    **{signal: "MW, kW, GW" for signal in Signal if signal not in PLANNED},
}
"""What `parse_unit` understands, in words, by signal."""


@dataclass(frozen=True)
class Unit:
    """A unit as a source writes it: `value [canonical] = value [this unit] * factor`."""

    canonical: str
    factor: float


def parse_unit(text: str, signal: Signal, *, field: str = "unit") -> Unit:
    """The unit that `text` names; case and spaces do not matter.

    Raises ForecastRejected, naming `field` and the known units, for anything else: a unit guessed wrong is a
    price wrong by a thousand.

    >>> parse_unit("EUR / MWh", Signal.PRICE)
    Unit(canonical='EUR/MWh', factor=1.0)
    >>> parse_unit("ct/kWh", Signal.PRICE)
    Unit(canonical='EUR/MWh', factor=10.0)
    >>> parse_unit("lbs/MWh", Signal.CARBON)
    Unit(canonical='gCO2e/kWh', factor=0.45359237)
    """
    unit = _parse(text, signal)
    if unit is None:
        raise ForecastRejected(
            f"the unit {text!r} of the {signal} is not known.",
            field=field,
            hint=f"Known are {KNOWN[signal]}.",
            unit=text,
        )
    return unit


@lru_cache(maxsize=256)
def _parse(text: str, signal: Signal) -> Unit | None:
    if signal not in PLANNED:
        factor = _POWER.get(text.strip().casefold())
        return None if factor is None else Unit(POWER_UNIT, factor)
    top, slash, bottom = text.strip().casefold().partition("/")
    per_mwh = _PER_MWH.get(bottom.strip())
    if not slash or per_mwh is None:
        return None
    top = top.strip()
    if signal is Signal.CARBON:
        grams = _GRAMS.get(_CARBON_NAME.sub("", top))
        # Divided rather than multiplied by 0.001: a gram per kWh stays exactly a gram per kWh.
        return None if grams is None else Unit(CARBON_UNIT, grams * per_mwh / 1000)
    if top in _MINOR:
        return Unit(price_unit(_MINOR[top]), per_mwh / 100)
    currency = _SYMBOLS.get(top, top.upper())
    return Unit(price_unit(currency), per_mwh) if currency in CURRENCIES else None


def price_unit(currency: str) -> str:
    """The canonical unit of a price in `currency`."""
    return f"{currency}/MWh"


def currency_of(unit: str, *, field: str = "unit") -> str:
    """The currency of a canonical price unit. Raises ForecastRejected when it is not one.

    >>> currency_of("GBP/MWh")
    'GBP'
    """
    currency, _, energy = unit.partition("/")
    if energy != "MWh" or currency not in CURRENCIES:
        raise ForecastRejected(
            f"{unit!r} is not a price per MWh in a currency.",
            field=field,
            hint="Convert with forecasts.units.parse_unit.",
        )
    return currency


def roughly_per_euro(unit: str) -> float:
    """What a Euro is in the currency of a canonical price unit, to an order of magnitude (`ROUGHLY_PER_EURO`); 1 for
    a unit that is no price.

    >>> roughly_per_euro("HUF/MWh")
    500.0
    """
    return ROUGHLY_PER_EURO.get(unit.partition("/")[0], 1.0)


def plausible(signal: Signal, unit: str) -> tuple[float, float]:
    """The lowest and the highest value of a canonical `unit` that any grid may have: what is outside is in another.

    >>> plausible(Signal.PRICE, "AUD/MWh")
    (-2000.0, 40000.0)
    """
    low, high = PLAUSIBLE[signal]
    times = roughly_per_euro(unit) if signal is Signal.PRICE else 1.0
    return low * times, high * times


def is_canonical(unit: str, signal: Signal) -> bool:
    """Whether a series may carry this unit: `<CUR>/MWh` for a price, `gCO2e/kWh` for carbon, `MW` else."""
    parsed = _parse(unit, signal)
    return parsed is not None and parsed.canonical == unit


def convert(values: Floats, unit: Unit) -> Floats:
    """`values`, any shape, from `unit` into its canonical unit."""
    return np.asarray(values, dtype=float) * unit.factor
