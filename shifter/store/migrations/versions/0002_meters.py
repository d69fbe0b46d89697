"""What each site has drawn in the billing period that runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meters",
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("slot_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "counted_to", sa.DateTime(timezone=True), nullable=False, comment="in the slot of slot_start"
        ),
        sa.Column(
            "drawn_kwh", sa.Float(), nullable=False, comment="from slot_start to counted_to, as far as known"
        ),
        sa.Column(
            "peak_kw", sa.Float(), nullable=False, comment="highest mean of an ended slot of that month"
        ),
        sa.Column("configured_kw", sa.Float(), nullable=False, comment="peak_so_far_kw of the fleet"),
        sa.Column(
            "configured_at", sa.DateTime(timezone=True), nullable=False, comment="when that was first seen"
        ),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_meters")),
    )


def downgrade() -> None:
    op.drop_table("meters")
