"""`shifter backtest --ray` on a cluster of this machine, and without: prints whether both wrote the same bytes.

To be run by `benchmarks.ray_cluster.inside`, with a folder and how many workers the cluster has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.ray_cluster import ADDRESS, Cluster
from tests.backtest.test_campaign import content
from tests.backtest.world import write_files
from tests.cli.helpers import shifter


def main(folder: Path, workers: int) -> None:
    """Print one JSON object."""
    options = write_files(folder)[:-1]
    ways = {"ray": ("--ray", ADDRESS), "serial": ()}
    with Cluster(workers):
        for name, more in ways.items():
            done = shifter("backtest", *options, str(folder / name), *more, timeout_s=250)
            if done.returncode:
                sys.exit(f"{name}: {done.stderr}")
    written = {name: content(folder / name) for name in ways}
    print(json.dumps({"same": written["ray"] == written["serial"], "files": len(written["ray"])}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
