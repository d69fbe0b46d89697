"""Files in and out, and the bodies of requests: every mistake is an InputError that names its place and a
remedy.
"""

from shifter.files.fleet import fleet_warnings, parse_fleet, read_fleet
from shifter.files.grid_events import read_grid_events
from shifter.files.plans import plan_of, read_plan, write_plan
from shifter.files.realtime import read_known_realtime, read_realtime
from shifter.files.workloads import check_workload, parse_workload, read_workloads

__all__ = [
    "check_workload",
    "fleet_warnings",
    "parse_fleet",
    "parse_workload",
    "plan_of",
    "read_fleet",
    "read_grid_events",
    "read_known_realtime",
    "read_plan",
    "read_realtime",
    "read_workloads",
    "write_plan",
]
