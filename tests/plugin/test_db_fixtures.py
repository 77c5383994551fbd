"""The fixtures of databases do what their documentation says."""

from __future__ import annotations

import re

import alembic.command  # noqa: F401 - inner sessions forget what they import first
import pytest
import sqlalchemy.ext.asyncio
import sqlalchemy.orm  # noqa: F401

MODELS = """
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from pytest_concurrency.db import dataset, rows

class Base(DeclarativeBase):
    pass

class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]

two = dataset("two", rows(Account, 2, balance=10))
many = dataset("many", rows(Account, 1_700, seed=1))
"""
METADATA = """
@pytest.fixture(scope="session")
def database_schema():
    return Base.metadata

@pytest.fixture(scope="session")
def database_dataset():
    return two
"""
FUNCTION = """
@pytest.fixture(scope="session")
def database_schema():
    def build(engine):
        Base.metadata.create_all(engine)
        two.build(engine)
    return build
"""
TWO = """
from conftest import Account

def test_commits_are_real(separate_sessions):
    with separate_sessions("ann", "bob") as (ann, bob):
        ann.get_one(Account, 1).balance += 5
        ann.commit()
        assert bob.get_one(Account, 1).balance == 15

def test_and_gone(separate_sessions):
    with separate_sessions("ann") as (ann,):
        assert ann.get_one(Account, 1).balance == 10
"""


def told(ran):
    """Return the section that the end of the session has about databases."""
    return ran.section("concurrency and objectives")


@pytest.mark.parametrize("schema", [METADATA, FUNCTION])
def test_every_test_begins_with_the_schema_and_its_rows(suite, schema):
    """Metadata with a dataset, or a function that does both; commits last until the test ends."""
    ran = suite(TWO, conftest=MODELS + schema)

    assert ran.outcomes == {"passed": 2}


def test_schema_comes_from_migrations(suite, pytester):
    """Alembic's upgrade makes the template."""
    pytester.makefile(".ini", alembic="[alembic]\nscript_location = migrations\n")
    versions = pytester.mkdir("migrations") / "versions"
    versions.mkdir()
    (versions.parent / "env.py").write_text(
        "from alembic import context\n"
        "context.configure(connection=context.config.attributes['connection'])\n"
        "with context.begin_transaction():\n    context.run_migrations()\n"
    )
    (versions / "one.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        "revision = 'one'\ndown_revision = None\n"
        "def upgrade():\n"
        "    op.create_table('account', sa.Column('id', sa.Integer, primary_key=True),\n"
        "                    sa.Column('balance', sa.Integer))\n"
    )
    schema = """
@pytest.fixture(scope="session")
def database_schema():
    from pytest_concurrency.db import alembic_upgrade
    return alembic_upgrade("alembic.ini")
"""
    ran = suite(
        """
        from sqlalchemy import inspect

        def test_tables(database_engine):
            assert "account" in inspect(database_engine).get_table_names()
        """,
        conftest=MODELS + schema,
    )

    assert ran.outcomes == {"passed": 1}


def test_schema_of_another_kind_is_refused(suite):
    """The whole text."""
    ran = suite(
        "def test_asks(database):\n    pass\n",
        conftest=MODELS
        + "\n@pytest.fixture(scope='session')\ndef database_schema():\n    return 7",
    )

    assert ran.outcomes == {"errors": 1}
    assert ran.section("ERROR at setup of test_asks") == (
        "database_schema: 7 is no schema. "
        "Return Base.metadata, a function of an engine, or alembic_upgrade('alembic.ini')."
    )


def test_engine_of_the_project_is_used(suite):
    """Overriding one fixture gives every other the project's engine and pool."""
    ran = suite(
        """
        import pytest
        from conftest import Account

        @pytest.fixture
        def database_engine(database):
            return database.engine(pool_size=2, max_overflow=0)

        def test_pool(separate_sessions, pool_watch, database_engine):
            with separate_sessions(2) as (ann, bob):
                ann.get_one(Account, 1)
                ann.commit()
                bob.get_one(Account, 2)
            assert database_engine.pool.size() == 2
            assert (pool_watch.use.peak, pool_watch.use.saturation) == (2, 1.0)
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 1}


def test_engine_that_is_none_is_refused(suite):
    """A fixture that forgot to return."""
    ran = suite(
        """
        import pytest

        @pytest.fixture
        def database_engine(database):
            database.engine()

        def test_any(separate_sessions):
            pass
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"errors": 1}
    assert (
        "UsageError: database_engine: None is no engine. "
        "Give database.engine() or create_engine(url)."
    ) in ran.text


