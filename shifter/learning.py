"""What months of vintages teach, made in the background: outlooks of every zone, and what was planned by on record.

Nothing waits for it, but the first plan for some seconds: a plan takes the newest outlook that is ready, and where none
is, what sources say and yesterday beyond that. What goes wrong in it is told, and leaves what was learnt before in use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from forecasts.frame import SignalFrame
from forecasts.heeded import MODELS_ALONE, PLANNED_BY
from forecasts.outlook import OURS, Outlook
from forecasts.outlooks import EVERY_HOURS, Outlooks, anchor_of
from forecasts.own import as_planned, models_alone
from forecasts.series import PLANNED, ForecastSeries, Signal
from forecasts.slots import Floats, SlotGrid, floor_to_slot
from forecasts.units import currency_of
from shifter.errors import InputError, NotReady, ShifterError
from shifter.service.core import Core, FrameMaker
from shifter.telemetry import get_logger
from shifter.views import LearntView, ShareView

LEARNING = "learning"
"""The fault's name while it goes wrong."""
AFTER_ANCHOR = timedelta(minutes=2)
"""What was known at the anchor is in the store by then."""
RETRY = timedelta(minutes=10)
HOUR = timedelta(hours=1)
LEADS_H = (6, 24, 48)
"""[h] The lead times of which is told who counts how much."""
REST_RATIO = 1.0
"""Between two outlooks it rests for so many times as long as the last took: it never takes more than half of the
time. Only in the first pass it does not, while the first plan waits for it.
"""
TOO_LITTLE = "Too little to learn from: less than a week of outcomes, or all of it made up."

log = get_logger("shifter.learning")


