"""Grid events that the plan in force does not meet: a fault, with the kW that are missing."""

from __future__ import annotations

from shifter.domain.grid_event import GridEvent, kw_in_words
from shifter.domain.moments import by_in_words, in_words
from shifter.service.core import Core
from shifter.service.met import missing_kw


def missing_kw_by_event(core: Core) -> list[tuple[GridEvent, float]]:
    """What holds or will, and by how much the plan in force exceeds it at the most, as far as it reaches [kW]."""
    published, now = core.state.published, core.now()
    if published is None:
        return []
    plan = published.plan
    known = (e for e in core.state.grid_events if e.site in core.fleet.by_site and e.holds_until > now)
    return [(e, missing_kw(e, core.fleet, plan, now)) for e in known]


def unmet_events(core: Core) -> dict[str, str]:
    """Faults by what they are called, of events that the plan does not meet."""
    return {
        f"grid event {event.id}": (
            f"The plan does not meet the grid event {event.id} at {event.site} from {in_words(event.start)} to "
            f"{by_in_words(event.end)}: {kw_in_words(kw)} are missing."
        )
        for event, kw in missing_kw_by_event(core)
        if kw > 0
    }
