"""What real-time requests are like, but for how many there are: tokens, and how they bunch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from shifter.errors import InputError

Floats = NDArray[np.float64]

MOST_SCV = 1000.0


@dataclass(frozen=True)
class Traffic:
    """Requests of one kind: mean lengths [tokens], and squared coefficients of variation (variance over mean squared).

    `arrival_scv` says how arrivals bunch: of the times between them where these are independent of one another, in
    general the index of dispersion of counts (variance over mean) in windows of about the time that a request takes;
    1 is a Poisson stream. Lengths are taken to be log-normal. Raises InputError for what no requests have.
    """

    prompt_tokens: float
    output_tokens: float
    prompt_scv: float = 1.0
    output_scv: float = 1.0
    arrival_scv: float = 1.0

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value, least = getattr(self, name), 1.0 if name == "output_tokens" else 0.0
            most = MOST_SCV if name.endswith("scv") else 1e9
            if not (math.isfinite(value) and least <= value <= most):
                raise InputError(
                    f"{value:g} is not between {least:g} and {most:g}.", field=name, hint=_HINTS[name]
                )

    @property
    def iterations(self) -> float:
        """Mean iterations of a request after its prompt is read, which gives its first token."""
        return self.output_tokens - 1

    @classmethod
    def of(
        cls, arrival_s: Sequence[float] | Floats, prompts: Floats, outputs: Floats, window_s: float
    ) -> Traffic:
        """What a trace's requests are like: arrivals [s] in order, lengths [tokens], each (n,).

        `window_s` is about the time that one request takes: bunching is counted in windows of that length.
        """
        return cls(
            float(np.mean(prompts)),
            max(1.0, float(np.mean(outputs))),
            _scv(np.asarray(prompts, dtype=float)),
            _scv(np.asarray(outputs, dtype=float)),
            min(MOST_SCV, dispersion(np.asarray(arrival_s, dtype=float), window_s)),
        )


_HINTS = {
    "prompt_tokens": "It is the mean length of a prompt, in tokens.",
    "output_tokens": "It is the mean length of an answer, in tokens; each has one at least.",
    "prompt_scv": "It is the variance of prompt lengths over their squared mean; about 1 in most traces.",
    "output_scv": "It is the variance of output lengths over their squared mean; about 1 in most traces.",
    "arrival_scv": "It is the variance over the squared mean of the time between arrivals; 1 where none knows another.",
}


def dispersion(arrival_s: Floats, window_s: float) -> float:
    """Variance over mean of how many arrive in a window of `window_s` (Cox and Lewis, 1966); 1 for a Poisson stream,
    and for renewals the squared coefficient of variation of the time between, where windows hold many.

    1 where there are not ten windows to tell it from.
    """
    if len(arrival_s) < 2 or arrival_s[-1] - arrival_s[0] < 10 * window_s:
        return 1.0
    n_windows = int((arrival_s[-1] - arrival_s[0]) // window_s)
    counts = np.bincount(((arrival_s - arrival_s[0]) // window_s).astype(int), minlength=n_windows)[
        :n_windows
    ]
    return float(counts.var(ddof=1) / counts.mean())


def _scv(values: Floats) -> float:
    mean = float(values.mean())
    return float(values.var()) / mean**2 if mean > 0 else 0.0
