"""What pieces have to load: work that runs at the moment of planning has been loaded, and goes on without that."""

from __future__ import annotations

from collections.abc import Sequence

from shifter.schedule.jobs import Job
from shifter.schedule.pack import Piece


def load_us(job: Job, way: int, start_us: int, accelerators: int) -> int:
    """What one run alone has to load: all that its way takes, or what is left of it where it goes on."""
    for one in job.running:
        if (one.way, one.start_us) == (way, start_us) and accelerators <= one.accelerators:
            return one.load_us
    return job.ways[way].load_us


def loads_us(job: Job, pieces: Sequence[Piece]) -> list[int]:
    """What each of a job's pieces has to load. As many go on as run, the widest first, and of those the longest."""
    loads = [job.ways[piece.way].load_us for piece in pieces]
    for one in job.running:
        left = one.accelerators
        begun = (i for i, p in enumerate(pieces) if p.way == one.way and p.start_us == one.start_us)
        for i in sorted(begun, key=lambda i: (-pieces[i].accelerators, -pieces[i].end_us, i)):
            if pieces[i].accelerators <= left:
                left -= pieces[i].accelerators
                loads[i] = one.load_us
    return loads
