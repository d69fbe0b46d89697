"""Every signal on one slot grid, with where each value came from and how old it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from forecasts.errors import ForecastRejected
from forecasts.series import CARBON_UNIT, Basis, Kind, Signal
from forecasts.slots import Floats, SlotGrid, isoformat_z


@dataclass(frozen=True, eq=False)
class SignalFrame:
    """One signal of one zone on the grid. Every sequence has one entry a slot, shape (n_slots,).

    `values` in `unit`, NaN where `kind` is `missing`; `source` names who said it ("" where missing);
    `known_at` is when (None where missing). `attribution`, `licence` and `restricted` are its terms, and
    empty where nobody gave any; `restricted` forbids passing the value on.
    """

    zone: str
    signal: Signal
    unit: str
    basis: Basis | None
    values: Floats
    kind: tuple[Kind, ...]
    source: tuple[str, ...]
    known_at: tuple[datetime | None, ...]
    quantiles: Mapping[float, Floats] = field(default_factory=dict)
    attribution: tuple[str, ...] = ()
    licence: tuple[str, ...] = ()
    restricted: tuple[bool, ...] = ()
    autocorrelation_hours: float | None = None
    """[h] In which an error falls to 1/e, as it was learnt; None where it was not."""
    price_correlation: float | None = None
    """Of carbon: of its errors with those of the zone's price, -1..1, as it was learnt; None where it was not."""

    @property
    def synthetic(self) -> bool:
        """Whether any value is made up for a demonstration."""
        return Kind.SYNTHETIC in self.kind

    @property
    def missing_slots(self) -> int:
        """How many slots nobody said anything about."""
        return self.kind.count(Kind.MISSING)

    def shareable(self) -> SignalFrame:
        """The same without the values that may not be passed on: NaN in their place."""
        if not any(self.restricted):
            return self
        withheld = np.array(self.restricted)
        values, *bands = (np.where(withheld, np.nan, v) for v in (self.values, *self.quantiles.values()))
        return replace(self, values=values, quantiles=dict(zip(self.quantiles, bands, strict=True)))

    def age_s(self, now: datetime) -> float | None:
        """Age of the newest vintage in use [s]; None when there is none."""
        known = [k for k in self.known_at if k is not None]
        return (now - max(known)).total_seconds() if known else None


