"""Tables come from metadata, from a function, or from migrations."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect, text

from pytest_concurrency.db import alembic_upgrade, as_build
from pytest_concurrency.db.datasets import count_rows
from pytest_concurrency.errors import UsageError

ENV = """
from alembic import context
connection = context.config.attributes["connection"]
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "a1", None
def upgrade():
    op.create_table("migrated", sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.mark.parametrize("backend", ["sqlite", "postgres", "mariadb"])
def test_migrations_make_a_template(on, tmp_path, backend):
    """An Alembic history is applied once, on each back end, and cloned."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "versions" / "a1.py").write_text(REVISION)
    (tmp_path / "alembic.ini").write_text(
        f"[alembic]\nscript_location = {tmp_path}\npath_separator = os\n"
    )
    build = alembic_upgrade(tmp_path / "alembic.ini")

    engine = on(backend, build, f"migrated {tmp_path}").engine()

    assert {"alembic_version", "migrated"} == set(inspect(engine).get_table_names())


def test_metadata_and_seed_data_build_together(on):
    """Metadata creates the tables; what follows fills them."""
    metadata = MetaData()
    Table("thing", metadata, Column("id", Integer, primary_key=True))

    def seed(engine):
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO thing VALUES (1)"))

    engine = on("sqlite", as_build(metadata, seed), "seeded").engine()

    assert count_rows(engine) == {"thing": 1}
    assert count_rows(on("sqlite", as_build(None), "empty").engine()) == {}


def test_what_is_no_schema_is_refused():
    """A schema that is neither is refused with what can be returned."""
    with pytest.raises(UsageError) as caught:
        as_build("models.Base")

    assert str(caught.value) == (
        "database_schema: 'models.Base' is no schema. Return Base.metadata, a function of an "
        "engine, or alembic_upgrade('alembic.ini')."
    )
