"""How many accelerators a pool has, as measured: fewer where some were lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("telemetry", sa.Column("available_accelerators", sa.Integer()))


def downgrade() -> None:
    with op.batch_alter_table("telemetry") as table:
        table.drop_column("available_accelerators")
