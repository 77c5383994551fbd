"""Migrations: the database that they make is the one that the models describe."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.config import CommandLine
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, String, inspect, text
from sqlalchemy.exc import IntegrityError

from mutation import drop_constraint
from residency.cli import check
from residency.settings import Settings
from residency.store.migrate import is_current, upgrade
from residency.store.models import Base

HOME = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def database_schema():
    """No tables: making them is what is tested here."""


@pytest.fixture
def bare(engine):
    """An engine on a database without any table."""
    return engine


def shape(engine):
    """Return everything about the tables that a database tells."""
    found = inspect(engine)
    told = {}
    for table in sorted(set(found.get_table_names()) - {"alembic_version"}):
        columns = [
            (one["name"], str(one["type"]), one["nullable"], one["default"])
            for one in found.get_columns(table)
        ]
        told[table] = {
            "columns": columns,
            "primary key": found.get_pk_constraint(table),
            **{
                what: sorted(map(str, getattr(found, f"get_{what}")(table)))
                for what in ("foreign_keys", "unique_constraints", "check_constraints", "indexes")
            },
        }
    return told


def test_upgrade_makes_what_the_models_describe(bare):
    """Store: ``alembic upgrade head`` equals the models, constraint by constraint."""
    upgrade(bare)
    migrated = shape(bare)
    with bare.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    Base.metadata.drop_all(bare)
    Base.metadata.create_all(bare)
    assert migrated == shape(bare)


def test_upgrading_twice_changes_nothing(bare):
    """Store: a service that starts again finds its tables as they were."""
    assert not is_current(bare)
    upgrade(bare)
    assert is_current(bare)
    with bare.begin() as connection:
        connection.execute(text("INSERT INTO student (name) VALUES ('Robin')"))
    upgrade(bare)
    with bare.connect() as connection:
        assert connection.scalar(text("SELECT name FROM student")) == "Robin"


def test_services_that_start_at_once_upgrade_once(bare, concurrent_runner):
    """Store: of eight processes that start at once one makes the tables; none fails."""
    concurrent_runner(lambda: upgrade(bare), workers=8).raise_errors()
    assert is_current(bare)


def test_upgrade_that_breaks_leaves_no_table(bare, monkeypatch):
    """Store: a migration is one transaction: it is made wholly, or not at all."""
    plain = op.create_table

    def break_half_way(name, *columns, **options):
        if name == "swap_request":
            raise OSError(name)
        return plain(name, *columns, **options)

    monkeypatch.setattr(op, "create_table", break_half_way)
    with pytest.raises(OSError, match="swap_request"):
        upgrade(bare)
    assert inspect(bare).get_table_names() == []


# --- as somebody types it ---


@pytest.fixture
def alembic(bare, monkeypatch):
    """Do what ``alembic ...`` does, in the example's folder, on this test's database."""
    monkeypatch.chdir(HOME)
    monkeypatch.setenv("RESIDENCY_DATABASE_URL", bare.url.render_as_string(hide_password=False))
    return CommandLine("alembic").main


def test_alembic_upgrade_head_and_downgrade_base(alembic, bare):
    """Store: up by command equals the models, down leaves nothing, and up again is possible."""
    alembic(["upgrade", "head"])
    migrated = shape(bare)
    assert is_current(bare)
    alembic(["downgrade", "base"])
    assert shape(bare) == {}
    assert not is_current(bare)
    alembic(["upgrade", "head"])
    assert shape(bare) == migrated
    Base.metadata.drop_all(bare)
    Base.metadata.create_all(bare)
    assert shape(bare) == migrated


def test_alembic_check_finds_no_difference(alembic):
    """Store: ``alembic check`` ends well: the models ask for no further migration."""
    alembic(["upgrade", "head"])
    alembic(["check"])


def test_mutant_model_without_migration_is_noticed(alembic, monkeypatch):
    """Store mutant: a column that the models have and no migration makes is named."""
    alembic(["upgrade", "head"])
    table = Base.metadata.tables["student"]
    added = Column("email", String(80))
    table.append_column(added)
    try:
        with pytest.raises(SystemExit):
            alembic(["check"])
    finally:
        table._columns.remove(added)


def test_alembic_writes_statements_instead_of_sending_them(alembic, bare, capsys):
    """Store: ``alembic upgrade head --sql`` writes what makes each table, and makes none."""
    alembic(["upgrade", "head", "--sql"])
    written = capsys.readouterr().out
    assert all(f"CREATE TABLE {name} (" in written for name in Base.metadata.tables)
    assert inspect(bare).get_table_names() == []


SENSELESS = {
    "INSERT INTO person (name, role) VALUES ('Kim', 'nurse')": ("person", "ck_person_role"),
    "INSERT INTO person (name, role, year) VALUES ('Kim', 'faculty', 2)": (
        "person", "ck_person_year_of_residents_only",
    ),
    "INSERT INTO person (name, role) VALUES ('Kim', 'resident')": (
        "person", "ck_person_year_of_residents_only",
    ),
    "INSERT INTO block (day, half) VALUES ('2026-01-05', 'XM')": ("block", "ck_block_half"),
    "INSERT INTO absence (person_id, first_day, last_day, reason) "
    "VALUES (7, '2026-01-05', '2026-01-05', '')": ("absence", "fk_absence_person_id"),
}  # fmt: skip


@pytest.mark.parametrize("row", SENSELESS)
def test_tables_refuse_what_makes_no_sense(bare, row):
    """Store: roles, years, halves of days and references are checked by the database too."""
    upgrade(bare)
    with pytest.raises(IntegrityError), bare.begin() as connection:
        connection.execute(text(row))


@pytest.mark.parametrize("row", SENSELESS)
def test_mutant_without_the_constraint_keeps_what_makes_no_sense(bare, row):
    """Store mutant: without its constraint each of these rows is there."""
    upgrade(bare)
    table, name = SENSELESS[row]
    drop_constraint(bare, table, name)
    with bare.begin() as connection:
        connection.execute(text(row))
        assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 1


def test_check_says_what_is_missing(bare, capsys):
    """Store: ``residency check`` names what is not ready and what to do; then it says so."""
    url = bare.url.render_as_string(hide_password=False)
    settings = Settings(database_url=url)
    assert check(settings) == 1
    assert capsys.readouterr().out == (
        "The tables are not up to date. Run: residency serve.\n"
        "Tokens end with the process. Set RESIDENCY_TOKEN_SECRET.\n"
    )
    upgrade(bare)
    assert check(settings.model_copy(update={"token_secret": "x"})) == 0
    assert capsys.readouterr().out == "Ready.\n"


def test_check_names_a_database_that_does_not_answer(capsys):
    """Store: ``residency check`` says that a database does not answer."""
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    assert check(Settings(database_url=url, token_secret="x" * 32)) == 1
    assert capsys.readouterr().out.startswith("The database does not answer: ")
