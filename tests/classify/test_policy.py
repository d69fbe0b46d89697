"""The policy as a person writes it: what it accepts, and how it says what is wrong."""

from __future__ import annotations

from dataclasses import asdict

import jsonschema
import pytest
from pydantic import TypeAdapter

from shifter.classify.conditions import NamesCondition, NumberCondition, TextCondition, When
from shifter.classify.policy import DEFAULT_RULES, Policy, default_policy, parse_policy, to_plain
from shifter.errors import InputError


def rule(**changes: object) -> dict:
    return {"name": "mine", "when": {"tenant": "search"}, "then": "deferrable"} | changes


def parse_rule(**changes: object) -> Policy:
    return parse_policy({"rules": [rule(**changes)]})


SHORT = {
    "tenant": "search",
    "tier": ["gold", "silver"],
    "latency_slo_ms": 200,
    "data_boundary": "DE",
    "deadline": True,
    "endpoint": {"matches": "/v1/chat/*"},
    "labels": {"team": "maps"},
    "interruptible": False,
}


def test_editors_accept_what_is_accepted() -> None:
    schema = TypeAdapter(Policy).json_schema()
    jsonschema.validate({"rules": [rule(when=SHORT)]}, schema)
    jsonschema.validate(to_plain(default_policy()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"rules": [rule(when={"tenantt": "x"})]}, schema)


def test_short_forms_stand_for_operators() -> None:
    when = parse_rule(when=SHORT).rules[0].when
    assert when == When(
        tenant=TextCondition(equals="search"),
        tier=TextCondition(one_of=("gold", "silver")),
        latency_slo_ms=NumberCondition(equals=200),
        data_boundary=NamesCondition(includes=("DE",)),
        deadline=parse_rule(when={"deadline": {"present": True}}).rules[0].when.deadline,
        endpoint=TextCondition(matches=("/v1/chat/*",)),
        labels={"team": TextCondition(equals="maps")},
        interruptible=False,
    )


@pytest.mark.parametrize(
    ("raw", "path", "says"),
    [
        ({"rule": []}, "policy.rule", "Did you mean rules?"),
        ({"rules": [rule(whne={})]}, "policy.rules[0].whne", "Did you mean when?"),
        ({"rules": [rule(when={"tenantt": "x"})]}, "policy.rules[0].when.tenantt", "Did you mean tenant?"),
        (
            {"rules": [rule(when={"latency_slo_ms": {"at_mots": 5}})]},
            "policy.rules[0].when.latency_slo_ms.at_mots",
            "Did you mean at_most?",
        ),
        (
            {"rules": [rule(when={"deadline": {"equals": 3}})]},
            "policy.rules[0].when.deadline.equals",
            "Known here: present.",
        ),
        (
            {"rules": [rule(when={"labels": {"team": {"matchs": "x"}}})]},
            "policy.rules[0].when.labels.team.matchs",
            "Did you mean matches?",
        ),
        ({"rules": [{"name": "a", "then": "deferrable"}]}, "policy.rules[0].when", "when is missing"),
        ({"rules": [rule(then="later")]}, "policy.rules[0].then", "'real_time' or 'deferrable'"),
        ({"rules": [rule(name="")]}, "policy.rules[0].name", "at least 1 character"),
        ({"rules": [rule(name="guard.mine")]}, "policy.rules[0].name", "match pattern"),
        ({"rules": [rule(when={"mode": "bach"})]}, "policy.rules[0].when.mode", "one of: interactive, batch"),
        ({"rules": [rule(when={"mode": {}})]}, "policy.rules[0].when.mode", "needs at least one of"),
        (
            {"rules": [rule(when={"tier": {"present": False, "equals": "x"}})]},
            "policy.rules[0].when.tier",
            "stands alone",
        ),
        (
            {"rules": [rule(when={"slack_hours": {"at_least": float("nan")}})]},
            "policy.rules[0].when.slack_hours.at_least",
            "finite",
        ),
        ({"rules": [rule(when={"slack_hours": "x"})]}, "policy.rules[0].when.slack_hours.equals", "number"),
        ({"rules": [rule(when={"interruptible": "yes"})]}, "policy.rules[0].when.interruptible", "boolean"),
        ({"rules": [rule(), rule()]}, "policy", "two rules are named 'mine'"),
        ([], "policy", "should be a mapping"),
        (None, "policy", "should be a mapping"),
    ],
)
def test_a_mistake_is_named_by_its_path(raw: object, path: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_policy(raw)
    assert caught.value.field == path
    assert says in str(caught.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_policy({"rules": [rule(then="later", when={"tenantt": "x"})]}, where="classification")
    assert {caught.value.field, *(other.field for other in caught.value.also)} == {
        "classification.rules[0].then",
        "classification.rules[0].when.tenantt",
    }


def test_rules_go_before_the_default_ones_and_replace_those_of_their_name() -> None:
    names = [r.name for r in DEFAULT_RULES]
    assert [r.name for r in parse_policy({}).ordered] == names
    assert [r.name for r in parse_rule().ordered] == ["mine", *names]
    replaced = parse_rule(name="latency-slo")
    assert [r.name for r in replaced.ordered] == ["latency-slo", *names[1:]]
    assert [r.name for r in parse_policy({"rules": [rule()], "defaults": False}).ordered] == ["mine"]


def test_a_policy_survives_being_stored() -> None:
    policy = default_policy()
    assert policy.ordered == DEFAULT_RULES
    assert parse_policy(to_plain(policy)) == policy
    assert parse_policy(asdict(policy)) == policy


@pytest.mark.parametrize(
    ("condition", "holding", "failing"),
    [
        (TextCondition(equals="a"), ["a"], ["b", None]),
        (TextCondition(one_of=("a", "b")), ["a", "b"], ["c", None]),
        (TextCondition(none_of=("a", "b")), ["c"], ["a", None]),
        (TextCondition(matches=("/v1/chat/*",)), ["/v1/chat/completions"], ["/v1/batches", None]),
        (TextCondition(matches=("a*",), none_of=("ab",)), ["ac"], ["ab", "b"]),
        (TextCondition(present=True), ["a", ""], [None]),
        (TextCondition(present=False), [None], ["a", ""]),
        (NumberCondition(at_least=2, less_than=3), [2, 2.5], [1.9, 3, None]),
        (NumberCondition(more_than=2, at_most=3), [2.5, 3], [2, 3.1, None]),
        (NumberCondition(equals=0), [0], [1, None]),
        (NamesCondition(includes=("DE", "FR")), [("DE",), ("GB", "FR")], [("GB",), (), None]),
        (NamesCondition(within=("DE", "FR")), [("DE",), ("DE", "FR")], [("DE", "GB"), None]),
    ],
)
def test_conditions(condition: TextCondition, holding: list, failing: list) -> None:
    assert all(condition.holds(value) for value in holding)
    assert not any(condition.holds(value) for value in failing)
