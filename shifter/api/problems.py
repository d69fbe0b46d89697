"""Errors as RFC 9457 `application/problem+json`, each naming the field that is wrong."""

from __future__ import annotations

import json
import re
import traceback
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from forecasts.slots import isoformat_z
from shifter.api.errors import BY_CODE, ErrorEntry, MethodNotAllowed, RequestRefused, entry_of
from shifter.errors import InputError, NotFound, ShifterError

MEDIA_TYPE = "application/problem+json"
DOCS_PATH = "/docs/errors"
BODY_CODES = ("malformed_body", "body_too_large", "unsupported_media_type", "invalid_input", "not_ready")
"""Of every endpoint that takes a body."""
MANY = "shifter.many"
"""The key of a request's scope that says whether its body is an array."""
MAX_ERRORS = 50
"""Mistakes listed in one answer; a body of a million wrong lines is not answered with a million lines."""

log = structlog.get_logger("shifter.api")


class FieldError(BaseModel):
    """One mistake."""

    field: str = Field(
        description="Where: a JSON path into the body, or the parameter.", examples=["body.deadline"]
    )
    detail: str = Field(description="What is wrong there.")
    hint: str = Field(default="", description="What to do about it.")


class Problem(BaseModel):
    """RFC 9457, with the members that shifter adds."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "/docs/errors#invalid_input",
                    "title": "The input is wrong",
                    "status": 422,
                    "detail": "the deadline 2026-01-10T00:00:00Z is not after earliest_start.",
                    "instance": "/v1/workloads",
                    "code": "invalid_input",
                    "field": "body.deadline",
                    "hint": "Give a later deadline, or an earlier earliest_start.",
                    "errors": [],
                }
            ]
        },
    )

    type: str = Field(description="Where this kind of problem is documented, relative to the daemon.")
    title: str = Field(description="The kind of problem; the same for each of its kind.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What went wrong this time, in one sentence.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(
        description="A member of the closed list in docs/errors.md.", examples=["invalid_input"]
    )
    field: str | None = Field(default=None, description="The field that is wrong, where there is one.")
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[FieldError] = Field(
        default_factory=list, description="Every mistake found, the first one included."
    )
    facts: dict[str, Any] = Field(default_factory=dict, description="Values that explain the problem.")


def problem_response(
    error: ShifterError,
    request: Request,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to an error. `status` overrides the one its code has in the closed list."""
    entry = entry_of(error)
    also = list(getattr(error, "also", ()))
    listed = [error, *also] if also or error.field else []
    body = Problem(
        type=f"{DOCS_PATH}#{entry.code}",
        title=entry.title,
        status=status or entry.status,
        detail=_clean(error.detail),
        instance=_clean(request.url.path),
        code=entry.code,
        field=_clean(error.field) or None,
        hint=_clean(error.hint) or None,
        errors=[
            FieldError(field=_clean(e.field), detail=_clean(e.detail), hint=_clean(e.hint))
            for e in listed[:MAX_ERRORS]
        ],
        facts={k: _plain(v) for k, v in error.facts.items() if v is not None},
    )
    extra = dict(headers or {})
    retry_after_s = error.facts.get("retry_after_s")
    if retry_after_s is None and body.status == 503:
        retry_after_s = 5
    if retry_after_s is not None:
        extra.setdefault("Retry-After", str(max(1, round(float(retry_after_s)))))
    extra.setdefault("Cache-Control", "no-store")
    if body.status == 413:
        extra["Connection"] = "close"  # the rest of the body is never read, so it cannot be used again
    return Response(body.model_dump_json(exclude_none=True), body.status, extra, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""
    app.add_exception_handler(ShifterError, _on_shifter_error)
    app.add_exception_handler(RequestValidationError, _on_request_validation)
    app.add_exception_handler(ResponseValidationError, _on_unexpected)
    app.add_exception_handler(HTTPException, _on_http)


def unexpected_response(error: BaseException, request: Request) -> Response:
    """500 with an incident's id; the error itself goes to the log and nowhere else."""
    incident = uuid.uuid4().hex[:12]
    # As text: a renderer that shows local variables would put what clients sent into the log.
    trace = "".join(traceback.format_exception(error))
    where = {"incident": incident, "method": request.method, "path": request.url.path}
    log.error("unexpected error", **where, exception=trace)
    mistake = ShifterError(
        "an unexpected error stopped this request.",
        hint=f"Look for incident {incident} in the daemon's log.",
        incident=incident,
    )
    return problem_response(mistake, request)


async def _on_shifter_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShifterError)
    error = located(error, request)
    if entry_of(error).status in {500, 502}:
        log.warning("request failed", code=error.code, path=request.url.path, detail=error.detail)
    return problem_response(error, request)


