"""A process to be killed: it starts a daemon and prints the id of each workload once it was acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

from shifter.telemetry import configure_logging
from tests.daemon.world import daemon, job


def main(folder: Path, mode: str, database: str) -> None:
    """`submit`: until killed. `run`: until asked to stop."""
    configure_logging("warning")  # to the standard error: the other stream is the test's
    made = daemon(folder, database=database, admission={"wait_s": 0})
    if mode == "run":
        print("ready", flush=True)
        made.run()
        print("stopped", flush=True)
        return
    made.start()
    for i in range(100_000):
        [view] = made.service.submit([job(f"w{i}", made)], "test")
        print(view.id, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
