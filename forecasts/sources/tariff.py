"""What a site really pays: a contract's prices by time of use, or another source's with charges and tax upon them.

    price = (energy + add + network) * (1 + tax)      energy = the contract's rate, or wholesale * (1 + margin)

[<currency>/MWh]. Rates are read in the local time of the tariff, so that a day on which the clock changes has 23 or
25 hours of them. Every interval has one price: it is cut where a rate changes within it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from forecasts.checks import check_series
from forecasts.errors import InputError
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import Floats, Times, as_datetime, as_datetime64, floor_to_slot
from forecasts.sources.base import (
    ANY_ZONE,
    FetchRequest,
    ForecastSource,
    SourceInfo,
    SourceOptions,
    known_zone,
)
from forecasts.sources.publication import Continuous
from forecasts.sources.registry import check_local, make_source
from forecasts.units import CURRENCIES, currency_of, price_unit

NAME = "tariff"
SLOT = np.timedelta64(30, "m")
QUARTER = np.timedelta64(15, "m")
"""Rates begin on quarters of an hour, and so do those of UTC in every zone there is."""

DAY_MINUTES = 24 * 60
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)

_CLOCK = re.compile(r"([01]\d|2[0-3]):(00|15|30|45)")


def _minutes(said: object) -> int:
    """Minutes since midnight. Raises ValueError for what is not a whole quarter of an hour."""
    if said == "24:00":
        return DAY_MINUTES
    found = _CLOCK.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise ValueError(f'{said!r} is not a time on a whole quarter of an hour, such as "07:00", in quotes')
    return 60 * int(found[1]) + int(found[2])


Clock = Annotated[int, BeforeValidator(_minutes)]
Money = Annotated[float, Field(allow_inf_nan=False)]


class Rate(BaseModel):
    """A price at some times of some days. A moment's own local day and month count, after midnight too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    begin: Clock = Field(0, alias="from", description='local time, "22:00"')
    end: Clock = Field(
        DAY_MINUTES, alias="to", description='exclusive; "06:00" after "22:00" is past midnight'
    )
    days: tuple[Day, ...] = Field(DAYS, min_length=1)
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field(tuple(range(1, 13)), min_length=1)
    price_per_mwh: Money

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begin % DAY_MINUTES == self.end:
            raise ValueError("from and to are the same: leave both out for the whole day")
        if self.begin == DAY_MINUTES:
            raise ValueError('from is "24:00": write "00:00"')
        return self

    def holds(self, local: datetime) -> bool:
        """Whether it is the price at a local time."""
        minute = 60 * local.hour + local.minute
        if self.begin < self.end:
            within = self.begin <= minute < self.end
        else:
            within = minute >= self.begin or minute < self.end
        return within and DAYS[local.weekday()] in self.days and local.month in self.months


