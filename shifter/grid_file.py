"""Follow a file of grid events: what stands in it holds, what is taken out of it is withdrawn.

It is read when it has changed. One that cannot be read, or is wrong, changes nothing: what it told stays in force until
its end, and health says what is wrong with it.
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
from shifter.errors import NotReady
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
                wanted = _with_baselines(core, read_grid_events(self.path, self.fleet))
                changed = follow_grid_events(core, FILE, wanted, lambda _: False)
            except (
                NotReady
            ) as error:  # the store's fault, or there is no plan yet to cut from: the next look will do
                remember(core, self.name, [str(error)], now)
                return 0
            except (ShifterError, OSError) as error:
                remember(core, self.name, [str(error)], now)
                return 0
            self._followed = stamp
            remember(core, self.name, [], now)
            return changed

    def _stamp(self) -> Stamp:
        found = Path(self.path).stat()
        return found.st_mtime_ns, found.st_size


def _with_baselines(core: Core, events: Sequence[GridEvent]) -> list[GridEvent]:
    """Cuts with what they are cut from: as it was frozen before, or as it is now."""
    known = {event.id: event for event in core.state.grid_events}
    ahead = [event for event in events if event.end > core.now()]
    return [
        told
        if (told := known.get(e.id)) is not None and e in (told, told.as_asked)
        else baselines.frozen(core, e)
        for e in ahead
    ]


def leave(core: Core, feeds: Sequence[Feed]) -> None:
    """Withdraw what a file, or a VTN, told that is followed no more. Raises NotReady."""
    leave_vtns(core, [feed for feed in feeds if isinstance(feed, GridFeed)])
    if not any(isinstance(feed, FileFeed) for feed in feeds):
        follow_grid_events(core, FILE, (), lambda _: False)
