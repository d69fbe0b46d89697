"""`config/shifter.yaml`: every setting, its default and its meaning, written from the models themselves.

Run `python -m shifter.settings.reference` in a checkout to write it and the JSON Schemas anew.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shifter.files.plans import write_atomically
from shifter.settings.grid import SourceSettings, VtnSettings
from shifter.settings.model import Settings
from shifter.settings.schema import KINDS, schema_text

_HEAD = """\
# yaml-language-server: $schema=shifter.schema.json
#
# shifter.yaml: every setting with its default and its meaning. `shifter run --config FILE` reads it.
#
# Keep only the lines you change: what is not here is the default. Each can also be set in the environment,
# its sections joined by two underscores (SHIFTER_PORT=8000, SHIFTER_PLANNING__SLOT_MINUTES=15), and some on
# the command line. The command line wins over the environment, the environment over the file, the file over
# the default.
#
# `shifter config check FILE` names every mistake with its line; `shifter config show` says where each value
# came from. Paths are relative to this file. [h], [min], [s] and [d] are units. YAML 1.2: NO is Norway.
"""

_POLICY_EXAMPLE = """\
# policy:
#   rules:
#     - name: nightly-evals
#       when: {tenant: {equals: evals}, deadline: {present: true}}
#       then: deferrable
#       note: They are read in the morning.
"""

_METERS_EXAMPLE = """\
# realtime:
#   profile: typical
#   meters:
#     - {kind: vllm, site: frankfurt, pool: h100, model: llama-3.3-70b, urls: [http://10.0.0.7:8000/metrics]}
#     - {kind: prometheus, site: paris, pool: l40s, url: http://prometheus:9090, accelerators_query: sum(in_use)}
#     - {kind: csv, path: measured.csv}
"""


def reference() -> str:
    """The text of `config/shifter.yaml`."""
    return _HEAD + "\n" + "\n".join(_section(Settings, "")).rstrip() + "\n"


def _section(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel) and name != "realtime":
            yield from _comment((nested.__doc__ or "").strip(), indent)
            yield f"{indent}{name}:"
            yield from _section(nested, indent + "  ")
            continue
        yield from _comment(info.description or "", indent)
        yield f"{indent}{name}: {_value(_default(info))}"
        if name in _EXAMPLES:
            yield from _example(name, *_EXAMPLES[name], indent)
        if name == "realtime":
            yield from _METERS_EXAMPLE.rstrip().splitlines()
        if name == "policy":
            yield from _POLICY_EXAMPLE.rstrip().splitlines()
        yield ""


_EXAMPLES: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "sources": (SourceSettings, {"name": "csv", "options": {"path": "forecasts.csv"}}),
    "openadr3": (
        VtnSettings,
        {"name": "dso", "base_url": "https://vtn.example.org/openadr3/3.1.0", "site": "frankfurt"},
    ),
}
"""Lists whose entries are shown as a comment: of which model, and what its fields hold where that is no default."""


def _example(key: str, model: type[BaseModel], given: dict[str, Any], indent: str) -> Iterator[str]:
    yield f"{indent}# {key}:"
    dash = "- "
    for name, info in model.model_fields.items():
        for line in _comment(info.description or "", ""):
            yield f"{indent}#     {line}"
        yield f"{indent}#   {dash}{name}: {_value(given[name] if name in given else _default(info))}"
        dash = "  "


def _default(info: FieldInfo) -> Any:
    return info.get_default(call_default_factory=True, validated_data={})


def _value(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        return value
    return json.dumps(value).replace('"', "")


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def write_all(folder: Path) -> None:
    """Writes shifter.yaml and the JSON Schemas into `folder`."""
    write_atomically(reference(), folder / "shifter.yaml")
    for kind in KINDS:
        write_atomically(schema_text(kind), folder / f"{kind}.schema.json")


if __name__ == "__main__":
    write_all(Path("config"))
