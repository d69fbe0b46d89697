"""Examples for the documentation, all of one story: the contract's workload on a fleet in Frankfurt.

`tests/api/test_openapi.py` holds each against its schema.
"""

from __future__ import annotations

from typing import Any

from shifter.api.examples.daemon import AUDIT_ENTRY, EVENT, EVENT_STREAM, HEALTH
from shifter.api.examples.grid import GRID_EVENT, GRID_EVENT_BODY, GRID_EVENT_QUOTE, GRID_EVENT_REPORT
from shifter.api.examples.inputs import FORECAST_BODY, FORECASTS, TELEMETRY_BODY
from shifter.api.examples.leases import ADMISSION, EXPLANATION, LEASE, QUOTE, QUOTE_BODY, SLACK
from shifter.api.examples.plans import (
    ANNOUNCEMENT,
    ANNOUNCEMENT_BODY,
    CAPACITY,
    LOAD,
    PLAN,
    PLAN_INPUTS,
    SLOT,
    VALUE,
)
from shifter.api.examples.scores import FORECAST_SCORES, LEARNT
from shifter.api.examples.workloads import (
    BODY_WORKLOADS,
    OVERRIDE,
    OVERRIDE_BODY,
    PROGRESS_BODY,
    RULE_OVERRIDE,
    RULE_OVERRIDE_BODY,
    WORKLOAD,
    WORKLOAD_HOURS,
    WORKLOAD_VIEW,
)

__all__ = [
    "ADMISSION",
    "ANNOUNCEMENT",
    "ANNOUNCEMENT_BODY",
    "AUDIT_ENTRY",
    "BODY_WORKLOADS",
    "CAPACITY",
    "EVENT",
    "EVENT_STREAM",
    "EXPLANATION",
    "FORECASTS",
    "FORECAST_BODY",
    "FORECAST_SCORES",
    "GRID_EVENT",
    "GRID_EVENT_BODY",
    "GRID_EVENT_QUOTE",
    "GRID_EVENT_REPORT",
    "HEALTH",
    "LEARNT",
    "LEASE",
    "LOAD",
    "OVERRIDE",
    "OVERRIDE_BODY",
    "PLAN",
    "PLAN_INPUTS",
    "PROGRESS_BODY",
    "QUOTE",
    "QUOTE_BODY",
    "RULE_OVERRIDE",
    "RULE_OVERRIDE_BODY",
    "SLACK",
    "SLOT",
    "TELEMETRY_BODY",
    "VALUE",
    "WORKLOAD",
    "WORKLOAD_HOURS",
    "WORKLOAD_VIEW",
    "body",
    "shown",
]


def body(example: Any) -> dict[str, Any]:
    """`openapi_examples` of one example."""
    return {"example": {"summary": "An example", "value": example}}


def shown(example: Any, description: str = "Done.") -> dict[str, Any]:
    """An answer's documentation with one example."""
    return {"description": description, "content": {"application/json": {"example": example}}}
