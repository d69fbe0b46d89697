"""What one more workload moves of what was announced."""

from __future__ import annotations

from typing import Any

from benchmarks.replan import moved_and_missed


def _plan(created_at: str, *rows: tuple[str, str, str]) -> dict[str, Any]:
    allocations = [
        {"workload_id": id, "site": "a", "pool": "p", "start": start, "end": end, "accelerators": 1}
        for id, start, end in rows
    ]
    return {"created_at": created_at, "allocations": allocations}


def test_what_is_moved_and_what_nobody_ran() -> None:
    before = _plan(
        "00", ("over", "00", "02"), ("runs", "01", "06"), ("late", "01", "06"), ("still", "05", "07")
    )
    same = _plan("03", ("runs", "03", "06"), ("late", "03", "08"), ("still", "05", "07"), ("new", "05", "07"))
    assert moved_and_missed(before, same) == (0, 1)
    other = _plan(
        "03", ("over", "03", "05"), ("runs", "03", "06"), ("late", "03", "08"), ("still", "06", "08")
    )
    assert moved_and_missed(before, other) == (1, 2)