def located(error: ShifterError, request: Request) -> ShifterError:
    """The error with its field as the client knows it: what the service calls `[0].end` or `id`, the client
    sent as `body.end` or `path.workload_id`.
    """
    field = _located(error.field, request) if error.field else ""
    also = tuple(located(e, request) for e in getattr(error, "also", ()))
    if field == error.field and also == getattr(error, "also", ()):
        return error
    more = {"also": also} if also else {}
    return type(error)(error.detail, field=field, hint=error.hint, **more, **dict(error.facts))


def _located(field: str, request: Request) -> str:
    if field.startswith(("body", "query.", "path.", "header.")):
        return field
    route = request.scope.get("route")
    dependant = getattr(route, "dependant", None)
    names = [p.alias for p in getattr(dependant, "path_params", ())]
    if field in names:
        return f"path.{field}"
    if field == "id" and names:
        return f"path.{names[0]}"
    if field in [p.alias for p in getattr(dependant, "query_params", ())]:
        return f"query.{field}"
    if getattr(route, "body_field", None) is None:
        return field
    if not request.scope.get(MANY):
        field = re.sub(r"^\[0\]\.?", "", field)
    return "body" + ("" if not field or field.startswith("[") else ".") + field


async def _on_request_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(input_error(error.errors()), request)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    return unexpected_response(error, request)


async def _on_http(request: Request, error: Exception) -> Response:
    """What the router and the framework say, in our words."""
    assert isinstance(error, HTTPException)
    path, headers = request.url.path, dict(error.headers or {})
    if error.status_code == 404:
        return problem_response(
            NotFound(f"there is nothing at {path}.", hint="The endpoints are listed at /docs."),
            request,
            headers=headers,
        )
    if error.status_code == 405:
        allowed = headers.get("Allow") or headers.get("allow") or ""
        refused = MethodNotAllowed(
            f"{path} does not answer to {request.method}.", hint=f"Use {allowed}." if allowed else ""
        )
        return problem_response(refused, request, headers=headers)
    if error.status_code >= 500:
        return unexpected_response(error, request)
    refusal = RequestRefused(str(error.detail), status=error.status_code)
    return problem_response(refusal, request, status=error.status_code, headers=headers)


def input_error(errors: Sequence[Mapping[str, Any]], where: str = "") -> InputError:
    """pydantic's errors as one InputError that lists all of them; the first is its own detail."""
    found = [
        InputError(_sentence(str(e.get("msg", ""))), field=_place(e.get("loc", ()), where), hint=_hint(e))
        for e in errors[:MAX_ERRORS]
    ] or [InputError("the input is wrong.")]
    first = found[0]
    more = len(errors) - len(found)
    facts = {"more_errors": more} if more > 0 else {}
    return InputError(first.detail, field=first.field, hint=first.hint, also=tuple(found[1:]), **facts)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for the codes an endpoint may answer with; `default` covers the rest of the
    closed list.
    """
    listed: dict[int | str, dict[str, Any]] = {}
    for entry in _by_status(BY_CODE[c] for c in codes):
        status, entries = entry
        listed[status] = _documented(" ".join(f"`{e.code}`: {e.title}." for e in entries))
    listed["default"] = _documented("Any other problem; `code` says which.")
    return listed


def _by_status(entries: Iterable[ErrorEntry]) -> list[tuple[int, list[ErrorEntry]]]:
    grouped: dict[int, list[ErrorEntry]] = {}
    for entry in entries:
        grouped.setdefault(entry.status, []).append(entry)
    return sorted(grouped.items())


def _documented(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _place(loc: Sequence[Any], where: str) -> str:
    """`("body", 3, "deadline")` as `body[3].deadline`; union and tag members that pydantic adds are left
    out.
    """
    place = where
    for part in loc:
        if isinstance(part, int):
            place += f"[{part}]"
        elif "[" not in str(part) and "(" not in str(part):
            place += f".{part}" if place else str(part)
    return place


def _hint(error: Mapping[str, Any]) -> str:
    kind = str(error.get("type", ""))
    fixed = {
        "missing": "Give it.",
        "extra_forbidden": "Remove it, or correct its name.",
        "timezone_aware": "Write the time in UTC, ending in Z.",
        "datetime_parsing": "Write it as 2026-01-10T00:00:00Z.",
        "datetime_from_date_parsing": "Write it as 2026-01-10T00:00:00Z.",
        "finite_number": "Give a finite number.",
        "string_pattern_mismatch": "Use letters, digits and . _ : / -, and begin with a letter or a digit.",
    }
    return fixed.get(kind, "")


def _sentence(text: str) -> str:
    text = text.strip().removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _clean(text: str) -> str:
    """Text that UTF-8 can carry: what a client sent may hold lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")[:2000]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return isoformat_z(value)
    if isinstance(value, str):
        return _clean(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return _clean(str(value))
    return value
