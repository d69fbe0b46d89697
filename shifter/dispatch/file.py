"""Orders as a JSON file, replaced whole at each change: what any script, prolog or cron job can read.

The file carries each lease's `valid_until` and `latest_start`, so a reader knows how long to trust it when the daemon
is gone, and by when to run all the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from shifter.dispatch.base import DispatcherOptions, Orders
from shifter.errors import InputError
from shifter.files.plans import write_atomically
from shifter.views import to_plain


class FileDispatcher:
    """Writes `{at, plan_id, simulated, workloads: [{..., admission, lease}]}` to `path`."""

    name: ClassVar[str] = "file"

    class Options(DispatcherOptions):
        """Where to."""

        path: str = Field(min_length=1, description="the JSON file, in a folder that exists")

    def __init__(self, options: Options) -> None:
        self.path = Path(options.path)
        if not self.path.parent.is_dir():
            raise InputError(
                f"the folder {self.path.parent} does not exist.",
                field="dispatchers.file.path",
                hint="Make it, or write elsewhere.",
            )

    def dispatch(self, orders: Orders) -> None:
        """Replace the file. Raises InputError where it cannot be written."""
        said = {
            "at": to_plain(orders.at),
            "plan_id": orders.plan_id,
            "simulated": orders.simulated,
            "workloads": [
                {
                    "workload_id": order.lease.workload_id,
                    "admission": to_plain(order.admission),
                    "lease": to_plain(order.lease),
                }
                for order in orders.orders
            ],
        }
        write_atomically(json.dumps(said, indent=2, allow_nan=False) + "\n", self.path)
