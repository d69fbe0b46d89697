"""A file of grid events: what is in it holds, what is taken out is withdrawn, what is wrong changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from shifter.clock import ManualClock
from shifter.domain.grid_event import GridEvent
from shifter.errors import NotReady
from shifter.grid_file import FILE, FileFeed, leave
from shifter.service import Service
from shifter.service.core import Core
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


def test_a_cut_that_no_plan_reaches_keeps_no_other_out(sqlite_url: str, tmp_path: Path) -> None:
    clock, file = ManualClock(T0), tmp_path / "events.yaml"
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    made.cycle()
    far = {**CUT, "id": "far", "start": "2026-02-10T00:00:00Z", "end": "2026-02-10T02:00:00Z"}
    file.write_text(json.dumps([far, LIMIT, CUT]))
    feed = FileFeed(str(file), FLEET)
    assert feed.listen(made.core) == 2
    assert {e.id for e in made.grid_events()} == {"a", "b"}
    error = made.core.state.sources[FILE].error
    assert "far has to wait: " in error
    assert "no plan reaches from 2026-02-10T00:00:00Z" in error
    assert feed.listen(made.core) == 0
    clock.moment = datetime(2026, 2, 9, 20, tzinfo=UTC)
    made.heartbeat()
    made.cycle()
    assert feed.listen(made.core) == 1, "the same file"
    assert [e.id for e in made.grid_events()] == ["far"]
    assert made.core.state.sources[FILE].up


def test_a_cut_waits_for_the_first_plan_and_a_limit_does_not(sqlite_url: str, tmp_path: Path) -> None:
    made, file = service(sqlite_url, ManualClock(T0)), tmp_path / "events.yaml"

    def away(core: Core, reach: datetime) -> NoReturn:
        raise NotReady("there are no forecasts yet.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shifter.service.snapshot.take", away)
        file.write_text(json.dumps([CUT, LIMIT]))
        feed = FileFeed(str(file), FLEET)
        assert feed.listen(made.core) == 1
        assert "a has to wait: there are no forecasts yet." in made.core.state.sources[FILE].error
    assert feed.listen(made.core) == 1
    assert {e.id for e in made.grid_events()} == {"a", "b"}


def test_an_id_that_another_sender_holds_stays_theirs(sqlite_url: str, tmp_path: Path) -> None:
    clock, file = ManualClock(T0), tmp_path / "events.yaml"
    made = service(sqlite_url, clock, realtime=realtime(4.0))
    made.cycle()
    theirs = made.add_grid_event(GridEvent("b", "fra", T0 + HOUR, T0 + 3 * HOUR, 3.0), "dso")
    file.write_text(json.dumps([LIMIT, CUT]))
    feed = FileFeed(str(file), FLEET)
    assert feed.listen(made.core) == 1, "the others are followed"
    assert [e.id for e in made.grid_events()] == ["b", "a"]
    assert made.grid_events()[0] == theirs
    assert (
        "b is already a grid event, told by dso: it is not followed." in made.core.state.sources[FILE].error
    )
    file.write_text("[]")
    assert feed.listen(made.core) == 1
    assert made.grid_events() == [theirs], "only what the file told is withdrawn"
    assert made.core.state.sources[FILE].up
    file.write_text(json.dumps([LIMIT]))
    assert feed.listen(made.core) == 0
    clock.moment = T0 + 4 * HOUR
    made.heartbeat()
    assert feed.listen(made.core) == 1, "theirs is over"
    assert [(e.id, e.limit_kw) for e in made.grid_events()] == [("b", 9)]
    assert made.core.state.sources[FILE].up