class Wholesale(BaseModel):
    """The source whose price is the tariff's energy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="of a source, as in settings")
    options: dict[str, Any] = Field(default_factory=dict, description="its options")


class TariffOptions(SourceOptions):
    """What the contract says. Rates may overlap: the first that holds counts."""

    name: str = Field(
        NAME, min_length=1, max_length=64, pattern="^[^:]+$", description="the source's name in the frame"
    )
    currency: str = Field(description="of every price in it, EUR")
    timezone: str = Field(description="whose local time the rates are in, Europe/Berlin")
    zones: tuple[str, ...] = Field((), description="the zones that it is for; none: any")
    price_per_mwh: Money | None = Field(
        None, description="of energy, where none of the rates holds; required without wholesale"
    )
    rates: tuple[Rate, ...] = Field((), description="of energy, by time of use")
    wholesale: Wholesale | None = Field(None, description="energy at another source's price instead")
    margin_ratio: float = Field(
        0.0, gt=-1, le=1, description="the supplier's, of the wholesale price; 0.02 is 2 %"
    )
    add_per_mwh: Money = Field(0.0, description="what comes upon each MWh always: levies, network charges")
    network: tuple[Rate, ...] = Field((), description="and by time of use; nothing where none holds")
    tax_ratio: float = Field(0.0, ge=0, le=1, description="on all of it; 0.19 is 19 %")

    @field_validator("currency")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CURRENCIES:
            raise ValueError(f"{value!r} is not the code of a currency such as EUR")
        return value

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as e:
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from e
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.wholesale is None:
            if self.price_per_mwh is None:
                raise ValueError("give price_per_mwh, the price where none of the rates holds, or wholesale")
            if self.margin_ratio:
                raise ValueError("margin_ratio is a part of the wholesale price, and there is no wholesale")
        elif self.price_per_mwh is not None or self.rates:
            raise ValueError("give either wholesale or price_per_mwh and rates; charges belong in network")
        return self


class TariffSource:
    """What a site pays: its contract, known for any time, or another source's vintages with charges and tax."""

    Options = TariffOptions

    def __init__(self, options: TariffOptions) -> None:
        self.options = options
        self._tz = ZoneInfo(options.timezone)
        self._wholesale = None if options.wholesale is None else _made(options.wholesale)
        below = _CONTRACT if self._wholesale is None else self._wholesale.info
        self.info = replace(
            below,
            name=options.name,
            title=f"Tariff upon {below.title}" if self._wholesale else "Tariff",
            signals=(Signal.PRICE,),
            zones=options.zones or below.zones,
            units={Signal.PRICE: price_unit(options.currency)},
            basis=None,
            scope=None,
            publication=below.publication_of(Signal.PRICE),
            publications={},
            wholesale=False,
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: the half-hours of the window, or each vintage of the wholesale price.

        Also raises what the wholesale source does, and InputError where that is in another currency.
        """
        known_zone(self.info, request.zone)
        if Signal.PRICE not in request.signals:
            return []
        if self._wholesale is None:
            return [self._priced(self._contract(request, now))]
        alone = FetchRequest(request.zone, (Signal.PRICE,), request.start, request.end)
        return [self._priced(self._agreeing(said)) for said in self._wholesale.fetch(alone, now=now)]

    def check_local(self) -> None:
        """Whether the wholesale source's local file can serve. Raises InputError."""
        if self._wholesale is not None:
            check_local(self._wholesale)

    def _contract(self, request: FetchRequest, now: datetime) -> ForecastSeries:
        """The half-hours of the window, energy for nothing: its price is among the charges."""
        start: Times = np.arange(
            as_datetime64(floor_to_slot(request.start, 30)), as_datetime64(request.end), SLOT
        )
        return ForecastSeries(
            zone=request.zone,
            signal=Signal.PRICE,
            unit=price_unit(self.options.currency),
            source=self.options.name,
            known_at=now,
            start=start,
            end=start + SLOT,
            values=np.zeros(len(start)),
            kind=Kind.CLEARED,  # a contract's price is certain
            licence=self.info.licence,
            attribution=self.info.attribution,
        )

    def _agreeing(self, said: ForecastSeries) -> ForecastSeries:
        """What the wholesale source says, when that is fit, and in our currency."""
        theirs = currency_of(check_series(said).unit)
        if theirs != self.options.currency:
            raise InputError(
                f"the wholesale price of {said.source} is in {theirs}, and the tariff in {self.options.currency}.",
                field="sources.tariff.currency",
                hint=f"Write the tariff in {theirs}; nothing is converted.",
            )
        return said

    def _priced(self, energy: ForecastSeries) -> ForecastSeries:
        """`energy` with everything upon it, cut where a charge changes."""
        o = self.options
        first = as_datetime64(floor_to_slot(as_datetime(energy.start[0]), 15))
        quarters: Times = np.arange(first, energy.end[-1], QUARTER)
        charges: Floats = np.array([self._charge(as_datetime(quarter)) for quarter in quarters])
        changes = quarters[1:][np.diff(charges) != 0]
        edges = np.unique(np.concatenate([energy.start, changes, energy.end[-1:]]))
        start, end = edges[:-1], edges[1:]
        whole = np.searchsorted(energy.start, start, side="right") - 1  # the interval that each is a part of
        charge = charges[(start - first) // QUARTER]

        def price(values: Floats) -> Floats:
            # Both factors are positive, so that quantiles keep their order.
            priced: Floats = (values[whole] * (1 + o.margin_ratio) + charge) * (1 + o.tax_ratio)
            return priced

        series = replace(
            energy,
            source=o.name,
            start=start,
            end=end,
            values=price(energy.values),
            quantiles={p: price(band) for p, band in energy.quantiles.items()},
        )
        return check_series(series)

    def _charge(self, moment: datetime) -> float:
        """What comes upon the wholesale price of a MWh at `moment`, before tax."""
        o, local = self.options, moment.astimezone(self._tz)
        return _rate(o.rates, o.price_per_mwh or 0.0, local) + o.add_per_mwh + _rate(o.network, 0.0, local)


_CONTRACT = SourceInfo(
    name=NAME,
    title="Tariff",
    signals=(Signal.PRICE,),
    zones=(ANY_ZONE,),
    units={},
    resolution_minutes=(30,),
    horizon=None,
    publication=Continuous(timedelta(hours=1)),
    licence="the operator's own",
    attribution="the site's own contract",
    url="",
)


def _rate(rates: Sequence[Rate], otherwise: float, local: datetime) -> float:
    return next((rate.price_per_mwh for rate in rates if rate.holds(local)), otherwise)


def _made(wholesale: Wholesale) -> ForecastSource:
    """The wholesale source. Raises InputError where there is none, or its options are wrong."""
    place = f"sources.{NAME}.wholesale"
    try:
        source = None if wholesale.name == NAME else make_source(wholesale.name, wholesale.options)
    except InputError as e:
        first, *others = (_within(wholesale.name, place, one) for one in (e, *e.also))
        raise InputError(first.detail, field=first.field, hint=first.hint, also=tuple(others)) from e
    if source is None or isinstance(source, TariffSource):
        raise InputError(
            "the wholesale price of a tariff may not be a tariff's.",
            field=f"{place}.name",
            hint="Name the source below it, and put all the charges into one tariff.",
        )
    if Signal.PRICE not in source.info.signals:
        raise InputError(
            f"the source {wholesale.name} has no price.", field=f"{place}.name", hint="Name another."
        )
    return source


def _within(name: str, place: str, error: InputError) -> InputError:
    """What is wrong with the wholesale source, at its place within the tariff's options."""
    theirs = error.field.removeprefix(f"sources.{name}").lstrip(".")
    where = f"{place}.name" if error.field == "source" else f"{place}.options.{theirs}".rstrip(".")
    return InputError(error.detail, field=where, hint=error.hint)
