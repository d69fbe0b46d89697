"""Every drill once, against a daemon that runs: what it says, what it sees, and that it leaves nothing behind."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shifter.cli.main import main
from shifter.client import Client
from shifter.drills.base import Options, Scene, played
from shifter.drills.flap import left_of
from shifter.drills.lose_domain import LoseDomain
from shifter.drills.registry import DRILLS
from shifter.drills.stopped import BEFOREHAND, in_words
from shifter.drills.stream import Ears, Heard
from shifter.drills.surge import Surge, surge_of
from shifter.drills.target import Target, with_own_work
from shifter.drills.watched import (
    Moment,
    Watched,
    back_after_hold,
    never_over,
    no_flutter,
    on_time,
    returned_after_hold,
    stopped_at_once,
    unnamed,
)
from tests.daemon.world import until
from tests.drills.conftest import HOLD_S, WORK, Call, served

KEY = ("fra", "h100")


def unplayed(client: Client) -> Iterator[bool]:
    """Of every pool, whether it is as if nothing had been played."""
    for site in ("fra", "ber"):
        now = client.capacity(site, "h100")
        yield (
            now["last_sample_at"] is None
            and not now["stale"]
            and now["available_accelerators"] == now["count"]
        )


def verdicts(found: Any) -> dict[str, Any]:
    return {check["promise"]: check["kept"] for check in found["checks"]}


@pytest.mark.parametrize("name", [n for n in DRILLS if n != "curtail"])
def test_a_drill_finds_its_promises_kept_and_leaves_nothing(name: str, fast: Client, call: Call) -> None:
    code, found, words = call(name, "--url", fast.base_url)
    assert found is not None, words
    assert code == 0, json.dumps(found, indent=1)
    assert found["kept"]
    assert found["undone"]
    assert any(verdicts(found).values())
    assert all(unplayed(fast))
    assert "Nothing" in words or "will stop for up to" in words
    scene = Scene(fast, Options())
    assert all(scene.row(key)["realtime_q"] < 16 for key in scene.pools), "no plan holds what was played"
    if name == "flap":
        parts = [c["promise"] for c in found["checks"] if c["kept"] and "in again more often" in c["promise"]]
        assert [part.rpartition(" ")[2] for part in parts] == ["(hardware)", "(load)"]
        [gone] = [c["figures"] for c in found["checks"] if c["promise"].startswith("What is lost counts")]
        assert gone["back_after_s"] == pytest.approx(HOLD_S, abs=2.5 * 60)
    if name == "surge":
        figures = {key: value for check in found["checks"] for key, value in check["figures"].items()}
        assert figures["accelerators"] > 0
        assert 0 < figures["stopped_after_s"] < 5
        assert figures["free_after_s"] == pytest.approx(HOLD_S, abs=2.5 * 60)


def test_a_plan_made_for_another_reason_meanwhile_is_not_taken_for_the_one_waited_for(real: Client) -> None:
    with played(Scene(real, Options())) as scene:
        asked = scene.clock.now()
        scene.play(scene.say(KEY, there=24))
        assert scene.wait_for_plan(asked, counts={KEY: 24}) is not None
        back = scene.clock.now()
        scene.play(scene.say(KEY, there=32))  # counts after the hold, a minute from now
        due = back + timedelta(hours=5)
        real.submit([{"id": "another", "accelerator_hours": 0.1, "deadline": due.isoformat()}])
        try:
            assert scene.wait_for_plan(back) is not None
            assert scene.wait_for_plan(back, within_s=0.5, counts={KEY: 32}) is None
        finally:
            real.cancel("another")


def test_an_event_is_kept_to_its_end_and_withdrawn(tmp_path: Path, call: Call) -> None:
    with served(tmp_path, 600) as client:
        code, found, words = call("curtail", "--hours", "0.25", "--url", client.base_url)
        assert code == 0, (words, [c for c in found["checks"] if not c["kept"]])
        through = [c for c in found["checks"] if "to the end" in c["promise"]]
        assert through
        assert "0 of them over it" in through[0]["seen"]
        assert not client.grid_events()
        waits = [line for line in words.splitlines() if line.startswith("curtail: the limit is watched")]
        assert len(waits) == 1, "where stderr is no terminal, each thing that is waited for is one line"
        assert re.search(r" until 2026-01-10T\d\d:\d\d:00Z, for up to 1 minute …$", waits[0])


def test_on_a_real_clock_it_says_what_it_will_do_and_needs_yes(real: Client, call: Call) -> None:
    code, found, words = call("lose-domain", "--url", real.base_url)
    assert code == 2
    assert found is None
    assert "--yes" in words
    assert "is told to have lost 8 of its 32 accelerators" in words
    assert all(unplayed(real))


def test_curtail_on_a_real_clock_is_not_waited_for(real: Client, call: Call) -> None:
    code, found, _ = call("curtail", "--site", "fra", "--hours", "1", "--yes", "--url", real.base_url)
    assert code == 0, json.dumps(found, indent=1)
    assert not any("to the end" in promise for promise in verdicts(found))
    assert not real.grid_events()


def test_without_work_it_brings_its_own_and_cancels_it(real: Client) -> None:
    told: list[str] = []
    with played(Scene(real, Options(), lambda what, share: told.append(what))) as scene:
        drill = Surge(scene)
        assert "of the drill's own" in drill.prepare()
        target = with_own_work(scene)
        assert 0 < target.yields <= 4
        (own,) = target.victims
        assert real.admission(own)["admit"]
    assert real.workload(own)["state"] == "cancelled"


@pytest.mark.parametrize("name", ["lose-domain", "lose-site"])
def test_what_is_lost_takes_work_of_its_own_with_it(name: str, idle: Client, call: Call) -> None:
    code, found, words = call(name, "--url", idle.base_url)
    assert code == 0, (words, json.dumps(found, indent=1))
    assert "a workload of the drill's own, of up to" in words
    [stopped] = [
        check["figures"] for check in found["checks"] if check["promise"].startswith("What has to stop")
    ]
    assert stopped["accelerators"] >= 4
    assert all(unplayed(idle))
    assert not idle.workloads(state="running")
    assert any(view["tenant"] == "drill" for view in idle.workloads(state="cancelled"))


@pytest.mark.parametrize("name", ["lose-domain", "lose-site"])
def test_what_is_lost_takes_nothing_with_it_where_no_work_may_be_brought(name: str, idle: Client) -> None:
    with played(Scene(idle, Options(with_work=False))) as scene:
        drill = DRILLS[name].make(scene)
        assert "Nothing has to stop for that." in drill.prepare()
        before = {view["id"] for view in idle.workloads()}
        next(iter(drill.run()))
        assert {view["id"] for view in idle.workloads()} == before


def test_no_work_is_brought_to_where_none_of_it_would_have_to_stop(idle: Client) -> None:
    scene = Scene(idle, Options())
    sites = (replace(s, resilience=replace(s.resilience, mode="strict")) for s in scene.fleet.sites)
    scene.__dict__["fleet"] = replace(scene.fleet, sites=tuple(sites))  # nothing is planned in the margin
    drill = DRILLS["lose-domain"].make(scene)
    assert "Nothing has to stop for that." in drill.prepare()


def test_without_work_of_its_own_it_says_that_nothing_would_stop(real: Client, call: Call) -> None:
    code, found, words = call("surge", "--no-work", "--yes", "--url", real.base_url)
    assert (code, found) == (1, None)
    assert "nothing that may be preempted runs there" in words


def test_what_was_played_is_taken_back_when_it_is_interrupted(fast: Client) -> None:
    seen: list[float] = []

    def interrupt(what: str, share: float) -> None:
        if what == "load is high" and share > 0.2:
            seen.append(fast.capacity(*KEY)["realtime_accelerators"])
            raise KeyboardInterrupt

    scene = Scene(fast, Options(site="fra"), interrupt)
    drill = Surge(scene)
    drill.prepare()
    with pytest.raises(KeyboardInterrupt), played(scene):
        list(drill.run())
    assert seen[0] > 16  # about twice what is expected
    assert all(unplayed(fast))
    assert "what was played of fra/h100 is forgotten" in scene.undone


def test_a_meter_of_ones_own_counts_again_after_a_drill(fast: Client) -> None:
    now = Scene(fast, Options()).clock.now()
    fast.telemetry([{"site": "ber", "pool": "h100", "at": now.isoformat(), "realtime_accelerators": 3.0}])
    with played(Scene(fast, Options())) as scene:
        scene.play(scene.say(("ber", "h100"), 20.0))
        assert fast.capacity("ber", "h100")["realtime_accelerators"] == 20
    back = fast.capacity("ber", "h100")
    assert back["last_sample_at"] is not None
    assert back["realtime_accelerators"] != 20


def test_work_of_others_that_is_told_to_stop_meanwhile_is_named(idle: Client) -> None:
    with played(Scene(idle, Options())) as scene:
        with_own_work(scene)
        due = scene.clock.now() + timedelta(hours=2)
        idle.submit([{**WORK, "id": "theirs", "accelerator_hours": 22.0, "deadline": due.isoformat()}])
        until(lambda: idle.admission("theirs")["admit"])
        scene.play(*(scene.say(key, there=0) for key in scene.pools))
        until(lambda: [one.state for one in scene.stopped()] not in ([], ["run"]))
        [theirs] = scene.stopped()
        assert theirs.workload_id == "theirs", "and not the drill's own"
        assert "told to stop or wait: theirs (" in in_words([theirs])
        idle.cancel("theirs")


def test_a_drill_says_that_plans_move_other_work_and_names_it(fast: Client, call: Call) -> None:
    _, found, words = call("lose-site", "--url", fast.base_url)
    told = " ".join(words.split())
    assert BEFOREHAND in told
    assert BEFOREHAND in found["did"]
    assert {one["workload_id"] for one in found["stopped"]} <= {"w-0", "w-1"}
    assert ("told to stop or wait: w-" in told) == bool(found["stopped"])


def test_a_drill_is_not_kept(fast: Client) -> None:
    with played(Scene(fast, Options())) as scene:
        scene.play(scene.say(KEY, 31.0))
    assert all(slot["accelerators"]["p50"] < 31 for slot in fast.realtime(*KEY)[0]["slots"])


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["surge", "--site", "nowhere"], 1, "there is no site nowhere"),
        (["surge", "--pool", "nothing"], 1, "there is no pool nothing"),
        (["lose-site", "--pool", "h100"], 2, "a whole site is lost"),
        (["curtail", "--hours", "0"], 2, "a window has some length"),
        (
            ["curtail", "--hours", "nan"],
            2,
            "--hours: a window has some length, of up to 8760 hours; nan is none.",
        ),
        (["curtail", "--hours", "inf"], 2, "--hours: a window"),
        (["curtail", "--hours", "1e300"], 2, "--hours: a window"),
        (["explode"], 2, "there is no drill 'explode'"),
    ],
)
def test_a_call_that_is_wrong_says_so(
    args: list[str], code: int, words: str, fast: Client, call: Call
) -> None:
    got, found, told = call(*args, "--url", fast.base_url)
    assert (got, found) == (code, None)
    assert words in told


def test_status_says_what_the_promise_that_is_tried_costs(
    fast: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    promises = fast.plan()["resilience"]["promises"]
    assert {(p["kind"], p["name"]) for p in promises} >= {
        ("domains", "fra"),
        ("site", "fra"),
        ("site", "ber"),
    }
    with pytest.raises(SystemExit) as ended:
        main(["status", "--url", fast.base_url])
    assert not ended.value.code
    told = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("promise ")]
    assert ["kept: surviving the loss of " in line for line in told] == [True] * len(promises)
    assert any("kept: surviving the loss of site fra costs " in line for line in told)


def test_where_all_pools_have_meters_it_says_where_silence_can_be_played(
    idle: Client, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's meter cannot be stopped."""
    measured = {"last_sample_at": "2026-01-10T00:00:00Z"}
    real = Scene.capacity
    monkeypatch.setattr(Scene, "capacity", lambda scene, key: real(scene, key) | measured)
    code, _, words = call("silence", "--url", idle.base_url)
    assert code == 1
    [page] = re.findall(r"docs/\S+\.md", words)
    shown = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    assert re.search(
        r"^\$ shifter run --config config/examples/shifter.yaml .*--port (\d+)$", shown, re.MULTILINE
    )
    assert re.search(r"^\$ shifter drill silence --url \S+$", shown, re.MULTILINE)


