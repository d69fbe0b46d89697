"""Sizing by lengths that are measured: they differ a little each time, and working out a table takes half a second.

A table is worked out only at lengths that stand a quarter of an octave apart. Between four of them the time of a
replica that a request takes is interpolated: nearly linear in both lengths, since tokens are read one by one and
written one an iteration, and the steeper the closer the objective is. So it errs to the safe side as a rule, and to the
other by less than 2 % in trials. Where the longer of them are nearly too slow for the objective, the table is of the
very lengths. Lengths are rounded up before, by no more than 1 %.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from shifter.domain.serving import LatencySlo, ServingProfile
from shifter.errors import InputError
from shifter.realtime.sizing import most_each_per_s
from shifter.realtime.traffic import Floats, Traffic

STEPS_AN_OCTAVE = 4
SHORTEST_PROMPT = 16.0
"""[tokens] Below it is none: between 0 and this, a prompt matters little."""
STEEP = 1.6
"""Neighbours that differ by more than lengths alone do (19 % each) stand where the objective binds."""


def most_each_about(
    profile: ServingProfile, traffic: Traffic, slo: LatencySlo, name: str = "model"
) -> Floats:
    """As `most_each_per_s`, (64,), a little less as a rule, and in microseconds where lengths like these came before.

    Raises InputError as it does.
    """
    return _between(profile, rounded_up(traffic), slo, name)


def rounded_up(traffic: Traffic) -> Traffic:
    """With the lengths by which it is sized: those that hardly differ are one."""
    return replace(
        traffic,
        prompt_tokens=_rounded_up(traffic.prompt_tokens),
        output_tokens=max(1.0, _rounded_up(traffic.output_tokens)),
    )


@lru_cache(maxsize=4096)
def _between(profile: ServingProfile, traffic: Traffic, slo: LatencySlo, name: str) -> Floats:
    corners = [
        (replace(traffic, prompt_tokens=p, output_tokens=o), p_share * o_share)
        for p, p_share in _rungs(traffic.prompt_tokens, SHORTEST_PROMPT)
        for o, o_share in _rungs(traffic.output_tokens, 1.0)
        if p_share * o_share > 0
    ]
    try:
        each = [_at_rung(profile, rung, slo, name) for rung, _ in corners]
    except InputError:  # the longer of them are too slow; these may not be
        return most_each_per_s(profile, traffic, slo, name)
    if max(one[-1] for one in each) > STEEP * min(one[-1] for one in each):
        return most_each_per_s(profile, traffic, slo, name)
    seconds = np.sum([share / one for (_, share), one in zip(corners, each, strict=True)], axis=0)
    table: Floats = 1.0 / seconds
    table.setflags(write=False)
    return table


_at_rung = lru_cache(maxsize=4096)(most_each_per_s)


def _rungs(length: float, shortest: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The lengths of the ladder around this one, and the weight of each."""
    if length <= shortest:
        below, above = 0.0 if shortest > 1 else shortest, shortest
    else:
        step = math.floor(STEPS_AN_OCTAVE * math.log2(length / shortest) + 1e-9)
        below, above = (shortest * 2 ** ((step + i) / STEPS_AN_OCTAVE) for i in (0, 1))
    share = 0.0 if above == below else min(1.0, max(0.0, (length - below) / (above - below)))
    return (below, 1 - share), (above, share)


def _rounded_up(length: float) -> float:
    """To three digits: within 1 %, so that lengths which hardly differ share a table."""
    if length <= 0:
        return 0.0
    grain = 10.0 ** (math.floor(math.log10(length)) - 2)
    return math.ceil(length / grain - 1e-9) * grain