def test_engine_of_a_session_is_watched_in_every_test(suite):
    """An engine that outlives the test is looked at when the test ends."""
    ran = suite(
        """
        import pytest
        from sqlalchemy import text

        @pytest.fixture(scope="session")
        def database_engine(tmp_path_factory):
            from sqlalchemy import create_engine
            engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('db')}/own.db")
            yield engine
            engine.dispose()

        kept = []

        def test_leaves(separate_sessions, database_engine):
            kept.append(database_engine.connect())
            kept[0].execute(text("SELECT 1"))

        def test_leaves_nothing(separate_sessions):
            with separate_sessions("ann") as (ann,):
                ann.execute(text("SELECT 1"))
        """
    )

    assert ran.outcomes == {"passed": 2, "errors": 1}
    assert "The test left 1 connection out of the pool" in ran.text


def test_async_engine_leaves_no_thread(suite):
    """An async engine works alike and is disposed of with its database."""
    ran = suite(
        """
        import asyncio, threading
        import pytest
        from conftest import Account

        @pytest.fixture
        def database_engine(database):
            return database.async_engine()

        def test_waits(separate_sessions):
            async def main():
                async with separate_sessions("ann", "bob") as (ann, bob):
                    (await ann.get_one(Account, 1)).balance += 1
                    await ann.flush()
                    step = await bob.start("UPDATE account SET balance = 0")
                    assert step.blocked_by == ["ann"]
                    await ann.commit()
                    assert await step == 2
            asyncio.run(main())

        def test_after():
            assert threading.enumerate() == [threading.main_thread()]
        """,
        conftest=MODELS + METADATA,
        apart=True,
    )

    assert ran.outcomes == {"passed": 2}


def test_large_dataset_is_fresh_or_shared_and_told(suite):
    """A copy to write in, or the one that all read; built once, and counted at the end."""
    ran = suite(
        """
        import pytest
        from sqlalchemy import delete, func, select
        from sqlalchemy.exc import DBAPIError
        from conftest import Account, many

        count = select(func.count()).select_from(Account)

        def test_fresh(large_dataset):
            with large_dataset(many).begin() as connection:
                connection.execute(delete(Account))
                assert connection.scalar(count) == 0

        def test_fresh_again(large_dataset):
            with large_dataset(many).connect() as connection:
                assert connection.scalar(count) == 1_700

        def test_shared(large_dataset):
            with large_dataset(many, shared=True).connect() as connection:
                assert connection.scalar(count) == 1_700
                with pytest.raises(DBAPIError):
                    connection.execute(delete(Account))
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 3}
    assert told(ran).splitlines()[1:] == ["built many: account 1,700"]
    assert told(ran).startswith("SQLite 3.")


def test_two_datasets_of_one_name_are_refused(suite):
    """The second would silently get the rows of the first."""
    ran = suite(
        """
        from conftest import Account, many
        from pytest_concurrency.db import dataset, rows

        def test_other(large_dataset):
            large_dataset(many)
            large_dataset(dataset("many", rows(Account, 3)))
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"failed": 1}
    assert (
        "E       pytest_concurrency.UsageError: dataset('many'): two different datasets have this "
        "name. Declare each once, in a module, under a name of its own."
    ) in ran.text


def test_nothing_is_said_where_no_database_was_used(suite):
    """Nor is a server started."""
    ran = suite("def test_plain():\n    pass\n", conftest=MODELS + METADATA)

    assert ran.outcomes == {"passed": 1}
    assert told(ran) == ""


def test_twenty_workers_have_sessions_of_their_own(suite):
    """`sessions.own()` under the runner: no increment is lost."""
    ran = suite(
        """
        from conftest import Account

        def test_own(concurrent_runner, separate_sessions):
            def deposit():
                with sessions.own() as session, session.begin():
                    session.get_one(Account, 1).balance += 1

            with separate_sessions() as sessions:
                concurrent_runner(deposit, workers=20).raise_errors()
                assert sessions.own().get_one(Account, 1).balance == 30
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 1}


def test_pool_is_held_to_objectives(suite):
    """`pool < 90%` of a pool that was watched."""
    ran = suite(
        """
        import pytest
        from conftest import Account

        @pytest.fixture
        def database_engine(database):
            return database.engine(pool_size=4, max_overflow=0)

        @pytest.mark.slo("pool < 90%")
        def test_half(separate_sessions, pool_watch):
            with separate_sessions(2):
                pass

        @pytest.mark.slo("pool < 90%")
        def test_full(separate_sessions, pool_watch):
            with separate_sessions(4):
                pass
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 1, "failed": 1}
    assert "Missed: pool < 90%" in ran.text


