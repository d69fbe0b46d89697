"""What a drill tells counts as if it had been measured, and is taken back without a trace.

What a meter told before is put aside, and counts again once the drill is over. Nothing of it is in the store: a daemon
that starts again knows of no drill, and no forecast learns from one.
"""

from __future__ import annotations

from datetime import timedelta

from shifter.service.level import Level
from shifter.service.state import State
from shifter.views import TelemetrySample

LOAD, THERE = "realtime_accelerators", "available_accelerators"


def take(state: State, s: TelemetrySample, hold: timedelta) -> bool:
    """Before a played sample is taken: what it stands in for is put aside. One that says nothing ends the drill.

    Returns whether something was taken back.
    """
    assert s.pool is not None
    key = (s.site, s.pool)
    if s.realtime_accelerators is None and s.available_accelerators is None:
        return _end(state, key, hold)
    aside = dict(state.aside)
    for name, told in ((LOAD, state.measured.get(key)), (THERE, state.available.get(key))):
        if getattr(s, name) is not None and told is not None and not told.drill:
            aside[*key, name] = told
    state.aside = aside
    return False


def _end(state: State, key: tuple[str, str], hold: timedelta) -> bool:
    aside, ended = dict(state.aside), False
    for name, last in ((LOAD, state.measured), (THERE, state.available)):
        before = aside.pop((*key, name), None)
        if key not in last or not last[key].drill:
            continue
        ended = True
        del last[key]
        if before is not None:
            last[key] = before
        if name == LOAD:
            state.levels.pop(key, None)
            if before is not None and before.realtime_accelerators is not None:
                state.levels[key] = Level().heard(before.at, before.realtime_accelerators, hold)
    state.aside = aside
    return ended
