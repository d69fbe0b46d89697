"""Real-time load as it is measured: every pool's history, what was learnt of it, and its forecast on any grid.

Learning takes tens of milliseconds a pool and is done ahead, each hour; a forecast takes less than one, from what was
learnt and what was measured since.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection

from forecasts.slots import Floats, SlotGrid, floor_to_slot
from shifter.clock import Clock
from shifter.domain.fleet import Fleet, PoolKey
from shifter.errors import InputError, NotReady
from shifter.realtime.announced import AnnouncedLoad, as_if_none
from shifter.realtime.calendar import Calendar
from shifter.realtime.expected import Prior, expect
from shifter.realtime.forecast import LEARN_DAYS, Learnt, learn
from shifter.realtime.load import LoadBasis, RealtimeLoad
from shifter.realtime.measured import STEP_MINUTES, History, step_of
from shifter.realtime.profiles import QUANTILES
from shifter.service.anew import Anew, sized_anew, sizings
from shifter.store import announcements, loads, traffic
from shifter.store.db import Database
from shifter.telemetry import get_logger

if TYPE_CHECKING:
    from shifter.service.core import Core

LEARN_EVERY = timedelta(hours=1)
SAY_EVERY = timedelta(hours=3)
"""How often it is put down what was forecast, to be held against what came."""
SAID_AHEAD = timedelta(hours=48)
LATE = timedelta(hours=1)
"""Samples that come later than this are seen at the next learning."""
RECENT = timedelta(hours=26)
WHOLE_POOL = "the whole pool"
LOAD_FORECAST = "load forecast"
"""The fault's name while learning from measured load fails."""

log = get_logger("shifter.measuring")


@dataclass(frozen=True, eq=False)
class _Known:
    """What was measured of a pool, and what that taught."""

    history: History
    learnt: Learnt | None


