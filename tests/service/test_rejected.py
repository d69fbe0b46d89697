"""What becomes of a cycle that goes wrong. What a rejected plan was made from is kept, for its time and no more of it
than some, so that it can be reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.domain.grid_event import GridEvent
from shifter.domain.plan import Plan
from shifter.errors import NotFound, NotReady, PlanRejected
from shifter.planner import InProcessPlanner
from shifter.service import Service, life
from shifter.service.cycles import PLANNING
from shifter.store.plans import REJECTED_KEPT
from shifter.store.snapshots import inputs_to_json, text_id
from shifter.views import AdmissionState, EventKind
from tests.service.world import HOUR, T0, job, service


class Rejecting(InProcessPlanner):
    """Makes plans of which it says, while `broken`, that they break a condition."""

    broken = True
    text = ""

    def plan(self, inputs_text: str, deadline_s: float) -> Plan:
        self.text = inputs_text
        if self.broken:
            raise PlanRejected("the plan breaks 1 conditions.", hint="Report it.", violations=["order: b"])
        return super().plan(inputs_text, deadline_s)


@pytest.fixture
def planner() -> Rejecting:
    return Rejecting()


@pytest.fixture
def made(database_url: str, clock: ManualClock, planner: Rejecting) -> Iterator[Service]:
    found = service(database_url, clock, planner, plans_days=1.0)
    yield found
    found.core.db.close()


def test_a_rejected_plan_can_be_made_again_from_what_its_event_names(
    made: Service, planner: Rejecting
) -> None:
    made.submit([job("w1")], "ann")
    view = made.cycle()
    [event] = [e for e in made.events() if e.kind is EventKind.PLAN_REJECTED]
    key = event.data["inputs_id"]
    assert key == text_id(planner.text)
    assert event.data["violations"] == ["order: b"]
    hint = f"Report it. They are kept: GET /v1/plans/{key}/inputs."
    assert view.error.endswith(hint)
    assert event.data["error"] == view.error

    inputs = made.plan_inputs(key)
    assert inputs_to_json(inputs) == planner.text
    assert [a.workload_id for a in plan_cycle(inputs).allocations] == ["w1"]


def test_what_was_rejected_is_forgotten_in_its_time(
    made: Service, planner: Rejecting, clock: ManualClock
) -> None:
    made.submit([job("w1")], "ann")
    made.cycle()
    rejected = text_id(planner.text)
    planner.broken = False
    clock.advance(seconds=2)
    made.cycle()
    published = made.plan()
    by_own_id, by_plan = (made.plan_inputs(id) for id in (published.inputs_id, published.plan_id))
    assert inputs_to_json(by_own_id) == inputs_to_json(by_plan)
    made.prune()
    assert inputs_to_json(made.plan_inputs(rejected)) != inputs_to_json(by_plan)
    clock.advance(hours=25)
    made.heartbeat()
    made.prune()
    with pytest.raises(NotFound):
        made.plan_inputs(rejected)
    assert inputs_to_json(made.plan_inputs(published.plan_id)) == inputs_to_json(by_plan)


def test_only_the_newest_are_kept_and_none_of_a_plan_goes(
    made: Service, planner: Rejecting, clock: ManualClock
) -> None:
    made.submit([job("w1")], "ann")
    planner.broken = False
    made.cycle()
    planner.broken = True
    keys = []
    for _ in range(REJECTED_KEPT + 2):
        clock.advance(seconds=1)
        made.cycle()
        keys.append(text_id(planner.text))
    for gone in keys[:2]:
        with pytest.raises(NotFound):
            made.plan_inputs(gone)
    for kept in (keys[2], keys[-1], made.plan().inputs_id):
        assert text_id(inputs_to_json(made.plan_inputs(kept))) == kept


def test_a_store_that_is_away_changes_nothing_of_the_answer(tmp_path: Path, clock: ManualClock) -> None:
    path, away = tmp_path / "shifter.db", tmp_path / "away.db"

    class Meanwhile(Rejecting):
        def plan(self, inputs_text: str, deadline_s: float) -> Plan:
            if path.exists():
                path.rename(away)
            return super().plan(inputs_text, deadline_s)

    planner = Meanwhile()
    made = service(f"sqlite:///{path}", clock, planner)
    made.submit([job("w1")], "ann")
    view = made.cycle()
    assert away.exists()
    assert (view.outcome, view.error) == ("rejected", "the plan breaks 1 conditions. Report it.")
    away.rename(path)
    with pytest.raises(NotFound):
        made.plan_inputs(text_id(planner.text))


@pytest.mark.parametrize("trouble", [RuntimeError("a mistake of ours"), NotReady("the store is away.")])
def test_a_plan_whose_stops_could_not_be_told_is_published_and_the_next_beat_tells_them(
    made: Service,
    planner: Rejecting,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
) -> None:
    planner.broken = False
    made.submit([job("w1", 48, 8, due_h=9)], "ann")
    made.cycle()
    clock.advance(minutes=1)
    made.heartbeat()
    made.tick()
    assert made.admission("w1").state is AdmissionState.RUN
    made.add_grid_event(GridEvent("none", "fra", T0, T0 + HOUR, 0.0), "ann")  # a new plan has it later
    made.tick()
    assert made.admission("w1").state is AdmissionState.RUN
    with monkeypatch.context() as broken:
        broken.setattr(life, "tell_admissions", mock.Mock(side_effect=trouble))
        view = made.cycle()
    assert (view.outcome, view.error) == ("published", "")
    assert view.plan_id == made.plan().plan_id
    assert PLANNING not in made.core.state.faults
    seen = len(made.events())
    made.tick()
    told = [e.data for e in made.events()[seen:] if e.kind is EventKind.ADMISSION_CHANGED]
    assert [(t["workload_id"], t["state"]) for t in told] == [("w1", "stop")]
