"""What is written is what is read, on both databases; and inputs survive to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from forecasts.slots import SlotGrid
from shifter.classify.policy import default_policy
from shifter.cycle import CycleInputs, Submission, plan_cycle
from shifter.domain.grid_event import GridEvent
from shifter.domain.rows import Allocation
from shifter.domain.workload import Override, Reason, WorkloadClass
from shifter.store import grid_events, log, meters, plans
from shifter.store import inputs as told
from shifter.store import workloads as rows
from shifter.store.db import Database
from shifter.store.snapshots import inputs_from_json, inputs_to_json, text_id
from shifter.store.workloads import LeaseRecord, WorkloadRecord, content_hash
from shifter.views import EventKind, TelemetrySample, WorkloadState
from tests.service.world import FLEET, HOUR, POOL, T0, frame, job, realtime


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    made.upgrade()
    yield made
    made.close()


def record(workload_id: str = "w1") -> WorkloadRecord:
    work = job(workload_id, labels={"ß": "ü"})
    return WorkloadRecord(
        workload=work,
        content_hash=content_hash(work),
        submitted_at=T0 + timedelta(microseconds=7),
        submitted_by="ann",
        state=WorkloadState.PLANNED,
        decided=WorkloadClass.DEFERRABLE,
        reason=Reason("deadline", "It can wait.", {"slack_hours": 3.5}),
        window_start=T0,
        window_deadline=T0 + 30 * HOUR,
        done_at=T0,
        done=1.25,
        serving={(*POOL, ""): T0 - HOUR, (*POOL, "m-int8"): T0 - 2 * HOUR},
    )


def inputs() -> CycleInputs:
    grid = SlotGrid.covering(T0, 24 * HOUR, 60)
    return CycleInputs(
        now=T0 + timedelta(minutes=7),
        fleet=FLEET,
        frame=frame(grid, T0),
        realtime=realtime(2.0, 3.0)(grid),
        submissions=(Submission(job(), T0, 0.5), Submission(job("w2", interruptible=False, width=2), T0)),
        policy=default_policy(),
        overrides=(Override(WorkloadClass.DEFERRABLE, "ann", T0, "I said so", workload_id="w1"),),
        grid_events=(GridEvent("g1", "fra", T0 + HOUR, T0 + 2 * HOUR, 9.0),),
        time_limit_s=30.0,
    )


def test_a_workload_and_its_lease_come_back_the_same(database: Database) -> None:
    first = record()
    held = Allocation("w1", *POOL, T0, T0 + HOUR, 4)
    with database.write() as db:
        rows.add(db, [first, record("w2")])
    leased = replace(first, done=2.0, lease=LeaseRecord(3, "p1", T0, (held,)))
    with database.write() as db:
        rows.save(db, [leased])
        rows.save_leases(db, [leased])
    with database.read() as db:
        assert rows.load(db) == [leased, record("w2")]


def test_what_work_was_told_to_run_in_comes_back_until_it_is_told_otherwise(database: Database) -> None:
    told = rows.LetIn((Allocation("w1", *POOL, T0, T0 + HOUR, 3, "m", 0.5),), T0 + timedelta(microseconds=1))
    with database.write() as db:
        rows.add(db, [record("w1"), record("w2"), record("w3")])
        rows.save_let_in(db, {"w1": told, "w2": rows.LetIn((), T0)})
        rows.save(db, [replace(record("w1"), done=1.0)])
    with database.read() as db:
        assert rows.let_in(db) == {"w1": told, "w2": rows.LetIn((), T0)}
    with database.write() as db:
        rows.save_let_in(db, {"w1": rows.LetIn((), T0 + HOUR)})
    with database.read() as db:
        assert rows.let_in(db)["w1"] == rows.LetIn((), T0 + HOUR)


def test_the_same_content_has_the_same_hash_however_it_was_written() -> None:
    assert content_hash(job(labels={"a": "1", "b": "2"})) == content_hash(job(labels={"b": "2", "a": "1"}))
    assert content_hash(job()) != content_hash(job(hours=21))


def test_inputs_come_back_to_the_byte_and_give_the_same_plan() -> None:
    first = inputs()
    text = inputs_to_json(first)
    again = inputs_from_json(text)
    assert inputs_to_json(again) == text
    assert plan_cycle(again).to_json() == plan_cycle(first).to_json()
    with pytest.raises(ValueError, match="version"):
        inputs_from_json(text.replace('"version":1', '"version":99'))


def test_plans_are_kept_with_what_they_were_made_from(database: Database) -> None:
    text = inputs_to_json(inputs())
    plan = plan_cycle(inputs_from_json(text))
    with database.write() as db:
        key = text_id(text)
        stored = replace(plan, inputs_id=key)
        assert plans.add(db, plans.Kept.of(plan, text), T0) == 1
        other = replace(stored, plan_id="other")
        assert plans.add(db, plans.Kept.of(other, text), T0 + HOUR) == 2
    with database.read() as db:
        assert plans.newest(db) == (other, 2, T0 + HOUR)
        assert plans.read(db, plan.plan_id) == stored
        assert plans.inputs_text(db, key) == text
        assert plans.read(db, "none") is None
    with database.write() as db:
        assert plans.prune(db, T0 + 10 * HOUR) == 1, "the newest plan is never forgotten"
        assert plans.newest(db) == (other, 2, T0 + HOUR)
        assert plans.inputs_text(db, key) == text


def test_event_ids_only_grow_even_after_pruning(database: Database) -> None:
    with database.write() as db:
        first = log.add_events(db, T0, [(EventKind.FAULT, {"n": i, "at": T0}) for i in range(3)])
    with database.write() as db:
        log.prune_events(db, T0 + HOUR, 100)
    with database.write() as db:
        [later] = log.add_events(db, T0 + HOUR, [(EventKind.FAULT, {})])
    assert [e.id for e in first] == sorted(e.id for e in first)
    assert later.id > first[-1].id
    with database.read() as db:
        assert log.events(db, first[-1].id, 10) == [later]
        assert first[0].data == {"n": 0, "at": "2026-01-10T00:00:00Z"}


def test_overrides_in_force_are_the_last_of_each_subject(database: Database) -> None:
    def said(decided: WorkloadClass | None, **subject: str) -> Override:
        return Override(decided, "ann", T0, "because", **subject)

    with database.write() as db:
        told.add_override(db, said(WorkloadClass.DEFERRABLE, workload_id="w1"))
        told.add_override(db, said(WorkloadClass.REAL_TIME, workload_id="w1"))
        told.add_override(db, said(WorkloadClass.REAL_TIME, workload_id="w2"))
        told.add_override(db, said(None, workload_id="w2"))
        told.add_override(db, said(None, rule="deadline"))
        found = told.overrides(db)
    assert found == [
        said(WorkloadClass.REAL_TIME, workload_id="w1"),
        said(None, rule="deadline"),
    ], "None takes back what was said of a workload, and switches a rule off"


def test_a_meter_replaces_the_one_of_its_site(database: Database) -> None:
    first = meters.Meter("fra", T0, T0 + timedelta(minutes=7), 1.25, 5.5, 3.0, T0 - HOUR)
    other = replace(first, site="par", peak_kw=9.0)
    later = replace(first, counted_to=T0 + HOUR / 2, drawn_kwh=4.5)
    with database.write() as db:
        meters.save(db, [first, other])
        meters.save(db, [later])
        meters.save(db, [])
    with database.read() as db:
        assert meters.load(db) == {"fra": later, "par": other}


def test_what_was_measured_comes_back(database: Database) -> None:
    samples = [
        TelemetrySample("fra", T0, "h100", 3.5),
        TelemetrySample("fra", T0 + HOUR, import_kw=12.0),
    ]
    event = GridEvent("g1", "fra", T0, T0 + HOUR, 9.5, "grid")
    with database.write() as db:
        told.add_telemetry(db, samples)
        grid_events.add(db, event, T0, "ann")
    with database.read() as db:
        assert told.telemetry_since(db, T0 - HOUR, T0 - HOUR) == samples
        assert told.telemetry_since(db, T0, T0) == samples[1:]
        assert grid_events.find(db, "g1") == grid_events.Kept(event, T0, "ann")
        assert grid_events.ending_after(db, T0) == [event]
        assert grid_events.ending_after(db, T0 + HOUR) == []
