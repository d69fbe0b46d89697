"""WattTime through the suite of sources, and each trap that its documents and its users tell of."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr, ValidationError

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.base import ANY_ZONE, FetchRequest, ForecastSource
from forecasts.sources.watttime import WattTimeOptions, WattTimeSource
from forecasts.sources.watttime_login import TOKEN_LIFE_S
from forecasts.testing import NO_SUCH_ZONE, Asked, FakeTime, ForecastSourceContract, Said
from tests.contract.payloads import NOW, as_json
from tests.contract.test_sources import OverHttp

CARBON = (Signal.CARBON,)
REGION = "CAISO_NORTH"
FIVE = timedelta(minutes=5)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
PASSWORD = "made-up-pass-7"
GRAMS = 0.45359237


def iso(moment: datetime) -> str:
    return moment.isoformat()  # ends in +00:00, as theirs do


def points(n: int = 300, start: datetime = NOW) -> list[dict[str, Any]]:
    return [{"point_time": iso(start + k * FIVE), "value": 800.25 + 5 * (k % 13)} for k in range(n)]


def meta_of(**over: Any) -> dict[str, Any]:
    return {
        "data_point_period_seconds": 300,
        "region": REGION,
        "warnings": None,
        "signal_type": "co2_moer",
        "model": {"date": "2024-07-15"},
        "units": "lbs_co2_per_mwh",
        "generated_at_period_seconds": 300,
        **over,
    }


def reply_of(data: Any = None, **over: Any) -> dict[str, Any]:
    return {
        "data": points() if data is None else data,
        "meta": meta_of(**{"generated_at": iso(NOW), **over}),
    }


def came_at(at: datetime) -> float:
    return 900.5 + int(at.timestamp()) // 300 % 83


def historical(
    asked: Asked, imputed: Callable[[datetime], bool] = lambda _: False, now: datetime = NOW, **over: Any
) -> Said:
    """What came, both ends included, of 32 days at most."""
    start, end = (datetime.fromisoformat(asked.query[key]) for key in ("start", "end"))
    if end - start > timedelta(days=32):
        return as_json({"error": "Invalid range"}, 400)
    times = [start + k * FIVE for k in range((min(end, now) - start) // FIVE + 1)]
    data = [
        {
            "point_time": iso(at),
            "value": came_at(at),
            "imputed_data_used": imputed(at),
            "last_updated": iso(at),
        }
        for at in times
    ]
    region = {"region": asked.query["region"], "signal_type": asked.query["signal_type"]}
    return as_json({"data": data, "meta": meta_of(**region, **over)})


class Api(OverHttp):
    """Gives `token-1`, `token-2`, …, of which only the last is good, and answers with `said`."""

    said: Callable[[Asked], Said]

    @pytest.fixture(autouse=True)
    def _start(self) -> None:
        self.logins = 0
        self.time = FakeTime()
        self.said = lambda _: as_json(reply_of())

    def reply(self, asked: Asked) -> Said:
        if asked.path == "/login":
            self.logins += 1
            return as_json({"token": f"token-{self.logins}"})
        if asked.headers.get("authorization") != f"Bearer token-{self.logins}":
            return Said(b"Unauthorized", 401)
        return self.said(asked)

    def make(self, said: Any = None, **options: Any) -> WattTimeSource:
        if said is not None:
            self.said = (
                said if callable(said) else lambda _: said if isinstance(said, Said) else as_json(said)
            )
        given = {"base_url": self.server.url, "username": "me", "api_key": PASSWORD, **options}
        return WattTimeSource(WattTimeOptions.model_validate(given), http=self.http, clock=self.time.clock)


def window(zone: str = REGION, hours: float = 24) -> FetchRequest:
    return FetchRequest(zone, CARBON, NOW, NOW + timedelta(hours=hours))


class TestWattTime(Api, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        def said(asked: Asked) -> Said:
            if asked.query["region"] == NO_SUCH_ZONE:
                return as_json({"error": "Invalid region", "message": "No such region."}, 400)
            return as_json(reply_of(region=asked.query["region"]))

        return self.make(said)

    def request(self) -> FetchRequest:
        return window()


class TestWattTimeWithWhatCame(Api, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        def said(asked: Asked) -> Said:
            if asked.query["region"] == NO_SUCH_ZONE:
                return as_json({"error": "Invalid region", "message": "No such region."}, 400)
            return historical(asked) if asked.path == "/v3/historical" else as_json(reply_of())

        return self.make(said)

    def request(self) -> FetchRequest:
        return FetchRequest(REGION, CARBON, NOW - timedelta(days=2), NOW + timedelta(days=1))

    def now(self) -> datetime:
        return NOW


class TestWattTimeAverage(Api, ForecastSourceContract):
    def make_source(self) -> ForecastSource:
        def said(asked: Asked) -> Said:
            if asked.query["region"] != REGION:
                return as_json({"error": "Invalid region"}, 400)
            return as_json(reply_of(signal_type="co2_aoer"))

        return self.make(said, signal_type="co2_aoer", zones={"US-CA": REGION})

    def request(self) -> FetchRequest:
        return window("US-CA")


Ask = Callable[..., ForecastSeries]


class TestTraps(Api):
    @pytest.fixture
    def ask(self) -> Ask:
        def ask(said: Any = None, zone: str = REGION, **options: Any) -> ForecastSeries:
            [found] = self.make(said, **options).fetch(window(zone), now=NOW)
            return found

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        found = ask()
        assert (found.unit, found.kind, found.basis) == ("gCO2e/kWh", Kind.FORECAST, Basis.MARGINAL)
        assert (found.restricted, found.licence) == (True, "WattTime, by contract")
        assert found.values[:2].tolist() == pytest.approx([800.25 * GRAMS, 805.25 * GRAMS]), "pounds a MWh"
        assert found.start[0] == np.datetime64("2026-11-23T10:20")
        assert found.end[-1] == np.datetime64("2026-11-24T11:20"), "each is valid for five minutes"
        assert (found.issued_at, found.known_at, found.note) == (NOW, NOW, "")
        assert found.attribution == "WattTime, model of 2024-07-15"

    def test_what_is_asked(self, ask: Ask) -> None:
        ask()
        login, asked = self.server.asked
        pair = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        assert (login.path, login.query, login.headers["authorization"]) == ("/login", {}, f"Basic {pair}")
        assert asked.path == "/v3/forecast"
        assert asked.query == {"region": REGION, "signal_type": "co2_moer", "horizon_hours": "72"}
        assert asked.headers["authorization"] == "Bearer token-1"

    def test_what_it_cannot_know_is_not_asked(self) -> None:
        later = FetchRequest(REGION, CARBON, NOW + timedelta(hours=72), NOW + timedelta(hours=80))
        price = FetchRequest(REGION, (Signal.PRICE,), NOW - timedelta(hours=1), NOW + timedelta(hours=1))
        for request in (later, price):
            assert self.make().fetch(request, now=NOW) == []
        assert self.server.asked == []

    def test_a_forecast_that_ends_before_the_window_is_no_answer_to_it(self) -> None:
        later = FetchRequest(REGION, CARBON, NOW + timedelta(hours=40), NOW + timedelta(hours=50))
        assert self.make().fetch(later, now=NOW) == []

    @pytest.mark.parametrize(
        ("units", "factor"), [("lbs_co2_per_mwh", GRAMS), ("g_co2_per_kwh", 1.0), ("kg_co2e_per_mwh", 1.0)]
    )
    def test_the_unit_is_read(self, ask: Ask, units: str, factor: float) -> None:
        assert ask(reply_of(units=units)).values[0] == pytest.approx(800.25 * factor)

    @pytest.mark.parametrize("units", [None, "percentile", "usd_per_mwh", "lbs", 7])
    def test_a_unit_is_never_assumed(self, ask: Ask, units: Any) -> None:
        with pytest.raises(ForecastRejected, match="unit"):
            ask(reply_of(units=units))

    def test_marginal_and_average_are_never_taken_for_one_another(self, ask: Ask) -> None:
        average = {"signal_type": "co2_aoer"}
        assert self.make(**average).info.basis is Basis.AVERAGE
        assert ask(reply_of(**average), **average).basis is Basis.AVERAGE
        for said, asked in (("co2_aoer", "co2_moer"), ("co2_moer", "co2_aoer"), (None, "co2_moer")):
            with pytest.raises(ForecastRejected, match=f"instead of {asked}"):
                ask(reply_of(signal_type=said), signal_type=asked)

    @pytest.mark.parametrize("said", ["CAISO_SOUTH", None])
    def test_another_region_is_refused(self, ask: Ask, said: Any) -> None:
        with pytest.raises(ForecastRejected, match=f"region {said!r} instead of {REGION}"):
            ask(reply_of(region=said))

    def test_the_zone_of_the_fleet_has_their_name_on_the_way_and_its_own_here(self, ask: Ask) -> None:
        found = ask(zone="US-CA", zones={"US-CA": REGION})
        assert (found.zone, self.server.asked[-1].query["region"]) == ("US-CA", REGION)

    @pytest.mark.parametrize("zone", ["A&b=1", "../x", "A B", ""])
    def test_what_is_no_region_is_not_sent(self, ask: Ask, zone: str) -> None:
        with pytest.raises(InputError, match=f"no region '{zone}'"):
            ask(zone=zone)
        with pytest.raises(ValidationError):
            WattTimeOptions(zones={"X": zone})
        assert self.server.asked == []

    def test_a_region_that_is_not_in_the_contract(self, ask: Ask) -> None:
        with pytest.raises(
            SourceUnavailable, match=r"US-VA \(PJM_ROANOKE\) answered 403: Invalid scope"
        ) as e:
            ask(
                as_json({"error": "Invalid scope."}, 403),
                zone="US-VA",
                zones={"US-VA": "PJM_ROANOKE"},
            )
        assert "does not include" in e.value.hint
        assert "CAISO_NORTH is free" in e.value.hint

    @pytest.mark.parametrize("status", [400, 404, 422])
    def test_a_region_that_there_is_not(self, ask: Ask, status: int) -> None:
        with pytest.raises(SourceUnavailable, match=f"{REGION} answered {status}") as e:
            ask(as_json({"detail": [1]}, status))
        assert "option zones" in e.value.hint

    def test_a_page_with_200_is_no_forecast(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="answered 200 with something else than a forecast"):
            ask(Said(b"<html>Back soon</html>"))

    @pytest.mark.parametrize("period", [None, 0, -300, True, "300"])
    def test_the_length_of_an_interval_is_read(self, ask: Ask, period: Any) -> None:
        """There is a client that reads it by a misspelt name, and has intervals of no length."""
        with pytest.raises(ForecastRejected, match="data_point_period_seconds"):
            ask(reply_of(data_point_period_seconds=period))

    def test_and_that_of_another_resolution_too(self, ask: Ask) -> None:
        found = ask(reply_of(points()[::3], data_point_period_seconds=900))
        assert found.end[0] - found.start[0] == np.timedelta64(15, "m")

    @pytest.mark.parametrize("period", [60, 3600])
    def test_a_length_that_the_times_deny_is_refused(self, ask: Ask, period: int) -> None:
        with pytest.raises(ForecastRejected):
            ask(reply_of(data_point_period_seconds=period))

    def test_a_hole_is_refused(self, ask: Ask) -> None:
        said = points()
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            ask(reply_of(said[:5] + said[6:]))

    def test_a_null_in_between_is_refused_and_at_the_end_is_not_published(self, ask: Ask) -> None:
        said = points()
        said[-1]["value"] = None
        assert len(ask(reply_of(said))) == 299
        said[7]["value"] = None
        with pytest.raises(ForecastRejected):
            ask(reply_of(said))

    def test_nothing_but_nulls(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="null"):
            ask(reply_of([{**point, "value": None} for point in points()]))

    def test_an_empty_forecast(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="empty forecast"):
            ask(reply_of([]))

    @pytest.mark.parametrize(
        "body", [{}, {"data": points()}, {"meta": meta_of()}, reply_of({}), reply_of(["x"]), reply_of([{}])]
    )
    def test_another_shape_is_an_error(self, ask: Ask, body: Any) -> None:
        with pytest.raises(SourceUnavailable):
            ask(body)

    def test_a_point_without_a_value_is_an_error(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="no value"):
            ask(reply_of([{"point_time": iso(NOW)}]))

    @pytest.mark.parametrize("said", ["2026-11-23T10:20:00", "soon", 7])
    def test_a_time_without_its_zone_is_an_error(self, ask: Ask, said: Any) -> None:
        with pytest.raises(SourceUnavailable, match="point_time"):
            ask(reply_of([{"point_time": said, "value": 1.0}]))

    def test_a_clock_ahead_of_ours_issues_nothing_from_the_future(self, ask: Ask) -> None:
        assert ask(reply_of(generated_at=iso(NOW + FIVE))).issued_at is None
        assert ask(reply_of(generated_at=None)).issued_at is None

    def test_what_is_over_is_refused(self, ask: Ask) -> None:
        with pytest.raises(ForecastRejected, match="before now"):
            ask(reply_of(points(start=MIDNIGHT)))

    def test_warnings_are_told(self, ask: Ask) -> None:
        warnings = [{"type": "IMPUTED", "message": "Some of it is guessed."}, "and more"]
        found = ask(reply_of(warnings=warnings))
        assert found.note == "WattTime warns: IMPUTED: Some of it is guessed.; and more"

    def test_the_model_that_is_asked_for_is_the_one_that_answers(self, ask: Ask) -> None:
        ask(model="2024-07-15")
        assert self.server.asked[-1].query["model"] == "2024-07-15"
        with pytest.raises(ForecastRejected, match="model '2024-07-15' instead of 2023-03-01"):
            ask(model=date(2023, 3, 1))

    @pytest.mark.parametrize("model", [None, {}, "2024"])
    def test_a_reply_that_names_no_model_is_kept_as_such(self, ask: Ask, model: Any) -> None:
        assert ask(reply_of(model=model)).attribution == "WattTime, model of an unknown date"

    def test_its_terms(self) -> None:
        info = self.make().info
        assert (info.zones, info.key_needed, info.signals) == ((ANY_ZONE,), True, CARBON)
        assert (info.horizon, info.rate_limit) == (timedelta(hours=72), "3,000 requests in 5 minutes")


Fetch = Callable[..., list[ForecastSeries]]


class TestWhatCame(Api):
    @pytest.fixture
    def fetch(self) -> Fetch:
        sources: dict[str, WattTimeSource] = {}

        def fetch(
            past: Callable[[Asked], Said] = historical,
            back: float = 2,
            ahead: float = 1,
            now: datetime = NOW,
            **options: Any,
        ) -> list[ForecastSeries]:
            def said(asked: Asked) -> Said:
                if asked.path == "/v3/historical":
                    return past(asked)
                signal_type = options.get("signal_type", "co2_moer")
                return as_json(reply_of(points(start=now), generated_at=iso(now), signal_type=signal_type))

            source = sources.setdefault(str(options), self.make(**options))
            self.said = said
            self.server.asked.clear()
            days = timedelta(days=back), timedelta(days=ahead)
            return source.fetch(FetchRequest(REGION, CARBON, now - days[0], now + days[1]), now=now)

        return fetch

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.server.asked if asked.path != "/login"]

    def test_it_stands_before_the_forecast(self, fetch: Fetch) -> None:
        came, forecast = fetch()
        assert self.paths == ["/v3/forecast", "/v3/historical"]
        assert self.server.asked[-1].query == {
            "region": REGION,
            "signal_type": "co2_moer",
            "start": "2026-11-21T10:20:00Z",
            "end": "2026-11-23T10:20:00Z",
            "include_imputed_marker": "true",
        }
        assert (came.kind, came.basis, came.unit) == (Kind.ACTUAL, Basis.MARGINAL, "gCO2e/kWh")
        assert (came.restricted, came.attribution) == (True, forecast.attribution)
        assert (came.known_at, came.issued_at) == (NOW, None)
        want = [came_at(NOW + k * FIVE) * GRAMS for k in range(-576, 0)]
        assert came.values.tolist() == pytest.approx(want), (
            "pounds a MWh, and the end that comes too is not over"
        )
        assert came.end[-1] == forecast.start[0]
        assert forecast.note == ""

    def test_average_is_held_against_average(self, fetch: Fetch) -> None:
        came, _ = fetch(signal_type="co2_aoer")
        assert came.basis is Basis.AVERAGE
        other = {"data": points(start=NOW - FIVE), "meta": meta_of(signal_type="co2_aoer")}
        [forecast] = fetch(lambda _: as_json(other))
        assert "signal_type 'co2_aoer' instead of co2_moer" in forecast.note

    def test_what_came_by_another_model_is_left_out(self, fetch: Fetch) -> None:
        [forecast] = fetch(lambda asked: historical(asked, model={"date": "2023-03-01"}))
        assert forecast.kind is Kind.FORECAST
        assert "the model is of 2023-03-01 instead of 2024-07-15" in forecast.note

    def test_an_older_model_ends_the_past(self, fetch: Fetch) -> None:
        """One series holds no two models; where there is no forecast, that of the newest part counts."""

        def past(asked: Asked) -> Said:
            model = "2024-07-15" if asked.query["end"] > "2026-10" else "2023-03-01"
            return historical(asked, model={"date": model})

        for ahead in (1.0, -0.5):
            told = fetch(past, back=80, ahead=ahead)
            assert {s.attribution for s in told} == {"WattTime, model of 2024-07-15"}
            assert told[0].start[0] > np.datetime64("2026-09-20")
            assert "the model is of 2023-03-01" in told[-1].note

    def test_the_option_is_asked_for_here_too(self, fetch: Fetch) -> None:
        fetch(model="2024-07-15")
        assert [a.query["model"] for a in self.server.asked if a.path != "/login"] == ["2024-07-15"] * 2

    def test_what_is_imputed_did_not_come(self, fetch: Fetch) -> None:
        hole, late = NOW - 100 * FIVE, NOW - 12 * FIVE
        before, after, forecast = fetch(lambda asked: historical(asked, lambda at: at == hole or at >= late))
        assert (len(before), len(after)) == (476, 87)
        assert forecast.note == ""

    def test_nothing_and_nulls_are_no_fault(self, fetch: Fetch) -> None:
        nulls = [{"point_time": iso(NOW - k * FIVE), "value": None} for k in range(9, 0, -1)]
        for data in ([], nulls):
            [forecast] = fetch(lambda _, data=data: as_json({"data": data, "meta": meta_of()}))
            assert (forecast.kind, forecast.note) == (Kind.FORECAST, "")

    def test_it_is_asked_for_in_parts(self, fetch: Fetch) -> None:
        *parts, forecast = fetch(back=60)
        assert self.paths == ["/v3/forecast", "/v3/historical", "/v3/historical"]
        start = np.concatenate([s.start for s in parts])
        assert set(np.diff(start)) == {np.timedelta64(5, "m")}, "the point at a join comes with both parts"
        assert len(start) == 60 * 288
        assert forecast.note == ""

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_an_account_without_it_keeps_its_forecast(self, fetch: Fetch, status: int) -> None:
        def refused(_: Asked) -> Said:
            return as_json({"error": "Invalid scope."}, status)

        [forecast] = fetch(refused)
        assert (forecast.kind, len(forecast)) == (Kind.FORECAST, 300)
        assert f"answered {status}: Invalid scope" in forecast.note
        [forecast] = fetch(refused, now=NOW + FIVE)
        assert (self.paths, forecast.note) == (["/v3/forecast"], ""), "told once a day"
        with pytest.raises(SourceUnavailable, match="Invalid scope"):
            fetch(refused, ahead=-0.5)

    @pytest.mark.parametrize("units", ["percentile", None])
    def test_its_unit_is_read_too(self, fetch: Fetch, units: Any) -> None:
        came, _ = fetch(lambda asked: historical(asked, units="g_co2_per_kwh"))
        assert came.values[-1] == came_at(NOW - FIVE)
        [forecast] = fetch(lambda asked: historical(asked, units=units))
        assert "unit" in forecast.note

    def test_its_warnings_are_told(self, fetch: Fetch) -> None:
        warnings = [{"type": "LATE", "message": "Some of it is old."}]
        before, after, forecast = fetch(
            lambda asked: historical(asked, lambda at: at == NOW - 100 * FIVE, warnings=warnings)
        )
        assert (before.note, after.note) == ("", "WattTime warns: LATE: Some of it is old."), "once"
        assert forecast.note == ""

    def test_the_past_alone(self, fetch: Fetch) -> None:
        [came] = fetch(back=3, ahead=-1)
        assert self.paths == ["/v3/historical"]
        assert (came.kind, len(came)) == (Kind.ACTUAL, 576)


class TestLogin(Api):
    def fetch(self, source: WattTimeSource) -> None:
        source.fetch(window(), now=NOW)

    def test_a_token_is_kept_for_half_an_hour_of_our_own_clock(self) -> None:
        """Whatever `now` is: a replay asks of another day."""
        source = self.make()
        for elapsed_s, logins in ((0, 1), (TOKEN_LIFE_S - 1, 1), (TOKEN_LIFE_S, 2), (TOKEN_LIFE_S + 9, 2)):
            self.time.elapsed_s = elapsed_s
            self.fetch(source)
            assert self.logins == logins

    def test_one_that_runs_out_in_between_is_exchanged(self) -> None:
        source = self.make()
        self.fetch(source)
        self.logins = 7  # another login has made ours void
        self.fetch(source)
        assert [a.path for a in self.server.asked[-3:]] == ["/v3/forecast", "/login", "/v3/forecast"]
        assert self.server.asked[-1].headers["authorization"] == "Bearer token-8"

    def test_but_once(self) -> None:
        with pytest.raises(SourceUnavailable, match="answered 401") as e:
            self.fetch(self.make(as_json({"message": "token-2 is not good"}, 401)))
        assert self.logins == 2
        assert "token-2" not in str(e.value)

    @pytest.mark.parametrize(
        "said",
        [
            as_json({"error": f"{PASSWORD} is wrong"}, 401),
            as_json({"token": None}),
            as_json({"token": "secret\r\nX-Evil: 1"}),
            as_json({"token": ""}),
            as_json(["secret"]),
            Said(b'{"token": "secret'),
        ],
    )
    def test_a_login_that_fails_tells_no_secret(self, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.server, "reply", lambda _: said)
        with pytest.raises(SourceUnavailable, match="without a token") as e:
            self.fetch(self.make())
        for secret in (PASSWORD, "secret", base64.b64encode(f"me:{PASSWORD}".encode()).decode()):
            assert secret not in f"{e.value} {e.value.facts}"
        assert "password" in e.value.hint

    def test_neither_do_the_options(self) -> None:
        assert PASSWORD not in repr(WattTimeOptions(username="me", api_key=SecretStr(PASSWORD)))

    def test_the_password_may_be_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WATTTIME_PASSWORD", "other")
        self.fetch(self.make(api_key=None))
        pair = base64.b64encode(b"me:other").decode()
        assert self.server.asked[0].headers["authorization"] == f"Basic {pair}"

    def test_without_an_account_nothing_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WATTTIME_PASSWORD", raising=False)
        with pytest.raises(InputError, match="needs a key"):
            self.fetch(self.make(api_key=None))
        with pytest.raises(InputError, match="needs a username"):
            self.fetch(self.make(username=None))
        assert self.server.asked == []

    def test_a_colon_would_end_the_username(self) -> None:
        with pytest.raises(ValidationError):
            WattTimeOptions(username="me:you")


class TestVintages(Api):
    """The archive: every hour a forecast, so that it is not so long."""

    @staticmethod
    def archive(asked: Asked) -> Said:
        """What was generated from `start` to `end`, both included."""
        start, end = (datetime.fromisoformat(asked.query[key]) for key in ("start", "end"))
        hours = [MIDNIGHT + timedelta(hours=h) for h in range(72)]
        data = [{"generated_at": iso(at), "forecast": points(24, at)} for at in hours if start <= at <= end]
        return as_json({"data": data, "meta": meta_of()})

    def ask(
        self, said: Any = None, days: float = 2, now: datetime = NOW, **options: Any
    ) -> list[ForecastSeries]:
        source = self.make(said or self.archive, **options)
        return source.vintages(REGION, MIDNIGHT, MIDNIGHT + timedelta(days=days), now=now)

    def test_each_once_and_known_when_it_was_generated(self) -> None:
        found = self.ask()
        want = [MIDNIGHT + timedelta(hours=h) for h in range(48)]
        assert [s.known_at for s in found] == want, "none twice where two chunks meet, none after the end"
        assert [s.issued_at for s in found] == want
        assert {(s.basis, s.restricted, s.unit) for s in found} == {(Basis.MARGINAL, True, "gCO2e/kWh")}
        assert found[5].start[0] == np.datetime64("2026-11-20T05:00")
        assert found[5].values[0] == pytest.approx(800.25 * GRAMS)

    def test_no_chunk_is_longer_than_a_day(self) -> None:
        """A day at 72 h is 250,000 points and more than the client reads: 17 digits a value."""
        self.ask(days=1.75)
        chunks = [(a.query["start"], a.query["end"]) for a in self.server.asked if a.path != "/login"]
        assert chunks[0] == ("2026-11-20T00:00:00Z", "2026-11-20T12:00:00Z")
        assert chunks[-1] == ("2026-11-21T12:00:00Z", "2026-11-21T18:00:00Z")
        assert {a.path for a in self.server.asked} == {"/login", "/v3/forecast/historical"}
        assert all(a.query["horizon_hours"] == "72" for a in self.server.asked[1:])
        assert self.logins == 1

    def test_nothing_from_after_now(self) -> None:
        now = MIDNIGHT + timedelta(hours=30)
        assert self.ask(now=now)[-1].known_at == now - timedelta(hours=1)
        assert self.ask(now=MIDNIGHT) == []

    def test_a_token_that_runs_out_in_between(self) -> None:
        def archive(asked: Asked) -> Said:
            self.time.elapsed_s += 0.7 * TOKEN_LIFE_S
            return self.archive(asked)

        assert len(self.ask(archive)) == 48
        assert self.logins == 2

    def test_the_newest_first_is_put_in_order(self) -> None:
        data = [{"generated_at": iso(MIDNIGHT + k * FIVE), "forecast": points(24)} for k in (2, 1, 0)]
        found = self.ask({"data": data, "meta": meta_of()}, days=0.1)
        assert [s.known_at for s in found] == [MIDNIGHT + k * FIVE for k in range(3)]

    def test_two_models_are_not_mixed(self) -> None:
        def archive(asked: Asked) -> Said:
            model = "2023-03-01" if asked.query["start"] < "2026-11-21" else "2024-07-15"
            return as_json({"data": [], "meta": meta_of(model={"date": model})})

        assert self.ask(archive, days=1) == []
        with pytest.raises(ForecastRejected, match="model is of 2024-07-15 and no more of 2023-03-01") as e:
            self.ask(archive)
        assert "option model" in e.value.hint

    @pytest.mark.parametrize(
        "data", [{}, ["x"], [{"generated_at": None}], [{"generated_at": iso(MIDNIGHT), "forecast": []}]]
    )
    def test_another_shape_is_an_error(self, data: Any) -> None:
        with pytest.raises(SourceUnavailable):
            self.ask({"data": data, "meta": meta_of()}, days=0.1)

    def test_one_that_is_unfit_is_refused(self) -> None:
        said = points(24)
        data = [{"generated_at": iso(MIDNIGHT), "forecast": said[:5] + said[6:]}]
        with pytest.raises(ForecastRejected, match="nothing is said between"):
            self.ask({"data": data, "meta": meta_of()}, days=0.1)

    def test_another_region_and_another_signal_are_refused(self) -> None:
        for over in ({"region": "PJM_DC"}, {"signal_type": "co2_aoer"}):
            with pytest.raises(ForecastRejected, match="instead of"):
                self.ask({"data": [], "meta": meta_of(**over)})

    def test_a_window_that_ends_before_it_starts(self) -> None:
        with pytest.raises(InputError, match="not after"):
            self.ask(days=-1)
