"""The tables. `migrations/` builds them; a test holds that the two agree on both databases."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

from shifter.store.types import BigId, GzText, JsonText, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NAME = String(128)
HASH = String(64)

workloads = Table(
    "workloads",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("content_hash", HASH, nullable=False, comment="sha256 of the canonical body"),
    Column("body", JsonText, nullable=False, comment="the workload as it was submitted"),
    Column("submitted_at", UtcTime, nullable=False),
    Column("submitted_by", String(256), nullable=False),
    Column(
        "state", String(16), nullable=False, comment="accepted, planned, real_time, done, cancelled, late"
    ),
    Column("decided", String(16), nullable=False, comment="real_time or deferrable"),
    Column("reason", JsonText, nullable=False, comment="rule, text, evidence"),
    Column("window_start", UtcTime, nullable=False, comment="earliest start, after its chain"),
    Column("window_deadline", UtcTime, comment="deadline, after its chain"),
    Column("done", Float, nullable=False, comment="work done at done_at, in the workload's unit"),
    Column("done_at", UtcTime, nullable=False),
    Column("progress_source", String(16), nullable=False, comment="planned or reported"),
    Column("serving", JsonText, nullable=False, comment="pools it runs in at done_at, and since when"),
    Column("ended_at", UtcTime),
    Column("let_in", JsonText, comment="what it was last told to run in"),
    Column("let_in_at", UtcTime, comment="and when"),
    Index(None, "state"),
    Index(None, "submitted_at", "id"),
)

leases = Table(
    "leases",
    metadata,
    Column("workload_id", NAME, ForeignKey("workloads.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, nullable=False, comment="grows when, and only when, the allocations change"),
    Column("plan_id", NAME, comment="the plan that changed them last"),
    Column("changed_at", UtcTime, nullable=False),
    Column("allocations", JsonText, nullable=False),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("alive_at", UtcTime, nullable=False, comment="the daemon's last sign of life"),
)

cycle_inputs = Table(
    "cycle_inputs",
    metadata,
    Column("id", HASH, primary_key=True, comment="sha256 of the text"),
    Column("created_at", UtcTime, nullable=False),
    Column("body", GzText, nullable=False, comment="everything that the cycle looked at, as JSON"),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", NAME, primary_key=True),
    Column("version", Integer, nullable=False, unique=True, comment="1, 2, 3, ... as they were published"),
    Column("inputs_id", HASH, ForeignKey("cycle_inputs.id"), nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Column("body", GzText, nullable=False, comment="plan.json"),
    Index(None, "published_at"),
    Index(None, "inputs_id"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("by", String(256), nullable=False),
    Column("decided", String(16), comment="NULL lifts the one before"),
    Column("workload_id", NAME),
    Column("rule", NAME),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("data", JsonText, nullable=False),
    Index(None, "at"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("inputs_id", HASH),
    Column("detail", JsonText, nullable=False),
    Index(None, "subject", "id"),
    Index(None, "at"),
    sqlite_autoincrement=True,
)

telemetry = Table(
    "telemetry",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("site", NAME, nullable=False),
    Column("pool", NAME),
    Column("realtime_accelerators", Float),
    Column("import_kw", Float),
    Column("available_accelerators", Integer),
    Index(None, "site", "pool", "at"),
    Index(None, "at"),
    sqlite_autoincrement=True,
)

load_steps = Table(
    "load_steps",
    metadata,
    Column("site", NAME, primary_key=True),
    Column("pool", NAME, primary_key=True),
    Column(
        "step",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="number of the five minutes since 1970-01-01T00:00Z",
    ),
    Column("peak", Float, nullable=False, comment="highest of its samples, accelerators"),
    Index(None, "step"),
)

load_traffic = Table(
    "load_traffic",
    metadata,
    Column("site", NAME, primary_key=True),
    Column("pool", NAME, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False, comment="as of load_steps"),
    Column("model", NAME, primary_key=True),
    Column("requests_per_s", Float, nullable=False, comment="in the step's highest sample"),
    Column("prompt_tokens", Float, comment="mean of a request; NULL where none arrived"),
    Column("output_tokens", Float, comment="mean of a request; NULL where none arrived"),
    Column("prompt_scv", Float, nullable=False),
    Column("output_scv", Float, nullable=False),
    Column("arrival_scv", Float, nullable=False),
    Column("accelerators", Float, nullable=False, comment="that it was sized to"),
    Column("sizing", HASH, nullable=False, comment="fingerprint of how"),
    Index(None, "step", "sizing"),
)

load_said = Table(
    "load_said",
    metadata,
    Column("site", NAME, primary_key=True),
    Column("pool", NAME, primary_key=True),
    Column("made_at", UtcTime, primary_key=True),
    Column("quantile", Float, nullable=False, comment="of the site's resilience"),
    Column("first_step", Integer, nullable=False),
    Column("slot_steps", Integer, nullable=False, comment="steps of one value"),
    Column("accelerators", JsonText, nullable=False, comment="one value a slot"),
    Index(None, "made_at"),
)

meters = Table(
    "meters",
    metadata,
    Column("site", NAME, primary_key=True),
    Column("slot_start", UtcTime, nullable=False),
    Column("counted_to", UtcTime, nullable=False, comment="in the slot of slot_start"),
    Column("drawn_kwh", Float, nullable=False, comment="from slot_start to counted_to, as far as known"),
    Column("peak_kw", Float, nullable=False, comment="highest mean of an ended slot of that month"),
    Column("configured_kw", Float, nullable=False, comment="peak_so_far_kw of the fleet"),
    Column("configured_at", UtcTime, nullable=False, comment="when that was first seen"),
)

grid_events = Table(
    "grid_events",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("site", NAME, nullable=False),
    Column("starts_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("limit_kw", Float, comment="NULL: it is a cut"),
    Column("source", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("holds_until", UtcTime, nullable=False, comment="the end of its ramp and its rebound, too"),
    Column("beside", JsonText, comment="what it says beside its limit: fields that are not their defaults"),
    Index(None, "ends_at"),
    Index(None, "holds_until"),
)

imports = Table(
    "imports",
    metadata,
    Column("site", NAME, primary_key=True),
    Column("start", UtcTime, primary_key=True, comment="of five minutes"),
    Column("drawn_kwh", Float, nullable=False, comment="as metered, in the metered part of them"),
    Column("metered_s", Float, nullable=False, comment="how long that part is"),
    Index(None, "start"),
)

announcements = Table(
    "announcements",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("starts_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("factor", Float, nullable=False),
    Column("added_accelerators", Float, nullable=False, comment="in each pool that is concerned"),
    Column("site", NAME, comment="NULL: of all"),
    Column("pool", NAME, comment="NULL: of all"),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(256), nullable=False),
    Index(None, "ends_at"),
)
