"""Electricity Maps through the suite of sources, and each trap that its documents and its users tell of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr, ValidationError

from forecasts.errors import ForecastRejected, InputError, SourceUnavailable
from forecasts.series import Basis, ForecastSeries, Kind, Signal
from forecasts.sources.base import ANY_ZONE, FetchRequest, ForecastSource
from forecasts.sources.electricity_maps import ElectricityMapsOptions, ElectricityMapsSource
from forecasts.testing import NO_SUCH_ZONE, Asked, ForecastSourceContract, Said
from tests.contract.payloads import NOW, SLOT, as_json
from tests.contract.test_sources import OverHttp

CARBON = (Signal.CARBON,)
KEY = "made-up-key-7"
UPDATED = "2026-11-23T10:03:21.456Z"


def reply_of(
    zone: str = "DE", n: int = 25, minutes: int = 60, start: datetime = SLOT, **over: Any
) -> dict[str, Any]:
    """As v4 has it: `n` starts, the last of which is where the horizon ends."""
    times = [start + k * timedelta(minutes=minutes) for k in range(n)]
    return {
        "zone": zone,
        "forecast": [
            {"carbonIntensity": 300 + 11 * (k % 7), "datetime": f"{at:%Y-%m-%dT%H:%M}:00.000Z"}
            for k, at in enumerate(times)
        ],
        "updatedAt": UPDATED,
        "temporalGranularity": "hourly" if minutes == 60 else f"{minutes}_minutes",
        **over,
    }


def prices_of(
    zone: str = "DE", n: int = 25, minutes: int = 60, start: datetime = SLOT, **over: Any
) -> dict[str, Any]:
    """Of the combined path: rows that each say what they are, the later ones of the next auction."""
    times = [start + k * timedelta(minutes=minutes) for k in range(n)]
    return {
        "zone": zone,
        "temporalGranularity": "hourly" if minutes == 60 else f"{minutes}_minutes",
        "data": [
            {
                "zone": zone,
                "datetime": f"{at:%Y-%m-%dT%H:%M}:00.000Z",
                "createdAt": "2026-11-21T11:30:00.000Z",
                "updatedAt": "2026-11-22T11:29:07.000Z" if k > 11 else "2026-11-21T11:30:00.000Z",
                "value": 60.5 + k,
                "unit": "EUR/MWh",
                "source": "nordpool.com",
                **over,
            }
            for k, at in enumerate(times)
        ],
    }


def measured_at(at: datetime) -> float:
    return 200.0 + int(at.timestamp()) // 900 % 89


def past_of(
    start: datetime,
    end: datetime,
    zone: str = "DE",
    minutes: int = 60,
    key: str = "data",
    estimated: Callable[[datetime], Any] = lambda _: False,
    **over: Any,
) -> dict[str, Any]:
    """Of the paths of the past: the starts in `[start, end)`, and whether each figure is an estimate."""
    n = -(-(end - start) // timedelta(minutes=minutes))
    return {
        "zone": zone,
        "temporalGranularity": "hourly" if minutes == 60 else f"{minutes}_minutes",
        key: [
            {
                "zone": zone,
                "carbonIntensity": measured_at(at),
                "datetime": f"{at:%Y-%m-%dT%H:%M}:00.000Z",
                "updatedAt": "2026-11-23T09:41:00.000Z",
                "createdAt": "2026-11-20T09:41:00.000Z",
                "emissionFactorType": "lifecycle",
                "isEstimated": estimated(at),
                "estimationMethod": "TIME_SLICER_AVERAGE" if estimated(at) else None,
                **over,
            }
            for at in (start + k * timedelta(minutes=minutes) for k in range(n))
        ],
    }


def api(minutes: int = 60, **how: Any) -> Callable[[Asked], Said]:
    """A plan that has all of it: the forecast, 10 days or 3 of the past at once, and the last day."""

    def reply(asked: Asked) -> Said:
        zone, path = asked.query["zone"], asked.path.rpartition("/")[2]
        if zone == NO_SUCH_ZONE:
            return unknown_zone(zone)
        if path == "forecast":
            return as_json(reply_of(zone, 1 + 24 * 60 // minutes, minutes))
        if path == "history":
            return as_json(past_of(SLOT - timedelta(days=1), SLOT, zone, minutes, "history", **how))
        start, end = (datetime.fromisoformat(asked.query[key]) for key in ("start", "end"))
        if end - start > timedelta(days=10 if minutes == 60 else 3):
            return as_json({"status": "error", "message": "The range is too long."}, 400)
        return as_json(past_of(start, end, zone, minutes, **how))

    return reply


def unknown_zone(zone: str) -> Said:
    return as_json({"status": "error", "message": f"Zone {zone} does not exist."}, 404)


class TestElectricityMaps(OverHttp, ForecastSourceContract):
    def reply(self, asked: Asked) -> Said:
        zone = asked.query["zone"]
        return unknown_zone(zone) if zone == NO_SUCH_ZONE else as_json(reply_of(zone))

    def make_source(self) -> ForecastSource:
        options = ElectricityMapsOptions(base_url=self.server.url, api_key=SecretStr(KEY))
        return ElectricityMapsSource(options, http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("DE", CARBON, NOW, NOW + timedelta(days=1))


class TestElectricityMapsRenamed(TestElectricityMaps):
    def make_source(self) -> ForecastSource:
        options = ElectricityMapsOptions(
            base_url=self.server.url, api_key=SecretStr(KEY), zones={"DE-LU": "DE"}
        )
        return ElectricityMapsSource(options, http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("DE-LU", CARBON, NOW, NOW + timedelta(days=1))


class TestElectricityMapsWithWhatCame(TestElectricityMaps):
    def reply(self, asked: Asked) -> Said:
        return api()(asked)

    def request(self) -> FetchRequest:
        return FetchRequest("DE", CARBON, NOW - timedelta(days=2), NOW + timedelta(days=1))

    def now(self) -> datetime:
        return NOW


class TestElectricityMapsWithPrice(TestElectricityMaps):
    def reply(self, asked: Asked) -> Said:
        if asked.path.startswith("/price-day-ahead/"):
            zone = asked.query["zone"]
            return unknown_zone(zone) if zone == NO_SUCH_ZONE else as_json(prices_of(zone))
        return super().reply(asked)

    def make_source(self) -> ForecastSource:
        options = ElectricityMapsOptions(base_url=self.server.url, api_key=SecretStr(KEY), price=True)
        return ElectricityMapsSource(options, http=self.http)

    def request(self) -> FetchRequest:
        return FetchRequest("DE", (Signal.CARBON, Signal.PRICE), NOW, NOW + timedelta(days=1))


Ask = Callable[..., ForecastSeries]


class TestTraps(OverHttp):
    said: Callable[[Asked], Said]

    def reply(self, asked: Asked) -> Said:
        return self.said(asked)

    def make(self, said: Any, **options: Any) -> ElectricityMapsSource:
        self.said = said if callable(said) else lambda _: said if isinstance(said, Said) else as_json(said)
        given = {"base_url": self.server.url, "api_key": KEY, **options}
        return ElectricityMapsSource(ElectricityMapsOptions.model_validate(given), http=self.http)

    @pytest.fixture
    def ask(self) -> Ask:
        def ask(
            said: Any, zone: str = "DE", now: datetime = NOW, hours: float = 24, **options: Any
        ) -> ForecastSeries:
            request = FetchRequest(zone, CARBON, now, now + timedelta(hours=hours))
            [found] = self.make(said, **options).fetch(request, now=now)
            return found

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        found = ask(reply_of())
        assert (found.unit, found.kind, found.basis) == ("gCO2e/kWh", Kind.FORECAST, Basis.AVERAGE)
        assert (found.restricted, found.licence) == (True, "Electricity Maps, by contract")
        assert found.values[:2].tolist() == [300, 311], "grams a kWh as they came"
        assert found.start[0] == np.datetime64("2026-11-23T10:00"), "a time is a start"
        assert found.end[-1] == np.datetime64("2026-11-24T11:00"), "the last is an hour too"
        assert found.issued_at == datetime(2026, 11, 23, 10, 3, 21, 456000, tzinfo=UTC)
        assert found.known_at == NOW

    def test_what_is_asked(self, ask: Ask) -> None:
        ask(reply_of())
        [asked] = self.server.asked
        assert asked.path == "/carbon-intensity/forecast"
        assert asked.query == {
            "zone": "DE",
            "horizonHours": "48",
            "temporalGranularity": "hourly",
            "emissionFactorType": "lifecycle",
            "disableCallerLookup": "true",
        }
        assert asked.headers["auth-token"] == KEY

    @pytest.mark.parametrize(
        ("hours", "horizon"), [(1, 6), (5.6, 6), (5.7, 24), (23, 24), (24, 48), (50, 72), (200, 72)]
    )
    def test_no_more_is_asked_for_than_covers_the_window(self, ask: Ask, hours: float, horizon: int) -> None:
        """A forecast begins at 10:00 where it is asked for at 10:20."""
        ask(reply_of(), hours=hours)
        assert self.server.asked[0].query["horizonHours"] == str(horizon)

    def test_what_it_cannot_know_is_not_asked(self) -> None:
        window = FetchRequest("DE", CARBON, NOW + timedelta(hours=72), NOW + timedelta(hours=80))
        assert self.make(reply_of()).fetch(window, now=NOW) == []
        price = FetchRequest("DE", (Signal.PRICE,), NOW, NOW + timedelta(hours=1))
        assert self.make(reply_of()).fetch(price, now=NOW) == []
        assert self.server.asked == []

    def test_a_forecast_that_ends_before_the_window_is_no_answer_to_it(self) -> None:
        window = FetchRequest("DE", CARBON, NOW + timedelta(hours=40), NOW + timedelta(hours=50))
        assert self.make(reply_of(n=25)).fetch(window, now=NOW) == []

    def test_a_zone_by_our_address_is_refused(self, ask: Ask) -> None:
        """Whoever asks for a zone that is unknown gets the one where the machine stands, with status 200."""
        with pytest.raises(ForecastRejected, match=r"zone 'IE' instead of DE-LU \(DE\)"):
            ask(reply_of("IE"), zone="DE-LU", zones={"DE-LU": "DE"})

    def test_the_zone_of_the_fleet_has_their_name_on_the_way_and_its_own_here(self, ask: Ask) -> None:
        found = ask(reply_of(), zone="DE-LU", zones={"DE-LU": "DE"})
        assert (found.zone, self.server.asked[0].query["zone"]) == ("DE-LU", "DE")

    @pytest.mark.parametrize("zone", ["de", "DE&lat=1", "../zones", "DE ", ""])
    def test_what_is_no_zone_is_not_sent(self, ask: Ask, zone: str) -> None:
        with pytest.raises(InputError, match=f"no zone '{zone}'"):
            ask(reply_of(), zone=zone)
        with pytest.raises(ValidationError):
            ElectricityMapsOptions(zones={"X": zone})
        assert self.server.asked == []

    def test_an_unknown_zone(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match=r"XX \(YY\) answered 404: Zone YY does not exist") as e:
            ask(unknown_zone("YY"), zone="XX", zones={"XX": "YY"})
        assert "option zones" in e.value.hint

    @pytest.mark.parametrize(
        ("status", "body", "why", "hint"),
        [
            (400, {"status": "error", "message": "horizonHours is wrong."}, "400: horizonHours", "zones"),
            (401, {"error": "Invalid auth-token"}, "401: Invalid", "newest key"),
            (403, {"status": "error", "message": "Not in your plan"}, "403: Not in your plan", "paid plan"),
            (403, {}, "403 with something else", "paid plan"),
            (404, [], "404 with something else", "zones"),
        ],
    )
    def test_errors(self, ask: Ask, status: int, body: Any, why: str, hint: str) -> None:
        with pytest.raises(SourceUnavailable, match=f"DE answered {why}") as e:
            ask(as_json(body, status))
        assert hint in e.value.hint

    @pytest.mark.parametrize(
        "said",
        [
            as_json({"error": f"The token {KEY} is unknown"}, 401),
            Said(f"<html>auth-token: {KEY}</html>".encode(), 200, {"Content-Type": "text/html"}),
            Said(f"<html>auth-token: {KEY}</html>".encode(), 403),
        ],
    )
    def test_the_key_is_in_no_error(self, ask: Ask, said: Said) -> None:
        with pytest.raises(SourceUnavailable) as e:
            ask(said)
        assert KEY not in f"{e.value} {e.value.facts} {ElectricityMapsOptions(api_key=SecretStr(KEY))!r}"

    def test_a_page_with_200_is_no_forecast(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="answered 200 with something else than a forecast"):
            ask(Said(b"<html>Back soon</html>", 200, {"Content-Type": "text/html"}))

    def test_without_a_key_nothing_is_asked(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ELECTRICITY_MAPS_API_KEY", raising=False)
        with pytest.raises(InputError, match="needs a key"):
            ask(reply_of(), api_key=None)
        assert self.server.asked == []

    def test_a_key_that_is_exchanged_is_seen(self, ask: Ask, tmp_path: Path) -> None:
        path = tmp_path / "key"
        for key in ("old", "new"):
            path.write_text(f"{key}\n")
            ask(reply_of(), api_key=None, api_key_file=path)
        assert [asked.headers["auth-token"] for asked in self.server.asked] == ["old", "new"]

    @pytest.mark.parametrize("forecast", [[], None, {}])
    def test_an_empty_forecast(self, ask: Ask, forecast: Any) -> None:
        with pytest.raises(SourceUnavailable, match="no forecast for DE"):
            ask(reply_of(forecast=forecast))

    def test_estimates_and_fields_that_are_new_are_fine(self, ask: Ask) -> None:
        body = reply_of(more=1)
        for k, row in enumerate(body["forecast"]):
            row |= {"isEstimated": k % 2 == 0, "estimationMethod": "SOME", "new": None}
        assert len(ask(body)) == 25

    def test_nulls_at_the_end_are_not_published_yet(self, ask: Ask) -> None:
        body = reply_of()
        for row in body["forecast"][20:]:
            row["carbonIntensity"] = None
        assert ask(body).end[-1] == np.datetime64("2026-11-24T06:00")

    def test_a_null_in_between_is_refused(self, ask: Ask) -> None:
        body = reply_of()
        body["forecast"][3]["carbonIntensity"] = None
        with pytest.raises(ForecastRejected):
            ask(body)

    def test_nothing_but_nulls(self, ask: Ask) -> None:
        body = reply_of()
        for row in body["forecast"]:
            row["carbonIntensity"] = None
        with pytest.raises(SourceUnavailable, match="every value for DE is null"):
            ask(body)

    def test_quarters(self, ask: Ask) -> None:
        found = ask(reply_of(n=97, minutes=15), temporal_granularity="15_minutes")
        assert self.server.asked[0].query["temporalGranularity"] == "15_minutes"
        assert found.end[-1] == np.datetime64("2026-11-24T10:15")

    def test_hours_that_came_for_quarters_are_hours(self, ask: Ask) -> None:
        """What a zone does not have in quarters: the reply says so, and is right."""
        found = ask(reply_of(), temporal_granularity="15_minutes")
        assert found.end[0] - found.start[0] == np.timedelta64(1, "h")

    @pytest.mark.parametrize(("minutes", "said"), [(15, "hourly"), (60, "15_minutes")])
    def test_a_length_that_the_times_deny_is_refused(self, ask: Ask, minutes: int, said: str) -> None:
        with pytest.raises(ForecastRejected, match=f"said to be {said}"):
            ask(reply_of(minutes=minutes, temporalGranularity=said))

    @pytest.mark.parametrize("said", [None, "daily", 60])
    def test_a_length_that_is_not_told_is_refused(self, ask: Ask, said: Any) -> None:
        with pytest.raises(ForecastRejected, match="temporalGranularity"):
            ask(reply_of(temporalGranularity=said))

    def test_one_row_is_as_long_as_the_reply_says(self, ask: Ask) -> None:
        found = ask(reply_of(n=1))
        assert found.end[0] - found.start[0] == np.timedelta64(1, "h")

    @pytest.mark.parametrize("change", ["hole", "twice", "backwards"])
    def test_times_out_of_step_are_refused(self, ask: Ask, change: str) -> None:
        body = reply_of()
        rows = body["forecast"]
        body["forecast"] = {
            "hole": rows[:5] + rows[6:],
            "twice": [*rows[:5], rows[4], *rows[5:]],
            "backwards": rows[::-1],
        }[change]
        with pytest.raises(ForecastRejected, match="is followed by"):
            ask(body)

    def test_a_clock_ahead_of_ours_issues_nothing_from_the_future(self, ask: Ask) -> None:
        assert ask(reply_of(updatedAt="2026-11-23T10:21:00Z")).issued_at is None
        assert ask(reply_of(updatedAt=None)).issued_at is None

    def test_times_of_another_zone_are_taken_to_utc(self, ask: Ask) -> None:
        body = reply_of(n=2)
        for row, hour in zip(body["forecast"], (11, 12), strict=True):
            row["datetime"] = f"2026-11-23T{hour}:00:00+01:00"
        assert ask(body).start[0] == np.datetime64("2026-11-23T10:00")

    @pytest.mark.parametrize("said", ["2026-11-23T10:00:00", "soon", 7, None])
    def test_a_time_without_its_zone_is_an_error(self, ask: Ask, said: Any) -> None:
        body = reply_of()
        body["forecast"][0]["datetime"] = said
        with pytest.raises(SourceUnavailable, match="datetime is"):
            ask(body)

    @pytest.mark.parametrize("rows", [["x"], [{"datetime": UPDATED}], [{"carbonIntensity": 1}]])
    def test_another_shape_is_an_error(self, ask: Ask, rows: Any) -> None:
        with pytest.raises(SourceUnavailable):
            ask(reply_of(forecast=rows))

    def test_text_is_no_number(self, ask: Ask) -> None:
        body = reply_of()
        body["forecast"][0]["carbonIntensity"] = "300"
        with pytest.raises(ForecastRejected, match="not a number"):
            ask(body)

    def test_what_is_over_is_refused(self, ask: Ask) -> None:
        """A forecast that has stopped to be renewed."""
        with pytest.raises(ForecastRejected, match="before now"):
            ask(reply_of(start=SLOT - timedelta(days=3)))

    def test_direct_and_life_cycle_are_told_apart(self, ask: Ask) -> None:
        source = self.make(reply_of(), emission_factor_type="direct")
        assert (source.info.scope, source.info.basis) == ("direct", Basis.AVERAGE)
        ask(reply_of(emissionFactorType="direct"), emission_factor_type="direct")
        assert self.server.asked[0].query["emissionFactorType"] == "direct"
        assert self.make(reply_of()).info.scope == "lifecycle"

    @pytest.mark.parametrize("in_row", [False, True])
    def test_one_that_came_for_the_other_is_refused(self, ask: Ask, in_row: bool) -> None:
        body = reply_of()
        (body["forecast"][4] if in_row else body)["emissionFactorType"] = "direct"
        with pytest.raises(ForecastRejected, match="'direct' emission factors instead of lifecycle"):
            ask(body)

    def test_its_terms(self) -> None:
        info = self.make(reply_of()).info
        assert (info.zones, info.key_needed, info.signals) == ((ANY_ZONE,), True, CARBON)
        assert info.horizon == timedelta(hours=72)
        assert any("sandbox" in note for note in info.notes)


Fetch = Callable[..., list[ForecastSeries]]


class TestWhatCame(OverHttp):
    said: Callable[[Asked], Said]

    def reply(self, asked: Asked) -> Said:
        return self.said(asked)

    @property
    def paths(self) -> list[str]:
        return [asked.path.rpartition("/")[2] for asked in self.server.asked]

    @pytest.fixture
    def fetch(self) -> Fetch:
        sources: dict[str, ElectricityMapsSource] = {}

        def fetch(
            said: Callable[[Asked], Said],
            back: float = 2,
            ahead: float = 1,
            now: datetime = NOW,
            **options: Any,
        ) -> list[ForecastSeries]:
            self.said = said
            self.server.asked.clear()
            given = {"base_url": self.server.url, "api_key": KEY, **options}
            source = sources.setdefault(
                str(options),
                ElectricityMapsSource(ElectricityMapsOptions.model_validate(given), http=self.http),
            )
            days = timedelta(days=back), timedelta(days=ahead)
            return source.fetch(FetchRequest("DE", CARBON, now - days[0], now + days[1]), now=now)

        return fetch

    def test_it_stands_before_the_forecast(self, fetch: Fetch) -> None:
        came, forecast = fetch(api())
        assert self.paths == ["forecast", "past-range"]
        assert self.server.asked[1].query == {
            "zone": "DE",
            "start": "2026-11-21T10:00:00Z",
            "end": "2026-11-23T10:00:00Z",
            "temporalGranularity": "hourly",
            "emissionFactorType": "lifecycle",
            "disableCallerLookup": "true",
        }
        assert (came.kind, came.basis, came.unit, came.restricted) == (
            Kind.ACTUAL,
            Basis.AVERAGE,
            "gCO2e/kWh",
            True,
        )
        assert (came.known_at, came.issued_at) == (NOW, None), "rows are revised apart"
        assert came.values.tolist() == [measured_at(SLOT + timedelta(hours=h)) for h in range(-48, 0)]
        assert came.end[-1] == forecast.start[0] == np.datetime64("2026-11-23T10:00")
        assert (forecast.kind, forecast.note) == (Kind.FORECAST, "")

    def test_an_estimate_is_no_measurement(self, fetch: Fetch) -> None:
        """The last hours are estimated until they are measured, and now and then one in between."""

        def estimated(at: datetime) -> bool:
            return at >= SLOT - timedelta(hours=3) or at == SLOT - timedelta(hours=20)

        before, after, forecast = fetch(api(estimated=estimated))
        assert (len(before), len(after), forecast.note) == (28, 16, "")
        before, after, forecast = fetch(api(estimated=lambda at: at == SLOT - timedelta(hours=20)))
        assert (len(before), len(after)) == (28, 19), "measured by now"

    @pytest.mark.parametrize("said", [True, None, "false", 0])
    def test_what_does_not_say_that_it_is_no_estimate_is_one(self, fetch: Fetch, said: Any) -> None:
        [forecast] = fetch(api(estimated=lambda _: said))
        assert (forecast.kind, forecast.note) == (Kind.FORECAST, "")

    def test_a_null_is_a_hole(self, fetch: Fetch) -> None:
        def reply(asked: Asked) -> Said:
            if asked.path.endswith("forecast"):
                return api()(asked)
            body = past_of(SLOT - timedelta(days=2), SLOT)
            body["data"][10]["carbonIntensity"] = body["data"][47]["carbonIntensity"] = None
            del body["data"][30]
            return as_json(body)

        *parts, forecast = fetch(reply)
        assert [len(s) for s in parts] == [10, 19, 16]
        assert forecast.note == ""

    @pytest.mark.parametrize(
        ("granularity", "minutes", "back", "n"), [("hourly", 60, 60, 6), ("15_minutes", 15, 7, 3)]
    )
    def test_it_is_asked_for_in_parts(
        self, fetch: Fetch, granularity: str, minutes: int, back: float, n: int
    ) -> None:
        *parts, forecast = fetch(api(minutes), back, temporal_granularity=granularity)
        assert self.paths == ["forecast", *["past-range"] * n], "none was too long"
        start = np.concatenate([s.start for s in parts])
        assert set(np.diff(start)) == {np.timedelta64(minutes, "m")}
        assert start[0] <= np.datetime64((NOW - timedelta(days=back)).replace(tzinfo=None)) < parts[0].end[0]
        assert forecast.note == ""

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_plan_without_a_past_range_tells_the_last_day(self, fetch: Fetch, status: int) -> None:
        def reply(asked: Asked) -> Said:
            if asked.path.endswith("past-range"):
                return as_json({"status": "error", "message": "Not in your plan"}, status)
            return api()(asked)

        came, forecast = fetch(reply, back=60)
        assert self.paths == ["forecast", "past-range", "history"], "it is no longer for older parts"
        assert (len(came), came.end[-1], forecast.note) == (24, forecast.start[0], "")
        fetch(reply, now=NOW + timedelta(minutes=30))
        assert self.paths == ["forecast", "history"]

    def test_a_range_that_is_refused_of_old_days_alone_is_asked_for_again(self, fetch: Fetch) -> None:
        def reply(asked: Asked) -> Said:
            old = asked.path.endswith("past-range") and asked.query["end"] < "2026-11-10"
            return as_json({"message": "Too old."}, 400) if old else api()(asked)

        *_, forecast = fetch(reply, back=60)
        assert self.paths == ["forecast", *["past-range"] * 3]
        assert "answered 400" in forecast.note
        came, forecast = fetch(reply, now=NOW + timedelta(minutes=30))
        assert self.paths == ["forecast", "past-range"], "and not the last day alone"
        assert (len(came), forecast.note) == (48, "")

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_plan_without_any_past_keeps_its_forecast(self, fetch: Fetch, status: int) -> None:
        slot = SLOT

        def reply(asked: Asked) -> Said:
            if asked.path.endswith("forecast"):
                return as_json(reply_of(start=slot))
            return as_json({"error": f"Not in the plan of {KEY}"}, status)

        [forecast] = fetch(reply)
        assert (forecast.kind, len(forecast)) == (Kind.FORECAST, 25)
        assert forecast.note.startswith("what was measured is left out: ")
        assert f"answered {status}" in forecast.note
        assert KEY not in forecast.note
        [forecast] = fetch(reply, now=NOW + timedelta(minutes=30))
        assert (self.paths, forecast.note) == (["forecast"], ""), "told once a day"
        slot += timedelta(hours=24)
        [forecast] = fetch(reply, now=NOW + timedelta(hours=24))
        assert self.paths == ["forecast", "past-range", "history"]
        with pytest.raises(SourceUnavailable, match="Not in the plan"):
            fetch(reply, ahead=-0.5)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"emissionFactorType": "direct"},
            {"zone": "IE"},
            {"carbonIntensity": "300"},
            {"carbonIntensity": 9000},
            {"datetime": "2026-11-22T10:00:00Z"},
            {"datetime": "soon"},
        ],
    )
    def test_a_past_that_is_wrong_leaves_the_forecast_alone(
        self, fetch: Fetch, wrong: dict[str, Any]
    ) -> None:
        [forecast] = fetch(api(**wrong))
        assert forecast.kind is Kind.FORECAST
        assert forecast.note.startswith("what was measured is left out: ")

    def test_hours_that_are_told_as_quarters_are_refused(self, fetch: Fetch) -> None:
        def reply(asked: Asked) -> Said:
            if asked.path.endswith("forecast"):
                return api(15)(asked)
            return as_json(past_of(SLOT - timedelta(days=2), SLOT) | {"temporalGranularity": "15_minutes"})

        [forecast] = fetch(reply, temporal_granularity="15_minutes")
        assert "said to be 15_minutes" in forecast.note

    def test_the_same_factors_are_asked_for(self, fetch: Fetch) -> None:
        came, _ = fetch(api(emissionFactorType="direct"), emission_factor_type="direct")
        assert came.kind is Kind.ACTUAL
        assert {asked.query["emissionFactorType"] for asked in self.server.asked} == {"direct"}

    def test_the_past_alone(self, fetch: Fetch) -> None:
        [came] = fetch(api(), back=3, ahead=-1)
        assert self.paths == ["past-range"]
        assert (came.kind, len(came)) == (Kind.ACTUAL, 49)

    def test_an_hour_that_is_not_over_is_not_measured(self, fetch: Fetch) -> None:
        def reply(asked: Asked) -> Said:
            if asked.path.endswith("forecast"):
                return as_json(reply_of(start=SLOT - timedelta(hours=1)))  # one hour old
            return as_json(past_of(SLOT - timedelta(days=2), SLOT + timedelta(hours=1)))

        came, forecast = fetch(reply)
        assert came.end[-1] == forecast.start[0], "each hour is told once, and the forecast was there before"


class TestPrice(OverHttp):
    said: Said

    def reply(self, asked: Asked) -> Said:
        return self.said

    @pytest.fixture
    def ask(self) -> Ask:
        def ask(
            said: Any, zone: str = "DE", start: datetime = NOW, hours: float = 24, **options: Any
        ) -> ForecastSeries:
            self.said = said if isinstance(said, Said) else as_json(said)
            given = {"base_url": self.server.url, "api_key": KEY, "price": True, **options}
            source = ElectricityMapsSource(ElectricityMapsOptions.model_validate(given), http=self.http)
            request = FetchRequest(zone, (Signal.PRICE,), start, start + timedelta(hours=hours))
            [found] = source.fetch(request, now=NOW)
            return found

        return ask

    def test_the_reply(self, ask: Ask) -> None:
        found = ask(prices_of())
        assert (found.unit, found.kind, found.basis) == ("EUR/MWh", Kind.FORECAST, None)
        assert (found.restricted, len(found), found.values[0]) == (True, 25, 60.5)
        assert found.start[0] == np.datetime64("2026-11-23T10:00")
        assert found.issued_at == datetime(2026, 11, 22, 11, 29, 7, tzinfo=UTC), "the latest of the rows"

    def test_what_is_asked(self, ask: Ask) -> None:
        ask(prices_of())
        [asked] = self.server.asked
        assert asked.path == "/price-day-ahead/combined"
        assert asked.query == {"zone": "DE", "temporalGranularity": "hourly", "disableCallerLookup": "true"}
        assert asked.headers["auth-token"] == KEY

    def test_of_the_past_day_there_is_history(self, ask: Ask) -> None:
        yesterday = NOW - timedelta(hours=20)
        found = ask(prices_of(start=SLOT - timedelta(hours=24), n=24), start=yesterday, hours=10)
        assert [asked.path for asked in self.server.asked] == ["/price-day-ahead/history"]
        assert found.end[-1] == np.datetime64("2026-11-23T10:00")

    def test_it_is_not_told_unless_it_is_asked_for(self) -> None:
        source = ElectricityMapsSource(ElectricityMapsOptions(api_key=SecretStr(KEY)), http=self.http)
        assert source.info.signals == CARBON
        assert source.fetch(FetchRequest("DE", (Signal.PRICE,), NOW, NOW + timedelta(hours=1)), now=NOW) == []

    @pytest.mark.parametrize("start_h", [25, -50])
    def test_what_it_cannot_know_is_not_asked(self, start_h: int) -> None:
        options = ElectricityMapsOptions(base_url=self.server.url, api_key=SecretStr(KEY), price=True)
        start = NOW + timedelta(hours=start_h)
        window = FetchRequest("DE", (Signal.PRICE,), start, start + timedelta(hours=5))
        assert ElectricityMapsSource(options, http=self.http).fetch(window, now=NOW) == []
        assert self.server.asked == []

    def test_another_currency_and_another_energy(self, ask: Ask) -> None:
        assert ask(prices_of(unit="GBP/MWh")).unit == "GBP/MWh"
        assert ask(prices_of(unit="EUR/kWh", value=0.0625)).values[0] == 62.5

    @pytest.mark.parametrize("unit", ["%", None, 7, "kr/MWh"])
    def test_what_is_no_unit_of_a_price(self, ask: Ask, unit: Any) -> None:
        with pytest.raises(ForecastRejected, match="the unit"):
            ask(prices_of(unit=unit))

    def test_mixed_units_are_refused(self, ask: Ask) -> None:
        body = prices_of()
        body["data"][5]["unit"] = "DKK/MWh"
        with pytest.raises(ForecastRejected, match="in DKK/MWh and EUR/MWh"):
            ask(body)

    @pytest.mark.parametrize("gone", ["unit", "value", "datetime"])
    def test_what_each_row_must_say(self, ask: Ask, gone: str) -> None:
        body = prices_of()
        del body["data"][7][gone]
        with pytest.raises(SourceUnavailable, match=gone):
            ask(body)

    @pytest.mark.parametrize("in_row", [True, False])
    def test_a_zone_by_our_address_is_refused(self, ask: Ask, in_row: bool) -> None:
        body = prices_of()
        (body["data"][0] if in_row else body)["zone"] = "IE"
        with pytest.raises(ForecastRejected, match=r"zone 'IE' instead of DE-LU \(DE\)"):
            ask(body, zone="DE-LU", zones={"DE-LU": "DE"})

    def test_the_zone_may_stand_in_the_rows_alone_and_must_stand_somewhere(self, ask: Ask) -> None:
        body = prices_of()
        del body["zone"]
        assert len(ask(body)) == 25
        for row in body["data"]:
            del row["zone"]
        with pytest.raises(ForecastRejected, match="does not say of which zone"):
            ask(body)

    def test_without_a_length_it_is_the_one_asked_for_if_the_times_agree(self, ask: Ask) -> None:
        body = prices_of()
        del body["temporalGranularity"]
        assert ask(body).end[-1] == np.datetime64("2026-11-24T11:00")
        with pytest.raises(ForecastRejected, match="said to be 15_minutes"):
            ask(body, temporal_granularity="15_minutes")

    def test_negative_prices_and_nulls_at_the_end(self, ask: Ask) -> None:
        body = prices_of()
        body["data"][3]["value"] = -12.25
        body["data"][24]["value"] = None
        found = ask(body)
        assert (found.values[3], len(found)) == (-12.25, 24)

    @pytest.mark.parametrize("data", [[], None, {}])
    def test_nothing(self, ask: Ask, data: Any) -> None:
        with pytest.raises(SourceUnavailable, match="has no data for DE"):
            ask(prices_of() | {"data": data})

    def test_a_plan_without_prices(self, ask: Ask) -> None:
        with pytest.raises(SourceUnavailable, match="answered 401: Not in your plan"):
            ask(as_json({"error": "Not in your plan"}, 401))
