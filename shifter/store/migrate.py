"""Run the migrations from the program: no alembic.ini, nothing to call by hand."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, MetaData


def target_metadata() -> list[MetaData]:
    """Every table of the product: the store's and the forecasts'."""
    from forecasts.store import metadata as forecast_metadata
    from shifter.store.tables import metadata

    return [metadata, forecast_metadata]


def config() -> Any:
    """Alembic's configuration; importing alembic takes 0.6 s, so it happens here."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", "shifter.store:migrations")
    made.set_main_option("path_separator", "os")
    return made


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to `revision`, in one transaction where the database can."""
    from alembic import command

    settings = config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
