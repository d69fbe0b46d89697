"""Requests counted and timed, by route and never by path: a path holds names, and names are many."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)


class HttpMetrics:
    """The three metrics of the API. A registry takes them once: a daemon has one app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "shifter_http_requests_total",
            "Requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "shifter_http_request_seconds",
            "Time from a request to the end of its answer; streams and long polls included [s].",
            ("method", "route"),
            registry=registry,
            buckets=_BUCKETS_S,
        )
        self.open = Gauge(
            "shifter_http_requests_open", "Requests being answered now, streams included.", registry=registry
        )


class Observe:
    """Counts and times each request."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun, status = time.perf_counter(), "500"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        with self.metrics.open.track_inprogress():
            try:
                await self.app(scope, receive, watched)
            finally:
                route = _route(scope)
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self.metrics.requests.labels(method, route, status).inc()
                self.metrics.seconds.labels(method, route).observe(time.perf_counter() - begun)


def _route(scope: Scope) -> str:
    """The route's path with its names as `{name}`; a route may not know the prefix that it was included
    under.
    """
    route: str = getattr(scope.get("route"), "path", None) or "other"
    under_v1 = scope["path"].startswith("/v1/") and route.startswith("/") and not route.startswith("/v1/")
    return f"/v1{route}" if under_v1 else route


_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})
