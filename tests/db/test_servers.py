"""Settings, servers, and what SQLite is made to do."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from pytest_concurrency.db import SqliteServer, listen, make_safe, open_server, separate_sessions
from pytest_concurrency.db.mariadb import MariadbServer
from pytest_concurrency.db.other import OtherServer
from pytest_concurrency.db.postgres import PostgresServer
from pytest_concurrency.errors import UsageError

FAMILY = """
CREATE TABLE parent (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(9) DEFAULT 'x%y');
CREATE TABLE child (id INT PRIMARY KEY, parent_id INT NOT NULL, twice INT AS (id * 2) STORED,
                    FOREIGN KEY (parent_id) REFERENCES parent (id));
INSERT INTO parent (id) VALUES (5);
INSERT INTO child (id, parent_id) VALUES (1, 5)
"""
MEMORY = (
    "--concurrency-db: {!r} is a database of one connection: workers would share it, lose writes, "
    "and can crash Python. Write --concurrency-db=memory."
)
MISTAKES = {
    "postgers": (
        "--concurrency-db: 'postgers' is no database. 'sqlite', 'memory', 'postgres' and URLs such "
        "as 'mariadb+pymysql://user@host' are. Write --concurrency-db=postgres."
    ),
    "://": (
        "--concurrency-db: '://' is no SQLAlchemy URL. "
        "Write --concurrency-db=dialect://user@host/name."
    ),
    "foo://host": (
        "--concurrency-db: SQLAlchemy has no dialect 'foo', or its package is not here. "
        "Write --concurrency-db=postgresql+psycopg://user@host."
    ),
    "mariadb+pymsql://host": (
        "--concurrency-db: SQLAlchemy has no dialect 'mariadb+pymsql', or its package is not here. "
        "Write --concurrency-db=mariadb+pymysql://user@host."
    ),
    "sqlite:////no/where/app.db": (
        "--concurrency-db: 'sqlite:////no/where/app.db': there is no directory '/no/where'. "
        "Create it, or write --concurrency-db=sqlite."
    ),
    "sqlite://": MEMORY.format("sqlite://"),
    "sqlite:///:memory:": MEMORY.format("sqlite:///:memory:"),
}
ADD = text("UPDATE account SET balance = balance + 1 WHERE id = 1")


@pytest.mark.parametrize("setting", MISTAKES)
def test_setting_that_is_no_database_is_refused(setting):
    """Each mistake says what to write instead."""
    with pytest.raises(UsageError) as caught:
        open_server(setting)

    assert str(caught.value) == MISTAKES[setting]


def test_setting_opens_the_right_server(postgres_server, mariadb_url, tmp_path, run_name):
    """Names and URLs lead to the server that they mean."""
    url = postgres_server.url.render_as_string(hide_password=False)
    opened = {
        "sqlite": SqliteServer,
        "memory": SqliteServer,
        f"sqlite:///{tmp_path}/app.db": SqliteServer,
        "postgres": PostgresServer,
        url: PostgresServer,
        mariadb_url: MariadbServer,
    }
    for setting, kind in opened.items():
        server = open_server(setting, run=run_name if setting == "postgres" else None)
        assert isinstance(server, kind)
        assert server.describe()
        server.stop()


@pytest.mark.parametrize(
    ("backend", "driver", "other"),
    [
        ("postgres", "asyncpg", "psycopg"),
        ("postgres", "psycopg_async", "psycopg"),
        ("mariadb", "aiomysql", "pymysql"),
    ],
)
def test_setting_of_an_async_engine_serves_both_kinds(request, bank_schema, backend, driver, other):
    """What an async project calls its database is a setting too: its driver is the async one."""
    pytest.importorskip(driver.partition("_")[0])
    url = request.getfixturevalue(f"{backend}_server").url
    name = url.get_backend_name()
    setting = url.set(drivername=f"{name}+{driver}").render_as_string(hide_password=False)

    server = open_server(setting)
    with server.template("async bank", bank_schema).clone() as database:
        with database.engine().connect() as connection:
            assert connection.dialect.driver == other
            assert connection.execute(ADD).rowcount == 1
        engine = database.async_engine()
        assert engine.url.drivername == f"{name}+{driver}"
        assert asyncio.run(rows_changed(engine)) == 1
    server.stop()


async def rows_changed(engine):
    async with engine.begin() as connection:
        changed = (await connection.execute(ADD)).rowcount
    await engine.dispose()
    return changed


def test_psycopg2_serves_alike(postgres_server, bank_schema):
    """The older driver has no connection opened ahead, and everything else."""
    pytest.importorskip("psycopg2")
    url = postgres_server.url.set(drivername="postgresql+psycopg2")

    server = open_server(url.render_as_string(hide_password=False))
    with (
        server.template("older bank", bank_schema).clone() as database,
        separate_sessions("ann", "bob", engine=database.engine()) as (ann, bob),
    ):
        ann.execute(ADD)
        assert bob.start(ADD).blocked_by == ["ann"]
    server.stop()


def test_processes_with_one_directory_are_apart(tmp_path, bank_schema):
    """Each keeps its files in a directory of its own, wherever that is."""
    servers = [open_server(f"sqlite:///{tmp_path}/app.db") for _ in range(2)]
    made = [server.template("bank", bank_schema).clone() for server in servers]
    assert made[0].url != made[1].url
    for database, server in zip(made, servers, strict=True):
        database.close()
        server.stop()
    assert list(tmp_path.iterdir()) == []


def test_unknown_way_to_begin_is_refused():
    """A misspelt begin mode is corrected."""
    with pytest.raises(UsageError) as caught:
        SqliteServer(begin="immedi")

    assert str(caught.value) == (
        "SqliteServer: begin='immedi' is no way to begin a transaction. "
        "'immediate', 'deferred' and 'driver' are. Write begin='immediate'."
    )


@pytest.mark.parametrize("memory", [False, True])
def test_threads_lose_no_increment(bank_schema, memory):
    """Twenty workers read and write back what they read: nothing is lost, nobody is refused."""
    server = SqliteServer(memory=memory)

    def add(engine):
        for _ in range(5):
            with engine.begin() as connection:
                seen = connection.scalar(text("SELECT balance FROM account WHERE id = 1"))
                connection.execute(
                    text("UPDATE account SET balance = :b WHERE id = 1"), {"b": seen + 1}
                )

    with server.template("bank", bank_schema).clone() as database:
        engine = database.engine()
        workers = [threading.Thread(target=add, args=(engine,)) for _ in range(20)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        with engine.connect() as connection:
            total = connection.scalar(text("SELECT balance FROM account WHERE id = 1"))
    server.stop()

    assert total == 10 + 100


@pytest.mark.parametrize("memory", [False, True])
def test_clones_are_apart(bank_schema, memory):
    """What is committed in one clone is in no other, and not in the template."""
    server = SqliteServer(memory=memory)
    template = server.template("bank", bank_schema)
    assert server.template("bank", bank_schema) is template
    with template.clone() as first, template.clone() as second:
        with first.engine().begin() as connection:
            connection.execute(ADD)
        with second.engine().connect() as connection:
            assert connection.scalar(text("SELECT balance FROM account WHERE id = 1")) == 10
    server.stop()


def test_begin_is_ours_and_can_be_chosen(on):
    """BEGIN is sent as asked: by the server, by one transaction, or not in autocommit."""
    engine = on("sqlite").engine()
    sent = []
    stop = listen(engine, lambda _c, kind, sql, _p: sent.append(f"{kind}: {sql}"))
    for options in ({}, {"sqlite_begin": "immediate"}, {"isolation_level": "AUTOCOMMIT"}):
        with engine.connect().execution_options(**options) as connection:
            connection.execute(text("SELECT 1"))
            connection.commit()
    stop()
    with engine.connect() as connection:
        connection.execute(text("SELECT 2"))

    assert sent == [
        "statement: BEGIN", "statement: SELECT 1", "commit: COMMIT",
        "statement: BEGIN IMMEDIATE", "statement: SELECT 1", "commit: COMMIT",
        "statement: SELECT 1", "commit: COMMIT",
    ]  # fmt: skip


def test_points_cover_savepoints_and_rollbacks(on):
    """Everything that reaches the database is heard of before it is sent."""
    engine = on("postgres").engine()
    heard = []
    stop = listen(engine, lambda _c, kind, sql, _p: heard.append((kind, sql.split()[0])))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.begin_nested().rollback()
        connection.begin_nested().commit()
        connection.rollback()
    stop()

    assert heard == [
        ("statement", "SELECT"),
        ("statement", "SAVEPOINT"),
        ("statement", "ROLLBACK"),
        ("statement", "SAVEPOINT"),
        ("statement", "RELEASE"),
        ("rollback", "ROLLBACK"),
    ]


def test_files_are_gone_unless_kept(bank_schema):
    """A closed clone leaves no file; a kept one stays, and its command finds it."""
    server = SqliteServer()
    template = server.template("bank", bank_schema)
    database = template.clone()
    with database.engine().begin() as connection:
        connection.execute(ADD)
    directory = server._directory
    database.close()
    assert [path.name for path in directory.iterdir()] == ["template-1.db"]

    kept = template.clone()
    kept.close(keep=True)
    server.stop()
    assert kept.connect_command == f"sqlite3 {kept.url.database}"
    assert {path.name for path in directory.iterdir()} == {"clone-3.db", "kept"}
    shutil.rmtree(directory)


def test_files_of_killed_processes_are_swept(tmp_path, monkeypatch):
    """The next run deletes what a killed one left, not what was kept, nor what is in use."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["9999999-dead", "9999999-kept", f"{os.getpid()}-alive"]
    for name in names:
        (tmp_path / f"pytest-concurrency-sqlite-{name}").mkdir()
    (tmp_path / "pytest-concurrency-sqlite-9999999-kept" / "kept").touch()

    SqliteServer().stop()

    left = {path.name.removeprefix("pytest-concurrency-sqlite-") for path in tmp_path.iterdir()}
    assert left == {names[1], names[2]}


