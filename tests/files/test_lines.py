"""What is read at once is what would be read with care: a plain line never says anything else, and a trap is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files import parse_workload
from shifter.files.lines import read_plain
from shifter.files.places import on_line
from shifter.files.workloads import _json

GOOD = (
    b'{"id": "w-1", "tenant": "a:b", "model": "m", "tokens": 4.1e9, "earliest_start": "2026-01-10T00:00:00Z", '
    b'"deadline": "2026-01-11T06:00:00+01:00", "max_accelerators": 16, "data_boundary": ["DE", "FR"], "sites": null}\n'
)


def with_care(line: bytes) -> Workload | None:
    try:
        return parse_workload(_json(line, on_line("f", 1), "f", 1, truncated=False))
    except InputError:
        return None


def test_a_plain_line_is_read_at_once() -> None:
    found = read_plain(GOOD)
    assert found is not None
    assert found == with_care(GOOD)
    assert found.deadline is not None
    assert found.deadline.isoformat() == "2026-01-11T05:00:00+00:00"


@pytest.mark.parametrize(
    "change",
    [
        {"deadline": "1768064400"},
        {"deadline": "1.768e9"},
        {"deadline": "9999-01-01T00:00:00Z"},
        {"deadline": "1768-01-01T00:00:00Z"},
        {"tokens": True},
        {"tokens": float("nan")},
        {"token": 3},
        {"labels": {"start": "1768064400"}},
        {"id": None},
    ],
)
def test_what_is_wrong_is_not_plain(change: dict[str, object]) -> None:
    line = json.dumps({**json.loads(GOOD), **change}).encode()
    assert with_care(line) is None
    assert read_plain(line) is None


@pytest.mark.parametrize(
    ("key", "twice"),
    [
        (b'"sites"', b'"sites" : null, "sites"'),
        (b'"sites"', b'"sites"\t: null, "s\\u0069tes"'),
        (b'"sites"', b'"labels": {":": "a", ":": "b"}, "sites"'),
        (b'"sites"', b'"id" : "w-2", "sites"'),
    ],
)
def test_a_key_that_is_given_twice_is_never_plain(key: bytes, twice: bytes) -> None:
    line = GOOD.replace(key, twice)
    assert line != GOOD
    assert read_plain(line) is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_plain_is_what_care_would_read(data: st.DataObject) -> None:
    """A good line in which pieces of good lines are put in, exchanged or taken out."""
    bits = [
        b'"',
        b":",
        b" ",
        b"\\",
        b",",
        b"{",
        b"}",
        b"1",
        b"-",
        b'"id"',
        b'"tokens": 1, ',
        b"\\u0069",
        b"e9",
        b"",
    ]
    line = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(line)))
        line = line[:at] + data.draw(st.sampled_from(bits)) + line[at + data.draw(st.integers(0, 3)) :]
    found = read_plain(line)
    assert found is None or found == with_care(line)
