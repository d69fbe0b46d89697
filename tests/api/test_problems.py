"""Problems: RFC 9457, the closed list, and the page that documents it."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

import shifter.api.errors
import shifter.errors
from shifter.api import problems
from shifter.api.errors import BY_CODE, ERRORS
from shifter.errors import InputError, ShifterError
from shifter.schedule.reasons import ReasonCode
from shifter.views import AdmissionState, EventKind, WorkloadState

ROOT = Path(__file__).parents[2]


def subclasses(kind: type[ShifterError]) -> set[type[ShifterError]]:
    return {kind, *(s for sub in kind.__subclasses__() for s in subclasses(sub))}


def test_every_error_of_ours_is_in_the_closed_list() -> None:
    named = {
        e
        for module in (shifter.errors, shifter.api.errors)
        for e in vars(module).values()
        if isinstance(e, type) and issubclass(e, ShifterError)
    }
    assert {e.error for e in ERRORS} == named
    assert len(BY_CODE) == len(ERRORS)
    assert {
        e.code for e in subclasses(ShifterError) if e.__module__.startswith(("shifter", "forecasts"))
    } <= set(BY_CODE)


def test_the_documentation_lists_the_codes_as_the_code_does() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+|–) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert rows == [(e.code, str(e.status or "–"), f"{e.title}.", e.remedy) for e in ERRORS]


def table(page: str, heading: str) -> list[str]:
    """The codes in the first column of the table under a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    _, found, below = text.partition(f"| {heading} |")
    assert found
    return re.findall(r"^\| `([\w.]+)` \|", below.split("\n\n")[0], re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "heading", "codes"),
    [
        ("errors.md", "reason | means", ReasonCode),
        ("concepts/api.md", "kind | when", EventKind),
        ("concepts/api.md", "state | means", WorkloadState),
    ],
)
def test_closed_lists_are_documented_whole_and_in_order(
    page: str, heading: str, codes: type[StrEnum]
) -> None:
    assert table(page, heading) == [str(code) for code in codes]


def test_every_admission_state_is_documented() -> None:
    text = (ROOT / "docs/concepts/api.md").read_text(encoding="utf-8")
    for state in AdmissionState:
        assert f"| `{state}` | " in text


def app() -> FastAPI:
    made = FastAPI()
    problems.install(made)

    @made.get("/wrong")
    async def wrong() -> str:
        others = tuple(InputError(f"mistake {i}.", field=f"body[{i}].id") for i in range(200))
        raise InputError("mistake.", field="body.id", hint="Mend it.", also=others, seen="\ud800", odd={1, 2})

    @made.get("/number")
    async def number(n: int = Query(ge=1)) -> int:
        return n

    @made.get("/mistaken")
    async def mistaken() -> list[int]:
        return ["a"]  # type: ignore[list-item]

    return made


def test_a_problem_names_the_field_the_hint_and_all_mistakes_but_not_without_end() -> None:
    answer = TestClient(app()).get("/wrong")
    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert problem["type"] == "/docs/errors#invalid_input"
    assert problem["status"] == 422
    assert problem["instance"] == "/wrong"
    assert problem["field"] == "body.id"
    assert problem["hint"] == "Mend it."
    assert problem["errors"][0] == {"field": "body.id", "detail": "mistake.", "hint": "Mend it."}
    assert len(problem["errors"]) == problems.MAX_ERRORS
    assert problem["facts"]["seen"] == "?"


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/number?n=0", 422, "invalid_input", "query.n"),
        ("/number?n=x", 422, "invalid_input", "query.n"),
        ("/number", 422, "invalid_input", "query.n"),
        ("/nowhere", 404, "not_found", None),
        ("/mistaken", 500, "internal", None),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(
    path: str, status: int, code: str, field: str | None
) -> None:
    with capture_logs():
        answer = TestClient(app()).get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json().get("field") == field


def test_another_method_is_told_which_ones_there_are() -> None:
    answer = TestClient(app()).delete("/number")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["code"] == "method_not_allowed"
    assert "GET" in answer.json()["hint"]
