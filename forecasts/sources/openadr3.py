"""Prices and marginal carbon from an OpenADR 3 server (a VTN): a tariff's, a utility's, or one within a site.

https://www.openadr.org (3.0.1 and 3.1.0). A zone is a program there, and where its events are for several places, one
of their targets. Payloads PRICE and GHG are read, and all others, of which there may be any, are left alone; their
units are those of the event's descriptors, or of its program's. Limits of power are no forecasts: whoever plans follows
them with the same reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from forecasts.checks import FLAT_CARBON, check_series
from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.slots import Times, as_datetime64, isoformat_z
from forecasts.sources.base import FetchRequest, SourceInfo, SourceOptions, known_zone
from forecasts.sources.http import HttpClient, redact
from forecasts.sources.openadr3_events import Event, Stretch, events_of, overlaid
from forecasts.sources.openadr3_vtn import Json, Vtn, VtnOptions
from forecasts.sources.publication import Continuous
from forecasts.sources.values import numbers
from forecasts.units import Unit, convert, parse_unit

PAYLOADS = {Signal.PRICE: "PRICE", Signal.CARBON: "GHG"}
GHG = "GHG"
"""Units of a descriptor: g/kWh, by OpenADR's own list."""


class VtnZone(SourceOptions):
    """What speaks of a zone."""

    program: str = Field(min_length=1, description="name or id of the program")
    target: str | None = Field(None, min_length=1, description="of its events; those for all count, too")


def _program(raw: object) -> object:
    return {"program": raw} if isinstance(raw, str) else raw


class OpenAdr3Options(VtnOptions):
    """Which program is which zone, and what its values are worth."""

    name: str = Field(
        "openadr3",
        min_length=1,
        max_length=64,
        pattern="^[^:]+$",
        description="the source's name in the frame, where there are several VTNs",
    )
    zones: dict[str, Annotated[VtnZone, BeforeValidator(_program, json_schema_input_type=str | VtnZone)]] = (
        Field(
            min_length=1,
            description="the program of each zone, {DE-LU: day-ahead}, or {program: day-ahead, target: node-7}",
        )
    )
    price_unit: str | None = Field(
        None, description="such as EUR/kWh, where neither event nor program says units or currency"
    )
    kind: Literal["forecast", "cleared"] = Field(
        "forecast", description="cleared where the prices are what will be paid, such as a tariff's"
    )
    basis: Basis = Field(
        Basis.MARGINAL,
        description="of GHG, which is marginal by OpenADR's definition: average where yours is",
    )
    refuse_flat_carbon: bool = Field(
        True, description="refuse carbon that stands still for 24 h; false for a static factor"
    )
    licence: str = Field("", description="that of the values, which OpenADR does not tell")
    attribution: str = ""
    restricted: bool = Field(True, description="false where the licence allows to pass the values on")


