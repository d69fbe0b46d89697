"""Which class a workload gets, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.classify.conditions import When
from shifter.classify.guards import GUARDS
from shifter.classify.overrides import check_override
from shifter.classify.policy import Policy, Rule, default_policy, parse_policy
from shifter.classify.rules import classify
from shifter.domain.workload import Classified, Override, Workload, WorkloadClass
from shifter.errors import InputError
from tests.classify.helpers import FLEET, HOUR, T0, Accepted, batches, hours, work

REAL_TIME, DEFERRABLE = WorkloadClass.REAL_TIME, WorkloadClass.DEFERRABLE
POLICY = default_policy()
EVERYTHING_WAITS = Policy((Rule("all", When(), DEFERRABLE),), defaults=False)


def run(
    *workloads: Workload, policy: Policy = POLICY, overrides: tuple[Override, ...] = (), now_hours: float = 0
) -> dict[str, Classified]:
    items = [Accepted(w) for w in workloads]
    return {c.workload.id: c for c in classify(items, policy, FLEET, hours(now_hours), overrides)}


def one(workload: Workload, **options: Any) -> Classified:
    return run(workload, **options)[workload.id]


def override(decided: WorkloadClass | None, at_hours: float = 0, **target: Any) -> Override:
    return Override(decided, by="ops@example.com", at=hours(at_hours), reason="we know it", **target)


# The default policy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "decided", "by"),
    [
        (work(), DEFERRABLE, "deadline"),
        (work(interruptible=False, deadline=2.1), DEFERRABLE, "deadline"),  # tight, but it may be planned
        (work(deadline=1.0), DEFERRABLE, "deadline"),  # cannot be done in time: the plan says so
        (work(deadline=None), REAL_TIME, "no-deadline"),
        (work(deadline=None, mode="batch"), REAL_TIME, "no-deadline"),
        (work(latency_slo_ms=200), REAL_TIME, "latency-slo"),
        (work(latency_slo_ms=200, mode="batch"), REAL_TIME, "latency-slo"),
        (work(mode="interactive"), REAL_TIME, "interactive-mode"),
        (work(endpoint="/v1/chat/completions"), REAL_TIME, "interactive-endpoint"),
        (work(endpoint="/v1/chat/completions", mode="batch"), DEFERRABLE, "deadline"),
        (work(endpoint="/v1/embeddings"), DEFERRABLE, "deadline"),
        (work(tier="priority"), REAL_TIME, "real-time-tier"),
        (work(tier="flex"), DEFERRABLE, "deadline"),
        (work(cost_of_failure="high", deadline=2.5), REAL_TIME, "costly-and-tight"),
        (work(cost_of_failure="high", deadline=12), DEFERRABLE, "deadline"),
        # an SLO of two hours says something else than a deadline in twelve; one of a day says the same
        (work(latency_slo_ms=2 * 3_600_000), REAL_TIME, "guard.latency-slo"),
        (work(latency_slo_ms=24 * 3_600_000), DEFERRABLE, "deadline"),
        (work(earliest_start=hours(13)), REAL_TIME, "guard.empty-window"),
        (replace(work(), tokens=5.0), REAL_TIME, "guard.no-amount"),
        (replace(work(), accelerator_hours=None), REAL_TIME, "guard.no-amount"),
    ],
)
def test_default_policy(workload: Workload, decided: WorkloadClass, by: str) -> None:
    found = one(workload)
    assert (found.decided, found.reason.rule) == (decided, by)


def test_a_reason_names_the_values_that_decided() -> None:
    reason = one(work(latency_slo_ms=200)).reason
    assert reason.text == (
        "Real-time because latency_slo_ms is 200 (at most 3600000). Someone waits for the answer."
    )
    assert reason.evidence["latency_slo_ms"] == 200
    waits = one(work()).reason
    assert waits.text == (
        "Deferrable because deadline is Sat 10 Jan 2026 12:00 UTC. It says by when it is needed, and can wait. "
        "It can wait 10.0 h."
    )
    assert waits.evidence["slack_hours"] == 10
    assert waits.evidence["considered"]["latency-slo"] == "latency_slo_ms is not given"
    assert waits.evidence["considered"]["no-deadline"] == "deadline is given"


def test_what_cannot_be_done_in_time_says_by_how_much() -> None:
    assert "Its window is 1.0 h shorter than its shortest run." in one(work(deadline=1.0)).reason.text


def test_the_class_does_not_drift_as_time_passes_or_work_is_done() -> None:
    item = Accepted(work(cost_of_failure="high", deadline=4))
    early = classify([item], POLICY, FLEET, hours(0))[0]
    late = classify([replace(item, done=1.9)], POLICY, FLEET, hours(3.9))[0]
    assert early.decided is late.decided is DEFERRABLE
    assert early.reason == late.reason
    assert (early.earliest_start, early.deadline) == (late.earliest_start, late.deadline)


def test_earliest_start_is_never_before_the_submission() -> None:
    assert one(work()).earliest_start == T0
    assert one(work(earliest_start=hours(-5))).earliest_start == T0
    assert one(work(earliest_start=hours(5))).earliest_start == hours(5)


# A policy of one's own -------------------------------------------------------------------------------------


def test_the_first_rule_that_matches_decides() -> None:
    policy = parse_policy(
        {
            "rules": [
                {
                    "name": "german-data-stays-put",
                    "when": {"data_boundary": {"within": ["DE"]}, "slack_ratio": {"less_than": 4}},
                    "then": "real_time",
                },
                {
                    "name": "offline-chat",
                    "when": {
                        "endpoint": {"matches": "/v1/chat/*"},
                        "tenant": ["ads", "search"],
                        "deadline": True,
                    },
                    "then": "deferrable",
                    "note": "Those tenants use the chat endpoint for batches.",
                },
            ]
        }
    )
    german = one(work(data_boundary=("DE",), deadline=6), policy=policy)
    assert (german.decided, german.reason.rule) == (REAL_TIME, "german-data-stays-put")
    assert german.reason.evidence["slack_ratio"] == 3
    chat = one(work(endpoint="/v1/chat/completions", tenant="ads"), policy=policy)
    assert (chat.decided, chat.reason.rule) == (DEFERRABLE, "offline-chat")
    assert "Those tenants use the chat endpoint for batches." in chat.reason.text
    other = one(work(endpoint="/v1/chat/completions", tenant="news"), policy=policy)
    assert (other.decided, other.reason.rule) == (REAL_TIME, "interactive-endpoint")
    assert other.reason.evidence["considered"]["offline-chat"] == "tenant is news, not one of ads, search"


@pytest.mark.parametrize(
    ("workload", "guard"),
    [
        (work(deadline=None), "guard.no-deadline"),
        (replace(work(), accelerator_hours=None), "guard.no-amount"),
        (work(earliest_start=hours(12)), "guard.empty-window"),
        (work(mode="interactive"), "guard.interactive"),
        (work(latency_slo_ms=500), "guard.latency-slo"),
    ],
)
def test_a_guard_overrules_a_policy_that_defers_everything(workload: Workload, guard: str) -> None:
    found = one(workload, policy=EVERYTHING_WAITS)
    assert (found.decided, found.reason.rule) == (REAL_TIME, guard)
    assert found.reason.evidence["overruled"] == "all"


def test_what_no_rule_matches_is_real_time() -> None:
    policy = parse_policy(
        {"rules": [{"name": "a", "when": {"tenant": "other"}, "then": "deferrable"}], "defaults": False}
    )
    found = one(work(), policy=policy)
    assert (found.decided, found.reason.rule) == (REAL_TIME, "no-rule")


# Chains ----------------------------------------------------------------------------------------------------


def test_a_step_inherits_the_slack_of_its_chain() -> None:
    found = run(
        work("plan", deadline=None),
        work("act", run_hours=3, deadline=None, depends_on=("plan",)),
        work("report", run_hours=1, depends_on=("act",)),
    )
    assert [found[i].decided for i in ("plan", "act", "report")] == [DEFERRABLE] * 3
    assert [found[i].reason.rule for i in ("plan", "act", "report")] == [
        "chain-step",
        "chain-step",
        "deadline",
    ]
    assert [found[i].reason.evidence["slack_hours"] for i in ("plan", "act", "report")] == [6, 6, 6]
    assert [(found[i].earliest_start, found[i].deadline) for i in ("plan", "act", "report")] == [
        (hours(0), hours(8)),
        (hours(2), hours(11)),
        (hours(5), hours(12)),
    ]


def test_a_step_that_a_real_time_step_waits_for_does_not_inherit() -> None:
    found = run(
        work("retrieve", deadline=None),
        work("answer", latency_slo_ms=300, depends_on=("retrieve",)),
        work("archive", depends_on=("retrieve",)),
    )
    assert found["retrieve"].reason.rule == "guard.awaited"
    assert found["retrieve"].decided is REAL_TIME
    assert list(found["retrieve"].reason.evidence["real_time_dependents"]) == ["answer"]
    own = run(work("retrieve", deadline=5), work("answer", latency_slo_ms=300, depends_on=("retrieve",)))
    assert own["retrieve"].decided is DEFERRABLE  # it says itself that it may wait


def test_a_cycle_is_named() -> None:
    with pytest.raises(InputError, match=r"a -> c -> b -> a"):
        run(work("a", depends_on=("c",)), work("b", depends_on=("a",)), work("c", depends_on=("b",)))


def test_one_id_twice_is_an_error() -> None:
    with pytest.raises(InputError, match="w is given twice"):
        classify([Accepted(work()), Accepted(work())], POLICY, FLEET, T0)


# Overrides -------------------------------------------------------------------------------------------------


def test_an_operator_decides_for_a_workload() -> None:
    asked = override(DEFERRABLE, workload_id="w")
    found = one(work(latency_slo_ms=200), overrides=(asked,))
    assert (found.decided, found.reason.rule, found.override) == (DEFERRABLE, "override", asked)
    assert found.reason.text == "Deferrable because ops@example.com decided so: we know it."
    assert found.reason.evidence["policy_rule"] == "latency-slo"
    assert found.deadline == hours(12)


def test_not_even_an_operator_defers_what_has_no_deadline() -> None:
    asked = override(DEFERRABLE, workload_id="w")
    found = one(work(deadline=None), overrides=(asked,))
    assert (found.decided, found.reason.rule, found.override) == (REAL_TIME, "guard.no-deadline", asked)
    assert "though ops@example.com asked for deferrable" in found.reason.text


def test_the_newest_override_wins_and_can_be_taken_back() -> None:
    first, second = override(REAL_TIME, 0, workload_id="w"), override(DEFERRABLE, 1, workload_id="w")
    back = override(None, 2, workload_id="w")
    assert one(work(), overrides=(second, first), now_hours=1).decided is DEFERRABLE
    assert one(work(), overrides=(second, first), now_hours=0.5).decided is REAL_TIME
    found = one(work(), overrides=(second, back, first), now_hours=3)
    assert (found.reason.rule, found.override) == ("deadline", None)


def test_an_operator_switches_a_rule_off_or_round() -> None:
    off = override(None, rule="interactive-endpoint")
    found = one(work(endpoint="/v1/chat/completions"), overrides=(off,))
    assert (found.decided, found.reason.rule, found.override) == (DEFERRABLE, "deadline", off)
    assert one(work(), overrides=(off,)).override is None  # it changed nothing for this one
    assert found.reason.evidence["considered"]["interactive-endpoint"].startswith(
        "switched off by ops@example.com"
    )

    round_ = override(REAL_TIME, rule="deadline")
    found = one(work(), overrides=(round_,))
    assert (found.decided, found.reason.rule, found.override) == (REAL_TIME, "deadline", round_)
    assert "ops@example.com made the rule decide so: we know it." in found.reason.text


def test_a_rule_turned_round_is_still_guarded() -> None:
    asked = override(DEFERRABLE, rule="no-deadline")
    found = one(work(deadline=None), overrides=(asked,))
    assert (found.decided, found.reason.rule) == (REAL_TIME, "guard.no-deadline")


def test_a_workload_s_override_beats_its_rule_s() -> None:
    rule, workload = override(REAL_TIME, 2, rule="deadline"), override(DEFERRABLE, 1, workload_id="w")
    assert one(work(), overrides=(rule, workload), now_hours=3).decided is DEFERRABLE


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({}, "one workload or for one rule"),
        ({"workload_id": "w", "rule": "deadline"}, "one workload or for one rule"),
        ({"rule": "dead-line"}, "no rule dead-line"),
        ({"rule": "guard.no-deadline"}, "A guard cannot be switched off"),
    ],
)
def test_an_override_without_effect_is_refused(target: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_override(override(REAL_TIME, **target), POLICY)


# Properties ------------------------------------------------------------------------------------------------

POLICIES = st.sampled_from([POLICY, EVERYTHING_WAITS])


@st.composite
def operators(draw: st.DrawFn) -> tuple[Override, ...]:
    decided = draw(
        st.lists(st.tuples(st.sampled_from([None, *WorkloadClass]), st.integers(0, 5)), max_size=4)
    )
    targets = [{"workload_id": "w0"}, {"workload_id": "w1"}, {"rule": "deadline"}, {"rule": "all"}]
    return tuple(override(c, at, **draw(st.sampled_from(targets))) for c, at in decided)


@given(batches(), POLICIES, operators())
def test_never_deferrable_without_a_deadline_or_an_amount(
    workloads: tuple[Workload, ...], policy: Policy, overrides: tuple[Override, ...]
) -> None:
    for found in run(*workloads, policy=policy, overrides=overrides, now_hours=6).values():
        if found.decided is DEFERRABLE:
            assert found.deadline is not None
            assert (found.workload.tokens is None) is not (found.workload.accelerator_hours is None)


@given(batches(), POLICIES)
def test_no_policy_defers_what_contradicts_itself(workloads: tuple[Workload, ...], policy: Policy) -> None:
    for found in run(*workloads, policy=policy).values():
        slo_ms, deadline = found.workload.latency_slo_ms, found.deadline
        if found.decided is DEFERRABLE:
            assert found.workload.mode != "interactive"
            assert deadline is not None
            if slo_ms is not None:  # whatever is planned in the window meets the SLO
                assert deadline - found.earliest_start <= slo_ms / 3_600_000 * HOUR


@given(batches(), POLICIES, st.integers(0, 5), st.floats(1, 1e9))
def test_a_latency_slo_never_makes_real_time_work_wait(
    workloads: tuple[Workload, ...], policy: Policy, which: int, slo_ms: float
) -> None:
    i = which % len(workloads)
    bare = [replace(w, latency_slo_ms=None) if j == i else w for j, w in enumerate(workloads)]
    urgent = [replace(w, latency_slo_ms=slo_ms) if j == i else w for j, w in enumerate(workloads)]
    before, after = run(*bare, policy=policy), run(*urgent, policy=policy)
    assert all(after[key].decided is REAL_TIME for key, found in before.items() if found.decided is REAL_TIME)


@given(st.data(), batches(), POLICIES, operators())
def test_the_order_of_submission_does_not_matter(
    data: st.DataObject, workloads: tuple[Workload, ...], policy: Policy, overrides: tuple[Override, ...]
) -> None:
    shuffled = data.draw(st.permutations(workloads))
    items = [Accepted(w) for w in shuffled]
    found = classify(items, policy, FLEET, hours(3), overrides)
    assert [c.workload for c in found] == shuffled
    assert {c.workload.id: c for c in found} == run(
        *workloads, policy=policy, overrides=overrides, now_hours=3
    )


@given(batches(), POLICIES)
def test_classifying_again_changes_nothing(workloads: tuple[Workload, ...], policy: Policy) -> None:
    first = run(*workloads, policy=policy)
    again = run(*(c.workload for c in first.values()), policy=policy)
    assert again == first


@settings(max_examples=50)
@given(batches(), st.floats(0, 48), st.floats(0, 2))
def test_neither_time_nor_progress_changes_a_class(
    workloads: tuple[Workload, ...], later_hours: float, done_ratio: float
) -> None:
    first = run(*workloads)
    items = [Accepted(w, T0, done_ratio * w.amount) for w in workloads]
    for found in classify(items, POLICY, FLEET, hours(later_hours)):
        assert (found.decided, found.reason) == (
            first[found.workload.id].decided,
            first[found.workload.id].reason,
        )


def test_guards_have_names_that_no_rule_can_take() -> None:
    assert all(guard.name.startswith("guard.") for guard in GUARDS)
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
