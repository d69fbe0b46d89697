"""What a grid asks beside a limit, and what each site drew as its meter said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    utc = sa.DateTime(timezone=True)
    with op.batch_alter_table("grid_events") as table:
        table.add_column(
            sa.Column("holds_until", utc, comment="the end of its ramp and its rebound, too"),
        )
        table.add_column(
            sa.Column(
                "beside",
                sa.Text(),
                comment="what it says beside its limit: fields that are not their defaults",
            )
        )
        table.alter_column("limit_kw", existing_type=sa.Float(), nullable=True, comment="NULL: it is a cut")
    op.execute("UPDATE grid_events SET holds_until = ends_at")
    with op.batch_alter_table("grid_events") as table:
        table.alter_column("holds_until", existing_type=utc, nullable=False)
        table.create_index(op.f("ix_grid_events_holds_until"), ["holds_until"])
    op.create_table(
        "imports",
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("start", utc, nullable=False, comment="of five minutes"),
        sa.Column("drawn_kwh", sa.Float(), nullable=False, comment="as metered, in the metered part of them"),
        sa.Column("metered_s", sa.Float(), nullable=False, comment="how long that part is"),
        sa.PrimaryKeyConstraint("site", "start", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_start"), "imports", ["start"])


def downgrade() -> None:
    op.drop_table("imports")
    op.execute("DELETE FROM grid_events WHERE limit_kw IS NULL")
    with op.batch_alter_table("grid_events") as table:
        table.drop_index(op.f("ix_grid_events_holds_until"))
        table.drop_column("holds_until")
        table.drop_column("beside")
        table.alter_column("limit_kw", existing_type=sa.Float(), nullable=False)
