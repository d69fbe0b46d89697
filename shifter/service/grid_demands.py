"""What the façade answers of the grid's demands."""

from __future__ import annotations

from datetime import datetime

from shifter.domain.grid_event import GridEvent
from shifter.service import grid_events, grid_quotes, grid_reports
from shifter.service.core import Core
from shifter.views import GridEventQuote, GridEventReport


class GridDemands:
    """The part of `Service` that whoever speaks for a grid calls."""

    core: Core

    def add_grid_event(self, event: GridEvent, actor: str) -> GridEvent:
        """A limit or a cut for a site and a window; it is kept with its baseline. The same again is the same. Raises
        NotFound, Conflict, InputError, NotReady, SolverFailed.
        """
        return grid_events.add(self.core, event, actor)

    def grid_events(self, since: datetime | None = None) -> list[GridEvent]:
        """Those that end after `since` (default: now, and those whose rebound still has a limit)."""
        return grid_events.listed(self.core, since)

    def withdraw_grid_event(self, event_id: str, actor: str) -> GridEvent:
        """Taken back by whoever sent it. Raises NotFound, Conflict (it is somebody else's)."""
        return grid_events.withdraw(self.core, event_id, actor)

    def quote_grid_event(self, event: GridEvent) -> GridEventQuote:
        """What it would cost, and who would pay. Raises NotFound, Conflict, InputError, NotReady, SolverFailed."""
        return grid_quotes.quote(self.core, event)

    def grid_event_report(self, event_id: str) -> GridEventReport:
        """What was delivered against what was requested. Raises NotFound."""
        return grid_reports.report(self.core, event_id)
