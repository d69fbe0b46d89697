"""Which work of others was told to stop while a drill was played: plans that are made with what it plays move work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from shifter.client import Client
from shifter.errors import NotFound

BEFOREHAND = (
    "Plans are made with what it plays, and may stop or move any deferrable work, at every site; what was told to stop "
    "is named at the end."
)
CHANGED = "admission.changed"
MOST_NAMED = 10
ENDED = {"done", "cancelled"}


@dataclass(frozen=True)
class Stopped:
    """Work that was let in and then told to stop or to wait, and what it is told now."""

    workload_id: str
    state: str
    """Of its admission, now."""
    not_before: str | None
    """When it goes on, by the plan in force; None where that is now, or nobody knows."""

    @property
    def words(self) -> str:
        """For a person."""
        if self.state == "run":
            return f"{self.workload_id} (runs again)"
        return f"{self.workload_id} ({f'goes on at {self.not_before}' if self.not_before else self.state})"


def stopped_since(client: Client, event_id: int, own: Collection[str]) -> tuple[Stopped, ...]:
    """Of all work but one's `own` that has not ended, what was told to after an event; for whatever reason, since no
    event says it. Work that no plan places any more is told `rejected`.
    """
    changed = (event["data"] for event in client.events(event_id, kinds=[CHANGED]))
    told = {d["workload_id"] for d in changed if d["state"] == "stop" or (d["before"] == "run" != d["state"])}
    found = []
    for workload_id in sorted(told - set(own)):
        with suppress(NotFound):  # it is pruned
            if client.workload(workload_id)["state"] in ENDED:
                continue
            now = client.admission(workload_id)
            found.append(Stopped(workload_id, now["state"], now["not_before"]))
    return tuple(found)


def in_words(stopped: Sequence[Stopped]) -> str:
    """
    >>> in_words([Stopped("reindex", "stop", "2026-01-10T08:00:00Z")])
    'While it was played, other work was told to stop or wait: reindex (goes on at 2026-01-10T08:00:00Z).'
    """
    if not stopped:
        return "No other work was told to stop or wait while it was played."
    named = ", ".join(one.words for one in stopped[:MOST_NAMED])
    more = f" and {len(stopped) - MOST_NAMED} more" if len(stopped) > MOST_NAMED else ""
    return f"While it was played, other work was told to stop or wait: {named}{more}."
