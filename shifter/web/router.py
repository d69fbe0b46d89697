"""The dashboard's pages and their assets. All that they show comes from `/v1`, as for any client."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from shifter.domain.fleet import Fleet

HERE = Path(__file__).parent

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Nothing comes from elsewhere, nothing is inline, nobody frames it: the page works with no way out."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class HasFleet(Protocol):
    """All that the pages take from the service itself."""

    @property
    def fleet(self) -> Fleet:
        """The fleet that is planned."""
        ...


def create_router(service: HasFleet) -> APIRouter:
    """The routes `/`, `/forecasts`, `/workloads/{id}` and `/static/...`.

    Register it after `/v1`: it claims no path below that.
    """
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    static = StaticFiles(directory=HERE / "static")
    router = APIRouter(include_in_schema=False)
    fleet = _fleet_json(service.fleet)

    def page(name: str, request: Request, **values: Any) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        body = templates.get_template(name).render(root=root, version=_version(), fleet=fleet, **values)
        return HTMLResponse(body, headers={**SECURITY_HEADERS, "Cache-Control": "no-cache"})

    @router.get("/")
    def dashboard(request: Request) -> HTMLResponse:
        return page("dashboard.html", request)

    @router.get("/forecasts")
    def forecasts(request: Request) -> HTMLResponse:
        return page("forecasts.html", request)

    @router.get("/workloads")
    def workloads(request: Request) -> RedirectResponse:
        return RedirectResponse(request.scope.get("root_path", "").rstrip("/") + "/#workloads")

    @router.get("/workloads/{workload_id:path}")
    def workload(request: Request, workload_id: str) -> HTMLResponse:
        return page("workload.html", request, workload_id=workload_id)

    @router.get("/static/{path:path}")
    async def asset(request: Request, path: str) -> Response:
        # A route and no mount: included routers carry routes only. StaticFiles keeps the path inside.
        answer = await static.get_response(path, request.scope)
        # Revalidated each time (a 304 is cheap), so that an upgrade never mixes old modules with new.
        answer.headers.update({**SECURITY_HEADERS, "Cache-Control": "no-cache"})
        return answer

    @router.get("/favicon.ico")
    async def favicon(request: Request) -> Response:
        return await asset(request, "favicon.svg")

    return router


def _fleet_json(fleet: Fleet) -> str:
    """Where a site is, what it has and what that draws: `/v1` does not tell, and only a restart changes it."""
    sites = [
        {
            "name": site.name,
            "zone": site.zone,
            "tier": site.tier,
            "quantile": site.resilience.quantile,
            "counts": {p.name: p.count for p in site.pools},
            "facility_kw_per_accelerator": {p.name: site.pue * p.dynamic_kw for p in site.pools},
        }
        for site in fleet.sites
    ]
    return json.dumps({"currency": fleet.currency, "sites": sites})


def _version() -> str:
    try:
        return version("inference-shifter")
    except PackageNotFoundError:
        return "unreleased"
