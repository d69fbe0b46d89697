"""What can be wrong with a plan: the closed list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ViolationCode(StrEnum):
    """A condition that a plan breaks. Each has a line in `docs/errors.md`, in this order."""

    PLAN_ID = "plan_id"
    GRID = "grid"
    CREATED_AT = "created_at"
    CURRENCY = "currency"
    SYNTHETIC = "synthetic"
    STATUS = "status"
    UNKNOWN_WORKLOAD = "unknown_workload"
    UNKNOWN_POOL = "unknown_pool"
    SLOT_ROW = "slot_row"
    POWER_ROW = "power_row"
    PINNED = "pinned"
    INTERVAL = "interval"
    PAST = "past"
    WINDOW = "window"
    WAY = "way"
    POOL_NOT_ALLOWED = "pool_not_allowed"
    REPLICA = "replica"
    NOT_DONE = "not_done"
    MAX_ACCELERATORS = "max_accelerators"
    INTERRUPTED = "interrupted"
    ORDER = "order"
    UNPLACED = "unplaced"
    CAPACITY = "capacity"
    RESERVE = "reserve"
    FAILOVER = "failover"
    POWERED_DOWN = "powered_down"
    IMPORT = "import"
    POWER_LIMIT = "power_limit"
    RAMP_LIMIT = "ramp_limit"
    EXPORT = "export"
    GENERATION = "generation"
    BATTERY = "battery"
    BATTERY_BALANCE = "battery_balance"
    BATTERY_END = "battery_end"
    BATTERY_FLOOR = "battery_floor"
    BATTERY_LIMITS = "battery_limits"
    BUDGET = "budget"
    QUOTA = "quota"
    TENANT = "tenant"
    COST = "cost"
    CARBON_KG = "carbon_kg"
    DEFERRABLE_TOTAL = "deferrable_total"
    BASELINE = "baseline"
    WORKLOAD_ROW = "workload_row"
    RISK = "risk"
    RISK_WEIGHTS = "risk_weights"
    DUALS = "duals"
    BOUND = "bound"
    GAP = "gap"
    HELD = "held"
    FROZEN = "frozen"


@dataclass(frozen=True)
class Violation:
    """A condition that does not hold: its code, what it is about, and by how much."""

    code: ViolationCode
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.subject}: {self.detail}"
