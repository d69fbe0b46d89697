"""What a grid tells by OpenADR 3: limits that come, change and go, and a VTN that fails takes nothing back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from forecasts.sources.http import HttpClient
from forecasts.sources.openadr3_events import FOREVER
from forecasts.sources.openadr3_vtn import Vtn, VtnOptions
from forecasts.sources.pace import RetryPolicy
from forecasts.testing import Asked, FakeTime, ReplyServer, Said
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet
from shifter.domain.grid_event import GridEvent
from shifter.errors import InputError
from shifter.grid_signals import STANDS, GridFeed, listen
from shifter.planner import InProcessPlanner
from shifter.service import Service
from shifter.views import EventKind
from tests.contract.vtn import BASE, CLIENT, SECRET, FakeVtn, event, interval, iso, period, problem
from tests.daemon.world import daemon, until
from tests.service.world import FLEET, HOUR, T0, job, kinds, service

NAME = "openadr3:dso"
BER = replace(FLEET.sites[0], name="ber")
TWO = Fleet("EUR", (*FLEET.sites, BER), FLEET.models)
KW = {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}


def limit(
    event_id: str, start: Any, *kw: float | str, each: str | None = "PT1H", **more: Any
) -> dict[str, Any]:
    """An event that limits what is drawn, hour by hour."""
    intervals = [interval(k, "IMPORT_CAPACITY_LIMIT", v) for k, v in enumerate(kw)]
    return event(event_id, start, intervals, each, **{"payloadDescriptors": [KW], **more})


@dataclass
class World:
    """A VTN, a feed that asks it, and a service that is told."""

    made: Service
    clock: ManualClock
    vtn: FakeVtn
    http: HttpClient
    url: str
    feed: GridFeed = field(init=False)

    def __post_init__(self) -> None:
        self.follow(site="fra")

    def follow(self, **given: Any) -> GridFeed:
        options = VtnOptions(base_url=self.url + BASE, client_id=CLIENT, api_key=SecretStr(SECRET))
        self.feed = GridFeed(
            NAME,
            Vtn(options, NAME, http=self.http),
            given.get("programs", ()),
            given.get("site"),
            given.get("targets", {}),
            every=timedelta(minutes=1),
            ahead=timedelta(days=2),
        )
        return self.feed

    def tell(self, *events: dict[str, Any]) -> int:
        """These are the VTN's events now; how many grid events that changed."""
        self.vtn.events = list(events)
        return listen(self.made.core, self.feed)

    def limits(self) -> list[tuple[str, float, float, float | None]]:
        """Site, start and end [h after T0], limit [kW], as the service answers."""
        told = sorted(self.made.grid_events(), key=lambda e: (e.site, e.start))
        return [(e.site, (e.start - T0) / HOUR, (e.end - T0) / HOUR, e.limit_kw) for e in told]

    def events(self, kind: EventKind) -> list[Any]:
        return [e.data for e in self.made.events() if e.kind is kind]


@pytest.fixture
def http() -> Iterator[HttpClient]:
    time = FakeTime()
    client = HttpClient(
        clock=time.clock, sleep=time.sleep, wall=time.wall, retry=RetryPolicy(failures_to_open=99)
    )
    yield client
    client.close()


@pytest.fixture
def open_world(http: HttpClient) -> Iterator[Callable[..., World]]:
    vtn = FakeVtn()
    with ReplyServer(vtn.reply) as server:

        def opened(url: str, **changes: Any) -> World:
            clock = ManualClock(T0)
            return World(service(url, clock, **{"fleet": TWO, **changes}), clock, vtn, http, server.url)

        yield opened


@pytest.fixture
def world(open_world: Callable[..., World], sqlite_url: str) -> World:
    return open_world(sqlite_url)


