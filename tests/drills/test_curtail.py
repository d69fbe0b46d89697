"""What `shifter drill curtail` asks of which site, and what it takes for broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shifter.domain.fleet import Pool
from shifter.domain.plant import Battery
from shifter.drills.asked import has_room, taken_kw, with_room
from shifter.drills.battery import unspent_kwh
from shifter.drills.curtail import Curtail, Seen
from tests.drills.conftest import Call, served
from tests.service.world import FLEET


def test_where_a_quarter_cannot_be_cut_a_limit_is_asked_that_is_kept(tmp_path: Path, call: Call) -> None:
    """Nothing but real-time load runs: none of it can be cut."""
    with served(tmp_path, 600, n_work=0) as client:
        code, found, words = call("curtail", "--hours", "0.25", "--url", client.base_url)
    assert code == 0, (words, [c for c in found["checks"] if not c["kept"]])
    assert "at most" in words
    assert "25 % less would leave real-time load no room to grow" in words
    assert "cannot be met" not in words
    [limit] = [
        c for c in found["checks"] if c["promise"].startswith("The plan keeps the limit in every slot")
    ]
    [through] = [c for c in found["checks"] if "to the end" in c["promise"]]
    assert (limit["kept"], through["kept"]) == (True, True), (limit["seen"], through["seen"])


QUOTED: dict[str, Any] = {
    "met": True,
    "slots": [
        {"part": "event", "limit_kw": 8.0, "realtime_kw": 6.0, "without_kw": 9.0, "with_kw": 7.0}
        | {"at_quantile_kw": 8.0, "over_kw": 0.0},
        {"part": "event", "limit_kw": 8.0, "realtime_kw": 7.0, "without_kw": 9.0, "with_kw": 7.0}
        | {"at_quantile_kw": 8.0, "over_kw": 0.0},
        {"part": "rebound", "limit_kw": 12.0, "realtime_kw": 7.0, "without_kw": 11.0, "with_kw": 11.0}
        | {"at_quantile_kw": 12.0, "over_kw": 0.0},
    ],
}


def test_the_limit_of_a_drill_leaves_room_for_real_time_load_that_is_forecast_higher() -> None:
    assert has_room(QUOTED)
    tight, missed, *_ = (dict(QUOTED, slots=[dict(s) for s in QUOTED["slots"]]) for _ in range(2))
    tight["slots"][1]["realtime_kw"] = 7.9
    assert not has_room(tight)
    missed["slots"][1] |= {"at_quantile_kw": 9.0, "over_kw": 1.0}  # work that may not be interrupted is there
    assert with_room(missed) == {"limit_kw": 9.9, "rebound_limit_kw": 13.2}
    assert with_room(tight) == {"limit_kw": 8.7, "rebound_limit_kw": 13.2}
    assert taken_kw(tight, 8.7) == pytest.approx(2 * 1.3)


def test_no_more_than_the_three_sites_that_draw_most_are_asked() -> None:
    """None of ten has room, and of those that draw most the second has most to give."""
    now = datetime(2026, 1, 10, tzinfo=UTC)
    times = {"start": now.isoformat(), "end": (now + timedelta(minutes=15)).isoformat()}
    names = [f"edge-{i}" for i in range(10)]
    tight = dict(QUOTED, met=False, slots=[dict(s, without_kw=9.0) for s in QUOTED["slots"]])
    asked: list[str] = []

    def quoted(event: dict[str, Any]) -> dict[str, Any]:
        asked.append(event["site"])
        more_kw = 5.0 if event["site"] == "edge-8" else 0.0
        return dict(tight, slots=[dict(s, without_kw=s["without_kw"] + more_kw) for s in tight["slots"]])

    power = [{"site": name, "import_kw": float(i), **times} for i, name in enumerate(names)]
    client = SimpleNamespace(
        plan=lambda: {"power": power}, slots=lambda site: [times], quote_grid_event=quoted
    )
    scene: Any = SimpleNamespace(
        client=client,
        clock=SimpleNamespace(now=lambda: now, speed=1.0),
        pools=[(name, "h100") for name in names],
        options=SimpleNamespace(hours=0.5),
    )
    drill = Curtail(scene)
    drill._took_s = 0.0
    limit, _ = drill._chosen()
    assert asked == ["edge-9", "edge-8", "edge-7"]
    assert drill._site == "edge-8"
    assert "limit_kw" in limit


@pytest.mark.parametrize(
    ("would_meet", "all_tried", "kept"),
    [
        ({"limit_kw": 9.0}, True, True),
        ({"limit_kw": 9.0}, False, True),
        (None, True, False),
        (None, False, None),
    ],
)
def test_a_quote_that_had_no_time_to_look_for_more_breaks_nothing(
    would_meet: dict[str, float] | None, all_tried: bool, kept: bool | None
) -> None:
    scene: Any = None
    drill = Curtail(scene)
    drill._quote = {"met": False, "missing_kw": 0.6, "would_meet": would_meet, "all_tried": all_tried}
    assert drill._quoted().kept is kept


@pytest.mark.parametrize(
    ("deferrable", "charge_kw", "unspent_kwh", "kept"),
    [(0.0, 0.0, 0.0, None), (2.0, 0.0, 0.0, False), (0.0, 1.0, 0.0, False), (0.0, 0.0, 1.0, False)],
)
def test_a_limit_that_real_time_load_alone_exceeds_is_seen_neither_as_broken_nor_as_kept(
    deferrable: float, charge_kw: float, unspent_kwh: float, kept: bool | None
) -> None:
    seen = Seen()
    row = {"start": "2026-01-10T00:00:00Z", "charge_kw": charge_kw, "discharge_kw": 0.0}
    seen.look(row, [{"deferrable": deferrable}], 50.0, unspent_kwh)
    seen.look(row | {"start": "2026-01-10T00:15:00Z"}, [{"deferrable": 0.0}], -0.5)
    assert seen.kept is kept, "one slot within it does not make up for one that is over it"
    assert "2 slots under 1 plan, 1 of them over it" in seen.words(1)
    assert ("real-time load alone" in seen.words(1)) == (kept is None)
    alone = {"over_kw": 0.0, "load_alone_kw": 50.0}
    assert seen.figures == (alone if kept is None else {"over_kw": 50.0, "load_alone_kw": 0.0})


def test_a_limit_that_is_met_in_every_slot_is_seen_as_kept() -> None:
    seen = Seen()
    assert seen.kept is False, "nothing was seen of it"
    seen.look({"start": "2026-01-10T00:00:00Z", "charge_kw": 0.0}, [{"deferrable": 2.0}], 0.0)
    assert seen.kept is True
    assert seen.figures == {"over_kw": 0.0, "load_alone_kw": 0.0}


@pytest.mark.parametrize(
    ("plan", "says_kwh"),
    [
        (
            {"stored_kwh": (10.0, 8.0, 8.0), "discharge_kw": 0.0},
            1.0,
        ),  # its whole power, for a quarter of an hour
        ({"stored_kwh": (10.0, 8.0, 2.5), "discharge_kw": 0.0}, 0.25),  # later slots take the rest
        ({"stored_kwh": (10.0, 8.0, 2.0), "discharge_kw": 0.0}, 0.0),
        ({"stored_kwh": (10.0, 8.0, 8.0), "discharge_kw": 4.0}, 0.0),
        ({"stored_kwh": (10.0, 8.0, 8.0), "discharge_kw": 0.0, "import_kw": 0.0}, 0.0),
        ({"stored_kwh": (10.0, 8.0, 5.5), "discharge_kw": 0.0, "realtime_q": 10.0}, 0.25),
        ({"stored_kwh": (10.0, 8.0, 4.0), "discharge_kw": 0.0, "realtime_q": 10.0}, 0.0),
    ],
)
def test_a_battery_has_left_what_neither_later_slots_nor_its_floor_take(
    plan: dict[str, Any], says_kwh: float
) -> None:
    """Its floor is 2 kWh, and real-time load of ten draws 5 kWh in the hour that it is carried."""
    [site] = FLEET.sites
    cell = Battery(energy_kwh=12, power_kw=4, min_kwh=2, discharge_efficiency=0.5)
    one = Pool("h100", "H100", 16, 4, 0.1, 0.5)
    carried = replace(site.resilience, ride_through_minutes=60)
    site = replace(site, battery=cell, pools=(one,), resilience=carried)
    times = [f"2026-01-10T00:{m:02}:00Z" for m in (0, 15, 30, 45)]
    rows = [
        {"start": a, "end": b, "charge_kw": 0.0, "discharge_kw": plan["discharge_kw"], "stored_kwh": kwh}
        | {"import_kw": plan.get("import_kw", 9.0)}
        for a, b, kwh in zip(times, times[1:], plan["stored_kwh"], strict=False)
    ]
    slots = [{"start": r["start"], "pool": "h100", "realtime_q": plan.get("realtime_q", 0.0)} for r in rows]
    fleet = replace(FLEET, sites=(site,))
    assert unspent_kwh(fleet, site, rows[0], rows[1:], slots) == pytest.approx(says_kwh)
    assert unspent_kwh(fleet, replace(site, battery=None), rows[0], rows[1:], slots) == 0.0
