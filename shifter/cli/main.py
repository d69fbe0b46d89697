"""`shifter`: the root of the command line, and the one place where an error becomes words and an exit code.

Exit codes: 0 done, 1 what was asked cannot be done, 2 the call or a file is wrong, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from shifter.cli.registry import COMMANDS, Entry

# The little linear algebra that there is gains nothing by threads, which wait for one another where a machine is busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class LazyGroup(TyperGroup):
    """Knows every command's name and help; imports its module only to run it or complete its options."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entries = {entry.name: entry for entry in COMMANDS}
        for entry in COMMANDS:
            stub = TyperCommand(entry.name, help=entry.help, rich_help_panel=entry.panel)
            self.commands[entry.name] = stub

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in place of its stub."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self._entries:
            command = load_command(self._entries[name])
        return name, command, rest


def load_command(entry: Entry) -> Any:
    """The runnable command of an entry; imports its module."""
    target = entry.load()
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(entry.name)(target)
        target = single
    command = typer.main.get_command(target)
    command.name = entry.name
    _set_help_free(command)
    return command


def _set_help_free(command: Any) -> None:
    """Paragraphs of the help wrap where the terminal does, and brackets in it are text: `[h]` is no markup."""
    from rich.markup import escape

    paragraphs = (command.help or "").split("\n\n")
    command.help = escape("\n\n".join(" ".join(p.split()) for p in paragraphs))
    for param in command.params:
        if getattr(param, "help", None):
            param.help = escape(param.help)
    for sub in getattr(command, "commands", {}).values():
        _set_help_free(sub)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="New here? Run [bold]shifter demo[/bold]. Every table is JSON with --json. SHIFTER_URL says which "
    "daemon to talk to, TZ in which time zone its times are shown.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"shifter {version('inference-shifter')}\n")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole traceback of an error.", envvar="SHIFTER_DEBUG")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Deferrable inference in the grid's cheap and clean hours, beside real-time work that never moves."""
    del version
    if debug:
        os.environ["SHIFTER_DEBUG"] = "1"  # subcommands and the error printer read it there


def main(args: Sequence[str] | None = None) -> None:
    """The entry point. Always raises SystemExit."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=args, prog_name="shifter", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is wrong, and Python must not complain while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        from shifter.cli.failures import report

        if os.environ.get("SHIFTER_DEBUG", "").lower() in {"1", "true", "yes"}:
            import traceback

            traceback.print_exception(error)
        code = report(error)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
