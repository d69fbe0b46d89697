"""Real-time load that operators announce while the daemon runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    utc, name = sa.DateTime(timezone=True), sa.String(length=128)
    op.create_table(
        "announcements",
        sa.Column("id", name, nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("starts_at", utc, nullable=False),
        sa.Column("ends_at", utc, nullable=False),
        sa.Column("factor", sa.Float(), nullable=False),
        sa.Column("added_accelerators", sa.Float(), nullable=False, comment="in each pool that is concerned"),
        sa.Column("site", name, nullable=True, comment="NULL: of all"),
        sa.Column("pool", name, nullable=True, comment="NULL: of all"),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("created_by", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
    )
    op.create_index(op.f("ix_announcements_ends_at"), "announcements", ["ends_at"])


def downgrade() -> None:
    op.drop_table("announcements")