def test_the_drills_are_listed(call: Call) -> None:
    code, found, _ = call()
    assert code == 0
    assert list(found) == list(DRILLS)


# What would be broken promises, as the checks see them ----------------------------------------------------


@pytest.fixture
def watched(fast: Client) -> Watched:
    watched = Watched(Scene(fast, Options()), [KEY], begun_s=0.0)
    for at in range(0, 120, 2):
        load = 30.0 if at < 10 else 4.0
        watched.moments.append(
            Moment(
                at, at / 60, {KEY: load}, {KEY: 32}, {KEY: 0}, {KEY: 30.0 if at < 38 else 4.0}, {KEY: False}
            )
        )
    return watched


TARGET = Target(KEY, 32, 32, 8, 4.0, 4.0, 6.0, 8.0, {"w": 8}, stale=False)


def with_let_in(watched: Watched, at: int, accelerators: int) -> None:
    watched.moments = [
        replace(m, let_in={KEY: accelerators}) if m.clock_s >= at else m for m in watched.moments
    ]


def heard(*told: tuple[str, dict[str, int]]) -> Ears:
    return Ears(
        [
            Heard(
                0.1,
                {
                    "kind": kind,
                    "data": {
                        "site": KEY[0],
                        "pool": KEY[1],
                        "workloads": who,
                        "yielded_accelerators": sum(who.values()),
                        "endangered": [],
                    },
                },
            )
            for kind, who in told
        ]
    )


