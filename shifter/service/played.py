"""What a drill tells counts as if it had been measured, and is taken back without a trace.

What meters tell is put aside meanwhile, and counts alone again once the drill is over. Nothing of it is in the store: a
daemon that starts again knows of no drill, and no forecast learns from one.
"""

from __future__ import annotations

from shifter.service.level import Level
from shifter.service.state import State
from shifter.views import TelemetrySample

LOAD, THERE = "realtime_accelerators", "available_accelerators"


def take(state: State, s: TelemetrySample) -> bool:
    """Before a played sample is taken: what it stands in for is put aside. One that says nothing ends the drill.

    Returns whether something was taken back.
    """
    assert s.pool is not None
    key = (s.site, s.pool)
    if s.realtime_accelerators is None and s.available_accelerators is None:
        return _end(state, key)
    aside = dict(state.aside)
    for name, last, levels in _both(state):
        if getattr(s, name) is None:
            continue
        told = last.get(key)
        if told is not None and not told.drill:
            aside[*key, name] = told
        state.real_levels = {(*key, name): levels.get(key, Level()), **state.real_levels}
    state.aside = aside
    return False


def _both(
    state: State,
) -> tuple[tuple[str, dict[tuple[str, str], TelemetrySample], dict[tuple[str, str], Level]], ...]:
    return ((LOAD, state.measured, state.levels), (THERE, state.available, state.missing))


def _end(state: State, key: tuple[str, str]) -> bool:
    aside, real, ended = dict(state.aside), dict(state.real_levels), False
    for name, last, levels in _both(state):
        before, level = aside.pop((*key, name), None), real.pop((*key, name), None)
        if level is None:
            continue
        ended = True
        levels.pop(key, None)
        if level.peaks:
            levels[key] = level
        if key in last and last[key].drill:
            del last[key]
            if before is not None:
                last[key] = before
    state.aside, state.real_levels = aside, real
    return ended
