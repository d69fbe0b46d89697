"""Planning cases with uncertain prices: a band around the forecast, and what is to be made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forecasts.frame import ForecastFrame, SignalFrame
from forecasts.series import Signal
from shifter.cycle import CycleInputs
from shifter.domain.risk import Risk

Widths = Mapping[tuple[str, Signal], float | Sequence[float]]
"""By zone and signal: how far the tenth and the ninetieth percentile lie from the forecast."""


def banded(frame: ForecastFrame, widths: Widths) -> ForecastFrame:
    """The frame with a band of these widths."""

    def with_band(s: SignalFrame) -> SignalFrame:
        width = widths.get((s.zone, s.signal))
        if width is None:
            return s
        return replace(s, quantiles={0.1: s.values - np.array(width), 0.9: s.values + np.array(width)})

    return replace(frame, signals=tuple(map(with_band, frame.signals)))


def risky(inputs: CycleInputs, widths: Widths, **risk: Any) -> CycleInputs:
    """The same inputs, with bands, and with what is to be made of them."""
    objective = replace(inputs.fleet.objective, risk=Risk(**risk))
    return replace(
        inputs, fleet=replace(inputs.fleet, objective=objective), frame=banded(inputs.frame, widths)
    )
