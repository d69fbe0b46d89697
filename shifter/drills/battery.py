"""What a plan leaves in a battery that it could have given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from shifter.connection import Json
from shifter.domain.fleet import Fleet, Site
from shifter.domain.survival import ride_through_kwh

HOUR = timedelta(hours=1)


def unspent_kwh(fleet: Fleet, site: Site, row: Json, ahead: Sequence[Json], slots: Sequence[Json]) -> float:
    """What a site's battery could give more in a slot, at the meter, and hold what it must in those ahead [kWh].

    `row` and `ahead` are power rows of a plan in time, and `slots` those of the site's pools. 0 without a battery,
    where it gives its whole power or the site draws nothing, and where no slot ahead says what is left.
    """
    battery = site.battery
    if battery is None or not ahead:
        return 0.0
    hours = (datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"])) / HOUR
    more_kw: float = min(battery.power_kw - row["discharge_kw"] - row["charge_kw"], row["import_kw"])
    spare_kwh: float = min(r["stored_kwh"] - _floor_kwh(fleet, site, r["start"], slots) for r in ahead)
    return max(0.0, min(hours * more_kw, spare_kwh * battery.discharge_efficiency))


def _floor_kwh(fleet: Fleet, site: Site, start: str, slots: Sequence[Json]) -> float:
    """What it must hold when a slot begins."""
    assert site.battery is not None
    realtime = {s["pool"]: s["realtime_q"] for s in slots if s["start"] == start}
    return max(site.battery.min_kwh, ride_through_kwh(fleet, site, realtime))
