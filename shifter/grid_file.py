"""Follow a file of grid events: what stands in it holds, what is taken out of it is withdrawn.

It is read when it has changed. One that cannot be read, or is wrong, changes nothing: what it told stays in force until
its end, and health says what is wrong with it. An event that cannot be followed yet, a cut that no plan reaches or one
whose id is another's, keeps no other out: it is named, and looked at again and again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from forecasts.errors import ShifterError
from shifter.domain.fleet import Fleet
from shifter.domain.grid_event import GridEvent
from shifter.files.grid_events import read_grid_events
from shifter.grid_signals import Feed, GridFeed, listen, remember
from shifter.grid_signals import leave as leave_vtns
from shifter.service import baselines
from shifter.service.core import Core
from shifter.service.followed import follow_grid_events

__all__ = ["FILE", "Feed", "FileFeed", "leave", "listen"]

FILE = "grid-events-file"
"""Who told what stands in it, and what health calls it."""

Stamp = tuple[int, int]


@dataclass
class FileFeed:
    """The file of `grid_events.file`."""

    path: str
    fleet: Fleet
    name: str = FILE
    every: timedelta = timedelta(seconds=10)
    busy: threading.Lock = field(default_factory=threading.Lock)
    _followed: Stamp | None = None
    """Of the file as it was when all of it was followed."""

    def listen(self, core: Core) -> int:
        """Read it where it has changed; how many events that changed. Raises nothing that a file may cause."""
        with self.busy:
            now = core.now()
            try:
                stamp = self._stamp()
                if stamp == self._followed:
                    return 0
                wanted, waiting = _with_baselines(core, read_grid_events(self.path, self.fleet))
                followed = follow_grid_events(core, FILE, wanted, lambda e: e.id in waiting)
            except (ShifterError, OSError) as error:
                remember(core, self.name, [str(error)], now)
                return 0
            errors = [*waiting.values(), *(_taken(i, by) for i, by in sorted(followed.taken.items()))]
            self._followed = None if errors else stamp
            remember(core, self.name, errors, now)
            return followed.changed

    def _stamp(self) -> Stamp:
        found = Path(self.path).stat()
        return found.st_mtime_ns, found.st_size


def _with_baselines(core: Core, events: Sequence[GridEvent]) -> tuple[list[GridEvent], dict[str, str]]:
    """Cuts with what they are cut from, as it was frozen before or as it is now; and by id why others have to wait."""
    known = {event.id: event for event in core.state.grid_events}
    found: list[GridEvent] = []
    waiting: dict[str, str] = {}
    for event in events:
        if event.end <= core.now():
            continue
        told = known.get(event.id)
        try:
            same = told is not None and event in (told, told.as_asked)
            found.append(told if told is not None and same else baselines.frozen(core, event))
        except ShifterError as error:  # there is no plan yet, or none so far ahead: the next look will do
            waiting[event.id] = f"{event.id} has to wait: {error}"
    return found, waiting


def _taken(event_id: str, by: str) -> str:
    return f"{event_id} is already a grid event, told by {by}: it is not followed. Give it an id of its own."


def leave(core: Core, feeds: Sequence[Feed]) -> None:
    """Withdraw what a file, or a VTN, told that is followed no more. Raises NotReady."""
    leave_vtns(core, [feed for feed in feeds if isinstance(feed, GridFeed)])
    if not any(isinstance(feed, FileFeed) for feed in feeds):
        follow_grid_events(core, FILE, (), lambda _: False)