class Learner:
    """Makes what `outlooks` is asked for, of the fleet's zones; `frame` makes frames by them. `planned_by`: whether
    plans are, too, so that a new one is worth while. `fx` as that of the settings.
    """

    name = PLANNED_BY
    """The source that what would be planned by is on record as."""

    def __init__(
        self,
        core: Core,
        outlooks: Outlooks,
        frame: FrameMaker,
        *,
        planned_by: bool,
        fx: Mapping[str, float] | None = None,
    ) -> None:
        self.core = core
        self._outlooks = outlooks
        self._frame = frame
        self._planned_by = planned_by
        self._fx = fx or {}
        self._in_haste = planned_by
        """The first time, for which the first plan waits."""
        self._owed: dict[tuple[str, Signal], Outlook] = {}
        """What is to be put on record yet."""
        self._one = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make no more: what is under way is finished, and nothing is stored."""
        self._stopped.set()

    def forget(self) -> None:
        """An archive came: what is known of the past is asked for anew."""
        self._outlooks.forget()

    def next_at(self, *, failed: bool = False) -> datetime:
        """When there is something new to be made: after the next anchor, and sooner where something went wrong."""
        now = self.core.now()
        anchor = anchor_of(now - AFTER_ANCHOR) + timedelta(hours=EVERY_HOURS) + AFTER_ANCHOR
        return min(anchor, now + RETRY) if failed else anchor

    def learn(self) -> bool:
        """Make the outlooks of now where they are not there yet, and store what is planned by; whether all went well.

        What goes wrong with an outlook, a record or the store is told, and not raised.
        """
        core, began, lost = self.core, time.monotonic(), False
        with self._one:
            made: list[Outlook] = []
            wrong = ""
            try:
                wrong = self._make_all(core.now(), made)
                if self._owed and not self._stopped.is_set():
                    wrong = self._record() or wrong
            except NotReady as error:  # that the store is away is a fault of its own
                core.lost_database(error)
                lost = True
            finally:
                self._in_haste = False
        if self._stopped.is_set():
            return True
        well = not (wrong or lost)
        self._tell(wrong, well, time.monotonic() - began)
        if made and self._planned_by:
            core.replan("learnt")
        return well

    def _tell(self, wrong: str, well: bool, took_s: float) -> None:
        """How it went, to whoever watches."""
        core = self.core
        core.metrics.learning_seconds.labels(outcome="ok" if well else "failed").observe(took_s)
        if core.set_fault(LEARNING, f"Learning from vintages failed: {wrong}" if wrong else None) and wrong:
            log.warning("learning failed", error=wrong)

    def _make_all(self, now: datetime, made: list[Outlook]) -> str:
        """Add those that are new to `made`, and owe them; in words the first thing that went wrong. Raises NotReady."""
        wrong = ""
        for zone in self.core.fleet.zones:
            for signal in PLANNED:
                if self._stopped.is_set():
                    return wrong
                began = time.monotonic()
                try:
                    before = self._outlooks.at(zone, signal, now)
                    with self.core.db.errors():
                        outlook = self._make(zone, signal, now)
                except NotReady:
                    raise
                except Exception as error:
                    text = self._failed(zone, signal, error)
                    wrong = wrong or text
                    continue
                self._say(view_of(zone, signal, outlook, self._planned_by, "" if outlook else TOO_LITTLE))
                if outlook is not None and outlook is not before:
                    made.append(outlook)
                    self._owed[zone, signal] = outlook
                if not self._in_haste:
                    self._stopped.wait(REST_RATIO * (time.monotonic() - began))
        return wrong

    def _make(self, zone: str, signal: Signal, now: datetime) -> Outlook | None:
        """That of the last anchor; where too little was known then, that of the hour."""
        anchor, hour = anchor_of(now), now.replace(minute=0, second=0, microsecond=0)
        found = self._outlooks.make(zone, signal, anchor)
        if found is None and hour > anchor:
            found = self._outlooks.make(zone, signal, hour)
        return found

    def _failed(self, zone: str, signal: Signal, error: Exception) -> str:
        text = f"{zone} {signal}: {error}"
        if not isinstance(error, ShifterError):
            text = f"{zone} {signal}: {type(error).__name__}: {error}"
            log.exception("learning broke", zone=zone, signal=str(signal), by=self.name)
        before = self._views.get((zone, signal))
        before = before or LearntView(zone, str(signal), self._planned_by)
        self._say(replace(before, note=text))
        return text

    def _say(self, view: LearntView) -> None:
        with self.core.state.changed:
            self._views[view.zone, Signal(view.signal)] = replace(view, name=self.name)

    @property
    def _views(self) -> dict[tuple[str, Signal], LearntView]:
        return self.core.state.learnt

    # On record -------------------------------------------------------------------------------------------

    def _record(self) -> str:
        """Store what is planned by and what our models expect alone; in words the first thing that went wrong. What
        could not be stored is tried again, and holds up nothing else. Raises NotReady.
        """
        core, now = self.core, self.core.now()
        grid = self._grid(now)
        try:
            with core.db.errors():
                frame = self._frame(grid, now)
        except NotReady:
            raise
        except Exception as error:  # what was learnt is in use all the same
            return _not_on_record("", error)
        wrong = ""
        for key, outlook in list(self._owed.items()):
            try:
                planned = frame.get(*key)
                if planned is not None and self._on_record(outlook, now, PLANNED_BY, MODELS_ALONE) is None:
                    self._store(planned, outlook, grid, now)
                del self._owed[key]
            except NotReady:
                raise
            except Exception as error:
                text = _not_on_record(f"{outlook.zone} {outlook.signal} ", error)
                wrong = wrong or text
        return wrong

    def _grid(self, now: datetime) -> SlotGrid:
        """What is put on record: the planning horizon, from the slot of `now` on."""
        minutes, ahead = self.core.config.slot_minutes, timedelta(hours=self.core.config.horizon_hours)
        return SlotGrid.covering(floor_to_slot(now, minutes), ahead, minutes)

    def _on_record(self, outlook: Outlook, now: datetime, *names: str) -> datetime | None:
        """When the vintage that one of these made at the outlook's moment was stored, maybe before a restart; else
        None.
        """
        with self.core.db.errors():
            keys = (f"{name}:{outlook.zone}:{outlook.signal}" for name in names)
            told = [self.core.forecasts.latest(key, now) for key in keys]
        return next((s.known_at for s in told if s is not None and s.issued_at == outlook.start), None)

    def _store(self, planned: SignalFrame, outlook: Outlook, grid: SlotGrid, now: datetime) -> None:
        rate = self._rate(planned, outlook)
        self._append(as_planned(planned, outlook, grid, now, rate), models_alone(outlook, now))

    def _append(self, *told: ForecastSeries | None) -> None:
        """In a transaction of its own; nobody plans anew for it."""
        with self.core.change() as change:
            self.core.forecasts.append_all([s for s in told if s is not None], within=change.db)

    def _rate(self, planned: SignalFrame, outlook: Outlook) -> float:
        """What one of the outlook's currency is worth in that of what is planned by. Raises InputError."""
        if outlook.unit == planned.unit:
            return 1.0
        currency = currency_of(outlook.unit)
        if currency not in self._fx:
            own = self.core.fleet.currency
            raise InputError(
                f"no rate says what {currency} are worth.",
                field="forecasts.fx",
                hint=f"Say what one is worth in {own}, as in fx: {{{currency}: 1.1}}.",
            )
        return self._fx[currency]


def _not_on_record(what: str, error: Exception) -> str:
    """In words, and in the log where it is a mistake of ours."""
    told = str(error)
    if not isinstance(error, ShifterError):
        told = f"{type(error).__name__}: {error}"
        log.exception("what was planned by could not be put on record")
    return f"what {what}was planned by is not on record: {told}"


def view_of(zone: str, signal: Signal, outlook: Outlook | None, planned_by: bool, note: str) -> LearntView:
    """What an operator is told of an outlook."""
    if outlook is None:
        return LearntView(zone, str(signal), planned_by, note=note)
    known = ~np.isfinite(outlook.ours)

    def shares(of: Mapping[str, Floats], names: Sequence[str]) -> tuple[ShareView, ...]:
        return tuple(
            ShareView(name, tuple(None if known[h] else round(float(of[name][h]), 4) for h in LEADS_H))
            for name in names
        )

    rounds = int(np.isfinite(outlook.errors).any(axis=1).sum())
    sources = sorted(outlook.weights, key=lambda name: (name == OURS, name))
    return LearntView(
        zone,
        str(signal),
        planned_by,
        outlook.start,
        rounds,
        LEADS_H,
        shares(outlook.weights, sources),
        shares(outlook.models, list(outlook.models)),
        note,
    )
