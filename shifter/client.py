"""A small client of the daemon's HTTP interface, for the command line, runners and gates.

Answers are the JSON of `shifter.views`; errors are raised as the classes that the daemon itself raised, with
the same code, field, hint and facts.

    client = Client("http://127.0.0.1:8321")
    [view] = client.submit([{"id": "w-1", "accelerator_hours": 4, "deadline": "2026-01-11T06:00:00Z"}])
    lease = client.allocations("w-1", wait_s=60, after_version=view_version)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from forecasts.slots import isoformat_z
from shifter.connection import DEFAULT_URL, Connection, Json, given

PAGE = 1000
SLOW_TIMEOUT_S = 300.0
"""Of calls that plan before they answer."""

When = datetime | str


class Client:
    """Talks to the daemon at `base_url`. Nothing is sent before the first call; use one a thread.

    `actor` is who asks, for the audit. Raises the classes of `shifter.errors` and `shifter.api.errors`;
    Unreachable where no daemon answers.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, actor: str = "", timeout_s: float = 30.0) -> None:
        self._connection = Connection(base_url, actor=actor, timeout_s=timeout_s)
        self.base_url = self._connection.base_url
        self.timeout_s = timeout_s

    # Workloads

    def submit(self, workloads: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Classify and admit, all or nothing; in the order given.

        `created` is False in the answer of what was there already with the same content.
        """
        return self._list(
            "POST", "/v1/workloads", body=[dict(w) for w in workloads], timeout_s=SLOW_TIMEOUT_S
        )

    def workload(self, workload_id: str) -> Json:
        """One workload."""
        return self._object("GET", _workload(workload_id))

    def workloads(
        self,
        state: str | None = None,
        tenant: str | None = None,
        decided: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[Json]:
        """By submission, newest first; asks for as many pages as `limit` takes."""
        found: list[Json] = []
        while len(found) < limit:
            size = min(PAGE, limit - len(found))
            query = {"state": state, "tenant": tenant, "class": decided, "limit": size, "after": after}
            page = self._list("GET", "/v1/workloads", query)
            found += page
            if len(page) < size:
                break
            after = page[-1]["id"]
        return found

    def cancel(self, workload_id: str) -> Json:
        """Withdraw it."""
        return self._object("DELETE", _workload(workload_id))

    def progress(
        self,
        workload_id: str,
        done: float | None = None,
        remaining: float | None = None,
        at: When | None = None,
        accelerators: int | None = None,
    ) -> Json:
        """Work done so far, in the workload's unit; give `done` or `remaining`. `accelerators` is how many it has."""
        body = {"done": done, "remaining": remaining, "at": _moment(at), "accelerators": accelerators}
        return self._object("POST", _workload(workload_id, "progress"), body=given(body))

    def override(self, workload_id: str, decided: str | None, reason: str) -> Json:
        """An operator's decision over the policy's; None lifts it."""
        body = {"class": decided, "reason": reason}
        return self._object("POST", _workload(workload_id, "override"), body=body)

    def override_rule(self, rule: str, decided: str | None, reason: str) -> Json:
        """An operator's decision over what a rule of the policy decides; None switches the rule off."""
        body = {"rule": rule, "class": decided, "reason": reason}
        return self._object("POST", "/v1/policy/overrides", body=body)

    def overrides(self) -> list[Json]:
        """Overrides that are kept, of workloads and of rules, oldest first."""
        return self._list("GET", "/v1/policy/overrides")

    # Leases

    def allocations(self, workload_id: str, wait_s: float = 0.0, after_version: int | None = None) -> Json:
        """Its slots, as a lease; with `wait_s` once its version exceeds `after_version`, or when the time is
        up.
        """
        query = {"wait": wait_s or None, "after_version": after_version}
        return self._object(
            "GET", _workload(workload_id, "allocations"), query, timeout_s=self.timeout_s + wait_s
        )

    def admission(self, workload_id: str) -> Json:
        """May it run now."""
        return self._object("GET", _workload(workload_id, "admission"))

    def explanation(self, workload_id: str) -> Json:
        """Why this class, why these slots."""
        return self._object("GET", _workload(workload_id, "explanation"))

    def value(self, site: str | None = None) -> Json:
        """What one more kW, accelerator or kWh of battery would save at the most, at every site or one."""
        return self._object("GET", "/v1/value", {"site": site})

    def deadlines(self, limit: int | None = None) -> list[Json]:
        """What deadlines cost, those first of which an hour more would save most."""
        return self._list("GET", "/v1/value/deadlines", {"limit": limit})

    def quote(self, workload: Mapping[str, Any], deadlines: Sequence[When] | None = None) -> Json:
        """Cost, carbon and finish against the deadline; submits nothing."""
        body: Json = {"workload": dict(workload)}
        if deadlines:
            body["deadlines"] = [_moment(d) for d in deadlines]
        return self._object("POST", "/v1/quotes", body=body, timeout_s=SLOW_TIMEOUT_S)

    # The plan

    def slots(
        self,
        site: str | None = None,
        pool: str | None = None,
        start: When | None = None,
        end: When | None = None,
    ) -> list[Json]:
        """What each slot holds, of the current plan."""
        query = {"site": site, "pool": pool, "start": _moment(start), "end": _moment(end)}
        return self._list("GET", "/v1/slots", query)

    def capacity(self, site: str, pool: str) -> Json:
        """Flat numbers for a gate, now."""
        return self._object("GET", f"/v1/capacity/{_segment(site)}/{_segment(pool)}")

    def plan(self, plan_id: str | None = None) -> Json:
        """The current plan, or an earlier one."""
        return self._object("GET", "/v1/plan" if plan_id is None else f"/v1/plans/{_segment(plan_id)}")

    def plan_inputs(self, plan_id: str) -> Json:
        """What that plan was made from."""
        return self._object("GET", f"/v1/plans/{_segment(plan_id)}/inputs")

    # Inputs

    def forecasts(
        self, zone: str, start: When | None = None, end: When | None = None, as_of: When | None = None
    ) -> Json:
        """The forecast of a zone in use at a moment."""
        query = {"zone": zone, "start": _moment(start), "end": _moment(end), "as_of": _moment(as_of)}
        return self._object("GET", "/v1/forecasts", query)

    def learnt(self, zone: str | None = None) -> list[Json]:
        """Who counts for how much in forecasts, by zone and signal."""
        return self._list("GET", "/v1/forecasts/learnt", {"zone": zone})

    def push_forecasts(self, series: Sequence[Mapping[str, Any]]) -> int:
        """Append vintages, all or nothing; how many were new."""
        return int(self._object("POST", "/v1/forecasts", body=[dict(s) for s in series])["accepted"])

    def telemetry(self, samples: Sequence[Mapping[str, Any]]) -> int:
        """Measured real-time load and site power; how many were taken."""
        return int(self._object("POST", "/v1/telemetry", body=[dict(s) for s in samples])["accepted"])

    def realtime(self, site: str | None = None, pool: str | None = None, days: int = 14) -> list[Json]:
        """What real-time load is expected, how often that held in the last `days`, and what arrived last by model."""
        return self._list("GET", "/v1/realtime", {"site": site, "pool": pool, "days": days})

    def announce(self, announcement: Mapping[str, Any]) -> Json:
        """Real-time load that is known to come."""
        return self._object("POST", "/v1/realtime/announcements", body=dict(announcement))

    def announcements(self, since: When | None = None) -> list[Json]:
        """Those that end after `since` (default: now), and those of the daemon's settings."""
        return self._list("GET", "/v1/realtime/announcements", {"since": _moment(since)})

    def withdraw_announcement(self, announcement_id: str) -> Json:
        """Take it back; what it was."""
        return self._object("DELETE", f"/v1/realtime/announcements/{_segment(announcement_id)}")

    def add_grid_event(self, event: Mapping[str, Any]) -> Json:
        """A limit or a cut for a site and a window; answered with its baseline."""
        return self._object("POST", "/v1/grid-events", body=dict(event), timeout_s=SLOW_TIMEOUT_S)

    def grid_events(self, since: When | None = None) -> list[Json]:
        """Those that end after `since` (default: now)."""
        return self._list("GET", "/v1/grid-events", {"since": _moment(since)})

    def quote_grid_event(self, event: Mapping[str, Any]) -> Json:
        """What it would cost, and who would pay; nothing is accepted."""
        return self._object("POST", "/v1/grid-events/quote", body=dict(event), timeout_s=SLOW_TIMEOUT_S)

    def grid_event_report(self, event_id: str) -> Json:
        """What was delivered against what was requested."""
        return self._object("GET", f"/v1/grid-events/{_segment(event_id)}/report")

    def withdraw_grid_event(self, event_id: str) -> Json:
        """Take it back; what is left of it."""
        return self._object("DELETE", f"/v1/grid-events/{_segment(event_id)}")

    # What happened

    def events(
        self, after_id: int | None = 0, follow: bool = False, kinds: Sequence[str] = ()
    ) -> Iterator[Json]:
        """Events with a larger id, oldest first. With `follow` it stays, and connects again where it is cut
        off.

        `after_id` None means what happens from now on, and needs `follow`. A daemon that was reached and then
        goes away is waited for; one that never answered is Unreachable.
        """
        if follow:
            yield from self._connection.follow(after_id, kinds)
            return
        position = after_id or 0
        while True:
            query = {"after": position, "kind": list(kinds), "format": "json", "limit": PAGE}
            page = self._list("GET", "/v1/events", query)
            yield from page
            if not page:
                return
            position = page[-1]["id"]

    def newest_events(self, count: int, kinds: Sequence[str] = ()) -> list[Json]:
        """The last events, oldest first; at most 1000."""
        query = {"newest": count, "kind": list(kinds), "format": "json"}
        return self._list("GET", "/v1/events", query)

    def audit(self, subject: str | None = None, after_id: int = 0, limit: int = 100) -> list[Json]:
        """Who did or decided what, oldest first."""
        query = {"subject": subject, "after": after_id, "limit": limit}
        return self._list("GET", "/v1/audit", query)

    def health(self) -> Json:
        """Whether it does its work."""
        return self._object("GET", "/healthz")

    def ready(self) -> bool:
        """Whether there is a plan."""
        return self._connection.send("GET", "/readyz", raising=False).status_code == 200

    def close(self) -> None:
        """Give its connections back."""
        self._connection.close()

    def __enter__(self) -> Client:
        """Close it at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _object(self, method: str, path: str, query: Json | None = None, **how: Any) -> Json:
        answer: Json = self._connection.json(dict, method, path, query, **how)
        return answer

    def _list(self, method: str, path: str, query: Json | None = None, **how: Any) -> list[Json]:
        answer: list[Json] = self._connection.json(list, method, path, query, **how)
        return answer


def _segment(name: str) -> str:
    return quote(name, safe="")


def _workload(workload_id: str, *rest: str) -> str:
    return "/".join(("/v1/workloads", _segment(workload_id), *rest))


def _moment(when: When | None) -> str | None:
    return isoformat_z(when) if isinstance(when, datetime) else when
