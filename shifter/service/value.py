"""What one more of anything would be worth, by the current plan: worked out when it is asked for, once a plan."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime

from shifter.domain.value import FleetWorth, Slack
from shifter.domain.workload import Classified, WorkloadClass
from shifter.errors import NotReady
from shifter.schedule.slack import most_worth_first, worth_of_slack
from shifter.schedule.value import fleet_worth, only_site
from shifter.service.core import Core
from shifter.service.present import state_at
from shifter.service.state import Published
from shifter.store.workloads import WorkloadRecord
from shifter.views import LIVE_STATES, WorkloadState


class Value:
    """Answers of one service; those of the plan that was last asked about are kept."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._one = threading.Lock()
        self._kept: FleetWorth | None = None

    def of_sites(self, site: str | None) -> FleetWorth:
        """What one more of each limit would save at the most. Raises NotReady before the first plan."""
        published = self._published()
        with self._one:
            if self._kept is None or self._kept.plan_id != published.plan.plan_id:
                self._kept = fleet_worth(published.plan, self._core.fleet)
            worth = self._kept
        return worth if site is None else only_site(worth, site)

    def of_deadlines(self, limit: int) -> list[Slack]:
        """Of the live workloads that are planned, those whose slack is worth most. Raises NotReady."""
        published = self._published()
        now = self._core.now()
        work = _planned(self._core, list(self._core.state.records.values()), published, now)
        return most_worth_first(worth_of_slack(published.plan, self._core.fleet, work, now))[:limit]

    def _published(self) -> Published:
        published = self._core.state.published
        if published is None:
            raise NotReady("there is no plan yet.", hint="Try again soon.", retry_after_s=5)
        return published


def slack_of(record: WorkloadRecord, core: Core, published: Published) -> Slack | None:
    """What one workload's deadline costs; None where it is none that the plan shifts."""
    now = core.now()
    found = worth_of_slack(published.plan, core.fleet, _planned(core, (record,), published, now), now)
    return found[0] if found else None


def _planned(
    core: Core, records: Iterable[WorkloadRecord], published: Published, now: datetime
) -> list[Classified]:
    """The work that the plan may still move, with what is left of it."""
    return [
        _classified(record, core, now)
        for record in records
        if record.decided is WorkloadClass.DEFERRABLE
        and record.state in LIVE_STATES
        and record.id in published.shares
        and (record.workload.interruptible or state_at(record, now) is not WorkloadState.RUNNING)
    ]


def _classified(record: WorkloadRecord, core: Core, now: datetime) -> Classified:
    window = record.window_start, record.window_deadline
    done = core.done(record, now)
    return Classified(record.workload, record.decided, lambda: record.reason, *window, done=done)
