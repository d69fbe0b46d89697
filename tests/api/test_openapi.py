"""The description of the API is complete, and its examples are what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI

CONTRACT = {
    ("post", "/v1/workloads"),
    ("get", "/v1/workloads"),
    ("get", "/v1/workloads/{workload_id}"),
    ("delete", "/v1/workloads/{workload_id}"),
    ("get", "/v1/workloads/{workload_id}/allocations"),
    ("get", "/v1/workloads/{workload_id}/admission"),
    ("get", "/v1/workloads/{workload_id}/explanation"),
    ("post", "/v1/workloads/{workload_id}/progress"),
    ("post", "/v1/quotes"),
    ("get", "/v1/slots"),
    ("get", "/v1/capacity/{site}/{pool}"),
    ("get", "/v1/plan"),
    ("get", "/v1/plans/{plan_id}"),
    ("get", "/v1/forecasts"),
    ("post", "/v1/forecasts"),
    ("post", "/v1/telemetry"),
    ("post", "/v1/grid-events"),
    ("get", "/v1/grid-events"),
    ("get", "/v1/events"),
    ("get", "/v1/audit"),
    ("post", "/v1/policy/overrides"),
    ("get", "/v1/policy/overrides"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


@pytest.fixture
def described(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_endpoint_of_the_contract_is_there(described: dict[str, Any]) -> None:
    assert {(m, p) for m, p, _ in operations(described)} >= CONTRACT


def test_every_endpoint_says_what_it_does_what_it_answers_and_how_it_fails(described: dict[str, Any]) -> None:
    for method, path, operation in operations(described):
        name = f"{method} {path}"
        assert operation["summary"], name
        assert len(operation["description"]) > 40, name
        assert operation["tags"], name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), (
                name,
                parameter["name"],
            )
        if path.startswith("/v1"):
            failures = [s for s in operation["responses"] if s == "default" or s.startswith(("4", "5"))]
            assert "default" in failures, name
            for status in failures:
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"], name
        done = [r for s, r in operation["responses"].items() if s.startswith("2")]
        assert done, name
        assert all("content" in r for r in done), name


def test_every_field_of_a_body_and_most_of_an_answer_are_explained(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert "class" in schemas["WorkloadView"]["properties"]
    assert not any("decided" in s.get("properties", {}) for s in schemas.values())
    assert schemas["Problem"]["properties"]["field"]["description"]
    assert schemas["Submitted"]["properties"]["deadline"]["description"], "inherited from WorkloadView"
    assert schemas["Lease"]["properties"]["plan_id"]["description"]
    assert "HTTPValidationError" not in schemas


def test_operations_have_names_of_their_own(described: dict[str, Any]) -> None:
    names = [o["operationId"] for _, _, o in operations(described)]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for v in value.values():
                yield from references(v)
        elif isinstance(value, list):
            for v in value:
                yield from references(v)

    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert set(references(described)) <= known


def test_every_body_and_every_json_answer_has_an_example_that_fits(described: dict[str, Any]) -> None:
    def check(where: str, media: dict[str, Any]) -> None:
        examples = [e["value"] for e in media.get("examples", {}).values()] or [media["example"]]
        schema = {**media["schema"], "components": described["components"]}
        for example in examples:
            jsonschema.Draft202012Validator(schema).validate(example)
            assert examples, where

    for method, path, operation in operations(described):
        if "requestBody" in operation:
            check(f"{method} {path}", operation["requestBody"]["content"]["application/json"])
        for status, response in operation["responses"].items():
            media = response.get("content", {}).get("application/json")
            if status.startswith("2") and media is not None:
                check(f"{method} {path} {status}", media)