class MeasuredLoads:
    """A `RealtimeMaker` of what the store has of telemetry. Raises NotReady where the store cannot be reached.

    `prior` makes what is held at first, None: the whole pool; what it cannot say is the whole pool, too.
    `telemetry_days` is for how long a sample may come late and still change the history. `announced` is what the
    settings announce; what operators announced besides is in the store, and read with each forecast.
    """

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        database: Database,
        calendars: Mapping[str, Calendar],
        *,
        prior: Callable[[SlotGrid], RealtimeLoad] | None = None,
        prior_name: str = WHOLE_POOL,
        announced: Sequence[AnnouncedLoad] = (),
        telemetry_days: float = 7.0,
    ) -> None:
        self._fleet = fleet
        self._clock = clock
        self._database = database
        self._calendars = calendars
        self._prior = prior
        self._prior_name = prior_name
        self.announced = tuple(announced)
        self._telemetry = timedelta(days=telemetry_days)
        self._known: Mapping[PoolKey, _Known] | None = None
        self._histories: dict[PoolKey, History] = {}
        self._read_to = 0
        self._sizings = sizings(fleet)
        self._learning = threading.Lock()

    def __call__(self, grid: SlotGrid) -> RealtimeLoad:
        """The load of every pool on the grid: p50, p90, p99 and the quantiles that the sites ask for."""
        if self._known is None:
            with self._learning:
                if self._known is None:  # nobody else has learnt meanwhile
                    self._learn()
        known, now = self._known, self._clock.now()
        assert known is not None
        step = step_of(now)
        with self._database.errors(), self._database.read() as db:
            fresh, _ = self._steps(db, min(self._read_to, step) - LATE // timedelta(minutes=STEP_MINUTES))
            all_announced = self._all_announced(db)
        asked = sorted({*QUANTILES, *(site.resilience.quantile for site in self._fleet.sites)})
        priors = self._priors(grid, asked)
        quantiles: dict[PoolKey, Mapping[float, Floats]] = {}
        basis: dict[PoolKey, LoadBasis] = {}
        for key, (_, pool) in self._fleet.pools.items():
            of = known.get(key, _Known(History.of([]), None))
            announced = [a for a in all_announced if a.concerns(key)]
            recent = _recent(of.history, fresh.get(key, {}), step, announced)
            learnt = of.learnt
            if learnt is None and recent.last is not None:  # its first samples came since
                learnt = learn(recent, self._calendars[key[0]])
            found = expect(learnt, recent, step, grid, asked, priors[key], float(pool.count), announced)
            quantiles[key] = found.quantiles
            basis[key] = LoadBasis(found.basis, 0.0 if learnt is None else learnt.days)
        return RealtimeLoad(grid, quantiles, basis, levelled=frozenset(quantiles))

    def learn(self) -> None:
        """Read what is new, and learn from it. Raises NotReady."""
        with self._learning:
            self._learn()

    def _learn(self) -> None:
        now = self._clock.now()
        begun = now - timedelta(days=LEARN_DAYS)
        again = max(begun, now - self._telemetry - timedelta(days=1))
        if self._known is None or step_of(now) < self._read_to:  # a clock set back may have been far ahead
            again = begun
        with self._database.errors(), self._database.read() as db:
            found, anew = self._steps(db, step_of(again))
            announced = self._all_announced(db)
        if self._known is None and anew != Anew():
            log.info("measured load was sized otherwise", sized_anew=anew.sized, stands_as_it_was=anew.stand)
        known = {}
        for key in found.keys() | self._histories.keys():
            if key not in self._fleet.pools:
                continue
            history = _merged(self._histories.get(key), found.get(key, {}), step_of(begun))
            self._histories[key] = history
            usual = as_if_none(history, [a for a in announced if a.concerns(key)])
            # Of a clock that was set back there may be steps that have yet to come.
            known[key] = _Known(history, learn(usual.until(step_of(now) + 1), self._calendars[key[0]]))
        self._known, self._read_to = known, step_of(now)

    def _steps(self, db: Connection, first: int) -> tuple[loads.Steps, Anew]:
        """What was measured from a step on, in accelerators as traffic is sized today."""
        found = loads.steps(db, first)
        return sized_anew(self._fleet, found, traffic.sized_otherwise(db, first, self._sizings))

    def said(self) -> list[loads.Said]:
        """What is held now at each site's quantile for the slots ahead, of the pools that were ever measured."""
        now = self._clock.now()
        grid = SlotGrid.covering(floor_to_slot(now, 30) + timedelta(minutes=30), SAID_AHEAD, 30)
        load = self(grid)
        found = []
        for (site, pool), basis in load.basis.items():
            if basis.days > 0:
                quantile = self._fleet.by_site[site].resilience.quantile
                held = tuple(round(float(v), 4) for v in load.at((site, pool), quantile))
                first = step_of(grid.start)
                found.append(loads.Said(site, pool, now, quantile, first, 30 // STEP_MINUTES, held))
        return found

    def _all_announced(self, db: Connection) -> tuple[AnnouncedLoad, ...]:
        return (*self.announced, *(kept.announcement.load for kept in announcements.ending_after(db)))

    def _priors(self, grid: SlotGrid, asked: Sequence[float]) -> Mapping[PoolKey, Prior]:
        whole = {
            key: Prior(WHOLE_POOL, dict.fromkeys(asked, np.full(grid.n_slots, float(pool.count))))
            for key, (_, pool) in self._fleet.pools.items()
        }
        if self._prior is None:
            return whole
        try:
            load = self._prior(grid)
            told = {
                key: {p: _over(load.at(key, p), count, grid.n_slots) for p in asked}
                for key, (_, pool) in self._fleet.pools.items()
                for count in (float(pool.count),)
            }
        except InputError as error:  # a file of the past must not end planning
            return {
                key: replace(one, name=f"{WHOLE_POOL} ({self._prior_name} cannot be used: {error.detail})")
                for key, one in whole.items()
            }
        return {key: Prior(self._prior_name, of) for key, of in told.items()}


def _recent(
    history: History, fresh: Mapping[int, float], now: int, announced: Sequence[AnnouncedLoad]
) -> History:
    """The last day before the last sample, with what came since it was learnt from, as if nothing had been announced:
    by what is announced now, which may have come since then, too.
    """
    first = now + 1 - RECENT // timedelta(minutes=STEP_MINUTES)
    values = history.window(first, now + 1)
    for step, value in fresh.items():
        if first <= step <= now:
            values[step - first] = value
    recent = as_if_none(History(first, values), announced)
    if np.isfinite(recent.values).any():
        return recent
    usual = as_if_none(history, announced)
    last = usual.until(now + 1).last  # silent for longer: the day before it fell silent
    if last is None:
        return History.of([])
    begin = last + 1 - len(values)
    return History(begin, usual.window(begin, last + 1))


def _over(values: Floats, count: float, n_slots: int) -> Floats:
    """The values, and the whole pool beyond what is known of them."""
    return np.concatenate([values, np.full(n_slots - len(values), count)])


def _merged(before: History | None, found: Mapping[int, float], begun: int) -> History:
    """What is known from step `begun` on: what was found anew stands."""
    new = History.of((step, value) for step, value in found.items() if step >= begun)
    if before is None or len(before.values) == 0:
        return new
    if len(new.values) == 0:
        new = replace(new, first=before.first)
    first = max(begun, min(before.first, new.first))
    end = max(first, before.end, new.end)
    fresh = new.window(first, end)
    return History(first, np.where(np.isfinite(fresh), fresh, before.window(first, end)))


def learn_load(core: Core, measured: MeasuredLoads) -> None:
    """Learn, and put down from time to time what is forecast. What goes wrong is a fault; what was learnt stands."""
    try:
        with core.reading() as db:
            empty, said_at = loads.is_empty(db), loads.newest_said_at(db)
        if empty:  # what was measured before there were steps
            with core.change() as change:
                loads.count_all(change.db)
        measured.learn()
        if said_at is None or not timedelta(0) <= core.now() - said_at < SAY_EVERY:
            said = measured.said()
            with core.change() as change:
                loads.add_said(change.db, said)
    except NotReady as error:
        log.warning("not now", job="learn_load", error=str(error))
    except Exception as error:  # the next hour must come, and somebody must hear of it
        log.exception("learning from measured load broke")
        core.set_fault(LOAD_FORECAST, f"Learning from measured load failed: {type(error).__name__}: {error}")
    else:
        core.set_fault(LOAD_FORECAST, None)
