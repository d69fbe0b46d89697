"""Whatever is done to a good file, it is read or refused with a place; never anything else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from forecasts.slots import SlotGrid
from shifter.domain.fleet import Fleet, Model, Objective, Pool, PowerWindow, Site
from shifter.domain.plant import Battery
from shifter.domain.resilience import Resilience
from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files import parse_fleet, read_fleet, read_plan, read_realtime, read_workloads
from shifter.files.document import parse_document
from shifter.files.places import all_of
from shifter.settings import load_settings
from tests.files.good import EXAMPLES, FLEET

QUICK = settings(max_examples=60, deadline=None)
"""Enough to notice on every run; with 1500 of each nothing else came up."""

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,8}", fullmatch=True)
minutes = st.integers(0, 80 * 365 * 24 * 60)
moments = minutes.map(lambda m: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=m))
texts = st.text(st.characters(codec="utf-8"), max_size=20)
amounts = st.floats(0.001, 1e9)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    def pool(name: str) -> Pool:
        count = draw(st.integers(1, 10_000))
        idle = draw(st.floats(0, 1))
        accelerator = draw(st.sampled_from(["NO", "H100", "1e3"]))
        return Pool(
            name, accelerator, count, draw(st.integers(1, count)), idle, idle + draw(st.floats(0.1, 1))
        )

    def site(name: str) -> Site:
        start = draw(moments)
        energy = draw(amounts)
        return Site(
            name=name,
            zone=draw(names),
            pools=tuple(pool(n) for n in draw(st.lists(names, min_size=1, max_size=3, unique=True))),
            tier=draw(st.sampled_from(["central", "regional", "edge"])),
            jurisdiction=draw(st.none() | st.sampled_from(["NO", "null", "true", "1", "é", "a: b # c"])),
            power_limits=(
                PowerWindow(start, start + timedelta(hours=draw(st.integers(1, 99))), draw(amounts)),
            ),
            battery=Battery(energy, draw(amounts), initial_kwh=energy / 2, min_kwh=energy / 4),
            resilience=Resilience(
                draw(st.floats(0.01, 0.999)), draw(st.integers(0, 3)), draw(st.floats(0, 60))
            ),
        )

    sites = tuple(site(n) for n in draw(st.lists(names, min_size=1, max_size=3, unique=True)))
    models = tuple(
        Model(n, {"H100": draw(amounts)}, {"H100": 2}) for n in draw(st.lists(names, max_size=2, unique=True))
    )
    return Fleet("EUR", sites, models, Objective(draw(st.floats(0, 1e4))))


@QUICK
@given(fleets())
def test_fleets_come_back_as_they_were_from_json_and_from_yaml(fleet: Fleet) -> None:
    raw = TypeAdapter(Fleet).dump_python(fleet, mode="json")
    assert parse_fleet(raw) == fleet
    text = json.dumps(raw, indent=1, ensure_ascii=False)
    assert parse_fleet(parse_document(text, "f").data) == fleet


workloads = st.builds(
    Workload,
    id=names,
    tenant=texts,
    model=names,
    tokens=amounts,
    earliest_start=st.just(datetime(2019, 1, 1, tzinfo=UTC)),
    deadline=moments,
    max_accelerators=st.integers(1, 10_000),
    interruptible=st.booleans(),
    data_boundary=st.none() | st.just(("NO", "DE")),
    depends_on=st.just(()),
    labels=st.dictionaries(texts, st.just("é\u2028")),
)


@QUICK
@given(st.lists(workloads, max_size=5, unique_by=lambda w: w.id))
def test_workloads_come_back_as_they_were(given_workloads: list[Workload]) -> None:
    adapter = TypeAdapter(Workload)
    lines = [json.dumps(adapter.dump_python(w, mode="json"), ensure_ascii=False) for w in given_workloads]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "w.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        assert read_workloads(file) == tuple(given_workloads)


@st.composite
def broken(draw: st.DrawFn, good: bytes) -> bytes:
    """A good file with bytes cut off, cut out, exchanged, doubled or put in."""
    data = good
    for _ in range(draw(st.integers(1, 3))):
        i, j = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        how = draw(st.sampled_from(["truncate", "cut", "double", "insert", "replace"]))
        junk = draw(st.binary(max_size=4) | st.sampled_from(JUNK))
        if how == "truncate":
            data = data[:j]
        elif how == "cut":
            data = data[:i] + data[min(j, i + 20) :]
        elif how == "double":
            data = data[:j] + data[i:]
        elif how == "insert":
            data = data[:i] + junk + data[i:]
        else:
            data = data[:i] + junk + data[i + len(junk) :]
    return data


JUNK = [
    b"\t",
    b"\n",
    b"\n\n- ",
    b": ",
    b"[",
    b"}",
    b'"',
    b"'",
    b"#",
    b"&a ",
    b"*a",
    b"!!int ",
    b"%YAML 1.1\n",
    b"| ",
    b"> ",
]
JUNK += [
    b"---\n",
    b"...\n",
    b"? ",
    b"<<: ",
    b",",
    b"-",
    b"1e999",
    b"NaN",
    b".nan",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
]
JUNK += [
    b"\\u",
    b"\\ud800",
    b"\r",
    b"9999-12-31T23:59:59-23:59",
    b"\xe2\x80\xa8",
    b"@",
    b"`",
    b"null",
    b"true",
    b"{}",
    b"[]",
]


def read_or_refused(name: str, data: bytes, read: Callable[[Path], Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        try:
            read(file)
        except InputError as error:
            for e in all_of(error):
                assert e.detail
                assert str(file) in e.field


@QUICK
@given(broken(FLEET.encode()))
def test_broken_fleets(data: bytes) -> None:
    read_or_refused("fleet.yaml", data, read_fleet)


@QUICK
@given(broken((EXAMPLES / "workloads.jsonl").read_bytes()[:900]))
def test_broken_workloads(data: bytes) -> None:
    fleet = read_fleet(EXAMPLES / "fleet.yaml")
    read_or_refused("workloads.jsonl", data, lambda file: read_workloads(file, fleet))
    read_or_refused("workloads.json", data, read_workloads)


@QUICK
@given(broken((EXAMPLES / "realtime.csv").read_bytes()))
def test_broken_realtime_load(data: bytes) -> None:
    grid = SlotGrid(datetime(2026, 1, 10, tzinfo=UTC), 60, 24)
    fleet = read_fleet(EXAMPLES / "fleet.yaml")
    read_or_refused("realtime.csv", data, lambda file: read_realtime(file, grid, fleet))


@QUICK
@given(broken((EXAMPLES / "../shifter.yaml").read_bytes()))
def test_broken_settings(data: bytes) -> None:
    read_or_refused("shifter.yaml", data, lambda file: load_settings(file, {}, {}))


PLAN = b"""{"plan_id":"p","inputs_id":"i","created_at":"2026-01-10T00:00:00Z",
"horizon":{"start":"2026-01-10T00:00:00Z",
"end":"2026-01-12T00:00:00Z","slot_minutes":30},"currency":"EUR","cost":{"energy":1,"total":1},"carbon_kg":1,
"lower_bound":1,"relative_gap":0,"baseline":{"name":"run_now","total":1,"carbon_kg":1,"peak_kw":1},"slots":[],"power":[],
"allocations":[],"duals":{"capacity":[{"site":"a","pool":"b","values":[0]}],"reserve":[],"power":[],"peak":[]},"unplaced":[]}"""


@QUICK
@given(broken(PLAN))
def test_broken_plans(data: bytes) -> None:
    read_or_refused("plan.json", data, read_plan)
