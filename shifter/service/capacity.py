"""Flat numbers for autoscalers and gates: what admission lets in. What is stale reads as no free capacity, and
never as no demand.
"""

from __future__ import annotations

from datetime import datetime

from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.plan import Plan
from shifter.domain.rows import SlotRow
from shifter.errors import InputError, NotFound
from shifter.service.gate import Gate
from shifter.views import Capacity, SlotView


def capacity(key: PoolKey, gate: Gate) -> Capacity:
    """What deferrable work may hold in a pool now, as admission lets it in by its leases. Raises NotFound.

    Stale are: no plan, a plan that does not reach this moment, and leases that nobody renews, which all read as 0
    deferrable accelerators; and a pool that reported its real-time load once and then fell silent, of which
    `Gate.measured` says what counts.
    """
    if key not in gate.fleet.pools:
        known = ", ".join(f"{site}/{pool}" for site, pool in gate.fleet.pools)
        raise NotFound(f"there is no pool {key[0]}/{key[1]}.", hint=f"Pools are {known}.")
    count = gate.fleet.pools[key][1].present(gate.now)
    published = gate.state.published
    row = published.row_at(key, gate.now) if published else None
    unknown = row is None or gate.stale
    deferrable = 0 if unknown else gate.let_in_slots(key)
    sample = gate.last_sample(key)
    return Capacity(
        site=key[0],
        pool=key[1],
        deferrable_accelerators=deferrable,
        reserved_accelerators=float(count) if row is None else row.reserved,
        realtime_accelerators=_realtime(row, gate.measured(key), count),
        dispatch_budget=deferrable / count if count else 0.0,
        count=count,
        version=published.version if published else 0,
        valid_until=gate.until,
        stale=unknown or gate.silent(key),
        available_accelerators=gate.count(key),
        yielded_accelerators=gate.yielded_in(key),
        last_sample_at=None if sample is None else sample.at,
        measured_accelerators=None if sample is None else sample.realtime_accelerators,
    )


def _realtime(row: SlotRow | None, measured: float | None, count: int) -> float:
    if measured is not None:
        return measured
    return float(count) if row is None else row.realtime_q


def check_asked(
    fleet: Fleet, site: str | None, pool: str | None, start: datetime | None, end: datetime | None
) -> None:
    """Raises NotFound for a site or pool that is not there, InputError for a window that is empty."""
    if site is not None and site not in fleet.by_site:
        known = ", ".join(fleet.by_site)
        raise NotFound(f"there is no site {site}.", field="site", hint=f"Sites are {known}.")
    pools = {p for s, p in fleet.pools if site in (None, s)}
    if pool is not None and pool not in pools:
        where = f" at {site}" if site else ""
        hint = f"Pools are {', '.join(sorted(pools))}."
        raise NotFound(f"there is no pool {pool}{where}.", field="pool", hint=hint)
    if start is not None and end is not None and end <= start:
        raise InputError("the window is empty.", field="end", hint="Windows are [start, end).")


def slots(
    plan: Plan, fleet: Fleet, site: str | None, pool: str | None, start: datetime | None, end: datetime | None
) -> list[SlotView]:
    """Those of a site, a pool and a window."""
    return [
        slot_view(row, fleet)
        for row in plan.slots
        if site in (None, row.site)
        and pool in (None, row.pool)
        and (start is None or row.end > start)
        and (end is None or row.start < end)
    ]


def slot_view(row: SlotRow, fleet: Fleet) -> SlotView:
    """A slot with what is free in it: outside the reserve, and held by nobody."""
    firm = row.deferrable - row.preemptible
    site = fleet.by_site.get(row.site)  # a plan may be of a fleet that had others
    kept = row.realtime_q if site is None else site.resilience.kept(row.realtime_q, row.reserved)
    free = min(row.count - row.reserved - firm, row.count - kept - row.deferrable)
    return SlotView(
        site=row.site,
        pool=row.pool,
        start=row.start,
        end=row.end,
        realtime_p50=row.realtime_p50,
        realtime_q=row.realtime_q,
        reserved=row.reserved,
        deferrable=row.deferrable,
        preemptible=row.preemptible,
        count=row.count,
        free=max(0.0, free),
    )
