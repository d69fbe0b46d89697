"""Submitting, cancelling, reporting, overriding: idempotent, all or nothing, durable, in the audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shifter.classify.conditions import PresenceCondition, When
from shifter.classify.policy import Policy, Rule
from shifter.clock import ManualClock
from shifter.domain.workload import WorkloadClass
from shifter.errors import Conflict, InputError, NotFound
from shifter.service import Service
from shifter.views import EventKind, WorkloadState
from tests.service.world import FLEET, HOUR, T0, job, kinds, live_until, service


def test_submitting_answers_class_reason_and_after_a_cycle_cost(made: Service) -> None:
    [first] = made.submit([job()], "ann")
    assert (first.state, first.decided) == (WorkloadState.ACCEPTED, WorkloadClass.DEFERRABLE)
    assert first.reason.rule == "deadline"
    assert first.cost is None
    made.cycle()
    planned = made.workload("w1")
    assert planned.state is WorkloadState.PLANNED
    assert planned.feasible
    assert planned.cost is not None
    assert planned.run_now_cost is not None
    assert planned.cost < planned.run_now_cost
    assert planned.planned_finish is not None
    assert planned.planned_finish <= T0 + 30 * HOUR
    assert planned.latest_start == T0 + 25 * HOUR


def test_the_same_content_is_the_same_workload_other_content_is_a_conflict(made: Service) -> None:
    made.submit([job()], "ann")
    [again] = made.submit([job()], "bob")
    assert again.submitted_at == T0
    assert kinds(made) == [EventKind.WORKLOAD_ACCEPTED]
    with pytest.raises(Conflict) as caught:
        made.submit([job(hours=21)], "ann")
    assert caught.value.field == "id"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (job("x", tokens=5.0), "[1]."),
        (replace(job("x"), accelerators=("TPU",)), "[1]."),
        (job("x", deadline=T0 - HOUR), "[1].deadline"),
        (job("x", depends_on=("nobody",)), "depends_on"),
    ],
)
def test_a_list_with_one_mistake_changes_nothing(made: Service, bad: object, field: str) -> None:
    with pytest.raises(InputError) as caught:
        made.submit([job("good"), bad], "ann")  # type: ignore[list-item]
    assert field in caught.value.field
    assert made.workloads() == []
    assert made.events() == []
    assert made.audit() == []


def test_two_contents_under_one_id_in_one_list_are_a_conflict(made: Service) -> None:
    with pytest.raises(Conflict):
        made.submit([job("a"), job("a", hours=2)], "ann")
    assert [v.id for v in made.submit([job("b"), job("b")], "ann")] == ["b", "b"]
    assert len(made.workloads()) == 1


def test_a_chain_hands_its_deadline_down_and_a_cycle_is_refused(made: Service) -> None:
    first, second = job("a", 4, deadline=None), job("b", 4, due_h=10, depends_on=("a",))
    views = {v.id: v for v in made.submit([first, second], "ann")}
    assert views["a"].decided is WorkloadClass.DEFERRABLE
    assert views["a"].deadline == T0 + 9 * HOUR
    assert views["b"].earliest_start == T0 + HOUR
    with pytest.raises(InputError):
        made.submit([job("x", depends_on=("y",)), job("y", depends_on=("x",))], "ann")
    with pytest.raises(Conflict) as caught:
        made.cancel("a", "ann")
    assert caught.value.facts["needed_by"] == ["b"]
    made.cancel("b", "ann")
    assert made.cancel("a", "ann").state is WorkloadState.CANCELLED


def test_what_cannot_finish_is_admitted_and_the_answer_says_so(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, horizon_hours=36.0)
    made.submit([job("big", hours=100, width=4, due_h=10)], "ann")
    made.cycle()
    view = made.workload("big")
    assert not view.feasible
    assert view.unplaced_accelerator_hours == pytest.approx(60, rel=1e-3)
    assert view.earliest_feasible_deadline == T0 + 25 * HOUR
    assert "cannot be done by its deadline" in view.note
    told = made.explain("big").sentences
    assert "A deadline one hour later would do 4 accelerator-hours more of it." in told
    assert any(one.startswith("One more accelerator at a time would do ") for one in told)


def test_cancelling_frees_its_slots_and_twice_is_once(made: Service) -> None:
    made.submit([job()], "ann")
    made.cycle()
    before = made.lease("w1").version
    assert made.cancel("w1", "ann").state is WorkloadState.CANCELLED
    assert made.lease("w1").version == before + 1
    assert made.lease("w1").allocations == ()
    assert made.cancel("w1", "ann").state is WorkloadState.CANCELLED
    assert kinds(made).count(EventKind.WORKLOAD_CANCELLED) == 1
    with pytest.raises(NotFound):
        made.cancel("nobody", "ann")
    with pytest.raises(Conflict):
        made.progress("w1", done=1)


def test_progress_is_planned_until_somebody_reports(made: Service, clock: ManualClock) -> None:
    made.submit([job(hours=20, width=4, due_h=5.5)], "ann")  # no slack to speak of: it runs at once
    made.cycle()
    live_until(made, clock, T0 + 2 * HOUR)
    view = made.workload("w1")
    assert (view.state, view.progress_source) == (WorkloadState.RUNNING, "planned")
    assert view.done == pytest.approx(8, abs=2.1)
    told = made.progress("w1", done=3.0, actor="runner")
    assert (told.done, told.progress_source) == (3.0, "reported")
    clock.advance(hours=1)
    assert made.workload("w1").done == 3.0, "after a report, only reports count"
    made.progress("w1", done=1.0, at=T0 + HOUR)
    assert made.workload("w1").done == 3.0, "an old report changes nothing"
    assert made.progress("w1", remaining=0).state is WorkloadState.DONE
    assert EventKind.WORKLOAD_DONE in kinds(made)
    with pytest.raises(Conflict):
        made.cancel("w1", "ann")


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({}, "done"),
        ({"done": 1.0, "remaining": 1.0}, "done"),
        ({"done": -1.0}, "done"),
        ({"done": float("nan")}, "done"),
        ({"remaining": 99.0}, "remaining"),
        ({"done": 1.0, "at": T0 + HOUR}, "at"),
    ],
)
def test_reports_that_make_no_sense(made: Service, report: dict[str, object], field: str) -> None:
    made.submit([job()], "ann")
    with pytest.raises(InputError) as caught:
        made.progress("w1", **report)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert made.workload("w1").progress_source == "planned"


def test_planned_work_is_done_when_its_slots_are_over(made: Service, clock: ManualClock) -> None:
    made.submit([job(hours=4)], "ann")
    made.cycle()
    finish = made.workload("w1").planned_finish
    assert finish is not None
    live_until(made, clock, finish + timedelta(seconds=1))
    asked: list[str] = []
    made.core.replan = asked.append
    made.tick()
    assert made.workload("w1").state is WorkloadState.DONE
    made.tick()
    assert asked == ["work ended"], "once: the second time nothing is new"


def test_a_deadline_that_passes_with_work_left_is_late(made: Service, clock: ManualClock) -> None:
    made.submit([job(due_h=10)], "ann")
    made.cycle()
    made.progress("w1", done=2.0)
    clock.advance(hours=10)
    made.tick()
    assert made.workload("w1").state is WorkloadState.LATE
    assert EventKind.WORKLOAD_LATE in kinds(made)
    assert made.progress("w1", done=20).state is WorkloadState.DONE, "whoever finished it may say so"


def test_an_override_is_recorded_and_can_be_lifted(made: Service) -> None:
    made.submit([job(), job("w2")], "ann")
    made.cycle()
    made.override("olga", WorkloadClass.REAL_TIME, "a customer waits", workload_id="w1")
    view = made.workload("w1")
    assert (view.decided, view.state) == (WorkloadClass.REAL_TIME, WorkloadState.REAL_TIME)
    assert "olga" in view.reason.text
    assert made.lease("w1").allocations == ()
    assert made.workload("w2").decided is WorkloadClass.DEFERRABLE
    explanation = made.explain("w1")
    assert explanation.override is not None
    assert explanation.override.by == "olga"
    made.override("olga", None, "no more", workload_id="w1")
    assert made.workload("w1").state is WorkloadState.ACCEPTED
    entries = [e for e in made.audit() if e.action == "override.set"]
    assert [e.actor for e in entries] == ["olga", "olga"]
    with pytest.raises(InputError):
        made.override("olga", None, "", workload_id="w1")
    with pytest.raises(InputError):
        made.override("olga", None, "x", rule="no-such-rule")
    with pytest.raises(NotFound):
        made.override("olga", None, "x", workload_id="nobody")


def test_workloads_are_paged_and_filtered(made: Service, clock: ManualClock) -> None:
    for i in range(5):
        clock.advance(minutes=1)
        made.submit([job(f"w{i}", tenant="even" if i % 2 == 0 else "odd")], "ann")
    ids = [v.id for v in made.workloads(limit=2)]
    assert ids == ["w4", "w3"]
    assert [v.id for v in made.workloads(limit=2, after="w3")] == ["w2", "w1"]
    assert [v.id for v in made.workloads(tenant="odd")] == ["w3", "w1"]
    assert made.workloads(state=WorkloadState.DONE) == []
    assert len(made.workloads(decided=WorkloadClass.DEFERRABLE)) == 5


def test_everything_accepted_is_there_after_a_restart(database_url: str) -> None:
    clock = ManualClock(T0)
    first = service(database_url, clock)
    first.submit([job(), job("w2", 4, due_h=20, interruptible=False)], "ann")
    first.cycle()
    first.submit([job("w3")], "ann")
    first.progress("w1", done=5)
    first.override("olga", WorkloadClass.REAL_TIME, "a customer waits", workload_id="w3")
    views, plan, events = first.workloads(), first.plan(), first.events()
    leases = [first.lease(v.id).allocations for v in views]
    first.core.db.close()

    second = service(database_url, clock)
    assert second.workloads() == views
    assert second.plan() == plan
    assert second.events() == events
    assert [second.lease(v.id).allocations for v in views] == leases
    assert [e.subject for e in second.audit(subject="w1")] == ["w1", "w1"]
    assert second.fleet == FLEET
    assert second.cycle().outcome == "published"
    second.core.db.close()


def test_after_a_restart_reasons_are_those_of_the_new_policy_though_the_class_is_the_same(
    sqlite_url: str, clock: ManualClock
) -> None:
    service(sqlite_url, clock).submit([job()], "ann")
    own = Policy((Rule("mine", When(deadline=PresenceCondition(present=True)), WorkloadClass.DEFERRABLE),))
    again = service(sqlite_url, clock, policy=own)
    assert again.workload("w1").reason.rule == "deadline"
    again.cycle()
    assert again.workload("w1").reason.rule == "mine"


def test_a_plan_does_not_put_into_words_again_what_it_leaves_as_it_was(made: Service) -> None:
    made.submit([job()], "ann")
    made.cycle()
    before = made.core.state.records["w1"].reason
    made.cycle()
    assert made.core.state.records["w1"].reason is before
    made.override("bob", decided=WorkloadClass.DEFERRABLE, reason="it may wait", workload_id="w1")
    assert "bob" in made.core.state.records["w1"].reason.text
