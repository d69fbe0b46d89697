"""`shifter run`: the daemon in the foreground, until it is asked to stop."""

from __future__ import annotations

import gc
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from forecasts.slots import isoformat_z
from shifter.cli.configured import listed
from shifter.cli.console import err, say
from shifter.cli.options import told_by
from shifter.cli.signals import stopping
from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.clock import Clock
    from shifter.settings import Settings

CONFIG_VARIABLE = "SHIFTER_CONFIG"
SWITCH_S = 0.001
"""[s] How long a thread waits for the interpreter while another computes; Python's own is 5 ms. A stop gives it up
at each word with the store, and waits so long each time while a plan is read.
"""
NOT_WORTH_A_WORD = timedelta(minutes=1)
"""By so much clocks may differ."""
COLLECT_AFTER = (20_000, 20, 20)
"""Objects made, and collections of each generation, until the next one is looked over for cycles; Python's own is 700,
10 and 10. Little here is in cycles, and a look over all that was loaded holds up a stop for 150 ms.
"""


def run(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar=CONFIG_VARIABLE,
            help="shifter.yaml: the settings; `shifter config example` prints one.",
        ),
    ] = None,
    fleet: Annotated[Path | None, typer.Option("--fleet", help="fleet.yaml: sites, pools, models.")] = None,
    forecasts: Annotated[
        Path | None, typer.Option("--forecasts", help="forecasts.csv, in place of the configured sources.")
    ] = None,
    realtime: Annotated[
        str | None, typer.Option("--realtime", help="realtime.csv, or `typical` for a made-up load.")
    ] = None,
    database: Annotated[
        str | None, typer.Option("--database", help="The store: sqlite:///FILE or postgresql+psycopg://…")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Interface to listen on.")] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            "--clock",
            metavar="T[xN]",
            help="Simulate the time, marked wherever it is shown: it starts at T, such as 2026-01-10T00:00:00Z, "
            "and runs N times as fast.",
        ),
    ] = None,
) -> None:
    """Start the daemon: ingest, classify, reserve, plan, serve.

    An option overrides the environment (SHIFTER_…), which overrides the file, which overrides the default;
    `shifter config show` tells where each setting comes from. Ctrl-C (SIGINT) or SIGTERM stops it; nothing that
    was accepted is lost.
    """
    from shifter.settings.load import load_settings

    if forecasts is not None and not forecasts.is_file():
        raise InputError("there is no such file.", field=str(forecasts), hint="Check --forecasts.")
    overrides = _overrides(
        fleet=fleet,
        forecasts=forecasts,
        realtime=realtime,
        database=database,
        host=host,
        port=port,
        clock=clock,
    )
    settings = load_settings(config, overrides, dict(os.environ))
    if settings.fleet is None:
        raise InputError(
            "no fleet is named.", field="--fleet", hint="Give --fleet fleet.yaml, or set it in --config."
        )
    typed = {name: f"--{name}" for name, value in (("host", host), ("port", port)) if value is not None}
    with told_by(typed):
        serve(settings)


def _overrides(
    *,
    fleet: Path | None,
    forecasts: Path | None,
    realtime: str | None,
    database: str | None,
    host: str | None,
    port: int | None,
    clock: str | None,
) -> dict[str, Any]:
    """The options as settings; None is left to the environment and the file."""
    source = None if forecasts is None else [{"name": "csv", "options": {"path": str(forecasts)}}]
    load = {"profile": "typical"} if realtime == "typical" else realtime
    return {
        "fleet": None if fleet is None else str(fleet),
        "forecasts.sources": source,
        "realtime": load,
        "database": database,
        "host": host,
        "port": port,
        "clock": clock,
    }


def serve(settings: Settings) -> None:
    """Run the daemon and its HTTP server until SIGINT or SIGTERM. Raises InputError for a wrong file."""
    from shifter.api.server import ApiServer
    from shifter.clock import parse_clock
    from shifter.daemon import Daemon
    from shifter.telemetry import configure_logging

    configure_logging(settings.log.level, settings.log.format)
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(*COLLECT_AFTER)
    _check_files(settings)
    clock = parse_clock(settings.clock)
    # uvicorn ends gracefully on these signals and then raises them again: our own handlers outlive that.
    with stopping() as stop:
        daemon = Daemon(settings, clock)
        written_at = daemon.service.core.state.alive_at
        try:
            server = ApiServer(daemon.app(), settings.host, settings.port)
            server.bind()  # a port that is taken is told before anything is started
            daemon.start()
            gc.collect()
            gc.freeze()  # what is loaded by now stays, and is not looked over again
            announce(server.url, settings, simulated=str(clock) if clock.simulated else "")
            if told := gone_back(written_at, clock):
                say(f"  {told}", "bold yellow")
            if not stop.is_set():
                server.run()
        finally:
            say("Stopping …", "dim")
            daemon.stop()
    say("Stopped. Everything accepted is in the store.", "dim")


def _check_files(settings: Settings) -> None:
    """What is a mistake now would be a failing cycle later. Raises InputError."""
    from shifter.files import read_fleet
    from shifter.files.realtime import read_realtime_rows

    if settings.realtime.path is not None and settings.fleet is not None:
        read_realtime_rows(settings.realtime.path, read_fleet(settings.fleet))


def gone_back(written_at: datetime | None, clock: Clock) -> str:
    """A word where the store was written at a later time than it is now; empty where it was not."""
    now = clock.now()
    if written_at is None or written_at <= now + NOT_WORTH_A_WORD:
        return ""
    go_on = (
        f"Go on with --clock {isoformat_z(written_at)}x{clock.speed:g}, or take another --database."
        if clock.simulated
        else "Set this machine's clock, or take another --database."
    )
    return (
        f"The store was last written at {isoformat_z(written_at)}, and it is {isoformat_z(now)}: what was done and "
        f"withdrawn in between counts as yet to come. {go_on}"
    )


def announce(url: str, settings: Settings, *, simulated: str) -> None:
    """What it is doing and where, in a few lines on stderr."""
    console = err()
    console.print(Text.assemble(("shifter ", "bold"), "at ", (url, "bold cyan underline")), soft_wrap=True)
    sources = listed(settings.forecasts.sources) or "none: prices and carbon are unknown"
    planning = settings.planning
    lines = [
        f"fleet {settings.fleet}, forecasts from {sources}",
        f"store {store(settings.database)}",
        f"a plan of {planning.horizon_hours:g} h at least every {planning.replan_minutes:g} min",
        f"dashboard: {url}/, documentation of the interface: {url}/docs",
    ]
    for line in lines:
        say(f"  {line}", "dim")
    if simulated:
        say(f"  SIMULATED TIME: {simulated}", "bold yellow")
    say("  Ctrl-C stops it.", "dim")


def store(url: str) -> str:
    """Where the store is: of SQLite the file itself, since its URL may be relative to here or to the settings."""
    from shifter.settings.section import without_secrets

    file = url.removeprefix("sqlite:///")
    if file == url or file.startswith("file:"):
        return str(without_secrets(url))
    return f"in the file {Path(file.partition('?')[0]).resolve()}"
