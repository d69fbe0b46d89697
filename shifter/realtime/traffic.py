"""What real-time requests are like, but for how many there are: tokens, and how they bunch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shifter.errors import InputError

Floats = NDArray[np.float64]

MOST_SCV = 1000.0


@dataclass(frozen=True)
class Traffic:
    """Requests of one kind: mean lengths [tokens], and squared coefficients of variation (variance over mean squared).

    `arrival_scv` is that of the times between arrivals, at a given rate: 1 is a Poisson stream. `rate_scv` is that of
    the rate itself, which goes up and down within what is planned as one: 0 where it stands still. `*_levels` are
    lengths at equal steps of probability, ascending, where they are known; else they are taken to be log-normal.

    Raises InputError for what no requests have.
    """

    prompt_tokens: float
    output_tokens: float
    prompt_scv: float = 1.0
    output_scv: float = 1.0
    arrival_scv: float = 1.0
    rate_scv: float = 0.0
    prompt_levels: tuple[float, ...] = ()
    output_levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, hint in _HINTS.items():
            value, least = getattr(self, name), 1.0 if name == "output_tokens" else 0.0
            most = MOST_SCV if name.endswith("scv") else 1e9
            if not (math.isfinite(value) and least <= value <= most):
                raise InputError(f"{value:g} is not between {least:g} and {most:g}.", field=name, hint=hint)
        for name in ("prompt_levels", "output_levels"):
            levels = getattr(self, name)
            if not all(0 <= a <= b < math.inf for a, b in pairwise((0.0, *levels))):
                raise InputError("the levels do not ascend.", field=name, hint="Sort them; they are lengths.")

    @property
    def iterations(self) -> float:
        """Mean iterations of a request after its prompt is read, which gives its first token."""
        return self.output_tokens - 1

    @classmethod
    def of(
        cls, arrival_s: Sequence[float] | Floats, prompts: Floats, outputs: Floats, window_s: float
    ) -> Traffic:
        """What a trace's requests are like: arrivals [s] in order, lengths [tokens], each (n,).

        `window_s` is about as long as a request may take: what passes sooner can be waited out. What arrivals vary more
        from one such window to the next than a Poisson stream does is taken to be their rate: with `I` the dispersion
        of counts of mean `m`, its squared coefficient of variation is `(I - 1) / m` (Cox and Lewis 1966).
        """
        moments = np.asarray(arrival_s, dtype=float)
        lengths = [np.asarray(x, dtype=float) for x in (prompts, outputs)]
        mean = window_s * (len(moments) - 1) / float(moments[-1] - moments[0])
        return cls(
            float(lengths[0].mean()),
            max(1.0, float(lengths[1].mean())),
            _scv(lengths[0]),
            _scv(lengths[1]),
            rate_scv=min(MOST_SCV, max(0.0, (dispersion(moments, window_s) - 1) / mean)),
            prompt_levels=_levels(lengths[0]),
            output_levels=_levels(lengths[1]),
        )


_LEVELS = 400


def _levels(lengths: Floats) -> tuple[float, ...]:
    return tuple(np.quantile(lengths, (np.arange(_LEVELS) + 0.5) / _LEVELS).tolist())


_HINTS = {
    "prompt_tokens": "It is the mean length of a prompt, in tokens.",
    "output_tokens": "It is the mean length of an answer, in tokens; each has one at least.",
    "prompt_scv": "It is the variance of prompt lengths over their squared mean; about 1 in most traces.",
    "output_scv": "It is the variance of output lengths over their squared mean; about 1 in most traces.",
    "rate_scv": "It is the variance over the squared mean of the rate; 0 where it stands still.",
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