def test_work_beside_too_much_load_is_seen(watched: Watched) -> None:
    assert never_over(watched).kept
    with_let_in(watched, 0, 3)
    check = never_over(watched)
    assert check.kept is False
    assert check.figures["over_accelerators"] == 1
    kept = never_over(_that_stays(watched, 3))  # it may not be stopped
    assert kept.kept
    assert "stayed in the way" in kept.seen


def test_load_that_alone_is_more_than_there_is_is_not_said_to_fit(watched: Watched) -> None:
    watched.moments = [replace(m, there={KEY: 0}) if m.clock_s < 20 else m for m in watched.moments]
    check = never_over(watched)
    assert check.kept
    assert check.promise == "Nothing that may yield stands in the way of real-time load"
    assert check.seen == (
        "60 looks; closest: 30 + 0 of 32 in fra/h100; load alone needs 30.0 of 0 in fra/h100: "
        "nothing more could yield"
    )
    watched.moments = watched.moments[:5]
    assert never_over(watched).seen.startswith("5 looks; load alone")


def test_work_that_may_yield_and_stands_where_load_alone_is_too_much_is_seen(watched: Watched) -> None:
    watched.moments = [replace(m, there={KEY: 0}) if m.clock_s < 20 else m for m in watched.moments]
    some_stays = _that_stays(_with(watched, 3), 3)
    assert never_over(some_stays).kept
    with_let_in(watched, 10, 4)
    check = never_over(watched)
    assert check.kept is False
    assert "closest: 30 + 4 of 0" in check.seen
    assert "nothing more could yield" not in check.seen