def test_checkouts_without_a_wait_count_in_pool_waits(suite):
    """A share of all checkouts waited, not of those that did."""
    ran = suite(
        """
        import pytest

        @pytest.mark.slo("pool wait p95 < 1ns", "pool wait max < 1ns")
        def test_free(pool_watch, database_engine):
            for _ in range(100):
                database_engine.connect().close()
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 1}
    assert re.search(r"test_free +pool wait p95 < 1ns .* 100 calls +met", ran.text)


def test_waits_for_locks_are_held_to_objectives(suite):
    """Steps that waited are samples of `lock wait`, without the test timing them."""
    ran = suite(
        """
        import pytest
        from sqlalchemy import text

        RAISE = "UPDATE account SET balance = balance + 1"

        def waits(separate_sessions):
            with separate_sessions("ann", "bob") as (ann, bob):
                ann.execute(text(RAISE))
                step = bob.start(RAISE)
                ann.commit()
                step.result()

        @pytest.mark.slo("lock wait max < 50s")
        def test_short(separate_sessions):
            waits(separate_sessions)

        @pytest.mark.slo("lock wait max < 1ns")
        def test_never(separate_sessions):
            with separate_sessions("ann") as (ann,):
                ann.execute(text(RAISE))

        @pytest.mark.slo("lock wait max < 1ns")
        def test_long(separate_sessions):
            waits(separate_sessions)
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 2, "failed": 1}
    assert "Missed: lock wait max < 1ns" in ran.text
    assert re.search(r"test_never +lock wait max < 1ns +TIME +1 call +met", ran.text)


@pytest.mark.parametrize("back_end", ["sqlite", "postgres"])
def test_waits_of_workers_are_samples_too(suite, back_end):
    """A statement that a worker sent by itself is found waiting, while its test has an objective."""
    ran = suite(
        """
        import threading
        import pytest
        from sqlalchemy import text
        from conftest import Account

        RAISE = text("UPDATE account SET balance = balance + 1")

        @pytest.mark.slo("lock wait max < 50s")
        def test_crowd(request, concurrent_runner, database_engine):
            from pytest_concurrency.plugin.leftovers import watches_key

            watch = request.node.stash[watches_key][0]
            holds = database_engine.connect()
            holds.execute(RAISE)
            def work():
                with database_engine.begin() as connection:
                    connection.execute(RAISE)
            worker = threading.Thread(target=work)
            worker.start()
            while not any(statement.waits for statement in list(watch.statements)):
                pass
            holds.commit()
            holds.close()
            worker.join()
            assert len(watch.lock_waits_ns) == 1
        """,
        f"--concurrency-db={back_end}",
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 1}
    assert "nothing to judge" not in ran.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "separate_sessions[0]",
            (
                "separate_sessions[0]: the fixture is a function that opens sessions. Write `with "
                "separate_sessions(2) as sessions:`, and sessions[0] or sessions.own() within."
            ),
        ),
        (
            "ann, bob = separate_sessions",
            (
                "`ann, bob = separate_sessions`: the fixture is a function that opens sessions. "
                "Write `with separate_sessions('ann', 'bob') as (ann, bob):`."
            ),
        ),
        (
            "with separate_sessions as sessions: pass",
            (
                "`with separate_sessions`: the fixture is a function that opens sessions. "
                "Write `with separate_sessions('ann', 'bob') as (ann, bob):`."
            ),
        ),
        (
            "separate_sessions('ann').get",
            (
                "separate_sessions('ann') opens a sequence of sessions, which has no 'get'; each "
                "session has. Write `with separate_sessions('ann') as (ann,):`."
            ),
        ),
    ],
)
def test_fixture_taken_for_sessions_says_what_to_write(suite, line, message):
    """The failure ends in the user's line, with the block to write."""
    ran = suite(f"def test_it(separate_sessions):\n    {line}\n")

    assert ran.outcomes == {"failed": 1}
    assert message in ran.text
    assert "pytest_concurrency/" not in ran.text.partition("= FAILURES =")[2]


def test_large_dataset_serves_engines_of_the_projects_own(suite):
    """The project's function makes the engine; it is watched, and refuses to write if shared."""
    ran = suite(
        """
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import OperationalError
        import pytest
        from conftest import Account
        from pytest_concurrency import dataset, rows

        many = dataset("many", rows(Account, 7))
        kept = []

        def mine(database):
            return create_engine(database.url, pool_size=3)

        def test_fresh(large_dataset):
            engine = large_dataset(many, engine=mine)
            assert engine.pool.size() == 3
            with engine.begin() as connection:
                connection.execute(text("DELETE FROM account"))

        def test_shared(large_dataset):
            engine = large_dataset(many, shared=True, engine=mine)
            with engine.begin() as connection:
                assert connection.scalar(text("SELECT count(*) FROM account")) == 7
                with pytest.raises(OperationalError):
                    connection.execute(text("DELETE FROM account"))

        def test_leaves(large_dataset):
            kept.append(large_dataset(many, engine=mine).connect())
            kept[0].execute(text("SELECT 1"))
        """,
        conftest=MODELS + METADATA,
    )

    assert ran.outcomes == {"passed": 3, "errors": 1}
    assert "The test left 1 connection out of the pool:" in ran.text
