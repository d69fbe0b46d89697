"""What arrived at pools by model, beside the accelerators that it was sized to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "load_traffic",
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("pool", sa.String(length=128), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False, comment="as of load_steps"),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("requests_per_s", sa.Float(), nullable=False, comment="in the step's highest sample"),
        sa.Column("prompt_tokens", sa.Float(), comment="mean of a request; NULL where none arrived"),
        sa.Column("output_tokens", sa.Float(), comment="mean of a request; NULL where none arrived"),
        sa.Column("prompt_scv", sa.Float(), nullable=False),
        sa.Column("output_scv", sa.Float(), nullable=False),
        sa.Column("arrival_scv", sa.Float(), nullable=False),
        sa.Column("accelerators", sa.Float(), nullable=False, comment="that it was sized to"),
        sa.Column("sizing", sa.String(length=64), nullable=False, comment="fingerprint of how"),
        sa.PrimaryKeyConstraint("site", "pool", "step", "model", name=op.f("pk_load_traffic")),
    )
    op.create_index(op.f("ix_load_traffic_step_sizing"), "load_traffic", ["step", "sizing"], unique=False)


def downgrade() -> None:
    op.drop_table("load_traffic")
