"""The suite that every forecast source passes; third parties run it on theirs.

    class TestMySource(ForecastSourceContract):
        def make_source(self):
            return MySource(MyOptions(base_url=self.server.url))

        def request(self):
            return FetchRequest("DE-LU", (Signal.PRICE,), NOW, NOW + timedelta(days=1))

        def now(self):
            return NOW

Needs nothing but pytest's way of finding tests. `ReplyServer` is a local HTTP server that answers as the
API does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import numpy as np

from forecasts.checks import check_series
from forecasts.errors import ShifterError
from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.slots import as_datetime64
from forecasts.sources.base import ANY_ZONE, FetchRequest, ForecastSource
from forecasts.units import is_canonical

NO_SUCH_ZONE = "XX-NOWHERE"


class ForecastSourceContract:
    """Subclass it, say how to make the source and what to ask it; the tests are what it must keep."""

    def make_source(self) -> ForecastSource:
        """A source that can answer `request()`."""
        raise NotImplementedError

    def request(self) -> FetchRequest:
        """A request that the source has an answer to."""
        raise NotImplementedError

    def now(self) -> datetime:
        """When it is asked; by default at the start of the window."""
        return self.request().start

    def answer(self) -> list[ForecastSeries]:
        """What it answers."""
        return self.make_source().fetch(self.request(), now=self.now())

    def test_it_is_a_source_with_options(self) -> None:
        """It keeps the protocol, and its options refuse what they do not know."""
        source = self.make_source()
        assert isinstance(source, ForecastSource)
        options: Any = type(source).Options  # type: ignore[attr-defined]
        assert options.model_config.get("extra") == "forbid"

    def test_it_says_what_it_is(self) -> None:
        """Licence, attribution and units are stated: a plan that used it must be able to name its terms. So is when it
        has something new.
        """
        info = self.make_source().info
        assert info.name
        assert info.title
        assert info.signals
        assert info.zones
        assert info.licence
        assert info.attribution
        for signal in info.signals:
            assert info.publication_of(signal).next_poll(self.now()) > self.now()
        assert all(info.units.get(s) for s in info.signals)
        if Signal.CARBON in info.signals:
            assert info.basis is not None, "carbon is average or marginal"

    def test_it_answers(self) -> None:
        """It has something to say about the window, and nothing that was not asked for."""
        request, said = self.request(), self.answer()
        assert said
        start, end = as_datetime64(request.start), as_datetime64(request.end)
        for s in said:
            assert s.zone == request.zone
            assert s.signal in request.signals
            assert s.start[0] < end, f"{s} lies after the window"
            assert s.end[-1] > start, f"{s} lies before the window"

    def test_what_it_says_is_fit_for_use(self) -> None:
        """No gaps, duplicates, NaN, absurd values; canonical units; carbon with its basis."""
        info = self.make_source().info
        for s in self.answer():
            check_series(s, flat_carbon=None)
            assert is_canonical(s.unit, s.signal)
            assert s.start.dtype == s.end.dtype == np.dtype("datetime64[us]")
            if s.signal is Signal.CARBON:
                assert s.basis is info.basis

    def test_it_knows_nothing_from_the_future(self) -> None:
        """A vintage is known at `now` at the latest, and was issued no later than it was known."""
        for s in self.answer():
            assert s.known_at <= self.now()
            assert s.known_at.tzinfo is not None
            if s.issued_at is not None:
                assert s.issued_at <= s.known_at

    def test_it_owns_what_it_says(self) -> None:
        """Each series names the source, its licence's attribution, and whether it is made up."""
        info = self.make_source().info
        for s in self.answer():
            assert s.source == info.name
            assert s.attribution
            assert (s.kind is Kind.SYNTHETIC) == info.synthetic
            assert s.kind is not Kind.MISSING

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Asked twice at one moment, a source says the same."""
        first, second = self.answer(), self.answer()
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert (a.key, a.known_at, a.unit, a.kind) == (b.key, b.known_at, b.unit, b.kind)
            assert np.array_equal(a.start, b.start)
            assert np.array_equal(a.end, b.end)
            assert np.array_equal(a.values, b.values)

    def test_signals_can_be_asked_for_one_by_one(self) -> None:
        """The store asks so; no signal drags another along."""
        whole = self.request()
        keys = []
        for signal in whole.signals:
            alone = FetchRequest(whole.zone, (signal,), whole.start, whole.end)
            said = self.make_source().fetch(alone, now=self.now())
            assert {s.signal for s in said} <= {signal}
            keys += [s.key for s in said]
        assert sorted(keys) == sorted(s.key for s in self.answer())

    def test_an_unknown_zone_is_refused(self) -> None:
        """An error that says so, never another zone's forecast in its place."""
        source, whole = self.make_source(), self.request()
        if ANY_ZONE in source.info.zones and source.info.synthetic:
            return
        nowhere = FetchRequest(NO_SUCH_ZONE, whole.signals, whole.start, whole.end)
        said: object = "nothing"
        try:
            said = source.fetch(nowhere, now=self.now())
        except ShifterError as e:
            said = str(e)
        assert isinstance(said, str), f"answered for a zone that does not exist: {said}"
        assert NO_SUCH_ZONE in said


@dataclass
class Said:
    """What the server answers to one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """A request that came: the path, the query's values by name, the headers in lower case; of a POST its body."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes = b""


class ReplyServer:
    """An HTTP server on the loopback that answers with `reply(asked)` and remembers what was `asked`."""

    def __init__(self, reply: Callable[[Asked], Said] | None = None) -> None:
        self.reply = reply or (lambda _: Said(status=404))
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
                headers = {k.lower(): v for k, v in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                asked = Asked(parts.path, query, headers, self.command, body)
                outer.asked.append(asked)
                said = outer.reply(asked)
                with suppress(ConnectionError):  # whoever asked has stopped waiting
                    self.send_response(said.status)
                    for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(said.body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Silent: tests read what was asked from `asked`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class FakeTime:
    """A clock for `HttpClient` that only sleeping moves: tests of waiting take no time."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.start = start
        self.elapsed_s = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Seconds since it was made."""
        return self.elapsed_s

    def sleep(self, seconds: float) -> None:
        """Pass `seconds` at once."""
        self.slept.append(seconds)
        self.elapsed_s += seconds

    def wall(self) -> datetime:
        """The time of day."""
        return self.start + timedelta(seconds=self.elapsed_s)