class TestLimits:
    def test_a_limit_comes_in_once(self, open_world: Callable[..., World], database_url: str) -> None:
        world = open_world(database_url)
        asked: list[str] = []
        world.made.core.replan = asked.append
        cut = limit("e1", T0 + 2 * HOUR, 4.0, 6.5)
        assert [world.tell(cut) for _ in range(3)] == [2, 0, 0]
        assert world.limits() == [("fra", 2, 3, 4.0), ("fra", 3, 4, 6.5)]
        assert [e.source for e in world.made.grid_events()] == [NAME, NAME]
        assert kinds(world.made) == [EventKind.GRID_EVENT_CREATED] * 2
        assert asked == ["grid event"], "one plan, for all of it"
        trail = world.made.audit()
        assert [(a.actor, a.action) for a in trail] == [(NAME, "grid_event.create")] * 2
        world.made.core.db.close()

    def test_after_a_restart_it_is_no_news(self, world: World, sqlite_url: str) -> None:
        cut, alert = (
            limit("e1", T0 + 2 * HOUR, 4.0),
            event("e2", T0, [interval(0, "ALERT_FIRE", "smoke")], "P1D"),
        )
        assert world.tell(cut, alert) == 1
        before = kinds(world.made)
        world.made.core.db.close()
        again = service(sqlite_url, world.clock, fleet=TWO)
        world.follow(site="fra")
        assert listen(again.core, world.feed) == 0
        assert kinds(again) == before

    def test_a_plan_keeps_to_it(self, open_world: Callable[..., World], sqlite_url: str) -> None:
        world = open_world(sqlite_url, planner=InProcessPlanner(), fleet=FLEET)
        world.tell(limit("e1", T0, *[2.0] * 6))
        world.made.submit([job(hours=40.0, width=16, due_h=20.0)], "ann")
        world.made.cycle("test")
        drawn = {row.start: row.import_kw for row in world.made.plan().power}
        assert max(kw for at, kw in drawn.items() if at < T0 + 6 * HOUR) <= 2.0 + 1e-6
        assert max(drawn.values()) > 4.0

    def test_a_change_changes_it(self, world: World) -> None:
        world.tell(limit("e1", T0 + 2 * HOUR, 4.0))
        [before] = world.made.grid_events()
        assert world.tell(limit("e1", T0 + 3 * HOUR, 3.0, each="PT2H")) == 1
        assert world.limits() == [("fra", 3, 5, 3.0)]
        [after] = world.made.grid_events()
        assert after.id == before.id
        [told] = world.events(EventKind.GRID_EVENT_CHANGED)
        assert (told["id"], told["limit_kw"]) == (before.id, 3.0)
        [deed] = [a for a in world.made.audit() if a.action == "grid_event.change"]
        assert (deed.detail["was"]["limit_kw"], deed.detail["limit_kw"]) == (4.0, 3.0)
        assert world.tell(*world.vtn.events) == 0

    def test_one_that_is_gone_is_withdrawn(self, world: World, sqlite_url: str) -> None:
        world.tell(limit("e1", T0 + 2 * HOUR, 4.0), limit("e2", T0 + 9 * HOUR, 5.0))
        assert world.tell(limit("e2", T0 + 9 * HOUR, 5.0)) == 1
        assert world.limits() == [("fra", 9, 10, 5.0)]
        assert [d["limit_kw"] for d in world.events(EventKind.GRID_EVENT_WITHDRAWN)] == [4.0]
        assert world.made.grid_events(T0 - HOUR) == world.made.grid_events(), "it never was"
        world.made.core.db.close()
        assert len(service(sqlite_url, world.clock, fleet=TWO).grid_events()) == 1

    def test_one_that_runs_ends_when_it_is_withdrawn(self, world: World) -> None:
        world.tell(limit("e1", T0 + HOUR, 4.0, each="PT8H"))
        world.clock.advance(hours=3)
        assert world.tell() == 1
        assert world.limits() == []
        [was] = world.made.grid_events(T0)
        assert (was.start, was.end) == (T0 + HOUR, T0 + 3 * HOUR)
        assert world.tell(limit("e1", T0 + HOUR, 4.0, each="PT8H")) == 1, "and may come again"
        assert world.limits() == [("fra", 1, 9, 4.0)]

    def test_one_that_is_over_is_left_as_it_was(self, world: World) -> None:
        world.tell(limit("e1", T0, 4.0))
        world.clock.advance(hours=2)
        assert world.tell() == 0
        assert world.made.grid_events(T0 - HOUR)[0].end == T0 + HOUR
        assert EventKind.GRID_EVENT_WITHDRAWN not in kinds(world.made)

    def test_others_limits_are_left_alone(self, world: World) -> None:
        own = GridEvent("own", "fra", T0, T0 + HOUR, 9.0)
        world.made.add_grid_event(own, "olga")
        world.tell(limit("e1", T0, 4.0))
        world.tell()
        assert world.made.grid_events() == [own]

    def test_one_whose_id_another_took_is_taken_over_once(self, world: World) -> None:
        cut = limit("e1", T0 + 2 * HOUR, 4.0)
        world.tell(cut)
        [ours] = world.made.grid_events()
        world.tell()
        world.made.add_grid_event(replace(ours, limit_kw=9.0, source="api"), "olga")
        assert [world.tell(cut) for _ in range(3)] == [1, 0, 0]
        assert world.made.grid_events() == [ours]
        deeds = [a for a in world.made.audit() if a.action == "grid_event.create"]
        assert [a.actor for a in deeds].count(NAME) == 2
        assert world.tell() == 1, "and is withdrawn as any of ours"

    def test_of_two_of_one_program_priority_decides_and_else_the_lower(self, world: World) -> None:
        day, less = limit("e1", T0, *[8.0] * 3), limit("e2", T0 + HOUR, 9.0, priority=1)
        same = limit("e3", T0 + 2 * HOUR, 5.0)
        world.tell(day, less, same)
        assert world.limits() == [("fra", 0, 1, 8.0), ("fra", 1, 2, 9.0), ("fra", 2, 3, 5.0)]

    def test_limits_of_two_programs_hold_both(self, world: World) -> None:
        world.vtn.programs.append({"id": "p2", "programName": "balancing"})
        world.tell(limit("e1", T0, 4.0, priority=0), limit("e2", T0, 3.0, programID="p2"))
        assert world.limits() == [("fra", 0, 1, 4.0), ("fra", 0, 1, 3.0)]

    def test_a_limit_that_is_cut_in_two_keeps_both_pieces_while_they_run(self, world: World) -> None:
        told = [limit("e1", T0, 8.0, each="PT9H"), limit("e2", T0 + 3 * HOUR, 2.0, priority=0)]
        assert world.tell(*told) == 3
        assert world.limits() == [("fra", 0, 3, 8.0), ("fra", 3, 4, 2.0), ("fra", 4, 9, 8.0)]
        for _ in range(17):
            world.clock.advance(minutes=30)
            assert world.tell(*told) == 0

    def test_a_limit_without_an_end(self, world: World) -> None:
        now = limit("e1", "0001-01-01", 4.0, each="P9999Y", modificationDateTime=iso(T0 - HOUR))
        assert world.tell(now) == 1
        [told] = world.made.grid_events()
        assert (told.start, told.end) == (T0 - HOUR, FOREVER)
        world.clock.advance(days=400)
        assert world.tell(now) == 0
        assert world.tell() == 1

    def test_a_limit_that_repeats_comes_as_far_as_is_planned(self, world: World) -> None:
        daily = limit("e1", T0 + 17 * HOUR, 4.0) | {"duration": "P9999Y"}
        daily["intervals"].append(interval(1, "NOTHING", 1, at=period(duration="PT23H")))
        assert world.tell(daily) == 2
        assert world.limits() == [("fra", 17, 18, 4.0), ("fra", 41, 42, 4.0)]
        world.clock.advance(hours=20)
        assert world.tell(daily) == 1
        assert world.tell(daily) == 0
        assert world.limits() == [("fra", 41, 42, 4.0), ("fra", 65, 66, 4.0)]

    def test_what_cannot_be_told_is_not_kept(self, world: World) -> None:
        with world.made.core.db.write() as db:
            db.exec_driver_sql(
                "CREATE TRIGGER lost BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'lost'); END"
            )
        assert world.tell(limit("e1", T0, 4.0)) == 0
        assert world.limits() == []
        assert IntegrityError.__name__ in world.made.health().sources[0].error
        with world.made.core.db.write() as db:
            db.exec_driver_sql("DROP TRIGGER lost")
        assert world.tell(limit("e1", T0, 4.0)) == 1


