"""What the demo plays: its fleet, the work that arrives each simulated day, and the zones it stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from shifter.domain.fleet import Fleet
from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files import parse_fleet, parse_workload

START = datetime(2026, 4, 13, 6, tzinfo=UTC)
"""Where the demo's clock starts: a Monday in spring, so that every run of it shows the same two days."""
SPEED = 120.0
"""Simulated seconds in one real second: an hour passes in 30 s, a day in 12 min."""
HORIZON = timedelta(hours=48)
SLOT_MINUTES = 30

_LIVE_ALIASES = {"DE": "DE-LU", "LU": "DE-LU"}


@dataclass(frozen=True)
class Arrival:
    """Workloads that are submitted together at one moment."""

    at: datetime
    workloads: tuple[Workload, ...]


def fleet_document(zones: Sequence[str] = ()) -> dict[str, Any]:
    """The bundled fleet.yaml as plain values; with `zones`, its sites stand in those, in turn."""
    document = _read("fleet.yaml")
    for i, site in enumerate(document["sites"] if zones else ()):
        zone = zones[i % len(zones)]
        site |= {"name": f"{site['tier']}-{zone.lower()}", "zone": zone, "jurisdiction": jurisdiction(zone)}
    return dict(document)


def bundled_fleet(zones: Sequence[str] = ()) -> Fleet:
    """`fleet_document`, checked."""
    return parse_fleet(fleet_document(zones), where="the demo's fleet.yaml")


def live_zone(text: str) -> str:
    """The grid zone that a person means by `DE`, `gb`, `FR`. Raises InputError for what cannot be a zone."""
    zone = text.strip().upper()
    if not (2 <= len(zone) <= 12 and zone[:2].isalpha()):
        raise InputError(
            f"{text!r} is not a grid zone.", field="--live", hint="Give one like GB, DE, FR or NO2."
        )
    return _LIVE_ALIASES.get(zone, zone)


def jurisdiction(zone: str) -> str:
    """The country of a grid zone: its first two letters."""
    return zone[:2]


def boundaries(fleet: Fleet) -> dict[str, str]:
    """What the bundled workloads' DE and GB stand for: the countries of the fleet's first and second site."""
    first, second = (site.jurisdiction or "" for site in fleet.sites[:2])
    return {"DE": first, "GB": second}


def arrivals(start: datetime, day: int, countries: Mapping[str, str]) -> list[Arrival]:
    """What arrives on the demo's `day` (0 is the first), in order. `countries` are those of `boundaries`."""
    day_start = start + timedelta(days=day)
    by_time: dict[datetime, list[Workload]] = {}
    for number, template in enumerate(_templates()):
        at = day_start + timedelta(hours=template["at_h"])
        by_time.setdefault(at, []).append(
            _workload(template, at, day_start, countries, f"workloads.yaml[{number}]")
        )
    return [Arrival(at, tuple(work)) for at, work in sorted(by_time.items(), key=lambda item: item[0])]


def sample(now: datetime, boundary: str) -> dict[str, Any]:
    """A workload to submit by hand, as plain JSON, whose deadline fits `now`."""
    from forecasts.slots import isoformat_z

    minute = now.replace(second=0, microsecond=0)
    return {
        "id": f"my-first-batch-{minute:%m%d-%H%M}",
        "tenant": "you",
        "model": "llama-3.3-70b",
        "tokens": 1.2e8,
        "deadline": isoformat_z(minute + timedelta(hours=30)),
        "max_accelerators": 16,
        "interruptible": True,
        "preemptible": True,
        "data_boundary": [boundary],
        "mode": "batch",
    }


def _workload(
    template: Mapping[str, Any], at: datetime, day_start: datetime, countries: Mapping[str, str], where: str
) -> Workload:
    raw = dict(template)
    suffix = f"-{day_start:%m%d}"
    wait_h, due_h = raw.pop("wait_h", None), raw.pop("due_h", None)
    del raw["at_h"]
    raw["id"] += suffix
    if "chain" in raw:
        raw["chain"] += suffix
    if "depends_on" in raw:
        raw["depends_on"] = [name + suffix for name in raw["depends_on"]]
    if "data_boundary" in raw:
        raw["data_boundary"] = [countries.get(name, name) for name in raw["data_boundary"]]
    if wait_h is not None:
        raw["earliest_start"] = (at + timedelta(hours=wait_h)).isoformat()
    if due_h is not None:
        raw["deadline"] = (at + timedelta(hours=due_h)).isoformat()
    return parse_workload(raw, where=where)


@cache
def _templates() -> tuple[dict[str, Any], ...]:
    return tuple(_read("workloads.yaml"))


def _read(name: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load((files("shifter.demo") / "data" / name).read_text("utf-8"))