class OpenAdr3Source:
    """Prices and carbon of an OpenADR 3 server (a VTN), by program.

    `clock` [s] is for tests.
    """

    Options = OpenAdr3Options

    def __init__(
        self,
        options: OpenAdr3Options,
        *,
        http: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self.vtn = Vtn(options, options.name, http=http, clock=clock)
        self.info = SourceInfo(
            name=options.name,
            title="OpenADR 3",
            signals=tuple(PAYLOADS),
            zones=tuple(options.zones),
            units={Signal.PRICE: "as the descriptors say", Signal.CARBON: "g/kWh, or as the descriptors say"},
            resolution_minutes=(),
            horizon=None,
            publication=Continuous(timedelta(minutes=10)),
            licence=options.licence or "not stated by OpenADR",
            attribution=options.attribution or f"OpenADR 3 programs of {redact(options.base_url)}",
            url=redact(options.base_url),
            basis=options.basis,
            key_needed=options.client_id is not None,
            notes=("limits of power are followed by the setting grid_events",),
        )

    def fetch(self, request: FetchRequest, *, now: datetime) -> list[ForecastSeries]:
        """See `ForecastSource.fetch`: whole days (UTC) about the window, as far as they are told without a gap."""
        known_zone(self.info, request.zone)
        wanted = [signal for signal in request.signals if signal in PAYLOADS]
        if not wanted or request.end <= now:
            return []
        zone = self.options.zones[request.zone]
        targets = () if zone.target is None else (zone.target,)
        program = self._program(zone.program, targets)
        listed = self.vtn.events(program["id"], targets)
        events = events_of((e for e in listed if e.get("programID") == program["id"]), [program])
        found = [self._series(request, signal, zone, events, now) for signal in wanted]
        return [series for one in found if one is not None for series in request.overlapping(one)]

    def _program(self, wanted: str, targets: Sequence[str]) -> Json:
        programs = self.vtn.programs(targets)
        for program in programs:
            if wanted in (program["id"], program.get("programName")):
                return program
        names = [str(p.get("programName") or p["id"]) for p in programs]
        some = ", ".join(names[:12]) + ("…" if len(names) > 12 else "")
        raise SourceUnavailable(
            f"the VTN {self.info.url} has no program {wanted!r}.",
            hint=f"It has {some or 'none that this account may read'}.",
        )

    def _series(
        self, request: FetchRequest, signal: Signal, zone: VtnZone, events: Sequence[Event], now: datetime
    ) -> ForecastSeries | None:
        """All that is said of a signal; None where no event speaks of it."""
        payload = PAYLOADS[signal]
        speaking = [event for event in events if payload in event.types]
        mine = [e for e in speaking if not e.targets or zone.target in e.targets]
        if not mine:
            if not speaking:
                return None
            targets = sorted({target for e in speaking for target in e.targets})
            raise ForecastRejected(
                f"{self._place(zone)}: none of the {len(speaking)} events with {payload} is "
                f"{f'for all or for {zone.target!r}' if zone.target else 'for all'}.",
                field=f"zones.{request.zone}.target",
                hint=f"They are for {', '.join(targets[:12])}: say which as the zone's target.",
            )
        # Whole days, so that a poll that brings nothing new is not a new vintage because it comes later.
        low, high = _midnight(request.start), _midnight(request.end) + timedelta(days=1)
        units = {id(event): self._unit(event, signal) for event in mine}
        said = [s for event in mine for s in event.stretches(payload, low, high)]
        pieces, cut = self._ahead(overlaid(said, _rank), now)
        if not pieces:
            raise SourceUnavailable(
                f"{self._place(zone)}: nothing that it says of {payload} is ahead.",
                hint="Not published yet, or an outage; it is asked again at the next poll.",
            )
        canonical = {units[id(piece.event)].canonical for piece in pieces}
        if len(canonical) > 1:
            raise ForecastRejected(
                f"{self._place(zone)}: its {payload} events are in {' and in '.join(sorted(canonical))}.",
                field="payloadDescriptors",
                hint="Two currencies are never mixed in one series.",
            )
        values = [
            float(convert(numbers([p.value], f"{p.event.id}: {payload}"), units[id(p.event)])[0])
            for p in pieces
        ]
        notes = [cut] if cut else []
        if any(p.event.randomised for p in pieces):
            notes.append("randomizeStart is ignored: it spreads what devices do, not what a price is.")
        series = ForecastSeries(
            zone=request.zone,
            signal=signal,
            unit=canonical.pop(),
            source=self.info.name,
            known_at=now,
            start=_times([max(p.start, low) for p in pieces]),
            end=_times([min(p.end, high) for p in pieces]),
            values=np.array(values),
            kind=Kind(self.options.kind) if signal is Signal.PRICE else Kind.FORECAST,
            basis=self.options.basis if signal is Signal.CARBON else None,
            licence=self.info.licence,
            attribution=self.info.attribution,
            restricted=self.options.restricted,
            note=" ".join(notes),
        )
        return check_series(
            series, now=now, flat_carbon=FLAT_CARBON if self.options.refuse_flat_carbon else None
        )

    def _unit(self, event: Event, signal: Signal) -> Unit:
        units, currency = event.descriptor(PAYLOADS[signal])
        if signal is Signal.CARBON:
            return parse_unit(
                "gCO2/kWh" if units in (None, GHG) else str(units), signal, field="payloadDescriptors"
            )
        stated = self.options.price_unit
        if (units is None or currency is None) and stated is not None:
            top, _, bottom = stated.partition("/")
            units, currency = units or bottom, currency or top
        if currency is None or units is None:
            raise event.wrong(
                f"neither it nor its program says the {'currency' if currency is None else 'units'} of PRICE; "
                "set the option price_unit, EUR/kWh say",
                "payloadDescriptors",
            )
        return parse_unit(f"{currency}/{units}", signal, field="payloadDescriptors")

    def _ahead(self, pieces: Sequence[Stretch], now: datetime) -> tuple[list[Stretch], str]:
        """Those that follow one another and hold now or, where none does, come next; and what is left out."""
        first = next((i for i, piece in enumerate(pieces) if piece.end > now), len(pieces))
        gaps = [i for i, (a, b) in enumerate(pairwise(pieces), start=1) if a.end < b.start]
        begin = max((i for i in gaps if i <= first), default=0)
        end = min((i for i in gaps if i > first), default=len(pieces))
        if first == len(pieces):
            return [], ""
        said = []
        if begin:
            said.append(f"what comes before the gap that ends at {isoformat_z(pieces[begin].start)}")
        if end < len(pieces):
            said.append(f"what comes after the gap that starts at {isoformat_z(pieces[end - 1].end)}")
        return list(pieces[begin:end]), f"Left out: {' and '.join(said)}." if said else ""

    def _place(self, zone: VtnZone) -> str:
        return f"{self.info.url}, program {zone.program!r}"


def _rank(stretch: Stretch) -> tuple[float, bool, float, float, str]:
    """Of two that hold at once: the lower priority's number, then the one for this place before the one for all, then
    what was said last, then what began last.
    """
    event = stretch.event
    told = -event.said_at.timestamp() if event.said_at else 0.0
    return (event.priority, not event.targets, told, -stretch.start.timestamp(), event.id)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _times(moments: Sequence[datetime]) -> Times:
    return np.array([as_datetime64(moment) for moment in moments], dtype="datetime64[us]")
