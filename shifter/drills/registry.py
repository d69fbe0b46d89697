"""All drills, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shifter.drills.bad_telemetry import BadTelemetry
from shifter.drills.base import Drill, Scene
from shifter.drills.curtail import Curtail
from shifter.drills.flap import Flap
from shifter.drills.lose_domain import LoseDomain
from shifter.drills.lose_site import LoseSite
from shifter.drills.silence import Silence
from shifter.drills.surge import Surge


@dataclass(frozen=True)
class Entry:
    """A drill, and one line of what it does."""

    make: Callable[[Scene], Drill]
    does: str


DRILLS: Mapping[str, Entry] = {
    "surge": Entry(Surge, "Real-time load of a pool is twice what is expected, for a while."),
    "lose-domain": Entry(LoseDomain, "The largest failure domains of a pool are lost."),
    "lose-site": Entry(LoseSite, "All of a site is lost, and its real-time load comes to the others."),
    "flap": Entry(Flap, "Accelerators of a pool come and go every few seconds, and then its real-time load."),
    "silence": Entry(Silence, "A meter that reported falls silent."),
    "bad-telemetry": Entry(BadTelemetry, "A broken meter sends what is late, doubled, impossible or absurd."),
    "curtail": Entry(Curtail, "The grid asks a site to draw a quarter less, or at most what can be kept."),
}