class TestWhoseItIs:
    def test_targets_name_sites(self, world: World) -> None:
        world.follow(targets={"meter-1": "fra", "meter-2": "ber", "both": "fra"})
        world.tell(
            limit("e1", T0, 1.0, targets=["meter-1"]),
            limit("e2", T0, 2.0, targets=["meter-2"]),
            limit("e3", T0 + HOUR, 3.0, targets=["meter-2", "meter-1", "both"]),
        )
        assert world.limits() == [
            ("ber", 0, 1, 2.0),
            ("ber", 1, 2, 3.0),
            ("fra", 0, 1, 1.0),
            ("fra", 1, 2, 3.0),
        ]

    def test_targets_of_3_0(self, world: World) -> None:
        world.vtn.by_target = False
        world.follow(targets={"LISA": "ber"}, site="fra")
        targets = [
            {"type": "RESOURCE_NAME", "values": ["LISA"]},
            {"type": "ORGANIZATION_ID", "values": ["81"]},
        ]
        world.tell(limit("e1", T0, 30.0, targets=targets))
        assert world.limits() == [("ber", 0, 1, 30.0)]

    def test_somebody_else_s_limit_binds_nobody_and_is_told_once(self, world: World) -> None:
        world.vtn.by_target = False
        for _ in range(2):
            assert world.tell(limit("e1", T0, 1.0, targets=["meter-9"])) == 0
        assert world.limits() == []
        [told] = world.events(EventKind.GRID_NOTICE)
        assert (told["targets"], told["sites"]) == (["meter-9"], [])
        assert "of no site here" in told["why"]

    def test_one_for_all_limits_the_site_that_is_named_for_it(self, world: World) -> None:
        world.follow(targets={"meter-2": "ber"})
        world.tell(limit("e1", T0, 1.0))
        assert world.limits() == []
        world.follow(targets={"meter-2": "ber"}, site="fra")
        assert world.tell(limit("e1", T0, 1.0)) == 1

    def test_only_the_programs_that_are_named(self, world: World) -> None:
        world.vtn.programs.append({"id": "p2", "programName": "balancing"})
        world.follow(site="fra", programs=("balancing",))
        world.tell(limit("e1", T0, 1.0), limit("e2", T0, 2.0, programID="p2"))
        assert world.limits() == [("fra", 0, 1, 2.0)]

    def test_a_program_that_is_gone_withdraws_nothing(self, world: World) -> None:
        world.follow(site="fra", programs=("day-ahead",))
        cut = limit("e1", T0, 1.0)
        assert world.tell(cut) == 1
        world.vtn.programs.clear()
        assert world.tell(cut) == 0
        assert len(world.limits()) == 1
        assert "no program 'day-ahead'" in world.made.health().sources[0].error

    @pytest.mark.parametrize(("units", "kw"), [("KW", 1500.0), ("MW", 1.5), ("W", 1.5e6), ("kw", 1500.0)])
    def test_units(self, world: World, units: str, kw: float) -> None:
        world.vtn.programs[0]["payloadDescriptors"] = [{**KW, "units": units}]
        world.tell(limit("e1", T0, kw, payloadDescriptors=None))
        assert [e.limit_kw for e in world.made.grid_events()] == [pytest.approx(1500.0)]

    def test_without_units_it_is_kw(self, world: World) -> None:
        world.tell(limit("e1", T0, 7.0, payloadDescriptors=None))
        assert world.limits() == [("fra", 0, 1, 7.0)]

    def test_odd_and_long_names_make_ids_all_the_same(self, world: World) -> None:
        names = ["x" * 128, "x" * 127 + "y", "ü:ö/1", "a b"]
        world.tell(*(limit(name, T0 + k * HOUR, 1.0 + k) for k, name in enumerate(names)))
        found = world.made.grid_events()
        assert len({e.id for e in found}) == 4
        assert max(len(e.id) for e in found) <= 128
        assert world.tell(*world.vtn.events) == 0


