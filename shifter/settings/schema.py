"""JSON Schema of what shifter reads, for editors: completion, and red lines under mistakes while they are
typed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from shifter.errors import InputError
from shifter.files.fleet import FLEET
from shifter.files.lines import WORKLOAD
from shifter.settings.load import SETTINGS

Kind = Literal["shifter", "fleet", "workload"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_TITLES: Mapping[str, str] = {
    "shifter": "shifter.yaml",
    "fleet": "fleet.yaml",
    "workload": "one line of workloads.jsonl, the body of POST /v1/workloads",
}


def json_schema(kind: str = "shifter") -> dict[str, Any]:
    """The JSON Schema (2020-12) of `shifter` (the settings), `fleet` or `workload`. Raises InputError for
    another kind.
    """
    if kind == "shifter":
        schema = _with_policy(SETTINGS.json_schema())
    elif kind == "fleet":
        schema = FLEET.json_schema()
    elif kind == "workload":
        schema = WORKLOAD.json_schema()
    else:
        raise InputError(
            f"there is no schema of `{kind}`.", field="kind", hint=f"There is {', '.join(KINDS)}."
        )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": _TITLES[kind]}


def schema_text(kind: str) -> str:
    """The same as the text of `config/KIND.schema.json`."""
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"


def _with_policy(schema: dict[str, Any]) -> dict[str, Any]:
    """`policy` is a plain mapping to the settings; its own type knows what may be in it."""
    from shifter.classify.policy import Policy

    policy = TypeAdapter(Policy).json_schema()
    definitions = policy.pop("$defs", {})
    stated = schema["properties"]["policy"]
    schema["$defs"] = dict(sorted({**schema["$defs"], **definitions, "Policy": policy}.items()))
    schema["properties"]["policy"] = {
        "$ref": "#/$defs/Policy",
        **{key: stated[key] for key in ("default", "description", "title") if key in stated},
    }
    return schema
