"""Whatever the description lets a client send, the answer is one that the description knows, and never a
500.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from shifter.api.app import create_app
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet
from shifter.files import parse_workload
from shifter.service import Service, ServiceConfig
from shifter.store.db import Database
from tests.api.conftest import START, frame, realtime

NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
KNOWN = {"workload_id": "w-17", "site": "paris", "pool": "rack%2F1"}


@pytest.fixture(scope="module")
def fuzzed(empty_database: Path, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The app over a service with a plan and a workload, shared by every example."""
    path = tmp_path_factory.mktemp("fuzz") / "shifter.db"
    shutil.copy(empty_database, path)
    config = ServiceConfig(horizon_hours=6, admission_wait_s=0, quote_options=1)
    service = Service(
        config, fleet, Database(f"sqlite:///{path}"), ManualClock(START), frame=frame, realtime=realtime
    )
    body = {"id": "w-17", "accelerator_hours": 2, "deadline": "2026-01-10T05:00:00Z", "max_accelerators": 2}
    service.submit([parse_workload(body)], "tests")
    assert service.cycle("test").outcome == "published"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shifter.service.scored.REST", 0)  # 503 while it rests is meant: `test_scores` has it
        yield create_app(service)
    service.core.db.close()


# Only the description is read here; what is asked is asked of `fuzzed`.
DESCRIBED = schemathesis.openapi.from_dict(create_app(cast("Service", None)).openapi())
OPERATIONS = [found.ok() for found in DESCRIBED.get_all_operations() if isinstance(found, Ok)]
LABELS = [operation.label for operation in OPERATIONS]


@pytest.mark.parametrize("label", LABELS)
def test_any_request_gets_an_answer_that_is_described(fuzzed: FastAPI, label: str) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    [operation] = [o for o in operations if o.label == label]
    checks: Any = [CHECKS.get_one(name) for name in NAMES]

    @hypothesis.settings(
        max_examples=12,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        if case.path == "/v1/events":
            case.query["format"] = "json"  # a stream has no end to check
        if "wait" in (case.query or {}):
            case.query["wait"] = 0.01
        for name, drawn in dict(case.path_parameters or {}).items():
            if len(str(drawn)) % 2:  # half of them exist: a name drawn at random never does
                case.path_parameters[name] = KNOWN.get(name, drawn)
        response = case.call_and_validate(checks=checks)
        described = operation.definition.raw["responses"]
        assert str(response.status_code) in described, f"{response.status_code}: {response.text}"
        if response.status_code >= 400:
            problem = response.json()
            assert problem["status"] == response.status_code
            assert problem["code"] != "internal"
            assert problem["detail"]

    ask()