def test_what_may_not_be_stopped_is_looked_at_when_the_pool_is_over(
    idle: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that was let in after a drill began and before a loss is no work that would not yield; what is let in after
    the loss is.
    """
    let_in = iter([0, 4, 4, 4, 8, 0, 6])
    there = iter([32, 32, 0, 0, 0, 32, 0])
    now = {"available_accelerators": 0, "deferrable_accelerators": 0}
    real = idle.capacity

    def capacity(site: str, pool: str) -> dict[str, Any]:
        return real(site, pool) | {"realtime_accelerators": 4.0} | now

    monkeypatch.setattr(idle, "capacity", capacity)
    watched = Watched(Scene(idle, Options()), [KEY])
    for n, m in zip(let_in, there, strict=True):
        now |= {"deferrable_accelerators": n, "available_accelerators": m}
        watched.look("", 1e9, lambda _: [], until=lambda moment: True)
    assert [m.stays.get(KEY) for m in watched.moments] == [None, None, 4, 4, 4, None, 6]
    watched.moments.pop(4)
    assert never_over(watched).kept
    assert "6 accelerators of work that may not be stopped stayed in the way" in never_over(watched).seen


def _that_stays(watched: Watched, accelerators: int) -> Watched:
    watched.moments = [replace(m, stays={KEY: accelerators}) for m in watched.moments]
    return watched


def _with(watched: Watched, accelerators: int) -> Watched:
    with_let_in(watched, 0, accelerators)
    return watched


def test_what_no_reserve_could_hold_is_not_seen_as_broken(fast: Client) -> None:
    drill = LoseDomain(Scene(fast, Options(site="fra")))
    surging = replace(TARGET, load=27.0, quantile=27.2, let_in=0, victims={})
    check = drill._still_held(surging, 24)
    assert check.kept is None
    assert check.seen == (
        "24 are left for 27.2 (p99); the load of this moment is more than is left by 3.0: no reserve could hold it"
    )
    assert drill._still_held(replace(surging, load=20.0), 24).kept is False, "a reserve could have held that"
    assert drill._still_held(replace(surging, metered=False), 24).kept is False, "nobody measured a surge"
    assert drill._still_held(TARGET, 24).kept
    assert surging.stops(27.0, 24) == 0
    assert TARGET.stops(27.0, 24) == 8
    assert TARGET.stops(20.0, 24) == 4
    assert TARGET.stops(10.0, 24) == 0


def test_domains_are_lost_in_a_surge_in_which_nothing_may_stop(idle: Client, call: Call) -> None:
    now = Scene(idle, Options()).clock.now
    measured = {"site": "ber", "pool": "h100", "realtime_accelerators": 27.0}
    idle.telemetry([measured | {"at": now().isoformat()}])
    try:
        code, found, words = call("lose-domain", "--site", "ber", "--no-work", "--url", idle.base_url)
    finally:
        idle.telemetry([measured | {"at": now().isoformat(), "realtime_accelerators": 0.0}])
    assert code == 0, (words, json.dumps(found, indent=1))
    assert "Nothing has to stop for that." in words
    seen = {check["promise"]: (check["seen"], check["kept"]) for check in found["checks"]}
    held, kept = seen["What is left holds real-time load at its quantile"]
    assert kept is None
    assert "more than is left by 3.0: no reserve could hold it" in held
    [stop] = [of for promise, of in seen.items() if promise.startswith("What has to stop")]
    assert stop == ("nothing had to stop", None)
    assert "27.0 of 24 in ber/h100" in seen["Nothing that may yield stands in the way of real-time load"][0]


def test_work_that_returns_early_is_seen(fast: Client, watched: Watched) -> None:
    watched.scene.hold_s = 600.0  # so long that no step of the clock hides it
    assert returned_after_hold(watched, TARGET, 30.0, 10.0).kept is False


def test_load_that_never_falls_is_seen(watched: Watched) -> None:
    watched.moments = [replace(m, level={KEY: 30.0}) for m in watched.moments]
    assert returned_after_hold(watched, TARGET, 30.0, 10.0).kept is False


def test_a_stop_that_is_not_told_is_seen(watched: Watched) -> None:
    assert stopped_at_once(Ears(), watched, {KEY: 3}).kept is False
    assert stopped_at_once(heard(("guard.yielded", {"w": 3})), watched, {KEY: 3}).kept
    assert stopped_at_once(Ears(), watched, {KEY: 0}).kept is None


@pytest.fixture
def flapping(watched: Watched) -> Watched:
    """20 accelerators are told to be left, and all in turn, every 4 s for 30 s; they count as lost for another 60 s."""
    watched.moments = [
        replace(
            m,
            answered_s=m.clock_s,
            told_there={KEY: 20 if m.clock_s < 30 and m.clock_s % 8 < 4 else 32},
            there={KEY: 20 if m.clock_s < 88 else 32},
        )
        for m in watched.moments
    ]
    return watched


def test_accelerators_that_are_back_after_the_hold_are_seen(flapping: Watched) -> None:
    check = back_after_hold(flapping, KEY, 20)
    assert check.kept, check.seen
    assert check.figures["back_after_s"] == pytest.approx(62, abs=2)


def test_accelerators_that_come_back_early_are_seen(flapping: Watched) -> None:
    flapping.moments = [replace(m, there={KEY: 20 if m.clock_s < 40 else 32}) for m in flapping.moments]
    flapping.scene.hold_s = 600.0  # so long that no step of the clock hides it
    assert back_after_hold(flapping, KEY, 20).kept is False


def test_accelerators_that_are_lost_and_still_count_are_seen(flapping: Watched) -> None:
    flapping.moments[1:2] = [replace(m, there={KEY: 32}) for m in flapping.moments[1:2]]
    check = back_after_hold(flapping, KEY, 20)
    assert check.kept is False
    assert check.seen.startswith("at 1 of 60 looks more counted than was left")


def test_accelerators_that_never_come_back_are_seen(flapping: Watched) -> None:
    flapping.moments = [replace(m, there={KEY: 20}) for m in flapping.moments]
    check = back_after_hold(flapping, KEY, 20)
    assert check.kept is False
    assert "still counted as lost" in check.seen


def test_flutter_is_seen(watched: Watched) -> None:
    watched.scene.hold_s = 3600.0
    once: tuple[tuple[str, dict[str, int]], ...] = (("guard.yielded", {"w": 3}), ("guard.returned", {}))
    watched.begun_s = time.monotonic()
    ears = heard(*once, *once)
    ears.events = [replace(h, at_s=watched.begun_s + 1) for h in ears.events]
    assert no_flutter(ears, watched, KEY).kept is False
    back = no_flutter(ears, watched, KEY).figures["returns"]
    ears.events[-1].event["data"]["by"] = "plan"
    assert no_flutter(ears, watched, KEY).figures["returns"] == back - 1 == 1, "a new plan took over"
    ears.events = ears.events[:2]
    assert no_flutter(ears, watched, KEY).kept


@pytest.mark.parametrize("state", ["late", "planned"])
def test_work_that_is_late_and_unnamed_is_seen(
    state: str, fast: Client, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"a": {"feasible": True, "state": "running", "tenant": "ann", "note": "It is planned."}}
    after = {"a": {**before["a"], "feasible": False, "state": state, "note": "Its deadline has passed."}}
    scene = watched.scene
    monkeypatch.setattr(scene, "feasible", lambda: after)
    assert unnamed(scene, ["a"], Ears(), 0.0) == ["a"], "the plan in force of a real daemon does not name it"
    check = on_time(scene, before, Ears(), 0.0)
    assert check.kept is False
    assert check.seen == "can no more, and nobody named why: a"

    stopped = heard(("guard.yielded", {"a": 3}))
    assert on_time(scene, before, stopped, 0.0).kept is False, "to be stopped is not to be named"
    stopped.events[0].data["endangered"].append("a")
    assert on_time(scene, before, stopped, 0.0).kept

    told = {"kind": "plan.published", "data": {"plan_id": "p", "unplaced": 1}}
    short = {"workload_id": "a", "reason": "There is no room."}
    plans: dict[str | None, Any] = {None: {"unplaced": []}, "p": {"unplaced": [short]}}
    monkeypatch.setattr(fast, "plan", plans.__getitem__)
    assert on_time(scene, before, Ears([Heard(0.1, told)]), 0.0).kept, "an earlier plan of the drill named it"
    short["reason"] = ""
    assert on_time(scene, before, Ears([Heard(0.1, told)]), 0.0).kept is False


def test_hardware_that_flaps_leaves_what_load_needs() -> None:
    assert left_of(TARGET) == 8  # 4 of load, and half of what may yield
    assert left_of(replace(TARGET, let_in=20)) == 20  # and what may not be stopped
    assert left_of(replace(TARGET, load=40.0)) == 31  # there is too little as it is
    assert left_of(replace(TARGET, there=0)) == 0


def test_the_largest_surge_leaves_what_may_not_be_stopped() -> None:
    assert surge_of(replace(TARGET, let_in=20, victims={"w": 8}, expected=30.0)) == 20
    assert surge_of(TARGET) == 28  # enough for half of what may yield
    assert surge_of(replace(TARGET, expected=15.0)) == 30
