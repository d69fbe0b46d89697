"""Alembic's environment: always on a connection that the program gives (`shifter.store.migrate`)."""

from __future__ import annotations

from alembic import context

from shifter.store.migrate import target_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=target_metadata(),
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
