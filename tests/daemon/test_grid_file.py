"""A file of grid events: what is in it holds, what is taken out is withdrawn, what is wrong changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shifter.clock import ManualClock
from shifter.grid_file import FILE, FileFeed, leave
from shifter.service import Service
from shifter.views import EventKind
from tests.service.world import FLEET, HOUR, T0, job, kinds, realtime, service

CUT = {
    "id": "a",
    "site": "fra",
    "start": "2026-01-10T17:00:00Z",
    "end": "2026-01-10T18:00:00Z",
    "cut_ratio": 0.5,
}
LIMIT = {
    "id": "b",
    "site": "fra",
    "start": "2026-01-10T19:00:00Z",
    "end": "2026-01-10T20:00:00Z",
    "limit_kw": 9,
}


@pytest.fixture
def made(sqlite_url: str) -> Service:
    made = service(sqlite_url, ManualClock(T0), realtime=realtime(4.0))
    made.submit([job("w1", hours=40, width=12, preemptible=True)], "ann")
    made.cycle()
    return made


def test_it_is_followed_as_it_changes(made: Service, tmp_path: Path, sqlite_url: str) -> None:
    file = tmp_path / "events.yaml"
    feed = FileFeed(str(file), FLEET)

    def write(events: Sequence[dict[str, Any]] | str) -> int:
        file.write_text(events if isinstance(events, str) else json.dumps(events))
        os.utime(file, ns=(0, write.__dict__.setdefault("at", 0)))
        write.__dict__["at"] += 1
        return feed.listen(made.core)

    assert feed.listen(made.core) == 0
    assert not made.core.state.sources[FILE].up, "there is no such file"
    assert write([CUT, LIMIT]) == 2
    assert made.core.state.sources[FILE].up
    before = made.grid_events()
    assert [e.id for e in before] == ["a", "b"]
    assert before[0].frozen_baseline is not None
    made.cycle()
    assert write([CUT, LIMIT]) == 0, "its baseline stays what it was, whatever is planned since"
    assert made.grid_events() == before
    assert write([LIMIT, {**CUT, "id": "a", "limit_kw": 1}]) == 0, "one is wrong: nothing changes"
    assert made.grid_events() == before
    assert "cut_ratio" in made.core.state.sources[FILE].error
    assert write("not: [a list") == 0
    assert made.grid_events() == before
    assert write([CUT]) == 1
    assert made.grid_events() == before[:1]
    assert kinds(made).count(EventKind.GRID_EVENT_WITHDRAWN) == 1
    again = service(sqlite_url, ManualClock(T0 + HOUR), realtime=realtime(4.0))
    assert FileFeed(str(file), FLEET).listen(again.core) == 0, "also over a restart"
    leave(again.core, [feed])
    assert again.grid_events() == before[:1]
    leave(again.core, [])
    assert again.grid_events() == []
