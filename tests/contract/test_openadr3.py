"""OpenADR 3 through the suite of sources, and each trap of its User Guide and of its servers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forecasts.checks import check_series
from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.ingest import ingest
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.base import FetchRequest, ForecastSource
from forecasts.sources.openadr3 import OpenAdr3Options, OpenAdr3Source
from forecasts.sources.openadr3_events import FOREVER, Duration, Event, Stretch, overlaid
from forecasts.sources.openadr3_vtn import PAGE, TOKEN_LIFE_S, Vtn, VtnOptions
from forecasts.store import ForecastStore
from forecasts.testing import Asked, FakeTime, ForecastSourceContract, Said
from tests.contract.test_sources import OverHttp
from tests.contract.vtn import (
    BASE,
    CLIENT,
    DESCRIPTOR,
    PROGRAM,
    SECRET,
    FakeVtn,
    answer,
    event,
    interval,
    iso,
    period,
    problem,
)

NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
DAY = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICES = [0.05 + 0.01 * k for k in range(24)]
GHG = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "GHG", "units": "GHG"}
ZONE = "DE-LU"


class Api(OverHttp):
    @pytest.fixture(autouse=True)
    def _vtn(self) -> None:
        self.vtn = FakeVtn()
        self.time = FakeTime()

    def reply(self, asked: Asked) -> Said:
        return self.vtn.reply(asked)

    def options(self, **over: Any) -> dict[str, Any]:
        given = {"base_url": self.server.url + BASE, "zones": {ZONE: "day-ahead"}}
        return {**given, "client_id": CLIENT, "api_key": SECRET, **over}

    def make(self, **over: Any) -> OpenAdr3Source:
        checked = OpenAdr3Options.model_validate(
            {k: v for k, v in self.options(**over).items() if v is not None}
        )
        return OpenAdr3Source(checked, http=self.http, clock=self.time.clock)

    def client(self, **over: Any) -> Vtn:
        given = {k: v for k, v in self.options(**over).items() if k != "zones" and v is not None}
        return Vtn(VtnOptions.model_validate(given), "a test", http=self.http, clock=self.time.clock)

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.path == BASE + path]


def window(hours: float = 24, signal: Signal = Signal.PRICE) -> FetchRequest:
    return FetchRequest(ZONE, (signal,), NOW, NOW + timedelta(hours=hours))


class TestOpenAdr3(Api, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        both = [
            {
                "id": k,
                "payloads": [{"type": "PRICE", "values": [p]}, {"type": "GHG", "values": [300 + 9 * k]}],
            }
            for k, p in enumerate(PRICES * 2)
        ]
        self.vtn.events = [event("e1", DAY, both)]
        return self.make()

    def request(self) -> FetchRequest:
        return FetchRequest(ZONE, (Signal.PRICE, Signal.CARBON), NOW, NOW + timedelta(hours=24))


class TestOpenAdr3Shape30(TestOpenAdr3):
    """3.0.1: targets are types with values, and are not asked for; nobody logs in."""

    def make_source(self) -> ForecastSource:
        super().make_source()
        self.vtn.anonymous, self.vtn.by_target = True, False
        for one in self.vtn.events:
            one["targets"] = [{"type": "SERVICE_AREA", "values": ["north", "node-7"]}]
        elsewhere = event("e2", DAY, [9.0] * 48, targets=[{"type": "SERVICE_AREA", "values": ["south"]}])
        self.vtn.events.append(elsewhere)
        zones = {ZONE: {"program": "p1", "target": "node-7"}}
        return self.make(zones=zones, ask_targets=False, client_id=None, api_key=None)

    def test_targets_are_not_asked_for(self) -> None:
        self.answer()
        assert not any("targets" in asked.query for asked in self.server.asked)


Ask = Callable[..., ForecastSeries]


class TestPrices(Api):
    @pytest.fixture
    def ask(self) -> Ask:
        def ask(
            *events: Any, signal: Signal = Signal.PRICE, hours: float = 24, **over: Any
        ) -> ForecastSeries:
            self.vtn.events = list(events)
            [found] = self.make(**over).fetch(window(hours, signal), now=NOW)
            return found

        return ask

    def test_the_values(self, ask: Ask) -> None:
        found = ask(event("e1", DAY, PRICES, modificationDateTime="2026-11-23T10:00:00Z"))
        assert (found.unit, found.kind, found.basis) == ("EUR/MWh", Kind.FORECAST, None)
        assert found.values[:2].tolist() == pytest.approx([50.0, 60.0])
        assert found.start[0] == np.datetime64("2026-11-23T00:00")
        assert found.end[-1] == np.datetime64("2026-11-24T00:00")
        assert (found.known_at, found.issued_at) == (NOW, None)
        assert (found.restricted, found.note) == (True, "")

    def test_an_event_that_is_withdrawn_leaves_the_older_word_in_force(self, ask: Ask) -> None:
        # Nothing was issued: what is left after a withdrawal was modified before what was there.
        tariff = event("e1", DAY, PRICES, modificationDateTime="2026-11-23T08:00:00Z")
        override = event("e2", DAY, PRICES[::-1], priority=0, modificationDateTime="2026-11-23T09:30:00Z")
        before, after = ask(tariff, override), ask(tariff)
        assert check_series(replace(after, known_at=NOW + HOUR), before) is not None

    def test_an_interval_may_say_its_own_length_and_the_next_follows_it(self, ask: Ask) -> None:
        found = ask(
            event("e1", DAY, [*PRICES[:9], interval(9, "PRICE", 0.5, at=period(duration="PT2H")), 0.7, 0.8])
        )
        hours = (found.end - found.start) / np.timedelta64(1, "h")
        assert hours.tolist() == [1.0] * 9 + [2.0, 1.0, 1.0]
        assert found.values[-3:].tolist() == pytest.approx([500.0, 700.0, 800.0])

    def test_every_interval_may_have_a_period_and_the_event_none(self, ask: Ask) -> None:
        each = [interval(k, "PRICE", 0.1 * k, at=period(DAY + 3 * k * HOUR, "PT3H")) for k in range(8)]
        found = ask(event("e1", None, each))
        assert found.start[3] == np.datetime64("2026-11-23T09:00")
        assert len(found) == 8

    def test_several_values_share_their_interval(self, ask: Ask) -> None:
        found = ask(event("e1", DAY, [interval(0, "PRICE", 0.17, 0.03, 0.11, 0.2)], "P1D"))
        assert found.start[1] == np.datetime64("2026-11-23T06:00")
        assert found.values.tolist() == pytest.approx([170.0, 30.0, 110.0, 200.0])

    def test_a_duration_of_the_event_cuts_it_off(self, ask: Ask) -> None:
        found = ask(event("e1", DAY, PRICES, duration="PT1H") | {"duration": "PT12H"})
        assert found.end[-1] == np.datetime64("2026-11-23T12:00")

    @pytest.mark.parametrize("length", ["P9999Y", "P3D", "P1M"])
    def test_a_duration_of_the_event_repeats_it(self, ask: Ask, length: str) -> None:
        began = DAY - timedelta(days=1)
        found = ask(event("e1", began, PRICES) | {"duration": length}, hours=30)
        assert found.start[0] == np.datetime64("2026-11-23T00:00"), "the day about the window"
        assert found.end[-1] == np.datetime64("2026-11-25T00:00")
        assert found.values.tolist() == pytest.approx([1000 * p for p in PRICES * 2])

    def test_a_repetition_of_long_ago_goes_on(self, ask: Ask) -> None:
        found = ask(event("e1", datetime(2020, 1, 1, tzinfo=UTC), PRICES) | {"duration": "P9999Y"})
        assert found.values[:3].tolist() == pytest.approx([50.0, 60.0, 70.0])

    @pytest.mark.parametrize("length", ["PT0S", None, "P9999Y"])
    def test_what_has_no_end_holds_until_something_else_does(self, ask: Ask, length: str | None) -> None:
        flat = event("e1", DAY, [interval(0, "PRICE", 0.3)], length)
        peak = event("e2", DAY + 18 * HOUR, [0.9], priority=0)
        found = ask(flat, peak)
        assert found.values.tolist() == pytest.approx([300.0, 900.0, 300.0])
        assert found.end[-1] == np.datetime64("2026-11-25T00:00"), "whole days, so that polls agree"

    def test_an_open_interval_ends_where_the_next_begins(self, ask: Ask) -> None:
        marks = [interval(k, "PRICE", 0.1 + k, at=period(DAY + 6 * k * HOUR, "PT0S")) for k in range(4)]
        found = ask(event("e1", None, marks))
        assert found.start[1] == found.end[0] == np.datetime64("2026-11-23T06:00")
        assert found.values.tolist() == pytest.approx([100.0, 1100.0, 2100.0, 3100.0])

    @pytest.mark.parametrize("start", ["0001-01-01", "0001-01-01T00:00:00Z", "0000-00-00"])
    def test_a_start_that_means_now_is_when_it_was_said(self, ask: Ask, start: str) -> None:
        now = event("e1", start, [0.2, 0.3], "PT12H", modificationDateTime="2026-11-23T09:00:00Z")
        found = ask(now)
        assert found.start[0] == np.datetime64("2026-11-23T09:00")
        assert found.end[-1] == np.datetime64("2026-11-24T09:00")

    def test_a_later_interval_whose_start_means_now_follows_the_one_before(self, ask: Ask) -> None:
        each = [
            interval(k, "PRICE", p, at=period("0001-01-01", "PT8H")) for k, p in enumerate((0.1, 0.2, 0.3))
        ]
        assert ask(event("e1", DAY, each)).start[2] == np.datetime64("2026-11-23T16:00")

    def test_the_higher_priority_holds_where_two_do(self, ask: Ask) -> None:
        base = event("e1", DAY, PRICES, modificationDateTime=iso(NOW))
        peak = event("e2", DAY + 17 * HOUR, [1.5, 1.6], priority=3)
        worse = event("e3", DAY + 16 * HOUR, [8.0] * 6, priority=4)
        found = ask(base, peak, worse).values / 1000
        assert found[15:].tolist() == pytest.approx([0.20, 8.0, 1.5, 1.6, 8.0, 8.0, 8.0, 0.27, 0.28])

    def test_of_equal_ones_the_last_said_holds(self, ask: Ask) -> None:
        new = event("e1", DAY, [1.0] * 24, modificationDateTime="2026-11-23T09:59:00Z")
        old = event("e2", DAY, [2.0] * 24, modificationDateTime="2026-11-23T09:00:00Z")
        assert set(ask(old, new).values) == {1000.0}
        assert set(ask(new, old).values) == {1000.0}

    def test_an_event_for_this_place_comes_before_one_for_all(self, ask: Ask) -> None:
        mine = event("e1", DAY + 12 * HOUR, [3.0] * 12, targets=["node-7"])
        whole = event("e2", DAY, [2.0] * 24, modificationDateTime=iso(NOW))
        found = ask(mine, whole, zones={ZONE: {"program": "day-ahead", "target": "node-7"}})
        assert found.values.tolist() == [2000.0] * 12 + [3000.0] * 12

    def test_another_place_s_prices_are_not_used(self, ask: Ask) -> None:
        self.vtn.by_target = False
        south = event("e1", DAY, PRICES, targets=[{"type": "GROUP", "values": ["south"]}])
        with pytest.raises(ForecastRejected, match="none of the 1 events with PRICE is for all") as caught:
            ask(south, ask_targets=False)
        assert "south" in caught.value.hint

    def test_another_program_s_prices_are_not_used(self, ask: Ask) -> None:
        other = event("e2", DAY, [9.0] * 24, programID="p2", priority=0)
        self.vtn.programs.append({"id": "p2", "programName": "other"})
        assert max(ask(event("e1", DAY, PRICES), other).values) < 300

    def test_a_start_that_is_randomised_is_taken_as_it_stands_and_told(self, ask: Ask) -> None:
        whole = event("e1", DAY, PRICES)
        whole["intervalPeriod"]["randomizeStart"] = "PT5M"
        found = ask(whole)
        assert found.start[0] == np.datetime64("2026-11-23T00:00")
        assert "randomizeStart is ignored" in found.note

    def test_unknown_payloads_are_legal(self, ask: Ask) -> None:
        odd = [
            {
                "id": k,
                "payloads": [
                    {"type": "X_MOOD", "values": [{"x": 1, "y": 2}]},
                    {"type": "PRICE", "values": [p]},
                ],
            }
            for k, p in enumerate(PRICES)
        ]
        strange = event("e2", DAY, [interval(0, "MY_OWN", "whatever", True)], priority=0)
        assert ask(event("e1", DAY, odd, surprise=1), strange).values[0] == pytest.approx(50.0)

    def test_what_has_ended_or_come_too_early_is_left_out_at_a_gap(self, ask: Ask) -> None:
        early = event("e1", DAY, PRICES[:4])
        now = event("e2", DAY + 8 * HOUR, PRICES[:8])
        late = event("e3", DAY + 20 * HOUR, PRICES[:2])
        found = ask(early, now, late)
        assert (found.start[0], found.end[-1]) == (
            np.datetime64("2026-11-23T08"),
            np.datetime64("2026-11-23T16"),
        )
        assert "before the gap that ends at 2026-11-23T08:00:00Z" in found.note
        assert "after the gap that starts at 2026-11-23T16:00:00Z" in found.note

    def test_an_hour_without_a_price_is_a_gap(self, ask: Ask) -> None:
        holed = [*PRICES[:14], interval(14, "GHG", 5.0), *PRICES[15:]]
        assert ask(event("e1", DAY, holed)).end[-1] == np.datetime64("2026-11-23T14")

    def test_nothing_ahead_is_an_outage(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="nothing that it says of PRICE is ahead"):
            ask(event("e1", DAY - 24 * HOUR, PRICES))

    def test_what_is_never_spoken_of_is_absent(self) -> None:
        self.vtn.events = [event("e1", DAY, PRICES)]
        assert self.make().fetch(window(signal=Signal.CARBON), now=NOW) == []
        assert self.make().fetch(FetchRequest(ZONE, (Signal.PRICE,), DAY - 9 * HOUR, DAY), now=NOW) == []

    def test_polls_that_hear_nothing_new_are_one_vintage(self, store: ForecastStore) -> None:
        self.vtn.events = [event("e1", DAY - 48 * HOUR, PRICES) | {"duration": "P9999Y"}]

        def poll(minutes: float) -> list[str]:
            now = NOW + timedelta(minutes=minutes)
            asked = FetchRequest(ZONE, (Signal.PRICE,), now - timedelta(days=2), now + timedelta(days=3))
            return [done.status for done in ingest(store, self.make(), asked, now=now)]

        assert [poll(0), poll(10), poll(300)] == [["new"], ["unchanged"], ["unchanged"]]
        self.vtn.events[0]["intervals"][0]["payloads"][0]["values"] = [0.9]
        assert poll(310) == ["new"]

    @pytest.fixture
    def store(self) -> ForecastStore:
        from sqlalchemy import create_engine

        made = ForecastStore(create_engine("sqlite://"))
        made.create_tables()
        return made


class TestUnits(Api):
    def fetch(self, signal: Signal = Signal.PRICE, **over: Any) -> ForecastSeries:
        [found] = self.make(**over).fetch(window(signal=signal), now=NOW)
        return found

    def program(self, *descriptors: Any) -> None:
        self.vtn.programs = [{**PROGRAM, "payloadDescriptors": list(descriptors)}]

    def test_the_event_s_descriptor_comes_before_the_program_s_field_by_field(self) -> None:
        self.vtn.events = [
            event("e1", DAY, PRICES, payloadDescriptors=[{"payloadType": "PRICE", "currency": "GBP"}])
        ]
        assert self.fetch().unit == "GBP/MWh"
        assert self.fetch().values[0] == pytest.approx(50.0), "KWH of the program"

    def test_a_descriptor_of_reports_is_another_thing(self) -> None:
        self.program({**DESCRIPTOR, "objectType": "REPORT_PAYLOAD_DESCRIPTOR"})
        self.vtn.events = [event("e1", DAY, PRICES)]
        with pytest.raises(ForecastRejected, match="says the currency of PRICE"):
            self.fetch()

    @pytest.mark.parametrize("said", [None, [], [{"payloadType": "GHG", "currency": "EUR"}]])
    def test_no_currency_is_one_clear_error(self, said: Any) -> None:
        self.program(*(said or ()))
        self.vtn.events = [event("e1", DAY, PRICES, payloadDescriptors=said)]
        with pytest.raises(ForecastRejected) as caught:
            self.fetch()
        assert "'e1' (event e1)" in caught.value.detail
        assert "neither it nor its program says the currency of PRICE" in caught.value.detail
        assert "price_unit" in caught.value.detail
        assert caught.value.field == "payloadDescriptors"

    def test_no_unit_is_not_guessed(self) -> None:
        self.program({"payloadType": "PRICE", "currency": "EUR", "units": None})
        self.vtn.events = [event("e1", DAY, PRICES)]
        with pytest.raises(ForecastRejected, match="says the units of PRICE"):
            self.fetch()

    def test_price_unit_says_what_the_vtn_does_not(self) -> None:
        self.program()
        self.vtn.events = [event("e1", DAY, PRICES)]
        assert self.fetch(price_unit="EUR/MWh").values[0] == pytest.approx(0.05)
        self.program(DESCRIPTOR)
        assert self.fetch(price_unit="GBP/MWh").unit == "EUR/MWh", "and nothing else"

    @pytest.mark.parametrize("wrong", [{"units": "THERMS"}, {"currency": "XXX"}])
    def test_a_price_of_gas_or_in_no_money_is_refused(self, wrong: dict[str, str]) -> None:
        self.program({**DESCRIPTOR, **wrong})
        self.vtn.events = [event("e1", DAY, PRICES)]
        with pytest.raises(ForecastRejected, match="is not known"):
            self.fetch()

    def test_two_currencies_are_never_one_series(self) -> None:
        pounds = [{**DESCRIPTOR, "currency": "GBP"}]
        self.vtn.events = [
            event("e1", DAY, PRICES),
            event("e2", DAY + 24 * HOUR, PRICES, payloadDescriptors=pounds),
        ]
        with pytest.raises(ForecastRejected, match="in EUR/MWh and in GBP/MWh"):
            self.fetch()

    def test_carbon_is_marginal_grams_unless_it_is_said_otherwise(self) -> None:
        self.program(GHG)
        self.vtn.events = [event("e1", DAY, [interval(k, "GHG", 200 + k) for k in range(24)])]
        found = self.fetch(Signal.CARBON)
        assert (found.values[0], found.unit, found.basis) == (200.0, "gCO2e/kWh", Basis.MARGINAL)
        self.program({**GHG, "units": "kg/MWh"})
        self.vtn.events[0]["intervals"] = [interval(k, "GHG", 100 + k) for k in range(24)]
        assert self.fetch(Signal.CARBON, basis="average").basis is Basis.AVERAGE
        assert self.fetch(Signal.CARBON).values[0] == 100.0

    def test_a_frozen_feed_is_refused_unless_it_is_meant(self) -> None:
        self.vtn.events = [event("e1", DAY, [interval(k, "GHG", 300) for k in range(30)])]
        with pytest.raises(ForecastRejected, match="stands still"):
            self.fetch(Signal.CARBON)
        assert len(self.fetch(Signal.CARBON, refuse_flat_carbon=False)) == 30

    def test_cleared_is_said_by_the_option(self) -> None:
        self.vtn.events = [event("e1", DAY, PRICES)]
        assert self.fetch(kind="cleared").kind is Kind.CLEARED


WRONG: dict[str, Any] = {
    "no start": (event("e1", None, PRICES), "nothing says when it starts"),
    "no zone": (event("e1", "2026-11-23T00:00:00", PRICES), "not a time with its zone"),
    "duration": (event("e1", DAY, PRICES, "1 hour"), "its duration is wrong"),
    "duration alone": (event("e1", DAY, PRICES, "PT"), "its duration is wrong"),
    "after no end": (event("e1", DAY, PRICES, "P9999Y"), "follows one that has no end"),
    "twice": (
        event("e1", DAY, [{"id": 0, "payloads": [{"type": "PRICE", "values": [1]}] * 2}]),
        r"intervals\[0\] of the event 'e1' .*PRICE twice",
    ),
    "empty": (event("e1", DAY, [interval(0, "PRICE")]), "PRICE without a value"),
    "share no end": (event("e1", DAY, [interval(0, "PRICE", 1, 2)], "PT0S"), "no end for them to share"),
    "text": (event("e1", DAY, [interval(0, "PRICE", "0.17")], "P1D"), "not a number"),
    "null": (event("e1", DAY, [*PRICES[:9], interval(9, "PRICE", None), *PRICES[10:]]), "is nan"),
    "priority": (event("e1", DAY, PRICES, priority="high"), "its priority"),
    "targets": (event("e1", DAY, PRICES, targets=[7]), "target that is no text"),
    "payloads": (event("e1", DAY, [{"id": 0, "payloads": [{"type": "PRICE"}]}]), "payloads are not each"),
    "intervals": (event("e1", DAY, []) | {"intervals": {"0": 1}}, "no list of objects"),
    "now, but when": (
        event("e1", "0001-01-01", PRICES, modificationDateTime="noon", createdDateTime=None),
        "does not say when it was made",
    ),
    "unit": (event("e1", DAY, [50.0] * 24), "is outside"),
    "spins": (event("e1", DAY, [0.1], "PT1S") | {"duration": "P9999Y"}, "more than 50000 intervals"),
}


class TestWrong(Api):
    @pytest.mark.parametrize("name", WRONG)
    def test_what_is_wrong_is_refused_whole_and_named(self, name: str) -> None:
        wrong, said = WRONG[name]
        self.vtn.by_target = False
        self.vtn.events = [wrong]
        with pytest.raises(ForecastRejected, match=said):
            self.make().fetch(window(), now=NOW)

    def test_options(self) -> None:
        with pytest.raises(ValidationError, match="say whose secret it is"):
            self.make(client_id=None)
        with pytest.raises(ValidationError, match="keep one"):
            self.make(api_key_env="X")
        with pytest.raises(ValidationError, match="zones"):
            self.make(zones={})
        with pytest.raises(ValidationError, match="programme"):
            self.make(zones={ZONE: {"programme": "day-ahead"}})

    def test_a_program_that_is_not_there(self) -> None:
        with pytest.raises(SourceUnavailable, match="has no program 'night'") as caught:
            self.make(zones={ZONE: "night"}).fetch(window(), now=NOW)
        assert "day-ahead" in caught.value.hint

    def test_two_vtns_have_names(self) -> None:
        assert self.make(name="dso").info.name == "dso"


class TestVtn(Api):
    """The reader: logins, pages, and what a server may do wrong."""

    def test_a_login_is_a_form_and_its_token_is_used_until_it_ends(self) -> None:
        vtn = self.client(scope="read_all")
        vtn.events()
        vtn.events()
        [login] = self.asked("/auth/token")
        assert login.method == "POST"
        assert login.headers["content-type"] == "application/x-www-form-urlencoded"
        assert login.body.decode() == (
            f"grant_type=client_credentials&client_id={CLIENT}&client_secret={SECRET}&scope=read_all"
        )
        self.time.sleep(0.91 * 3600)
        vtn.events()
        assert len(self.asked("/auth/token")) == 2

    @pytest.mark.parametrize("life", [None, "soon", 0, True])
    def test_a_token_that_does_not_say_how_long_it_lives(self, life: Any) -> None:
        self.vtn.expires_in = life
        vtn = self.client()
        vtn.events()
        self.time.sleep(TOKEN_LIFE_S)
        vtn.events()
        assert len(self.asked("/auth/token")) == 2

    def test_a_token_that_was_withdrawn_is_exchanged_once(self) -> None:
        vtn = self.client()
        vtn.programs()
        self.vtn.tokens += 1  # what it gave is good no more
        assert vtn.programs() == self.vtn.programs
        self.vtn.wrong = lambda asked: problem(401, "Unauthorized") if asked.method == "GET" else None
        before = len(self.asked("/auth/token"))
        with pytest.raises(SourceUnavailable, match="answered 401"):
            vtn.programs()
        assert len(self.asked("/auth/token")) == before + 1

    def test_nobody_logs_in_without_a_client(self) -> None:
        self.vtn.anonymous = True
        assert self.client(client_id=None, api_key=None).programs() == self.vtn.programs
        assert all("authorization" not in asked.headers for asked in self.server.asked)
        assert not self.asked("/auth/token")

    def test_tokens_of_another_server(self) -> None:
        self.vtn.wrong = lambda asked: self.vtn._token(asked) if asked.path == "/realms/x/token" else None
        assert self.client(token_url=self.server.url + "/realms/x/token").programs()

    @pytest.mark.parametrize(
        "said",
        [
            answer({"error": "invalid_client", "error_description": f"{SECRET} is wrong"}, 401),
            answer({"access_token": f"{SECRET}\n"}),
            answer({"access_token": 7}),
            answer([SECRET]),
            Said(f"<html>{SECRET}</html>".encode()),
            Said(SECRET.encode(), 302, {"Location": "/elsewhere"}),
        ],
    )
    def test_a_login_that_fails_tells_nothing_of_the_secret(self, said: Said) -> None:
        self.vtn.wrong = lambda asked: said if asked.method == "POST" else None
        with pytest.raises(SourceUnavailable, match="without a token") as caught:
            self.client().programs()
        whole = f"{caught.value} {caught.value.hint} {caught.value.facts} {caught.value.__cause__}"
        assert SECRET not in whole
        assert not [asked for asked in self.server.asked if asked.path == "/elsewhere"]

    def test_a_login_that_gets_no_answer_is_tried_again_and_keeps_the_secret(self) -> None:
        self.vtn.wrong = lambda asked: problem(503, "Service Unavailable")
        with pytest.raises(SourceUnavailable, match="did not answer: status 503") as caught:
            self.client().programs()
        assert len(self.asked("/auth/token")) == 4
        assert SECRET not in f"{caught.value} {caught.value.facts}"

    def test_an_error_does_not_repeat_the_token(self) -> None:
        def wrong(asked: Asked) -> Said | None:
            return (
                problem(403, "Forbidden", f"{asked.headers['authorization']} may not")
                if asked.method == "GET"
                else None
            )

        self.vtn.wrong = wrong
        with pytest.raises(SourceUnavailable, match=r"answered 403: Bearer \*\*\* may not") as caught:
            self.client().programs()
        assert "token-1" not in str(caught.value)

    def test_the_key_is_not_shown(self) -> None:
        assert SECRET not in repr(self.make().options)

    def test_no_key_is_one_clear_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENADR3_CLIENT_SECRET", raising=False)
        with pytest.raises(InputError, match="needs a key"):
            self.client(api_key=None).programs()
        monkeypatch.setenv("OPENADR3_CLIENT_SECRET", SECRET)
        assert self.client(api_key=None).programs()

    @pytest.mark.parametrize("n", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
    def test_every_page_is_read(self, n: int) -> None:
        self.vtn.events = [event(f"e{k}", DAY, [0.1]) for k in range(n)]
        assert [e["id"] for e in self.client().events()] == [f"e{k}" for k in range(n)]
        assert all(int(asked.query["limit"]) <= 50 for asked in self.asked("/events"))

    def test_an_event_that_is_deleted_while_pages_are_read_hides_no_other(self) -> None:
        self.vtn.events = [event(f"e{k}", DAY, [0.1]) for k in range(120)]

        def on_page(skip: int) -> None:
            if skip and self.vtn.events[0]["id"] == "e0":
                del self.vtn.events[0]

        self.vtn.on_page = on_page
        assert [e["id"] for e in self.client().events()] == [f"e{k}" for k in range(1, 120)]

    def test_a_list_that_never_stands_still_is_an_error(self) -> None:
        self.vtn.events = [event(f"e{k}", DAY, [0.1]) for k in range(120)]

        def on_page(skip: int) -> None:
            if skip:
                del self.vtn.events[0]

        self.vtn.on_page = on_page
        with pytest.raises(SourceUnavailable, match="do not follow one another"):
            self.client().events()

    def test_a_page_that_fails_is_not_the_end(self) -> None:
        self.vtn.events = [event(f"e{k}", DAY, [0.1]) for k in range(120)]
        self.vtn.wrong = lambda asked: problem(500, "Oh") if asked.query.get("skip") == "49" else None
        with pytest.raises(SourceUnavailable):
            self.client().events()

    def test_a_server_that_cuts_no_lists(self) -> None:
        many = [event(f"e{k}", DAY, [0.1]) for k in range(70)]
        self.vtn.wrong = lambda asked: answer(many) if asked.path.endswith("/events") else None
        assert len(self.client().events()) == 70

    def test_events_with_targets_are_asked_for(self) -> None:
        both, one = event("e1", DAY, [1.0], targets=["a", "b"]), event("e2", DAY, [1.0], targets=["b"])
        self.vtn.events = [both, event("e3", DAY, [1.0]), one, event("e4", DAY, [1.0], targets=["c"])]
        found = {e["id"]: e.get("targets") or [] for e in self.client().events(targets=("a", "b"))}
        assert {k: set(v) for k, v in found.items()} == {"e1": {"a", "b"}, "e2": {"b"}, "e3": set()}

    @pytest.mark.parametrize(
        ("said", "error"),
        [
            (Said(b"<html>maintenance</html>"), "something else than a list"),
            (answer({"events": []}), "something else than a list"),
            (answer([{"name": "x"}]), "something without an id"),
            (answer([7]), "something without an id"),
            (answer([{"id": "e1", "targets": "a"}]), "are no list"),
            (problem(404, "Not Found", "no such path"), "answered 404: no such path"),
        ],
    )
    def test_what_is_no_list_of_objects(self, said: Said, error: str) -> None:
        self.vtn.wrong = lambda asked: said if asked.method == "GET" else None
        with pytest.raises(SourceUnavailable, match=error):
            self.client().events()


moments = st.integers(0, 40).map(lambda k: DAY + k * HOUR)


def _after(start: datetime, hours: int) -> datetime:
    return start + hours * HOUR


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    found = []
    for k in range(draw(st.integers(0, 8))):
        start = draw(moments)
        end = draw(st.one_of(st.integers(1, 20).map(partial(_after, start)), st.just(FOREVER)))
        priority = draw(st.one_of(st.none(), st.integers(0, 3)))
        found.append(Stretch(Event({"id": f"e{k}", "priority": priority}, {}), "0", start, end, k))
    return found


@given(stretches())
def test_at_each_instant_the_best_holds(given: list[Stretch]) -> None:
    pieces = overlaid(given, lambda s: (s.event.priority, s.event.id))
    for a, b in pairwise(pieces):
        assert a.end <= b.start
    for at in (DAY + k * HOUR / 2 for k in range(140)):
        on = [s for s in given if s.start <= at < s.end]
        best = min(on, key=lambda s: (s.event.priority, s.event.id), default=None)
        told = [p for p in pieces if p.start <= at < p.end]
        assert [p.value for p in told] == ([] if best is None else [best.value])


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("PT1H", "2026-01-31T01:00"),
        ("P1W", "2026-02-07T00:00"),
        ("P1M", "2026-02-28T00:00"),
        ("P1Y", "2027-01-31T00:00"),
        ("P1DT0.5H", "2026-02-01T00:30"),
        ("PT90.25S", "2026-01-31T00:01:30.25"),
        ("P9999Y", None),
        ("PT0S", None),
        ("P99999D", "2299-11-15T00:00"),
        ("P999999W", None),
    ],
)
def test_durations(text: str, end: str | None) -> None:
    start = datetime(2026, 1, 31, tzinfo=UTC)
    expected = FOREVER if end is None else datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert Duration.parse(text).after(start) == expected


@given(st.text("P0123456789YMWDTHS.", max_size=12))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    found = None
    with suppress(ValueError):
        found = Duration.parse(text)
    assert found is None or DAY < found.after(DAY) <= FOREVER