class TestFailures:
    FAILS: dict[str, Callable[[Asked], Said | None]] = {  # noqa: RUF012
        "dead": lambda _: problem(503, "Service Unavailable"),
        "html": lambda asked: Said(b"<html>") if asked.method == "GET" else None,
        "locked out": lambda asked: problem(401, "Unauthorized") if asked.method == "POST" else None,
        "half": lambda asked: problem(500, "Oh") if asked.path.endswith("/events") else None,
        "no shape": lambda asked: Said(b"[7]") if asked.path.endswith("/events") else None,
    }

    @pytest.mark.parametrize("how", FAILS)
    def test_what_was_told_stays_in_force_and_health_says_so(self, world: World, how: str) -> None:
        cut = limit("e1", T0, 4.0, each="PT5H")
        world.tell(cut)
        world.follow(site="fra")  # with no token yet
        world.vtn.wrong = self.FAILS[how]
        for _ in range(3):
            world.clock.advance(minutes=1)
            assert world.tell() == 0
        assert world.limits() == [("fra", 0, 5, 4.0)]
        health = world.made.health()
        assert health.status == "degraded"
        [fault] = [f for f in health.faults if NAME in f]
        assert STANDS in fault
        assert SECRET not in fault
        [told] = world.events(EventKind.SOURCE_FAILED)
        assert told["source"] == NAME
        world.vtn.wrong = lambda _: None
        assert world.tell(cut) == 0
        assert world.events(EventKind.SOURCE_RECOVERED) == [{"source": NAME, "failures": 3}]
        assert world.made.health().faults == ()

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"payloadDescriptors": [{**KW, "units": "PERCENT"}]}, "in PERCENT, not in kW"),
            ({"intervals": [interval(0, "IMPORT_CAPACITY_LIMIT", -1)]}, "not a power"),
            ({"intervals": [interval(0, "IMPORT_CAPACITY_LIMIT", "all")]}, "not a power"),
            ({"intervals": [interval(0, "IMPORT_CAPACITY_LIMIT", None)]}, "not a power"),
            ({"intervalPeriod": None}, "nothing says when it starts"),
            ({"priority": "high"}, "its priority"),
            ({"targets": [{"type": "GROUP"}]}, "no text"),
        ],
    )
    def test_an_event_that_cannot_be_read_any_more_stands_as_it_was(
        self, world: World, wrong: dict[str, Any], said: str
    ) -> None:
        world.vtn.by_target = False
        good, bad = limit("e1", T0, 4.0), limit("e2", T0 + HOUR, 5.0)
        world.tell(good, bad)
        assert world.tell(limit("e3", T0 + 3 * HOUR, 6.0), bad | wrong) == 2, "the others are followed"
        assert world.limits() == [("fra", 1, 2, 5.0), ("fra", 3, 4, 6.0)]
        assert said in world.made.health().sources[0].error

    def test_a_store_that_is_away(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from shifter.errors import NotReady

        def away(*_: Any) -> Any:
            raise NotReady("the database is away.")

        with monkeypatch.context() as patch:
            patch.setattr(world.made.core.db, "read", away)
            assert world.tell(limit("e1", T0, 4.0)) == 0
        assert world.tell(limit("e1", T0, 4.0)) == 1
        assert EventKind.SOURCE_FAILED not in kinds(world.made), "the VTN answered"


class TestNotices:
    @pytest.mark.parametrize(
        ("payload", "value", "why"),
        [
            ("SIMPLE", 2, "limits nothing by itself"),
            ("ALERT_GRID_EMERGENCY", "Save power!", "limits nothing by itself"),
            ("DISPATCH_SETPOINT", 50.0, "not supported"),
            ("DISPATCH_INSTRUCTION", "go", "not supported"),
            ("IMPORT_CAPACITY_RESERVATION", 9.0, "not supported"),
        ],
    )
    def test_it_is_told_once_and_limits_nothing(
        self, world: World, payload: str, value: Any, why: str
    ) -> None:
        said = event("e1", T0 + HOUR, [interval(0, payload, value)], "PT2H")
        for _ in range(3):
            assert world.tell(said) == 0
        assert world.limits() == []
        [told] = world.events(EventKind.GRID_NOTICE)
        assert (told["source"], told["payload"], told["values"]) == (NAME, payload, [str(value)])
        assert (told["sites"], told["name"]) == (["fra"], "event e1")
        assert why in told["why"]
        assert world.made.health().faults == ()
        world.tell(said | {"modificationDateTime": "2026-11-23T09:30:00Z"})
        assert len(world.events(EventKind.GRID_NOTICE)) == 2, "said anew"

    def test_one_beside_a_limit(self, world: World) -> None:
        both = limit("e1", T0, 4.0)
        both["intervals"][0]["payloads"].append({"type": "ALERT_FLEX_ALERT", "values": ["scarce"]})
        assert world.tell(both) == 1
        assert len(world.events(EventKind.GRID_NOTICE)) == 1

    @pytest.mark.parametrize("payload", ["PRICE", "GHG", "X_MY_OWN", "OLS"])
    def test_prices_and_private_types_are_no_news(self, world: World, payload: str) -> None:
        world.tell(event("e1", T0, [interval(0, payload, 1)]))
        assert kinds(world.made) == []

    def test_what_is_over_is_not_told(self, world: World) -> None:
        world.tell(event("e1", T0 - 3 * HOUR, [interval(0, "ALERT_FIRE", "smoke")]))
        assert kinds(world.made) == []


moves = st.lists(
    st.dictionaries(
        st.sampled_from(["e1", "e2", "e3"]),
        st.tuples(st.integers(-2, 12), st.integers(1, 6), st.integers(1, 9), st.sampled_from([None, 0, 1])),
        max_size=3,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(moves)
def test_whatever_is_told_the_limit_in_force_is_the_one_that_it_says_now(
    told: list[dict[str, tuple[int, int, int, int | None]]],
) -> None:
    """At each moment from now on, by a mind that reads the events one by one; and asking again is no news."""
    from shifter.domain.grid_event import limits_in_force

    vtn, time = FakeVtn(), FakeTime()
    client = HttpClient(clock=time.clock, sleep=time.sleep, wall=time.wall)
    with ReplyServer(vtn.reply) as server, TemporaryDirectory() as folder:
        clock = ManualClock(T0)
        world = World(service(f"sqlite:///{folder}/x.db", clock, fleet=TWO), clock, vtn, client, server.url)
        for said in told:
            world.tell(
                *(
                    limit(k, T0 + s * HOUR, kw, each=f"PT{n}H", priority=p)
                    for k, (s, n, kw, p) in said.items()
                )
            )
            assert world.tell(*vtn.events) == 0
            # One that is over leaves the memory with the next beat.
            state = tuple(e for e in world.made.core.state.grid_events if e.end > clock.now())
            assert sorted(state, key=str) == sorted(world.made.grid_events(clock.now()), key=str), (
                "store and memory"
            )
            for k in range(19):
                at = max(T0 + k * HOUR, clock.now())
                on = [
                    (float("inf") if p is None else p, kw)
                    for s, n, kw, p in said.values()
                    if s <= (at - T0) / HOUR < s + n
                ]
                site = world.made.core.fleet.by_site["fra"]
                told_kw = limits_in_force(site, state, at, at + timedelta(minutes=1))
                assert told_kw == min(on, default=(0, float("inf")))[1]
            clock.advance(minutes=40)
        client.close()
        world.made.core.db.close()


class TestDaemon:
    def made(self, folder: Path, url: str, **vtn: Any) -> Any:
        given = {"name": "dso", "base_url": url + BASE, "site": "fra", "poll_s": 5, **vtn}
        return daemon(folder, planner=InProcessPlanner(), grid_events={"openadr3": [given]})

    def test_it_asks_at_its_start_and_then_again(self, tmp_path: Path) -> None:
        vtn = FakeVtn(anonymous=True)
        start = datetime.fromisoformat("2026-01-10T02:00:00+00:00")
        vtn.events = [limit("e1", start, 4.0)]
        with ReplyServer(vtn.reply) as server:
            made = self.made(tmp_path, server.url)
            try:
                made.start()
                [told] = until(made.service.grid_events)
                assert (told.site, told.limit_kw, told.source) == ("fra", 4.0, NAME)
                job = made._timetable.scheduler.get_job(f"grid-{NAME}")
                assert job.trigger.interval == timedelta(seconds=300), "a simulated clock spares the server"
                vtn.events = []
                job.modify(next_run_time=datetime.now(start.tzinfo))
                until(lambda: not made.service.grid_events())
                assert {s.name: s.up for s in made.service.health().sources}[NAME]
            finally:
                made.stop()

    def test_what_a_vtn_told_that_is_followed_no_more_is_withdrawn(self, tmp_path: Path) -> None:
        vtn = FakeVtn(anonymous=True)
        vtn.events = [limit("e1", "0001-01-01", 4.0, each="P9999Y", modificationDateTime=iso(T0))]
        with ReplyServer(vtn.reply) as server:
            made = self.made(tmp_path, server.url)
            try:
                made.start()
                until(made.service.grid_events)
            finally:
                made.stop()
            for name, left in (("dso", 1), ("tso", 0)):
                made = self.made(tmp_path, "http://127.0.0.1:9", name=name)
                try:
                    made.start()
                    assert len(made.service.grid_events()) == left
                finally:
                    made.stop()

    @pytest.mark.parametrize(
        ("vtn", "field"),
        [
            ({"site": "paris"}, "grid_events.openadr3[0].site"),
            ({"targets": {"meter-1": "paris"}}, "grid_events.openadr3[0].targets.meter-1"),
        ],
    )
    def test_a_site_that_there_is_not(self, tmp_path: Path, vtn: dict[str, Any], field: str) -> None:
        with pytest.raises(InputError, match="there is no site paris") as caught:
            self.made(tmp_path, "http://127.0.0.1:9", **vtn)
        assert caught.value.field == field

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        one = {"name": "dso", "base_url": "http://127.0.0.1:9", "site": "fra"}
        with pytest.raises(InputError, match="a VTN named dso already"):
            daemon(tmp_path, planner=InProcessPlanner(), grid_events={"openadr3": [one, one]})
