"""A plan's pieces as one table, which reads as the sequence of them: a million are made, summed and written at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import overload

import numpy as np
from numpy.typing import NDArray

from shifter.schedule.jobs import Ints
from shifter.schedule.pack import Piece
from shifter.schedule.problem import ScheduleProblem


@dataclass(frozen=True, eq=False)
class Pieces(Sequence[Piece]):
    """One row a piece, (n_pieces,) each; `job` counts the problem's jobs, and after them what is pinned."""

    problem: ScheduleProblem
    job: Ints
    pool: Ints
    way: Ints
    start_us: Ints
    end_us: Ints
    accelerators: Ints

    @classmethod
    def of(cls, problem: ScheduleProblem, pieces: Iterable[Piece]) -> Pieces:
        """These pieces, in the order given."""
        if isinstance(pieces, Pieces) and pieces.problem.ids == problem.ids:
            return pieces
        rows, index = list(pieces), problem.positions
        n = len(rows)
        job = np.fromiter((index[p.job] for p in rows), np.int64, n)
        numbers = np.fromiter(chain.from_iterable(p[1:] for p in rows), np.int64, 5 * n)
        return cls(problem, job, *numbers.reshape(n, 5).T)

    def __len__(self) -> int:
        return len(self.job)

    def __iter__(self) -> Iterator[Piece]:
        ids = [self.problem.ids[i] for i in self.job.tolist()]
        return map(Piece, ids, *(column.tolist() for column in self.columns[1:]))

    @overload
    def __getitem__(self, at: int) -> Piece: ...
    @overload
    def __getitem__(self, at: slice) -> Pieces: ...
    def __getitem__(self, at: int | slice) -> Piece | Pieces:
        if isinstance(at, slice):
            return Pieces(self.problem, *(column[at] for column in self.columns))
        job, *numbers = (int(column[at]) for column in self.columns)
        return Piece(self.problem.ids[job], *numbers)

    @property
    def columns(self) -> tuple[Ints, ...]:
        """All of them, in the order of a piece's fields."""
        return self.job, self.pool, self.way, self.start_us, self.end_us, self.accelerators

    def where(self, rows: Ints | NDArray[np.bool_]) -> Pieces:
        """These rows, in this order."""
        return Pieces(self.problem, *(column[rows] for column in self.columns))

    def of_jobs(self, ids: Iterable[str]) -> NDArray[np.bool_]:
        """Which rows are pieces of one of these jobs."""
        chosen = np.zeros(len(self.problem.ids), dtype=bool)
        chosen[[self.problem.positions[id] for id in ids]] = True
        found: NDArray[np.bool_] = chosen[self.job]
        return found

    def beside(self, others: Iterable[Piece]) -> Pieces:
        """These, and after them the others."""
        more = Pieces.of(self.problem, others)
        pairs = zip(self.columns, more.columns, strict=True)
        return Pieces(self.problem, *(np.concatenate(pair) for pair in pairs))

    def in_order(self) -> Pieces:
        """By job's id, pool, way, start, end and accelerators, as pieces compare."""
        ids = self.problem.ids
        rank = np.empty(len(ids), dtype=np.int64)
        rank[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
        keys = (self.accelerators, self.end_us, self.start_us, self.way, self.pool, rank[self.job])
        return self.where(np.lexsort(keys))
