"""What each site has drawn in the billing period that runs: one row a site."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from shifter.store import tables as t


@dataclass(frozen=True)
class Meter:
    """A site's import as far as it is counted: `drawn_kwh` of the slot that began at `slot_start`, by `counted_to`."""

    site: str
    slot_start: datetime
    counted_to: datetime
    drawn_kwh: float
    peak_kw: float
    """Highest mean of an ended slot of the month of `slot_start` [kW]."""
    configured_kw: float
    """The fleet's `peak_so_far_kw`."""
    configured_at: datetime
    """When that figure was first seen."""


def save(db: Connection, meters: Iterable[Meter]) -> None:
    """Write these; each replaces the one of its site."""
    rows = [asdict(m) for m in meters]
    if rows:
        db.execute(delete(t.meters).where(t.meters.c.site.in_([row["site"] for row in rows])))
        db.execute(insert(t.meters), rows)


def load(db: Connection) -> dict[str, Meter]:
    """All of them, by site."""
    rows = db.execute(select(t.meters).order_by(t.meters.c.site)).mappings()
    return {row["site"]: Meter(**row) for row in rows}