def test_make_safe_serves_engines_of_the_projects_own(tmp_path):
    """A project's own file gets WAL, a busy time-out and an explicit BEGIN."""
    engine = make_safe(create_engine(f"sqlite:///{tmp_path}/app.db"), timeout=1.5)
    with engine.connect() as connection:
        pragmas = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "busy_timeout", "foreign_keys")
        }
    engine.dispose()

    assert pragmas == {"journal_mode": "wal", "busy_timeout": 1500, "foreign_keys": 1}


def test_reader_that_writes_too_late_is_refused_at_once(on):
    """A refusal that no waiting can cure is not waited for."""
    engine = on("sqlite").engine()
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            connection.execute(text("SELECT * FROM account")).all()
        first.execute(ADD)
        with pytest.raises(OperationalError, match="database is locked"):
            second.execute(ADD)


def test_mariadb_clones_keep_keys_and_rows(mariadb_server):
    """Foreign keys, defaults, generated columns and rows are in the clone, and it is apart."""

    def build(engine):
        with engine.begin() as connection:
            for statement in FAMILY.split(";"):
                connection.execute(text(statement))

    template = mariadb_server.template("family", build)
    with template.clone() as database, template.clone() as other:
        engine = database.engine()
        with engine.begin() as connection:
            assert connection.execute(text("SELECT * FROM child")).all() == [(1, 5, 2)]
            connection.execute(text("INSERT INTO parent () VALUES ()"))
            assert connection.execute(text("SELECT * FROM parent ORDER BY id")).all() == [
                (5, "x%y"),
                (6, "x%y"),
            ]
        with engine.connect() as connection, pytest.raises(Exception, match="foreign key"):
            connection.execute(text("INSERT INTO child (id, parent_id) VALUES (2, 99)"))
        with other.engine().connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM parent")) == 1


