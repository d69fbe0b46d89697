"""An error, told to a person: one line of what and where, one line of what to do, and the exit code."""

from __future__ import annotations

import typer
from rich.text import Text

from shifter.cli.console import err
from shifter.cli.program import as_typed
from shifter.errors import InputError, ShifterError

DONE, CANNOT, WRONG, INTERRUPTED = 0, 1, 2, 130
MOST_SHOWN = 10
_FAULT = "This is a fault of shifter. Run it again with --debug, and report it."


def report(error: BaseException) -> int:
    """Print `error` on stderr, with its notes last, and return the exit code it means."""
    code = _told(error)
    for note in getattr(error, "__notes__", ()):
        err().print(Text(note), style="bold yellow", soft_wrap=True)
    return code


def _told(error: BaseException) -> int:
    if isinstance(error, InputError):
        found = [error, *error.also]
        for one in found[:MOST_SHOWN]:
            _print(one.field, one.detail, one.hint)
        if len(found) > MOST_SHOWN:
            err().print(f"… and {len(found) - MOST_SHOWN} more mistakes.", style="dim")
        return WRONG
    if isinstance(error, ShifterError):
        _print(error.field, error.detail, error.hint)
        return WRONG if error.code in {"invalid_input", "invalid_request"} else CANNOT
    if isinstance(error, typer.Abort):
        err().print("Aborted.", style="dim")
        return INTERRUPTED
    if isinstance(error, typer.TyperException):
        return _report_usage(error)
    if isinstance(error, OSError):
        _print(str(error.filename or ""), f"{error.strerror or error}.", "")
        return WRONG if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError) else CANNOT
    _print("", f"{type(error).__name__}: {error}", _FAULT)
    return CANNOT


def _report_usage(error: typer.TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is already on the screen
        return WRONG
    context = getattr(error, "ctx", None)
    hint = f"See `{context.command_path} --help`." if context is not None else ""
    _print("", error.format_message().replace("Value error, ", ""), hint)
    return error.exit_code


def _print(place: str, detail: str, hint: str) -> None:
    line = Text.assemble(("error: ", "bold red"))
    if place:
        line.append(f"{place}: ", "bold")
    line.append(detail)
    err().print(line, soft_wrap=True)
    if hint:
        err().print(Text.assemble(("  hint: ", "cyan"), as_typed(hint)), soft_wrap=True)
