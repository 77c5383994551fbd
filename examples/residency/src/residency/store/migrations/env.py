"""What Alembic runs: migrations on a connection that it is given, or on the settings' database."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, make_url

from residency.settings import Settings
from residency.store.engine import make_engine
from residency.store.models import Base


def write(url: str) -> None:
    """Write the statements instead of sending them: ``alembic upgrade head --sql``."""
    context.configure(
        dialect_name=make_url(url).get_backend_name(),
        target_metadata=Base.metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run(connection: Connection) -> None:
    """Run the migrations; SQLite alters tables by copying them."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
elif context.is_offline_mode():
    write(Settings().database_url)
else:
    engine = make_engine(Settings().database_url)
    with engine.begin() as own:
        run(own)
    engine.dispose()
