"""Real-time load that operators announce: held by the next plan, kept through a restart, and taken back for good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.errors import Conflict, InputError, NotFound
from shifter.realtime.announced import AnnouncedLoad
from shifter.realtime.announcement import Announcement
from shifter.service import Service
from shifter.store import announcements as rows
from tests.service.test_measured_load import World
from tests.service.world import HOUR, T0, config, realtime, service


def announcement(start_h: float = 4, end_h: float = 6, **changes: Any) -> Announcement:
    given: dict[str, Any] = {"id": "a1", "factor": 1.5, "site": "fra"} | changes
    return Announcement(name="launch", start=T0 + start_h * HOUR, end=T0 + end_h * HOUR, **given)


def measured(url: str, **options: Any) -> World:
    world = World(url, **options)
    world.service.core.config = config(admission_wait_s=0, telemetry_days=40)
    return world


@pytest.fixture
def bare(sqlite_url: str) -> Iterator[World]:
    """Nothing measured yet."""
    made = measured(sqlite_url)
    yield made
    made.service.core.db.close()


@pytest.fixture
def world(bare: World) -> World:
    """Twenty days measured: 3 accelerators at night, 6 by day."""
    bare.live(20)
    return bare


def reserved(made: Service, hour: int) -> float:
    [row] = [r for r in made.plan().slots if r.start == T0 + hour * HOUR]
    return row.reserved


def test_the_next_plan_holds_it_is_asked_for_and_can_be_made_again(world: World) -> None:
    asked: list[str] = []
    world.service.core.replan = asked.append
    world.service.cycle()
    before = reserved(world.service, 4)
    view = world.service.announce(announcement(), "ann")
    assert (view.id, view.fixed, view.heeded, view.created_by) == ("a1", False, True, "ann")
    assert asked == ["announcement"]
    assert world.service.announce(announcement(), "bob") == view, "the same again is the same"
    assert asked == ["announcement"]
    world.service.cycle()
    plan = world.service.plan()
    assert reserved(world.service, 4) == pytest.approx(1.5 * before, rel=0.01)
    assert reserved(world.service, 6) < 1.2 * before, "it is over then"
    again = plan_cycle(world.service.plan_inputs(plan.plan_id))
    assert (again.slots, again.allocations, again.cost) == (plan.slots, plan.allocations, plan.cost)
    assert world.held()[1].endswith("; announced: launch, x 1.5")
    [entry] = world.service.audit(subject="a1")
    assert (entry.actor, entry.action, entry.detail["factor"]) == ("ann", "announcement.create", 1.5)


def test_it_outlives_a_restart_and_is_shown_beside_that_of_the_settings(
    world: World, sqlite_url: str
) -> None:
    world.service.announce(announcement(factor=1.0, added_accelerators=2.0, pool="h100"), "ann")
    held, _ = world.held()
    world.service.core.db.close()
    again = measured(sqlite_url, announced=[AnnouncedLoad("holiday", T0, T0 + 9 * HOUR, 0.5)])
    assert np.allclose(again.held()[0][4:6], 2 + (held[4:6] - 2) / 2)
    fixed, kept = again.service.announcements()
    assert (fixed.id, fixed.name, fixed.fixed, fixed.heeded, fixed.created_by) == (
        None,
        "holiday",
        True,
        True,
        None,
    )
    assert (kept.id, kept.added_accelerators, kept.pool, kept.created_by) == ("a1", 2.0, "h100", "ann")
    again.clock.advance(hours=7)
    assert [v.name for v in again.service.announcements()] == ["holiday"]
    assert len(again.service.announcements(T0)) == 2
    again.service.core.db.close()


def test_withdrawn_it_is_as_if_it_had_never_been_said(world: World) -> None:
    before, _ = world.held()
    told = announcement(-2, 4, factor=2.0)
    world.service.announce(told, "ann")
    assert world.held()[0][1] > before[1], "so much more is to come"
    world.measured.learn()
    asked: list[str] = []
    world.service.core.replan = asked.append
    assert world.service.withdraw_announcement("a1", "bob").end == told.end
    assert asked == ["announcement"]
    after, basis = world.held()
    assert basis == "forecast from 20.0 days measured"
    assert np.all(after > 0.9 * before), "what was measured in it is taken at its word at once"
    world.measured.learn()
    assert np.array_equal(world.held()[0], before)
    assert world.service.announcements(T0 - 9 * HOUR) == []
    assert [e.action for e in world.service.audit(subject="a1")] == [
        "announcement.create",
        "announcement.withdraw",
    ]
    with pytest.raises(NotFound) as caught:
        world.service.withdraw_announcement("a1", "bob")
    assert "GET /v1/realtime/announcements" in caught.value.hint
    world.service.announce(told, "ann")


def test_what_came_since_is_seen_as_it_was_announced_before_the_next_learning(world: World) -> None:
    world.clock.advance(hours=1)
    world.post(*((world.clock.now() - i * 5 * timedelta(minutes=1), 8.0) for i in range(12)))
    surprised, _ = world.held(12)
    world.service.announce(announcement(-1, 2, factor=2.0), "ann")
    assert world.held(12)[0][3] < surprised[3] - 1, (
        "twice the load was to be expected: it says nothing of later"
    )


@pytest.mark.parametrize(
    ("changes", "error", "field", "words"),
    [
        ({"site": "muc"}, NotFound, "site", "there is no site muc"),
        ({"pool": "a100"}, NotFound, "pool", "there is no pool a100 at fra"),
        ({"end_h": 4}, InputError, "end", "not after 2026-01-10T04:00:00Z"),
        ({"start_h": -3, "end_h": -1}, InputError, "end", "the window ended at"),
        ({"factor": 1.0}, InputError, "factor", "neither `factor` nor added_accelerators"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(
    bare: World, changes: dict[str, Any], error: type[Exception], field: str, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        bare.service.announce(announcement(**changes), "ann")
    assert caught.value.field == field  # type: ignore[attr-defined]
    assert bare.service.announcements(T0 - 99 * HOUR) == []


def test_other_content_under_an_id_is_a_conflict(bare: World) -> None:
    bare.service.announce(announcement(), "ann")
    with pytest.raises(Conflict, match="already an announcement, with other content") as caught:
        bare.service.announce(announcement(factor=3.0), "ann")
    assert caught.value.field == "id"
    assert [v.factor for v in bare.service.announcements()] == [1.5]


def test_where_no_plan_would_hold_it_it_is_refused_and_says_what_to_set(
    bare: World, sqlite_url: str, clock: ManualClock
) -> None:
    bare.service.announce(announcement(), "ann")
    other = service(sqlite_url, clock, realtime=realtime(4.0))
    with pytest.raises(Conflict, match="no plan would hold it") as caught:
        other.announce(announcement(id="a2"), "ann")
    assert "Set realtime: {profile: measured}" in caught.value.hint
    [kept] = other.announcements()
    assert (kept.id, kept.heeded) == ("a1", False), "it was kept while it was measured"
    other.withdraw_announcement("a1", "ann")
    assert other.announcements() == []


def test_past_ones_are_kept_as_long_as_the_load_that_is_learnt_from(bare: World) -> None:
    bare.service.announce(announcement(), "ann")
    bare.clock.advance(hours=24 * 399)
    assert bare.service.prune()["announcements"] == 0
    bare.clock.advance(hours=48)
    assert bare.service.prune()["announcements"] == 1


def test_one_of_a_pool_that_is_gone_is_shown_as_not_heeded(bare: World) -> None:
    with bare.service.core.db.write() as db:
        rows.add(db, announcement(site="gone"), T0, "ann")
    [view] = bare.service.announcements()
    assert not view.heeded
    assert bare.held()[1] == "nothing measured yet: the whole pool is held"
