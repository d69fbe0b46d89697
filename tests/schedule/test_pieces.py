"""Pieces as a table: it reads as the sequence of pieces that it was made of, whatever the order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.cycle import problem_of
from shifter.schedule.pack import Piece
from shifter.schedule.pieces import Pieces
from tests.schedule.build import cycle_inputs, work

PROBLEM = problem_of(cycle_inputs([work(id, 1, 8) for id in ("w10", "b", "w9", "a")]))
rows = st.builds(
    Piece,
    st.sampled_from([job.id for job in PROBLEM.jobs]),
    *(st.integers(0, 3) for _ in ("pool", "way", "start", "end", "accelerators")),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, max_size=12), st.lists(rows, max_size=4))
def test_a_table_is_the_sequence_that_it_was_made_of(some: list[Piece], more: list[Piece]) -> None:
    table = Pieces.of(PROBLEM, some)
    assert list(table) == some
    assert len(table) == len(some)
    assert [table[i] for i in range(-len(some), len(some))] == some + some
    assert list(table[1:3]) == some[1:3]
    assert list(table.beside(more)) == some + more
    assert list(table.beside(more).in_order()) == sorted(some + more)
    assert list(table.where(table.of_jobs(["a", "w9"]))) == [p for p in some if p.job in {"a", "w9"}]
    assert list(table.where(~table.of_jobs([]))) == some


def test_a_table_of_another_problem_is_read_anew() -> None:
    fewer = replace(PROBLEM, jobs=PROBLEM.jobs[2:])
    table = Pieces.of(PROBLEM, [Piece("a", 0, 0, 0, 9, 1), Piece("w9", 0, 0, 1, 2, 3)])
    again = Pieces.of(fewer, table)
    assert list(again) == list(table)
    assert again.job.tolist() == [1, 0]
    assert Pieces.of(PROBLEM, table) is table
