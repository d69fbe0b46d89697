"""The app: routes over a service, behind the guard, with every error a problem."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import metadata

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware

from shifter.api import docs, openapi, problems
from shifter.api.body import MAX_BODY_BYTES, BodyLimit
from shifter.api.express import Express
from shifter.api.guard import Guard
from shifter.api.observe import HttpMetrics, Observe
from shifter.api.params import Shared
from shifter.api.routes import (
    announcements,
    events,
    grid_events,
    inputs,
    learnt,
    leases,
    plans,
    policy,
    realtime,
    scores,
    workloads,
)
from shifter.api.routes.probes import probes
from shifter.service import Service


def create_app(
    service: Service,
    *,
    title: str = "shifter",
    version: str = "",
    web_router: APIRouter | None = None,
    metrics_registry: CollectorRegistry | None = None,
    allowed_hosts: Sequence[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The HTTP interface of `service`: `/v1` of the contract, the probes, `/docs`, and the dashboard's
    `web_router`.

    `metrics_registry` is what `/metrics` shows (default: an empty one of its own). `allowed_hosts` are the
    names, besides addresses and names without a dot, that it answers to. The service is neither started nor
    stopped here.
    """
    registry = CollectorRegistry() if metrics_registry is None else metrics_registry
    shared = Shared(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        shared.events.close()

    app = FastAPI(
        title=title,
        version=version or _installed_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        middleware=[  # the first is the outermost
            Middleware(Observe, metrics=HttpMetrics(registry)),
            Middleware(Guard, allowed_hosts=allowed_hosts),
            Middleware(BodyLimit, max_bytes=max_body_bytes),
            Middleware(Express, service=service),
        ],
    )
    app.state.shifter = shared
    told = (inputs, grid_events, realtime, announcements)
    subjects = (workloads, policy, leases, plans, *told, learnt, scores, events)
    routers = {"/v1": [subject.router for subject in subjects], "": [probes(registry)]}
    for prefix, some in routers.items():
        for router in some:
            app.include_router(router, prefix=prefix)
    docs.install(app)
    if web_router is not None:
        app.include_router(web_router)
    problems.install(app)
    app.openapi = openapi.describe(app, routers)  # type: ignore[method-assign]
    return app


def close_streams(app: FastAPI) -> None:
    """End every stream and long poll, from any thread: a server that waits for its clients would wait for
    ever.
    """
    shared = getattr(app.state, "shifter", None)
    if isinstance(shared, Shared):
        shared.events.close()


def _installed_version() -> str:
    try:
        return metadata.version("inference-shifter")
    except metadata.PackageNotFoundError:
        return "0"


def _operation_id(route: APIRoute) -> str:
    """`operationId`: the name of the function that answers."""
    return route.name
