"""The pages on classification and reservation say what the code does."""

from __future__ import annotations

import doctest
import re
from dataclasses import fields
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shifter.classify.conditions import When
from shifter.classify.guards import GUARDS
from shifter.classify.policy import DEFAULT_RULES, parse_policy

DOCS = Path(__file__).parents[2] / "docs" / "concepts"
PAGE = (DOCS / "classification.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["classification.md", "reservation.md"])
def test_examples_give_the_output_that_is_printed(page: str) -> None:
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert tried > 5
    assert not failed


def test_the_default_rules_are_listed_in_order() -> None:
    listed = re.findall(r"^\| \d \| `([\w-]+)` .*\| ([\w-]+) \|$", PAGE, flags=re.MULTILINE)
    assert listed == [(rule.name, rule.then.value.replace("_", "-")) for rule in DEFAULT_RULES]


def test_the_guards_are_listed_and_marked() -> None:
    listed = re.findall(r"^\| `(guard\.[\w-]+)`( \(hard\))? \|", PAGE, flags=re.MULTILINE)
    assert listed == [(guard.name, " (hard)" if guard.hard else "") for guard in GUARDS]


def test_every_field_is_listed() -> None:
    table = PAGE.split("| fields | operators |")[1].split("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)(?:\.<key>)?`", table))
    assert {f.name for f in fields(When)} <= named


def test_the_example_policy_is_one() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert block is not None
    policy = parse_policy(YAML(typ="safe", pure=True).load(block[1])["policy"])
    assert [rule.name for rule in policy.rules] == ["offline-chat", "clinic-data"]
