"""`shifter config`: check a file, print its schema, show the settings in force and who set them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from shifter.cli.console import Column, print_json, print_table, say, styled
from shifter.cli.failures import WRONG
from shifter.cli.options import Json
from shifter.cli.program import as_typed
from shifter.cli.text import plural
from shifter.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Check a configuration; its schema; the settings in force.",
)

Kind = Literal["shifter", "fleet", "workload"]


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="shifter.yaml, fleet.yaml, workloads.jsonl, realtime.csv or plan.json."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Name every mistake in a file, with its line and what to do.

    What a file is follows from its content. Files that settings name are checked with them. Exit code 2 when
    anything is wrong; warnings alone are no mistakes.
    """
    from shifter.settings.check import check_config

    problems = []
    for file in files:
        if not file.is_file():
            raise InputError("there is no such file.", field=str(file), hint="Check the path.")
        problems += check_config(file)
    problems = list(dict.fromkeys(problems))  # a file may be given, and named by another that is, too
    wrong = sum(p.severity == "error" for p in problems)
    if as_json:
        print_json({"ok": not wrong, "problems": problems})
    else:
        for p in problems:
            place = ":".join(str(part) for part in (p.file, p.line, p.column) if part is not None)
            line = styled(f"{p.severity}: ", "bold red" if p.severity == "error" else "bold yellow")
            line += styled(f"{place}: ", "bold") + styled(f"{p.path}: {p.detail}" if p.path else p.detail)
            say(line)
            if p.hint:
                say(styled("  hint: ", "cyan") + styled(as_typed(p.hint)))
        warned = len(problems) - wrong
        if wrong:
            say(f"{plural(wrong, 'mistake')}, {plural(warned, 'warning')}.", "bold red")
        else:
            say("No mistakes." if not warned else f"No mistakes, {plural(warned, 'warning')}.", "green")
    if wrong:
        raise typer.Exit(WRONG)


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(help="The file that it describes.")] = "shifter",
) -> None:
    """Print the JSON Schema of a file, for editors."""
    from shifter.settings.schema import schema_text

    sys.stdout.write(schema_text(kind))


@app.command()
def example() -> None:
    """Print a shifter.yaml with every setting, its default and its meaning.

    Write it to a file, and change what should be different: shifter config example > shifter.yaml
    """
    from shifter.settings.reference import reference

    sys.stdout.write(reference())


@app.command()
def show(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", envvar="SHIFTER_CONFIG", help="shifter.yaml.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every setting in force, and whether the environment, the file or the default says so.

    Secrets are never shown.
    """
    from shifter.settings.load import settings_provenance

    found = settings_provenance(config, {}, dict(os.environ))
    if as_json:
        print_json({key: {"value": p.value, "origin": p.origin} for key, p in found.items()})
        return
    rows = [
        (key, _shown(p.value), styled(p.origin, "dim" if p.origin == "default" else "bold"))
        for key, p in found.items()
    ]
    print_table((Column("setting"), Column("value", wrap=True), Column("from")), rows)


def _shown(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