@dataclass(frozen=True, eq=False)
class ForecastFrame:
    """What was known at `as_of` about every zone, on one half-open UTC slot grid."""

    grid: SlotGrid
    as_of: datetime
    currency: str
    signals: tuple[SignalFrame, ...]
    warnings: tuple[str, ...] = ()

    def get(self, zone: str, signal: Signal) -> SignalFrame | None:
        """The zone's signal, or None when no source ever said anything about it."""
        return next((s for s in self.signals if s.zone == zone and s.signal == signal), None)

    def price_per_mwh(self, zone: str) -> Floats:
        """Price [currency/MWh], shape (n_slots,); NaN where missing."""
        return self._values(zone, Signal.PRICE)

    def carbon_g_per_kwh(self, zone: str) -> Floats:
        """Carbon intensity [gCO2e/kWh], shape (n_slots,); NaN where missing."""
        return self._values(zone, Signal.CARBON)

    def assumed(self, zone: str, signal: Signal) -> Floats:
        """What is planned by, shape (n_slots,): the values, and in a missing slot the mean of the zone's own.

        Of a zone that has none, the highest mean of any zone that has some, so that ignorance attracts no work; 0 where
        none has. It is an assumption: whoever uses it says so.
        """
        values = self._values(zone, signal)
        known = np.isfinite(values)
        if known.any():
            return np.where(known, values, values[known].mean())
        means = [s.values[np.isfinite(s.values)] for s in self.signals if s.signal is signal]
        return np.full(len(values), max((float(m.mean()) for m in means if len(m)), default=0.0))

    def shareable(self) -> ForecastFrame:
        """The same without the values that may not be passed on, and a warning for each signal that had any."""
        return replace(
            self,
            signals=tuple(s.shareable() for s in self.signals),
            warnings=(*self.warnings, *(_withheld(s) for s in self.signals if any(s.restricted))),
        )

    def _values(self, zone: str, signal: Signal) -> Floats:
        found = self.get(zone, signal)
        return np.full(self.grid.n_slots, np.nan) if found is None else found.values

    @classmethod
    def from_arrays(
        cls,
        grid: SlotGrid,
        currency: str,
        price_per_mwh: Mapping[str, Iterable[float]],
        carbon_g_per_kwh: Mapping[str, Iterable[float]],
        *,
        as_of: datetime | None = None,
        source: str = "given",
        kind: Kind = Kind.FORECAST,
    ) -> ForecastFrame:
        """A frame from arrays by zone, for replays and tests; NaN is `missing`.

        Raises ForecastRejected when a length is not n_slots.
        """
        moment = as_of or grid.start

        def signal_frame(zone: str, signal: Signal, unit: str, values: Iterable[float]) -> SignalFrame:
            array = np.asarray(list(values), dtype=float)
            if array.shape != (grid.n_slots,):
                raise ForecastRejected(
                    f"{zone} {signal}: {len(array)} values for a grid of {grid.n_slots} slots.",
                    hint="Give one value a slot.",
                )
            known = np.isfinite(array)
            return SignalFrame(
                zone,
                signal,
                unit,
                Basis.AVERAGE if signal is Signal.CARBON else None,
                array,
                tuple(kind if k else Kind.MISSING for k in known),
                tuple(source if k else "" for k in known),
                tuple(moment if k else None for k in known),
            )

        price_unit = f"{currency}/MWh"
        prices = [signal_frame(z, Signal.PRICE, price_unit, v) for z, v in sorted(price_per_mwh.items())]
        carbon = [signal_frame(z, Signal.CARBON, CARBON_UNIT, v) for z, v in sorted(carbon_g_per_kwh.items())]
        return cls(grid, moment, currency, tuple(prices + carbon))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse. Runs of equal provenance are written once."""
        return {
            "grid": {
                "start": isoformat_z(self.grid.start),
                "slot_minutes": self.grid.slot_minutes,
                "n_slots": self.grid.n_slots,
            },
            "as_of": isoformat_z(self.as_of),
            "currency": self.currency,
            "warnings": list(self.warnings),
            "signals": [_signal_to_dict(s) for s in self.signals],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ForecastFrame:
        """The inverse of `to_dict`."""
        shape = raw["grid"]
        grid = SlotGrid(datetime.fromisoformat(shape["start"]), shape["slot_minutes"], shape["n_slots"])
        signals = tuple(_signal_from_dict(s) for s in raw["signals"])
        return cls(
            grid, datetime.fromisoformat(raw["as_of"]), raw["currency"], signals, tuple(raw["warnings"])
        )


def _withheld(s: SignalFrame) -> str:
    terms = "; ".join(dict.fromkeys(t for t, closed in zip(s.licence, s.restricted, strict=True) if closed))
    return (
        f"zone {s.zone} {s.signal}: {sum(s.restricted)} of {len(s.values)} slots are withheld, their licence "
        f"does not allow passing them on: {terms}"
    )


def _signal_to_dict(s: SignalFrame) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for i, (kind, source, known_at) in enumerate(zip(s.kind, s.source, s.known_at, strict=True)):
        said = {
            "kind": str(kind),
            "source": source,
            "known_at": None if known_at is None else isoformat_z(known_at),
            "attribution": s.attribution[i] if s.attribution else "",
            "licence": s.licence[i] if s.licence else "",
            "restricted": bool(s.restricted) and s.restricted[i],
        }
        if runs and all(runs[-1][k] == v for k, v in said.items()):
            runs[-1]["n_slots"] += 1
        else:
            runs.append({**said, "n_slots": 1})
    return {
        "zone": s.zone,
        "signal": str(s.signal),
        "unit": s.unit,
        "basis": None if s.basis is None else str(s.basis),
        "values": _numbers(s.values),
        "quantiles": {repr(p): _numbers(v) for p, v in sorted(s.quantiles.items())},
        "autocorrelation_hours": s.autocorrelation_hours,
        "price_correlation": s.price_correlation,
        "provenance": runs,
    }


def _signal_from_dict(raw: Mapping[str, Any]) -> SignalFrame:
    runs = raw["provenance"]

    def spread(key: str, default: Any = None) -> tuple[Any, ...]:
        return tuple(run.get(key, default) for run in runs for _ in range(run["n_slots"]))

    def terms(key: str, none: Any) -> tuple[Any, ...]:
        told = spread(key, none)
        return told if any(told) else ()

    known_at = tuple(None if k is None else datetime.fromisoformat(k) for k in spread("known_at"))
    return SignalFrame(
        raw["zone"],
        Signal(raw["signal"]),
        raw["unit"],
        None if raw["basis"] is None else Basis(raw["basis"]),
        _array(raw["values"]),
        tuple(Kind(k) for k in spread("kind")),
        spread("source"),
        known_at,
        {float(p): _array(v) for p, v in raw["quantiles"].items()},
        terms("attribution", ""),
        terms("licence", ""),
        terms("restricted", False),
        raw.get("autocorrelation_hours"),
        raw.get("price_correlation"),
    )


def _numbers(values: Floats) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _array(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], dtype=float)
