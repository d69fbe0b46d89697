"""A cycle's inputs as text and back: the same inputs are the same text, and its sha256 is their id.

What the planner works on is always read back from this text, so that a replay sees what the cycle saw to
the bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid, isoformat_z
from shifter.classify.policy import Policy
from shifter.cycle import CycleInputs, Submission
from shifter.domain.announced import Announced
from shifter.domain.fleet import Fleet
from shifter.domain.rows import Allocation
from shifter.domain.workload import Override, Workload
from shifter.realtime.load import RealtimeLoad
from shifter.store import grid_events
from shifter.store.types import dumps

VERSION = 1


def inputs_to_json(inputs: CycleInputs) -> str:
    """Everything that the cycle looks at, as canonical JSON."""
    return dumps(
        {
            "version": VERSION,
            "now": isoformat_z(inputs.now),
            "fleet": plain(inputs.fleet),
            "frame": inputs.frame.to_dict(),
            "realtime": _realtime_to_dict(inputs.realtime),
            "submissions": [
                {"workload": plain(s.workload), "submitted_at": isoformat_z(s.submitted_at), "done": s.done}
                for s in inputs.submissions
            ],
            "policy": plain(inputs.policy),
            "overrides": [plain(o) for o in inputs.overrides],
            "grid_events": [e.to_dict() for e in inputs.grid_events],
            "time_limit_s": inputs.time_limit_s,
            "deadline_margin_s": inputs.deadline_margin_s,
            "pinned": [plain(a) for a in inputs.pinned],
            "announced": None if inputs.announced is None else inputs.announced.to_dict(),
            "hold_gap": inputs.hold_gap,
        }
    )


def inputs_from_json(text: str) -> CycleInputs:
    """The inverse of `inputs_to_json`. Raises ValueError for a text of another version."""
    raw = json.loads(text)
    if raw.get("version") != VERSION:
        raise ValueError(f"these inputs are of version {raw.get('version')}; this program reads {VERSION}")
    return CycleInputs(
        now=datetime.fromisoformat(raw["now"]),
        fleet=adapter(Fleet).validate_python(raw["fleet"]),
        frame=ForecastFrame.from_dict(raw["frame"]),
        realtime=_realtime_from_dict(raw["realtime"]),
        submissions=tuple(
            Submission(
                adapter(Workload).validate_python(s["workload"]),
                datetime.fromisoformat(s["submitted_at"]),
                s["done"],
            )
            for s in raw["submissions"]
        ),
        policy=adapter(Policy).validate_python(raw["policy"]),
        overrides=tuple(adapter(Override).validate_python(o) for o in raw["overrides"]),
        grid_events=tuple(grid_events.from_dict(e) for e in raw["grid_events"]),
        time_limit_s=raw["time_limit_s"],
        deadline_margin_s=raw["deadline_margin_s"],
        pinned=tuple(adapter(Allocation).validate_python(a) for a in raw.get("pinned", ())),
        announced=None if raw.get("announced") is None else Announced.from_dict(raw["announced"]),
        hold_gap=raw.get("hold_gap", 0.0),
    )


def text_id(text: str) -> str:
    """The id under which a snapshot's text is kept."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Pydantic's reader and writer of one of our frozen dataclasses; making one is slow, so once."""
    return _adapter(kind)  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """Plain JSON values of one of our frozen dataclasses."""
    return adapter(type(value)).dump_python(value, mode="json")


def _realtime_to_dict(load: RealtimeLoad) -> dict[str, Any]:
    grid = load.grid
    return {
        "grid": {
            "start": isoformat_z(grid.start),
            "slot_minutes": grid.slot_minutes,
            "n_slots": grid.n_slots,
        },
        "quantiles": [
            {"site": site, "pool": pool, "probability": p, "accelerators": [float(v) for v in values]}
            for (site, pool), levels in load.quantiles.items()
            for p, values in levels.items()
        ],
    }


def _realtime_from_dict(raw: Mapping[str, Any]) -> RealtimeLoad:
    grid = raw["grid"]
    levels: dict[tuple[str, str], dict[float, Any]] = {}
    for row in raw["quantiles"]:
        values = np.array(row["accelerators"], dtype=float)
        levels.setdefault((row["site"], row["pool"]), {})[row["probability"]] = values
    return RealtimeLoad(
        SlotGrid(datetime.fromisoformat(grid["start"]), grid["slot_minutes"], grid["n_slots"]), levels
    )
