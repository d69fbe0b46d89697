"""`shifter drill`: play a failure on a running daemon, and see whether what was promised for it is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from shifter.cli.console import Column, err, out, print_json, print_table, say, styled, working
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.signals import stopping
from shifter.errors import InputError, ShifterError

if TYPE_CHECKING:
    from shifter.drills.base import Check, Outcome, Scene, Tell
    from shifter.drills.stopped import Stopped

VERDICTS = {True: ("kept", "green"), False: ("BROKEN", "bold red"), None: ("not seen", "dim")}


def drill(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The drill; none: lists them.")] = None,
    *,
    listed: Annotated[bool, typer.Option("--list", help="List the drills.")] = False,
    site: Annotated[
        str | None, typer.Option("--site", help="At this site; default: where most happens.")
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="In this pool.")] = None,
    hours: Annotated[
        float, typer.Option("--hours", help="Of curtail: how long the grid asks for less.")
    ] = 3.0,
    with_work: Annotated[
        bool,
        typer.Option(
            "--with-work/--no-work",
            help="Where nothing runs that may be stopped: hand in work of the drill's own, and cancel it.",
        ),
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it, on a clock that is real.")] = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Play a failure on a running daemon, and see whether its promises are kept.

    What is done is taken back at the end, also when it is interrupted. A daemon whose clock is real is told what will
    stop beforehand, and needs --yes. Exit code 1 where a promise was broken.
    """
    if listed or name is None:
        _list(as_json)
        return
    with working("loading …"):
        from shifter.drills.base import Options, Outcome, Scene, played
        from shifter.drills.registry import DRILLS
        from shifter.drills.stopped import BEFOREHAND, in_words

    if name not in DRILLS:
        known = ", ".join(DRILLS)
        raise InputError(f"there is no drill {name!r}.", field="NAME", hint=f"Drills are {known}.")
    client = connect(url)
    client.options = {"end": "--hours"}
    with working("looking at what runs …"):
        scene = Scene(client, Options(site, pool, hours, with_work))
        chosen = DRILLS[name].make(scene)
        did = f"{chosen.prepare()} {BEFOREHAND}"
    say(did)
    _agreed(scene, yes)
    checks: list[Check] = []
    stopped: tuple[Stopped, ...] = ()
    try:
        with stopping() as stop, _bar(name) as tell, played(scene):
            scene.tell = _until_stopped(tell, stop.is_set)
            checks += chosen.run()
    finally:
        for what in scene.undone:
            say(f"Taken back: {what}.", "dim")
        with suppress(ShifterError):  # what went wrong before is what is told
            stopped = scene.stopped()
            say(in_words(stopped))
    outcome = Outcome(name, chosen.promise, did, tuple(checks), tuple(scene.undone), stopped)
    if as_json:
        print_json({**asdict(outcome), "kept": outcome.kept})
    else:
        _print(outcome)
    if not outcome.kept:
        raise typer.Exit(1)


def _list(as_json: bool) -> None:
    from shifter.drills.registry import DRILLS

    if as_json:
        print_json({name: entry.does for name, entry in DRILLS.items()})
        return
    print_table(
        (Column("drill"), Column("what happens", wrap=True)), [(n, e.does) for n, e in DRILLS.items()]
    )


def _agreed(scene: Scene, yes: bool) -> None:
    """Raises Abort, and InputError where nobody can be asked."""
    if yes or scene.clock.simulated:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "this daemon's clock is real: what it runs will stop as said above.",
            field="--yes",
            hint="Give --yes where that is meant.",
        )
    typer.confirm("Do it?", abort=True, err=True)


def _until_stopped(tell: Tell, stopped: Callable[[], bool]) -> Tell:
    def told(what: str, share: float) -> None:
        if stopped():
            raise KeyboardInterrupt
        tell(what, share)

    return told


@contextmanager
def _bar(name: str) -> Iterator[Tell]:
    """A bar on stderr of what is waited for; where that is no terminal, a line when that is something else."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = err()
    if not console.is_terminal:
        yield _lines(name)
        return
    columns = (TextColumn(name), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, completed=max(0.0, min(1.0, share)), description=what)


def _lines(name: str) -> Tell:
    last = ""

    def told(what: str, share: float) -> None:
        nonlocal last
        if what != last:
            last = what
            say(f"{name}: {what} …", "dim")

    return told


def _print(outcome: Outcome) -> None:
    columns = (Column("promised", wrap=True), Column("seen", wrap=True), Column(""))
    rows = [(c.promise, c.seen, styled(*VERDICTS[c.kept])) for c in outcome.checks]
    print_table(columns, rows, title=outcome.promise)
    broken = sum(c.kept is False for c in outcome.checks)
    unseen = sum(c.kept is None for c in outcome.checks)
    kept = len(outcome.checks) - broken - unseen
    words = f"{outcome.drill}: {kept} kept"
    words += f", {unseen} not seen" if unseen else ""
    words += f", {broken} BROKEN" if broken else ""
    out().print(Text(words, "bold red" if broken else "bold green"))