OBJECTS = """
CREATE TABLE person (id INTEGER PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20), changes INTEGER);
CREATE SEQUENCE ticket START WITH 7 NOCACHE;
CREATE FUNCTION shout(said VARCHAR(20)) RETURNS VARCHAR(30) DETERMINISTIC
    RETURN CONCAT(UPPER(said), '%!');
CREATE VIEW shouted AS SELECT shout(name) AS name FROM person;
CREATE VIEW a_count AS SELECT count(*) AS n FROM shouted;
CREATE PROCEDURE rename_all(IN new VARCHAR(20)) UPDATE person SET name = new;
CREATE TRIGGER counted BEFORE UPDATE ON person FOR EACH ROW SET NEW.changes = OLD.changes + 1;
INSERT INTO person VALUES (1, 'ann', 0);
DO NEXTVAL(ticket)
"""


def test_mariadb_clones_have_views_routines_triggers_and_sequences(mariadb_server):
    """Whatever the schema has is in every clone, and speaks of that clone."""

    def build(engine):
        with engine.begin() as connection:
            for statement in OBJECTS.split(";"):
                connection.exec_driver_sql(statement.replace("%", "%%"))

    template = mariadb_server.template("objects", build)
    with template.clone() as database, template.clone() as other:
        with database.engine().begin() as connection:
            connection.execute(text("CALL rename_all('bob')"))
            assert connection.execute(text("SELECT * FROM person")).all() == [(1, "bob", 1)]
            assert connection.scalar(text("SELECT name FROM shouted")) == "BOB%!"
            assert connection.scalar(text("SELECT n FROM a_count")) == 1
            assert connection.scalar(text("SELECT NEXTVAL(ticket)")) == 8
        with other.engine().connect() as connection:
            assert connection.scalar(text("SELECT name FROM shouted")) == "ANN%!"


