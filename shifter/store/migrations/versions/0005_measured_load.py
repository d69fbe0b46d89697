"""Measured load by steps, for longer than its samples; and what was forecast of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "load_steps",
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("pool", sa.String(length=128), nullable=False),
        sa.Column(
            "step",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="number of the five minutes since 1970-01-01T00:00Z",
        ),
        sa.Column("peak", sa.Float(), nullable=False, comment="highest of its samples, accelerators"),
        sa.PrimaryKeyConstraint("site", "pool", "step", name=op.f("pk_load_steps")),
    )
    op.create_index(op.f("ix_load_steps_step"), "load_steps", ["step"], unique=False)
    op.create_table(
        "load_said",
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("pool", sa.String(length=128), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantile", sa.Float(), nullable=False, comment="of the site's resilience"),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("slot_steps", sa.Integer(), nullable=False, comment="steps of one value"),
        sa.Column("accelerators", sa.Text(), nullable=False, comment="one value a slot"),
        sa.PrimaryKeyConstraint("site", "pool", "made_at", name=op.f("pk_load_said")),
    )
    op.create_index(op.f("ix_load_said_made_at"), "load_said", ["made_at"], unique=False)


def downgrade() -> None:
    op.drop_table("load_said")
    op.drop_table("load_steps")
