"""docs/concepts/bad-input.md shows what is really said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forecasts.slots import SlotGrid
from shifter.errors import InputError
from shifter.files import parse_fleet, parse_workload, read_fleet, read_realtime, read_workloads
from shifter.files.document import parse_document
from shifter.settings import load_settings
from tests.files.good import EXAMPLES, FLEET, mistakes

PAGE = EXAMPLES.parents[1] / "docs" / "concepts" / "bad-input.md"


def said(read: Callable[[], object]) -> list[str]:
    with pytest.raises(InputError) as caught:
        read()
    return mistakes(caught)


def test_every_message_shown_is_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fleet = FLEET.replace("pue:", "peu:", 1).replace("count: 96", "count: x")
    Path("fleet.yaml").write_text(fleet, encoding="utf-8")
    rows = [f'{{"id": "{name}", "accelerator_hours": 1}}\n' for name in ("w-17", "w-18", "w-17")]
    Path("workloads.jsonl").write_text("".join(rows), encoding="utf-8")
    head = "site,pool,start,end,accelerators_p50,accelerators_p99\n"
    row = "frankfurt,h100,2026-01-10T00:00:00Z,2026-01-10T01:00:00Z,10,14\n"
    Path("realtime.csv").write_text(head + row, encoding="utf-8")
    grid = SlotGrid(datetime(2026, 1, 10, tzinfo=UTC), 60, 2)
    moment = "2026-01-10T00:00:00Z"
    contradiction = {"id": "w", "accelerator_hours": 1, "earliest_start": moment, "deadline": moment}
    everything = [
        *said(lambda: read_fleet("fleet.yaml")),
        *said(lambda: read_workloads("workloads.jsonl")),
        *said(lambda: read_realtime("realtime.csv", grid, parse_fleet(parse_document(FLEET, "f").data))),
        *said(lambda: parse_workload(contradiction)),
        *said(lambda: load_settings(None, {}, {"SHIFTER_PROT": "1"})),
    ]
    shown = PAGE.read_text(encoding="utf-8").split("```")[1].strip().splitlines()
    assert len(shown) == len(everything)
    for line, whole in zip(shown, everything, strict=True):
        assert whole.startswith(line)
