"""The description of the API: what FastAPI makes of the routes, completed from the code's own words.

Views are dataclasses that say in a docstring under each field what it is; the description carries these
sentences.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

import shifter.domain.fleet
import shifter.domain.grid_event
import shifter.domain.plan
import shifter.domain.rows
import shifter.domain.workload
import shifter.views.daemon
import shifter.views.grid
import shifter.views.pools
import shifter.views.reasons
import shifter.views.workloads
from shifter.api.problems import Problem

TAGS = [
    {"name": "workloads", "description": "Submit work, look at it, cancel it, report its progress."},
    {
        "name": "leases",
        "description": "What a runner and a gate ask: its slots, may it run now, why, at what cost.",
    },
    {
        "name": "plan",
        "description": "The plan, what each slot holds, and flat numbers for autoscalers and gates.",
    },
    {"name": "inputs", "description": "Forecasts, measurements, and what the grid says."},
    {"name": "events", "description": "What happens as it happens, and who did what."},
    {"name": "probes", "description": "What a supervisor and a monitoring system ask."},
]
DESCRIPTION = """\
Shifts deferrable inference into the cheapest and cleanest hours of the grid, beside real-time traffic that
is never moved.

Times are UTC, ISO 8601 with `Z`; intervals are half-open, `[start, end)`; money is in the fleet's one
currency. Errors are `application/problem+json` and name the field that is wrong; see
[the closed list](/docs/errors). A name with a `/` in it is written with `%2F` in a path.
"""
_MODULES: tuple[ModuleType, ...] = (
    shifter.views.workloads,
    shifter.views.reasons,
    shifter.views.pools,
    shifter.views.daemon,
    shifter.views.grid,
    shifter.domain.plan,
    shifter.domain.rows,
    shifter.domain.fleet,
    shifter.domain.grid_event,
    shifter.domain.workload,
)


def describe(app: FastAPI, routers: Mapping[str, Sequence[APIRouter]]) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` is to be, made once, at the first request. `routers` by their prefix: they hold the
    examples.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                summary="Forecasts in, a convex plan out, slots served.",
                description=DESCRIPTION,
                routes=app.routes,
                tags=TAGS,
                license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
                separate_input_output_schemas=False,
            )
            app.openapi_schema = complete(schema, _examples(routers))
        return app.openapi_schema

    return openapi


def _examples(routers: Mapping[str, Sequence[APIRouter]]) -> Iterator[tuple[str, str, str, Any]]:
    """Path, method, status and example of every answer that has one."""
    routes = [(prefix, r) for prefix, some in routers.items() for router in some for r in router.routes]
    for prefix, route in routes:
        if isinstance(route, APIRoute):
            for status, answer in route.responses.items():
                example = answer.get("content", {}).get("application/json", {}).get("example")
                for method in (route.methods or ()) if example is not None else ():
                    yield prefix + route.path_format, method.lower(), str(status), example


def complete(schema: dict[str, Any], examples: Iterable[tuple[str, str, str, Any]] = ()) -> dict[str, Any]:
    """The description with every field's meaning, `class` as views write it, and problems as they are."""
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.update(problem.pop("$defs", {}))
    components["Problem"] = problem
    for name, component in components.items():
        _rename_class(component)
        for field, sentence in field_sentences().get(name, {}).items():
            shown = component.get("properties", {}).get("class" if field == "decided" else field)
            if shown is not None:
                shown.setdefault("description", sentence)
    for where, method, status, example in examples:
        # FastAPI leaves out whatever is null, in examples too, where it is what is meant.
        schema["paths"][where][method]["responses"][status]["content"]["application/json"]["example"] = (
            example
        )
    for path in schema["paths"].values():
        for operation in path.values():
            _only_problems(operation["responses"])
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    return schema


def _rename_class(component: dict[str, Any]) -> None:
    """Python keeps `class` for itself, so views call it `decided`; on the wire it is `class`."""
    fields = component.get("properties", {})
    if "decided" in fields:
        component["properties"] = {("class" if k == "decided" else k): v for k, v in fields.items()}
        component["properties"]["class"].pop("title", None)
        component["required"] = ["class" if k == "decided" else k for k in component.get("required", [])]


def _only_problems(responses: dict[str, Any]) -> None:
    """FastAPI documents an own shape for what fails validation; here that is a problem like any other."""
    shown = responses.get("422", {}).get("content", {})
    if "application/json" in shown:
        responses.pop("422") if len(shown) == 1 else shown.pop("application/json")


@lru_cache(maxsize=1)
def field_sentences() -> dict[str, dict[str, str]]:
    """By class and field, the docstring that stands under a field of a dataclass."""
    found: dict[str, dict[str, str]] = {}
    for module in _MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                inherited = (found.get(base.id, {}) for base in node.bases if isinstance(base, ast.Name))
                found[node.name] = {k: v for of in inherited for k, v in of.items()} | _sentences(node)
    return found


def _sentences(node: ast.ClassDef) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for line, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            sentences[line.target.id] = inspect.cleandoc(below.value.value)
    return sentences