def test_mariadb_view_that_cannot_be_copied_is_named(mariadb_server):
    """A view of a table that is gone says so, not the table that is made next."""

    def build(engine):
        with engine.begin() as connection:
            for statement in ("CREATE TABLE t (n INTEGER)", "CREATE VIEW v AS SELECT n FROM t"):
                connection.execute(text(statement))
            connection.execute(text("DROP TABLE t"))

    with pytest.raises(UsageError) as caught:
        mariadb_server.template("broken view", build).clone()

    assert re.sub(r"ptc_\w+", "ptc", str(caught.value)) == (
        "database_schema: the view 'v' cannot be copied to another database: "
        "(1146, \"Table 'ptc.t' doesn't exist\"). Let it name what exists."
    )


def databases_of(server, run):
    with server._admin.connect() as admin:
        names = admin.exec_driver_sql("SHOW DATABASES").scalars().all()
    return [name for name in names if f"ptc_{run}_" in name]


def test_mariadb_run_ends_with_its_last_process(mariadb_url, mariadb_server, bank_schema):
    """A process that leaves drops its own; the last the templates; the next run what is dead."""
    first, second = (MariadbServer(mariadb_url, run="of two") for _ in range(2))
    first.template("bank", bank_schema)
    with second.template("bank", bank_schema).clone() as database:
        first.stop()
        with database.engine().connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM account")) == 2
    run = second._run
    assert databases_of(mariadb_server, run)
    second.stop()
    assert databases_of(mariadb_server, run) == []

    with mariadb_server._admin.connect() as admin:
        admin.exec_driver_sql("CREATE DATABASE ptc_deadbeef_t1")
    MariadbServer(mariadb_url).stop()
    assert databases_of(mariadb_server, "deadbeef") == []


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_kept_databases_stay_on_a_server_of_others(backend, request, bank_schema):
    """What is kept is there under its name after the run, and after the next."""
    owner = request.getfixturevalue(f"{backend}_server")
    url = owner.url.render_as_string(hide_password=False)
    server = type(owner)(url, run="keeps")
    database = server.template("bank", bank_schema).clone()
    name = database.url.database
    database.close(keep=True)
    server.stop()
    type(owner)(url, run="the next").stop()

    assert database.connect_command.endswith(f" {name}")
    engine = create_engine(owner.url.set(database=name))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM account")) == 2
    engine.dispose()
    with owner._admin.connect() as admin:
        admin.exec_driver_sql(f"DROP DATABASE {name}")
        if backend == "mariadb":
            admin.exec_driver_sql(f"DROP DATABASE {name}_kept")


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_connections_are_killed_by_the_server(on, backend):
    """Every connection to the database is lost, none to another."""
    survivor = on(backend).engine().connect()
    database = on(backend)
    engine = database.engine()
    lost = engine.connect()
    lost.execute(ADD)

    database.kill_connections()

    with pytest.raises(DBAPIError) as caught:
        lost.execute(ADD)
    assert caught.value.connection_invalidated
    lost.close()
    assert survivor.scalar(text("SELECT 1")) == 1
    survivor.close()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT balance FROM account WHERE id = 1")) == 10


def test_databases_without_a_server_refuse_to_end_it(on):
    """The message says where it can be had."""
    database = on("sqlite")
    with pytest.raises(UsageError) as caught:
        database.kill_connections()
    assert str(caught.value) == (
        "database.kill_connections(): sqlite has no server that could end a connection. "
        "Write @pytest.mark.backends('postgres')."
    )
    with pytest.raises(UsageError) as caught:
        database.restart()
    assert str(caught.value) == (
        f"database.restart(): the plugin did not start a server for {database!r}. "
        "Write --concurrency-db=postgres, or call database.kill_connections()."
    )


def test_other_databases_are_built_anew(tmp_path, bank_schema):
    """A database that knows no clones is emptied and built for every test."""
    url = f"sqlite:///{tmp_path}/other.db"
    server = OtherServer(url)
    template = server.template("bank", bank_schema)
    for _ in range(2):
        with template.clone() as database, database.engine().begin() as connection:
            assert connection.scalar(text("SELECT balance FROM account WHERE id = 1")) == 10
            connection.execute(ADD)
    server.stop()
    with (
        OtherServer(url).template("bank", bank_schema).clone(),
        pytest.raises(UsageError) as caught,
    ):
        OtherServer(url)

    assert str(caught.value) == (
        f"--concurrency-db: {url} has tables: account, doctor. "
        "It would be emptied before every test. Write the URL of an empty database."
    )


def test_importing_the_room_imports_nothing_else():
    """The room's names are loaded when they are used."""
    code = (
        "import sys; import pytest_concurrency.db;"
        "print([n for n in sys.modules if n.split('.')[0] in ('sqlalchemy', 'psycopg')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


def test_engines_prepared_by_the_server_do_not_listen_twice(on):
    """An engine gets its BEGIN once."""
    database = on("sqlite")
    engine = database.engine()
    sent = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, sql, *_: sent.append(sql))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    assert sent == ["BEGIN", "SELECT 1"]
