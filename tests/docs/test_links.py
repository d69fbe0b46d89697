"""What the README, CONTRIBUTING and docs/ say is there, is there: links, commands, targets, settings, claims."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shifter.cli.main import app
from shifter.files import parse_workload, read_fleet
from shifter.files.workloads import check_workload
from shifter.settings import load_settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

LINK = re.compile(r"\[[^\]\n]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "``", FENCE.sub("", text))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return frozenset(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain)


def broken_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(ROOT) or not file.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(file):
            yield f"{target}: there is no such heading"


def commands(page: Path) -> Iterator[str]:
    """Every `shifter …` line of a code block, and every one in running text that names a command."""
    text = page.read_text(encoding="utf-8")
    for _, block in FENCE.findall(text):
        yield from re.findall(r"^\$ (shifter .*)$", block.replace("\\\n", " "), re.MULTILINE)
    yield from re.findall(r"`(shifter [a-z][^`\n]*)`", FENCE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert not list(broken_links(page))


@pytest.mark.parametrize("page", [p for p in PAGES if list(commands(p))], ids=name)
def test_every_command_shown_is_one(page: Path) -> None:
    """An option that does not exist is an error even beside `--help`, which is how nothing is really run."""
    for line in dict.fromkeys(commands(page)):
        words = [word.strip("[]") for word in shlex.split(line, comments=True)]
        end = next((i for i, word in enumerate(words) if word in {"|", ">", "/", "…"}), len(words))
        result = CliRunner().invoke(app, [*words[1:end], "--help"])
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_the_tour_covers_what_a_stranger_should_try() -> None:
    shown = {line.split()[1] for line in commands(ROOT / "README.md")}
    tour = {"submit", "quote", "explain", "admission", "slots", "capacity", "cancel", "status"}
    assert tour <= shown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_shown_is_one(page: Path) -> None:
    targets = set(
        re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^\$ |^)make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= targets


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in LINK.findall(index)}
    pages = {p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "adr" and p.name != "README.md"}
    assert {name(p) for p in pages - listed} == set()


def test_every_decision_is_listed_dated_and_short() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(p.name[:4]) for p in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        text = page.read_text(encoding="utf-8")
        assert f"adr/{page.name}" in architecture
        assert re.search(r"^Date: \d{4}-\d\d-\d\d\. Status: \w+", text, re.MULTILINE)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert len(text.splitlines()) <= 50


def test_the_readme_s_settings_are_right(tmp_path: Path) -> None:
    block = next(body for kind, body in FENCE.findall(README) if kind == "yaml")
    file = tmp_path / "shifter.yaml"
    file.write_text(block, encoding="utf-8")
    settings = load_settings(file, environ={})
    assert [source.name for source in settings.forecasts.sources] == ["energy_charts", "csv"]


def test_the_readme_s_workload_fits_the_demo_s_fleet() -> None:
    shown = re.search(r"echo '(\{.*?\})' > my-batch\.json", README, re.DOTALL)
    assert shown is not None
    workload = parse_workload(json.loads(shown[1]))
    check_workload(workload, read_fleet(ROOT / "shifter" / "demo" / "data" / "fleet.yaml"))


def test_the_schedule_s_page_names_every_term_and_file() -> None:
    from shifter.schedule.terms.registry import installed_terms

    page = (ROOT / "docs" / "concepts" / "schedule.md").read_text(encoding="utf-8")
    table = page.split("## The terms")[1].split("\n\n")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {
        term.name for term in installed_terms()
    }
    files = set(re.findall(r"`(\w+\.py)`", page.split("## Names")[0]))
    assert all((ROOT / "shifter" / "schedule" / file).exists() for file in files)


# What CONTRIBUTING says.


def test_contributing_names_files_that_exist() -> None:
    paths = re.findall(r"`((?:forecasts|shifter|tests|docs)/[\w./]*)`", CONTRIBUTING)
    assert paths
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []


def test_contributing_s_claims_on_checks_hold() -> None:
    pytest_options = PROJECT["tool"]["pytest"]["ini_options"]
    assert pytest_options["filterwarnings"][0] == "error"
    assert "--doctest-modules" in pytest_options["addopts"]
    assert "not network" in pytest_options["addopts"]
    markers = {marker.split(":")[0] for marker in pytest_options["markers"]}
    assert {"browser", "postgres", "network"} <= markers
    assert PROJECT["tool"]["mypy"]["strict"] is True
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_contributing_s_layers_are_those_of_import_linter() -> None:
    layers = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    order = {part.strip(): i for i, layer in enumerate(layers) for part in layer.split(":")}
    above = [
        "shifter.cli",
        "shifter.service",
        "shifter.store",
        "shifter.cycle",
        "shifter.schedule",
        "shifter.domain",
    ]
    assert [order[layer] for layer in above] == sorted(order[layer] for layer in above)
    assert order["shifter.classify"] == order["shifter.realtime"] == order["shifter.schedule"]


def test_what_is_built_in_is_registered_the_same_way() -> None:
    from shifter.schedule.terms.registry import installed_terms

    terms = {entry.name: entry.load() for entry in entry_points(group="shifter.terms")}
    assert terms == {term.name: type(term) for term in installed_terms()}
    files = {p.stem for p in (ROOT / "forecasts" / "sources").glob("*.py")}
    assert {entry.name for entry in entry_points(group="shifter.forecast_sources")} <= files


def test_lock_files_have_hashes() -> None:
    for file in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert len(re.findall(r"^[\w.\[\]-]+==", text, re.MULTILINE)) <= text.count("--hash=sha256:")


def test_the_licence_is_what_is_said() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
