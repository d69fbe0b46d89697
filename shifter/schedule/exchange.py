r"""Fewer runs at no cost: two jobs of one pool exchange who of them runs when.

What both together hold at every instant stays as it is, and so does what each of them does. Then no load changes: not
of a pool, nor of a site, whatever terms there are. Of two jobs A and B that together hold T(t), A may hold any level

    max(0, T(t) - room of B(t))  <=  a(t)  <=  min(T(t), room of A(t))

with the sum over time that it has now. It takes all of that as early as it may, or as late as it may, so that the other
has the rest: one of them is done before the other goes on. Whichever makes fewer pieces is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from shifter.schedule.jobs import Ints, Job
from shifter.schedule.pack import Piece, merge_pieces

Place = tuple[int, int]
"""A pool, and a job's way in it."""

PARTNERS = 20
"""The most that one job tries in a pool, those in most pieces first."""

DRIFT_RATIO = 1e-8
"""Of a job's work: whole microseconds may cost it this much of it at most."""


def exchange(jobs: Sequence[Job], pieces: list[Piece]) -> list[Piece]:
    """The same accelerators at every instant, each job's work as before, in fewer pieces; or these very pieces.

    Of these jobs, which have no shape, each in its window.
    """
    own: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        own[piece.job].append(piece)
    plain = {job.id: job for job in jobs if job.id in own}
    asked = {id: _amount(own[id]) for id in plain}
    changed = False
    for id in sorted(plain, key=lambda i: (-len(own[i]), i)):
        for place in sorted({(p.pool, p.way) for p in own[id]}):
            for other, there in _partners(plain, own, plain[id], place):
                if len(own[id]) == 1:
                    break
                pair = _exchanged(plain[id], own[id], place, plain[other], own[other], there)
                if pair is not None and all(
                    abs(_amount(group) - asked[i]) <= DRIFT_RATIO * asked[i]
                    for i, group in zip((id, other), pair, strict=True)
                ):
                    own[id], own[other] = pair
                    changed = True
    return [piece for group in own.values() for piece in group] if changed else pieces


def _amount(pieces: Sequence[Piece]) -> int:
    """Accelerator-microseconds."""
    return sum(p.accelerators * (p.end_us - p.start_us) for p in pieces)


def _partners(
    jobs: dict[str, Job], own: dict[str, list[Piece]], job: Job, place: Place
) -> list[tuple[str, Place]]:
    """Jobs that use the same pool at the same power in the job's window, and how, those in most pieces first."""
    pool, way = place[0], job.ways[place[1]]
    found = []
    for other in jobs.values():
        alike = other.firm == job.firm and other.tenant == job.tenant and other.id != job.id
        if alike and other.start_us < job.end_us and other.end_us > job.start_us:
            near = [p for p in own[other.id] if p.start_us < job.end_us and p.end_us > job.start_us]
            found += [(other.id, (pool, w)) for w in {p.way for p in near if p.pool == pool}]
    found = [(id, at) for id, at in found if jobs[id].ways[at[1]].import_kw == way.import_kw]
    return sorted(found, key=lambda f: (-len(own[f[0]]), f))[:PARTNERS]


def _exchanged(
    a: Job, of_a: list[Piece], at: Place, b: Job, of_b: list[Piece], bt: Place
) -> tuple[list[Piece], list[Piece]] | None:
    """Both anew, where that makes fewer pieces; None where it does not."""
    (mine, rest_a), (his, rest_b) = _split(of_a, at), _split(of_b, bt)
    edges = {a.start_us, a.end_us, b.start_us, b.end_us}
    edges |= {moment for p in (*of_a, *of_b) for moment in (p.start_us, p.end_us)}
    moments = np.array(sorted(edges), dtype=np.int64)
    has = _levels(mine, moments)
    total = has + _levels(his, moments)
    fewest, best = len(of_a) + len(of_b), None
    if max(2, _rises(total)) + len(rest_a) + len(rest_b) >= fewest:
        return None
    most = np.minimum(total, _room(a, rest_a, moments))
    least = np.maximum(0, total - _room(b, rest_b, moments))
    more = int(((has - least) * np.diff(moments)).sum())
    if not (mine and his) or more < 0:
        return None
    for late in (False, True):
        cut = _cut_us(moments, most - least, more, late)
        steps = np.unique(np.append(moments, cut))
        step = np.searchsorted(moments, steps[:-1], side="right") - 1
        filled = (steps[:-1] >= cut) if late else (steps[1:] <= cut)
        level = np.where(filled, most[step], least[step])
        if _rises(level) + _rises(total[step] - level) + len(rest_a) + len(rest_b) >= fewest:
            continue
        pair = (
            merge_pieces([*rest_a, *_pieces(a, at, steps, level)]),
            merge_pieces([*rest_b, *_pieces(b, bt, steps, total[step] - level)]),
        )
        if len(pair[0]) + len(pair[1]) < fewest:
            fewest, best = len(pair[0]) + len(pair[1]), pair
    return best


def _rises(level: Ints) -> int:
    """The least pieces that hold this level: each begins at a rise, and ends at a fall."""
    change = np.diff(level, prepend=0, append=0)
    return int(max((change > 0).sum(), (change < 0).sum()))


def _split(pieces: Sequence[Piece], place: Place) -> tuple[list[Piece], list[Piece]]:
    """Those in a pool and way, and the others."""
    there = [p for p in pieces if (p.pool, p.way) == place]
    return there, [p for p in pieces if (p.pool, p.way) != place]


def _levels(pieces: Sequence[Piece], moments: Ints) -> Ints:
    """Accelerators between each moment and the next, (n_moments - 1,)."""
    change = np.zeros(len(moments), dtype=np.int64)
    if pieces:
        start, end, count = np.array([p[3:] for p in pieces], dtype=np.int64).T
        np.add.at(change, np.searchsorted(moments, start), count)
        np.subtract.at(change, np.searchsorted(moments, end), count)
    levels: Ints = np.cumsum(change)[:-1]
    return levels


def _room(job: Job, elsewhere: Sequence[Piece], moments: Ints) -> Ints:
    """The most that the job may hold here, beside what it holds elsewhere: nothing outside its window."""
    inside = (moments[:-1] >= job.start_us) & (moments[1:] <= job.end_us)
    room: Ints = np.where(inside, job.max_accelerators - _levels(elsewhere, moments), 0)
    return room


def _cut_us(moments: Ints, width: Ints, more: int, late: bool) -> int:
    """Up to when (from when on, if `late`) as much as `width` between moments comes to `more`, but for its width."""
    length = np.diff(moments)
    amount = width * length
    done = np.cumsum(amount[::-1] if late else amount)
    k = int(np.searchsorted(done, more))
    if k == len(done):
        return int(moments[0] if late else moments[-1])
    left = more - (int(done[k - 1]) if k else 0)
    at = len(length) - 1 - k if late else k
    into = left // int(width[at]) if width[at] else 0
    return int(moments[at + 1] - into if late else moments[at] + into)


def _pieces(job: Job, place: Place, moments: Ints, level: Ints) -> list[Piece]:
    some = np.flatnonzero(level)
    columns = zip(moments[some].tolist(), moments[some + 1].tolist(), level[some].tolist(), strict=True)
    return [Piece(job.id, *place, start, end, count) for start, end, count in columns]
