"""What a supervisor and a monitoring system ask."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import Response

from shifter.api import examples
from shifter.api.models import Readiness
from shifter.api.params import ServiceParam, answer
from shifter.api.problems import responses
from shifter.errors import NotReady
from shifter.service import Service
from shifter.views import Health


def probes(registry: CollectorRegistry) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["probes"])

    @router.get(
        "/healthz",
        summary="Is it alive?",
        response_model=Health,
        responses={200: examples.shown(examples.HEALTH), **responses()},
    )
    def healthz(service: ServiceParam) -> Response:
        """200 as long as the process answers: `status` says how it does. A supervisor restarts it when it
        does not answer, and not because a forecast source is down.
        """
        return answer(service.health())

    @router.get(
        "/readyz",
        summary="Can it answer with a plan?",
        response_model=Readiness,
        responses={200: examples.shown({"ready": True, "reasons": []}), **responses("not_ready")},
    )
    def readyz(service: ServiceParam) -> Response:
        """503 until there is a plan and the store can be written."""
        if service.ready():
            return answer({"ready": True, "reasons": []})
        raise NotReady(why_not_ready(service), hint="Wait, and look at /healthz.", retry_after_s=2)

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={
            200: {
                "description": "The text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    )
    def metrics() -> Response:
        """What is now; the plan and the forecasts are in `/v1`."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def why_not_ready(service: Service) -> str:
    """One sentence from what health says."""
    health = service.health()
    if health.database != "ok":
        return "the database cannot be reached."
    if health.plan_id is None:
        cycle = health.last_cycle
        if cycle is not None and cycle.error:
            return f"there is no plan yet; the last cycle failed: {cycle.error}"
        return "there is no plan yet."
    return "; ".join(health.faults) + "." if health.faults else "it is not ready."
