"""The first tables: the store's and the forecasts'."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("inputs_id", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_subject_id"), "audit", ["subject", "id"], unique=False)
    op.create_table(
        "cycle_inputs",
        sa.Column("id", sa.String(length=64), nullable=False, comment="sha256 of the text"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "body", sa.LargeBinary(), nullable=False, comment="everything that the cycle looked at, as JSON"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycle_inputs")),
    )
    op.create_table(
        "events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_table(
        "grid_events",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("limit_kw", sa.Float(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grid_events")),
    )
    op.create_index(op.f("ix_grid_events_ends_at"), "grid_events", ["ends_at"], unique=False)
    op.create_table(
        "heartbeat",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        sa.Column(
            "alive_at", sa.DateTime(timezone=True), nullable=False, comment="the daemon's last sign of life"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "overrides",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=256), nullable=False),
        sa.Column("decided", sa.String(length=16), nullable=True, comment="NULL lifts the one before"),
        sa.Column("workload_id", sa.String(length=128), nullable=True),
        sa.Column("rule", sa.String(length=128), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_overrides")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "telemetry",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("pool", sa.String(length=128), nullable=True),
        sa.Column("realtime_accelerators", sa.Float(), nullable=True),
        sa.Column("import_kw", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_telemetry")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_telemetry_at"), "telemetry", ["at"], unique=False)
    op.create_index(op.f("ix_telemetry_site_pool_at"), "telemetry", ["site", "pool", "at"], unique=False)
    op.create_table(
        "workloads",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column(
            "content_hash", sa.String(length=64), nullable=False, comment="sha256 of the canonical body"
        ),
        sa.Column("body", sa.Text(), nullable=False, comment="the workload as it was submitted"),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_by", sa.String(length=256), nullable=False),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="accepted, planned, real_time, done, cancelled, late",
        ),
        sa.Column("decided", sa.String(length=16), nullable=False, comment="real_time or deferrable"),
        sa.Column("reason", sa.Text(), nullable=False, comment="rule, text, evidence"),
        sa.Column(
            "window_start",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="earliest start, after its chain",
        ),
        sa.Column(
            "window_deadline", sa.DateTime(timezone=True), nullable=True, comment="deadline, after its chain"
        ),
        sa.Column("done", sa.Float(), nullable=False, comment="work done at done_at, in the workload's unit"),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("progress_source", sa.String(length=16), nullable=False, comment="planned or reported"),
        sa.Column(
            "serving", sa.Text(), nullable=False, comment="pools it runs in at done_at, and since when"
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workloads")),
    )
    op.create_index(op.f("ix_workloads_state"), "workloads", ["state"], unique=False)
    op.create_index(op.f("ix_workloads_submitted_at_id"), "workloads", ["submitted_at", "id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("workload_id", sa.String(length=128), nullable=False),
        sa.Column(
            "version",
            sa.Integer(),
            nullable=False,
            comment="grows when, and only when, the allocations change",
        ),
        sa.Column("plan_id", sa.String(length=128), nullable=True, comment="the plan that changed them last"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("allocations", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workload_id"],
            ["workloads.id"],
            name=op.f("fk_leases_workload_id_workloads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workload_id", name=op.f("pk_leases")),
    )
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="1, 2, 3, ... as they were published"),
        sa.Column("inputs_id", sa.String(length=64), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="plan.json"),
        sa.ForeignKeyConstraint(
            ["inputs_id"], ["cycle_inputs.id"], name=op.f("fk_plans_inputs_id_cycle_inputs")
        ),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plans")),
        sa.UniqueConstraint("version", name=op.f("uq_plans_version")),
    )
    op.create_index(op.f("ix_plans_inputs_id"), "plans", ["inputs_id"], unique=False)
    op.create_index(op.f("ix_plans_published_at"), "plans", ["published_at"], unique=False)
    op.create_table(
        "forecast_series",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("key", sa.String(length=300), nullable=False, comment="source:zone:signal"),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("zone", sa.String(length=100), nullable=False),
        sa.Column("signal", sa.String(length=20), nullable=False),
        sa.Column(
            "unit", sa.String(length=20), nullable=True, comment="canonical; NULL until a vintage is accepted"
        ),
        sa.Column("basis", sa.String(length=20), nullable=True, comment="carbon only: average | marginal"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_series")),
        sa.UniqueConstraint("key", name=op.f("uq_forecast_series_key")),
    )
    op.create_index(
        op.f("ix_forecast_series_zone_signal"), "forecast_series", ["zone", "signal"], unique=False
    )
    op.create_table(
        "forecast_vintage",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("known_at_us", sa.BigInteger(), nullable=False, comment="when it was first seen"),
        sa.Column(
            "issued_at_us",
            sa.BigInteger(),
            nullable=True,
            comment="when the source says it was issued; NULL when it does not",
        ),
        sa.Column("status", sa.String(length=10), nullable=False, comment="accepted | rejected"),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column(
            "first_start_us",
            sa.BigInteger(),
            nullable=True,
            comment="coverage [first_start, last_end); NULL when rejected",
        ),
        sa.Column("last_end_us", sa.BigInteger(), nullable=True),
        sa.Column("longest_us", sa.BigInteger(), nullable=True, comment="length of the longest interval"),
        sa.Column("n_values", sa.Integer(), nullable=False),
        sa.Column("n_changed", sa.Integer(), nullable=False, comment="rows that this vintage wrote"),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="of what it says; '' when rejected"
        ),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("attribution", sa.Text(), nullable=False),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it was rejected"),
        sa.CheckConstraint("status IN ('accepted', 'rejected')", name=op.f("ck_forecast_vintage_status")),
        sa.ForeignKeyConstraint(
            ["series_id"], ["forecast_series.id"], name=op.f("fk_forecast_vintage_series_id_forecast_series")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_vintage")),
    )
    op.create_index(
        op.f("ix_forecast_vintage_series_id_known_at_us"),
        "forecast_vintage",
        ["series_id", "known_at_us"],
        unique=False,
    )
    op.create_table(
        "forecast_fetch",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("vintage_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fetched_at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["forecast_series.id"], name=op.f("fk_forecast_fetch_series_id_forecast_series")
        ),
        sa.ForeignKeyConstraint(
            ["vintage_id"],
            ["forecast_vintage.id"],
            name=op.f("fk_forecast_fetch_vintage_id_forecast_vintage"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_fetch")),
    )
    op.create_index(
        op.f("ix_forecast_fetch_series_id_fetched_at_us"),
        "forecast_fetch",
        ["series_id", "fetched_at_us"],
        unique=False,
    )
    op.create_index(op.f("ix_forecast_fetch_vintage_id"), "forecast_fetch", ["vintage_id"], unique=False)
    op.create_table(
        "forecast_value",
        sa.Column(
            "series_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("start_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "q_ppm",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="0: the value; else a quantile",
        ),
        sa.Column(
            "vintage_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True, comment="NULL: withdrawn"),
        sa.ForeignKeyConstraint(
            ["series_id"], ["forecast_series.id"], name=op.f("fk_forecast_value_series_id_forecast_series")
        ),
        sa.ForeignKeyConstraint(
            ["vintage_id"],
            ["forecast_vintage.id"],
            name=op.f("fk_forecast_value_vintage_id_forecast_vintage"),
        ),
        sa.PrimaryKeyConstraint(
            "series_id", "start_us", "q_ppm", "vintage_id", name=op.f("pk_forecast_value")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_forecast_value_vintage_id"), "forecast_value", ["vintage_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_forecast_value_vintage_id"), table_name="forecast_value")
    op.drop_table("forecast_value")
    op.drop_index(op.f("ix_forecast_fetch_vintage_id"), table_name="forecast_fetch")
    op.drop_index(op.f("ix_forecast_fetch_series_id_fetched_at_us"), table_name="forecast_fetch")
    op.drop_table("forecast_fetch")
    op.drop_index(op.f("ix_forecast_vintage_series_id_known_at_us"), table_name="forecast_vintage")
    op.drop_table("forecast_vintage")
    op.drop_index(op.f("ix_forecast_series_zone_signal"), table_name="forecast_series")
    op.drop_table("forecast_series")
    op.drop_index(op.f("ix_plans_published_at"), table_name="plans")
    op.drop_index(op.f("ix_plans_inputs_id"), table_name="plans")
    op.drop_table("plans")
    op.drop_table("leases")
    op.drop_index(op.f("ix_workloads_submitted_at_id"), table_name="workloads")
    op.drop_index(op.f("ix_workloads_state"), table_name="workloads")
    op.drop_table("workloads")
    op.drop_index(op.f("ix_telemetry_site_pool_at"), table_name="telemetry")
    op.drop_index(op.f("ix_telemetry_at"), table_name="telemetry")
    op.drop_table("telemetry")
    op.drop_table("overrides")
    op.drop_table("heartbeat")
    op.drop_index(op.f("ix_grid_events_ends_at"), table_name="grid_events")
    op.drop_table("grid_events")
    op.drop_index(op.f("ix_events_at"), table_name="events")
    op.drop_table("events")
    op.drop_table("cycle_inputs")
    op.drop_index(op.f("ix_audit_subject_id"), table_name="audit")
    op.drop_index(op.f("ix_audit_at"), table_name="audit")
    op.drop_table("audit")
