"""Outlooks by zone and signal, each made once for a moment: every six hours, from what was known then."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from forecasts.known import Knowledge, Known
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.models.remembered import Remembered
from forecasts.outlook import Answered, Outlook, make_outlook
from forecasts.series import Signal
from forecasts.slots import to_utc

HOUR = timedelta(hours=1)
EVERY_HOURS = 6
LOOKED_BACK_HOURS = 30
"""So old may the newest outlook be that was made ahead: one that failed is stood in for by those before it."""
KEPT = 4096
"""Outlooks in memory: a quarter of a day of 50 zones is a hundred."""

ANSWERS_KEPT = 4
"""What our models expect of a signal at a moment, in memory: it is asked again at once, by the zone's other signal."""

Key = tuple[str, Signal, datetime]


class Outlooks:
    """Outlooks of what `store` knows; `order` is the sources by zone and signal, "*" for every zone.

    May be used from several threads. `made_ahead` says that somebody calls `make` in the background: `at` then answers
    with the newest that is ready, and never keeps a plan waiting; otherwise it makes what is missing.
    """

    def __init__(
        self,
        store: Known,
        order: Mapping[tuple[str, Signal], Sequence[str]] | None = None,
        *,
        made_ahead: bool = False,
        rules: Learning = BY_DEFAULT,
        answered: Answered | None = None,
    ) -> None:
        self._store = store
        self._knowledge = Knowledge(store)
        self._order = order or {}
        self._made_ahead = made_ahead
        self._rules = rules
        # A price asks what carbon is expected to be, which carbon's own outlook has just asked.
        self._answered = answered or Remembered(ANSWERS_KEPT)
        self._made: OrderedDict[Key, Outlook | None] = OrderedDict()
        self._changing = threading.Lock()
        self._making = threading.Lock()

    def by(self, rules: Learning) -> Outlooks:
        """The same by other rules, with a memory of its own: neither waits for the other."""
        return Outlooks(self._store, self._order, made_ahead=self._made_ahead, rules=rules)

    def at(self, zone: str, signal: Signal, moment: datetime) -> Outlook | None:
        """The outlook that holds at `moment`, made at a multiple of six hours; None where too little is known."""
        if not self._made_ahead:
            return self.make(zone, signal, anchor_of(moment))
        with self._changing:
            hour = to_utc(moment).replace(minute=0, second=0, microsecond=0)
            # Of any hour: what is known of the first day of a store was learnt between two anchors.
            for back in range(LOOKED_BACK_HOURS):
                if (made := self._made.get((zone, signal, hour - back * HOUR))) is not None:
                    return made
        return None

    def make(self, zone: str, signal: Signal, anchor: datetime) -> Outlook | None:
        """Make the outlook of `anchor`, a whole hour, where it is not there yet. Raises what the store raises."""
        key = (zone, signal, anchor)
        with self._changing:
            if key in self._made:
                return self._made[key]
        # One at a time: what two threads would make at once, the first makes for both.
        with self._making:
            with self._changing:
                if key in self._made:
                    return self._made[key]
            made = make_outlook(
                self._knowledge,
                zone,
                signal,
                anchor,
                self._order_of(zone, signal),
                self._rules,
                self._answered,
            )
            with self._changing:
                self._made[key] = made
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
        return made

    def forget(self) -> None:
        """Ask anew of the past: something was learnt that was known then, an archive that came later. What was made
        stays.
        """
        with self._making:
            self._knowledge = Knowledge(self._store)
        with self._changing:
            for key in [key for key, made in self._made.items() if made is None]:
                del self._made[key]

    def _order_of(self, zone: str, signal: Signal) -> Sequence[str]:
        return self._order.get((zone, signal), self._order.get(("*", signal), ()))


def anchor_of(moment: datetime, every_hours: int = EVERY_HOURS) -> datetime:
    """The last multiple of `every_hours` since midnight UTC that is not after `moment`; 24 is a multiple of it."""
    utc = to_utc(moment)
    return utc.replace(hour=utc.hour // every_hours * every_hours, minute=0, second=0, microsecond=0)
