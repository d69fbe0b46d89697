"""What work was last told to run in: a restart lets it run on as wide as it does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workloads", sa.Column("let_in", sa.Text(), comment="what it was last told to run in"))
    op.add_column("workloads", sa.Column("let_in_at", sa.DateTime(timezone=True), comment="and when"))


def downgrade() -> None:
    for name in ("let_in_at", "let_in"):
        op.drop_column("workloads", name)
