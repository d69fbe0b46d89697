"""workloads.jsonl and bodies: malformed, cut off, huge, non-UTF-8, duplicated, contradictory, impossible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files import check_workload, parse_fleet, parse_workload, read_fleet, read_workloads
from shifter.files.document import parse_document
from shifter.files.workloads import MAX_LINE_BYTES
from tests.files.good import EXAMPLES, FLEET, mistakes

GOOD: dict[str, Any] = {
    "id": "w-17",
    "tenant": "search",
    "model": "llama",
    "tokens": 4.1e9,
    "earliest_start": "2026-01-10T00:00:00Z",
    "deadline": "2026-01-11T06:00:00+01:00",
    "max_accelerators": 16,
    "interruptible": True,
    "preemptible": True,
    "data_boundary": ["DE", "FR"],
    "sites": None,
    "latency_slo_ms": None,
    "depends_on": [],
}
HOURS: dict[str, Any] = {"id": "h", "accelerator_hours": 12, "accelerators": ["H100-SXM"]}


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return parse_fleet(parse_document(FLEET, "f").data)


def refused(raw: Any, fleet: Fleet | None = None) -> list[str]:
    def read() -> None:
        workload = parse_workload(raw)
        if fleet is not None:
            check_workload(workload, fleet)

    with pytest.raises(InputError) as caught:
        read()
    assert all(m.count(": ") for m in mistakes(caught))
    return mistakes(caught)


def test_the_contracts_example_is_read(fleet: Fleet) -> None:
    workload = parse_workload(GOOD)
    assert workload.tokens == 4.1e9
    assert workload.deadline is not None
    assert workload.deadline.isoformat() == "2026-01-11T05:00:00+00:00"
    assert workload.data_boundary == ("DE", "FR")
    check_workload(workload, fleet)
    check_workload(parse_workload(HOURS), fleet)


def test_the_example_file_fits_the_example_fleet() -> None:
    workloads = read_workloads(EXAMPLES / "workloads.jsonl", read_fleet(EXAMPLES / "fleet.yaml"))
    assert len({w.id for w in workloads}) == len(workloads) >= 5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": None}, "body.id: `id` must be text, not nothing (null)."),
        ({"id": "../etc"}, "A name begins with"),
        ({"tokens": True}, "body.tokens: `tokens` must be a number, not true."),
        ({"tokens": "4.1e9"}, 'must be a number, not "4.1e9". Write it without quotes.'),
        ({"tokens": "120M"}, 'must be a number, not "120M". Write it out, without quotes: 120e6.'),
        ({"tokens": "1.5 bn"}, "Write it out, without quotes: 1.5e9."),
        ({"tokens": "4_100k"}, "Write it out, without quotes: 4100e3."),
        ({"tokens": "120,000,000"}, "Write it out, without quotes: 120000000."),
        ({"tokens": "4.1G tokens"}, "Write it out, without quotes: 4.1e9."),
        ({"accelerator_hours": "12h"}, "Write it out, without quotes: 12."),
        ({"max_accelerators": "16 GPUs"}, "Write it out, without quotes: 16."),
        ({"tokens": float("nan")}, "must be a finite number"),
        ({"tokens": float("inf")}, "must be a finite number"),
        ({"tokens": 0}, "must be greater than 0, not 0."),
        ({"tokens": -1}, "must be greater than 0, not -1."),
        ({"max_accelerators": 2.5}, "must be a whole number, not 2.5"),
        ({"max_accelerators": 0}, "must be at least 1"),
        ({"interruptible": "yes"}, 'must be true or false, not "yes"'),
        ({"interruptible": 1}, "must be true or false, not 1"),
        ({"deadline": "2026-01-11T06:00:00"}, "body.deadline: `deadline` has no time zone"),
        ({"deadline": 1768064400}, "must be a time, as text"),
        ({"deadline": "1768064400"}, "is not a time"),
        ({"deadline": "2026-13-45T00:00:00Z"}, "is not a time"),
        ({"deadline": "9999-12-31T23:59:59-12:00"}, "out of range"),
        ({"data_boundary": "DE"}, 'must be a list, not "DE". Write it in square brackets'),
        ({"data_boundary": ["DE", 3]}, "body.data_boundary[1]: each entry must be text, not 3"),
        ({"labels": {"a": 1}}, "body.labels.a: `a` must be text"),
        ({"mode": "bach"}, "Did you mean batch?"),
        (
            {"max_acelerators": 3},
            "body.max_acelerators: the key `max_acelerators` is not known. Did you mean",
        ),
        ({"tenant": "x" * 200}, "longer than 128"),
        ({"tenant": "\ud800"}, "this is not JSON"),
        ({"accelerator_hours": 3}, "tokens and accelerator_hours are both given"),
        ({"tokens": None}, "body.tokens: neither tokens nor accelerator_hours say how much work"),
        ({"model": None}, "body.model: tokens are given without a model"),
        ({"accelerators": ["L40S"]}, "body.accelerators: accelerators go with accelerator_hours"),
        ({"deadline": "2026-01-10T00:00:00Z"}, "body.deadline: the deadline is not after the earliest start"),
        ({"sites": []}, "body.sites: `sites` is an empty list"),
        ({"data_boundary": []}, "`data_boundary` is an empty list"),
        ({"depends_on": ["a", "w-17"]}, "body.depends_on[1]: it depends on itself"),
        ({"depends_on": ["a", "a"]}, "`a` is named twice"),
        ({"alternatives": {"model": "m", "tokens": 1}}, "body.alternatives: `alternatives` must be a list"),
        ({"alternatives": [{"model": "m"}]}, "body.alternatives[0].tokens: "),
        (
            {"alternatives": [{"model": "m", "tokens": 0}]},
            "alternatives[0].tokens: `tokens` must be greater than 0",
        ),
        ({"alternatives": [{"model": "m", "token": 1}]}, "Did you mean `tokens`?"),
        (
            {"alternatives": [{"model": "m", "tokens": 1}, {"model": "m", "tokens": 2}]},
            "body.alternatives[1].model: `m` is named twice.",
        ),
        (
            {"alternatives": [{"model": "llama", "tokens": 1}]},
            "alternatives[0].model: `llama` is named twice.",
        ),
        (
            {
                "alternatives": [{"model": "m", "tokens": 1}],
                "tokens": None,
                "accelerator_hours": 3,
                "model": None,
            },
            "body.alternatives: alternatives go with tokens of a model",
        ),
    ],
)
def test_what_a_workload_may_not_say(change: dict[str, Any], expected: str) -> None:
    found = refused(GOOD | change)
    assert any(expected in m for m in found), found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "lama"}, "body.model: the fleet has no model `lama`. Did you mean `llama`?"),
        (
            {"alternatives": [{"model": "embd", "tokens": 1}]},
            "alternatives[0].model: the fleet has no model `embd`. Did you mean `embed`?",
        ),
        (
            {"alternatives": [{"model": "only-h100", "tokens": 1}], "sites": ["oslo"], "data_boundary": None},
            "alternatives[0].model: no pool that may run this work has a throughput of `only-h100`.",
        ),
        ({"sites": ["frankfurt", "olso"]}, "sites[1]: the fleet has no site `olso`. Did you mean `oslo`?"),
        (
            {"max_accelerators": 3},
            "one replica of `llama` takes 4 accelerators, more than max_accelerators, which is 3.",
        ),
        ({"max_accelerators": 1}, "which is 1, as it is where none is given. Allow at least 4."),
        (
            {"model": "embed", "data_boundary": ["GB"]},
            "data_boundary: no pool may run it: frankfurt/h100 (jurisdiction DE, and data_boundary is GB)",
        ),
        (
            {"sites": ["oslo"], "data_boundary": ["DE"]},
            "frankfurt/h100 (not in sites), frankfurt/l40s (not in sites), oslo/l40s (jurisdiction NO, and",
        ),
    ],
)
def test_what_a_fleet_cannot_ever_run(fleet: Fleet, change: dict[str, Any], expected: str) -> None:
    found = refused(GOOD | change, fleet)
    assert any(expected.removeprefix("body.") in m for m in found), found


def test_which_condition_excluded_each_pool(fleet: Fleet) -> None:
    found = refused(HOURS | {"sites": ["oslo"]}, fleet)
    assert "oslo/l40s (L40S is not in accelerators)" in found[0]
    assert (
        "no pool has the accelerator `H200`. Known accelerators: H100-SXM, L40S."
        in refused(HOURS | {"accelerators": ["H200"]}, fleet)[0]
    )
    narrow = parse_fleet(
        parse_document(
            FLEET.replace("{H100-SXM: 950, L40S: 210}", "{H100-SXM: 950}").replace(", L40S: 8}", "}"), "f"
        ).data
    )
    assert (
        "oslo/l40s (llama has no throughput on L40S)" in refused(GOOD | {"data_boundary": ["NO"]}, narrow)[0]
    )
    huge = parse_fleet(
        parse_document(FLEET.replace("{H100-SXM: 4, L40S: 8}", "{H100-SXM: 400, L40S: 800}"), "f").data
    )
    assert "holds one replica of 400" in refused(GOOD | {"max_accelerators": 999}, huge)[0]


@pytest.mark.parametrize(
    ("change", "gone", "fields"),
    [
        ({"tokens": "120M", "sites": ["olso"]}, "", ["tokens", "sites[0]"]),
        ({"tokens": "120M"}, "max_accelerators", ["tokens", "max_accelerators"]),
        ({"deadline": "2026-01-09T00:00:00Z"}, "max_accelerators", ["deadline", "max_accelerators"]),
        ({"model": "lama", "accelerators": ["L40S"], "x": 1}, "", ["x", "accelerators", "model"]),
        ({"id": None, "max_accelerators": 2}, "", ["id", "max_accelerators"]),
        ({"latency_slo_ms": "1s"}, "tokens", ["latency_slo_ms"]),
        ({"max_acelerators": 16}, "max_accelerators", ["max_acelerators"]),
        ({"tokns": 1e9}, "tokens", ["tokns"]),
        ({"sites": [], "deadline": 3}, "", ["deadline", "sites"]),
        ({"data_boundary": "DE", "model": None}, "", ["data_boundary", "model"]),
    ],
)
def test_all_mistakes_of_a_workload_are_told_at_once(
    fleet: Fleet, change: dict[str, Any], gone: str, fields: list[str]
) -> None:
    raw = {k: v for k, v in (GOOD | change).items() if k != gone}
    with pytest.raises(InputError) as caught:
        parse_workload(raw, fleet=fleet)
    assert [m.split(": ")[0] for m in mistakes(caught)] == [f"body.{field}" for field in fields]


def test_what_was_not_given_is_called_so(fleet: Fleet, tmp_path: Path) -> None:
    raw = {k: v for k, v in GOOD.items() if k != "max_accelerators"}
    told = "takes 4 accelerators, more than max_accelerators, which was not given: the default is 1."
    with pytest.raises(InputError, match=told):
        parse_workload(raw, fleet=fleet)
    (found,) = refused_file(tmp_path, json.dumps(raw), fleet)
    assert told in found


def test_a_deadline_that_cannot_be_met_is_no_mistake(fleet: Fleet) -> None:
    check_workload(parse_workload(GOOD | {"tokens": 1e15, "deadline": "2026-01-10T00:30:00Z"}), fleet)


def test_real_time_load_needs_no_amount(fleet: Fleet) -> None:
    check_workload(
        parse_workload({"id": "chat", "model": "llama", "latency_slo_ms": 800, "max_accelerators": 8}), fleet
    )


@pytest.mark.parametrize("raw", [None, 3, "w", [], [GOOD], {}])
def test_what_is_no_workload(raw: Any) -> None:
    assert refused(raw)


def write(tmp_path: Path, content: bytes | str) -> Path:
    file = tmp_path / "workloads.jsonl"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def line(**change: Any) -> str:
    return json.dumps(GOOD | change) + "\n"


def refused_file(tmp_path: Path, content: bytes | str, fleet: Fleet | None = None) -> list[str]:
    file = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_workloads(file, fleet)
    return [m.removeprefix(f"{tmp_path}/") for m in mistakes(caught)]


def test_lines_blank_lines_crlf_and_a_bom(tmp_path: Path) -> None:
    text = "\ufeff" + line(id="a").replace("\n", "\r\n") + "\n   \n" + line(id="b").rstrip()
    assert [w.id for w in read_workloads(write(tmp_path, text))] == ["a", "b"]
    assert read_workloads(write(tmp_path, "")) == ()


def test_every_wrong_line_is_named(tmp_path: Path, fleet: Fleet) -> None:
    text = (
        line(id="a") + "{oops}\n" + line(id="b", tokens=-1, deadline=3) + line(id="c", model="lama") + "[1]\n"
    )
    found = refused_file(tmp_path, text, fleet)
    places = [m.split(": ")[0] for m in found]
    assert places == [
        "workloads.jsonl:2:2",
        "workloads.jsonl:3 tokens",
        "workloads.jsonl:3 deadline",
        "workloads.jsonl:4 model",
        "workloads.jsonl:5",
    ]


def test_a_line_that_is_cut_off(tmp_path: Path) -> None:
    (found,) = refused_file(tmp_path, line(id="a") + line(id="b")[:60])
    assert found.startswith("workloads.jsonl:2:")
    assert "cut off" in found


def test_a_line_that_is_not_utf_8(tmp_path: Path) -> None:
    (found,) = refused_file(tmp_path, line(id="a").encode() + b'{"id": "\xff"}\n')
    assert found.startswith("workloads.jsonl:2:9: the byte 0xff is not UTF-8")


def test_the_same_id_twice_names_both_lines(tmp_path: Path) -> None:
    (found,) = refused_file(tmp_path, line(id="a") + line(id="b") + line(id="a"))
    assert found.startswith("workloads.jsonl:3 id: the id `a` is already on line 1.")


def test_a_key_twice_in_one_line(tmp_path: Path) -> None:
    (found,) = refused_file(tmp_path, '{"id": "a", "id": "b"}\n')
    assert found.startswith("workloads.jsonl:1 id: the key `id` is given twice")


def test_a_huge_line_is_not_read_into_memory(tmp_path: Path) -> None:
    (found,) = refused_file(tmp_path, line(id="a") + '{"id": "' + "x" * MAX_LINE_BYTES)
    assert found.startswith("workloads.jsonl:2: the line is longer than 1 MiB")


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"tokens": ' + "9" * 5000 + "}", "\0\0", '"\\ud800"', "NaN"]
)
def test_hostile_lines(tmp_path: Path, content: str) -> None:
    assert refused_file(tmp_path, content)[0].startswith("workloads.jsonl:1")


def test_a_file_that_is_wrong_throughout_is_answered_shortly(tmp_path: Path) -> None:
    assert len(refused_file(tmp_path, "oops\n" * 10_000)) <= 101


def test_json_and_yaml_files_with_one_or_many(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(GOOD, indent=2), encoding="utf-8")
    assert [w.id for w in read_workloads(file)] == ["w-17"]
    file.write_text(json.dumps([GOOD, GOOD | {"tokens": -1}], indent=2), encoding="utf-8")
    with pytest.raises(InputError, match=r"one\.json:24:15 \[1\]\.tokens: `tokens` must be greater"):
        read_workloads(file)
    file.write_text(json.dumps([GOOD, GOOD], indent=2), encoding="utf-8")
    with pytest.raises(InputError, match=r"one\.json:21:11 \[1\]\.id: the id `w-17` is already on line 3"):
        read_workloads(file)
