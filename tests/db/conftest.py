"""Databases for the tests of this room: SQLite, PostgreSQL and MariaDB."""

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from pytest_concurrency.db import SqliteServer
from pytest_concurrency.db.cluster import _temporary
from pytest_concurrency.db.mariadb import MariadbServer
from pytest_concurrency.db.postgres import PostgresServer

SCHEMA = [
    """CREATE TABLE account (
        id INTEGER NOT NULL PRIMARY KEY, balance INTEGER NOT NULL,
        version INTEGER NOT NULL DEFAULT 1)""",
    """CREATE TABLE doctor (
        id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE,
        on_call INTEGER NOT NULL)""",
    "INSERT INTO account (id, balance) VALUES (1, 10), (2, 20)",
    "INSERT INTO doctor (id, name, on_call) VALUES (1, 'ann', 1), (2, 'bob', 1)",
]


def build_bank(engine):
    with engine.begin() as connection:
        for statement in SCHEMA:
            connection.execute(text(statement))


@pytest.fixture(scope="session")
def bank_schema():
    return build_bank


@pytest.fixture(scope="session")
def run_name():
    """One name for all processes of a test run, so that they share servers."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", f"db-tests-{os.getpid()}")


@pytest.fixture(scope="session")
def sqlite_server():
    server = SqliteServer(begin="deferred")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(run_name):
    server = PostgresServer(run=run_name)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb_url(tmp_path_factory, enterable):
    """The URL of a MariaDB, started for this process unless one is given.

    Its data directory is made once for all processes of a run, which takes seconds, and copied.
    """
    given = os.environ.get("TEST_MARIADB_URL")
    if given:
        yield given
        return
    program = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    install = shutil.which("mariadb-install-db")
    if not program or not install:
        message = "no MariaDB server on this machine: install mariadb-server"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(
        prefix="tests-mariadb-", dir=enterable, ignore_cleanup_errors=True
    ) as made:
        shutil.chown(made, user)
        yield from serve_mariadb(program, install, Path(made), user, tmp_path_factory)


@pytest.fixture(scope="session")
def enterable():
    """A temporary directory that an ordinary user can enter, whoever runs the tests."""
    return _temporary("nobody" if os.geteuid() == 0 else None)


def serve_mariadb(program, install, home, user, tmp_path_factory):
    """Start a server in a directory, give its URL, and end it."""
    environment = {**os.environ, "TMPDIR": str(home)}  # which the server's user can enter
    common = ["--no-defaults", f"--datadir={home}/data", f"--user={user}"]
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "mariadb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "mariadb" / "data").exists():
            options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run(
                [install, *common, *options], check=True, capture_output=True, env=environment
            )
            (shared / "mariadb").mkdir()
            subprocess.run(["/bin/cp", "-a", home / "data", shared / "mariadb"], check=True)
        else:
            subprocess.run(["/bin/cp", "-a", shared / "mariadb" / "data", home], check=True)
    settings = ["--skip-networking", f"--socket={home}/s", "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=32M", "--skip-log-bin"]  # fmt: skip
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *common, *settings], stdout=log, stderr=log, env=environment
        )
    url = f"mariadb+pymysql://root@localhost/?unix_socket={home}/s"
    try:
        await_answer(home / "s", process)
        yield url
    finally:
        process.kill()
        process.wait()


def await_answer(path, process):
    """Return once a server greets on its socket."""
    for _ in range(2000):
        assert process.poll() is None, "MariaDB did not start"
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0 and client.recv(1):
                return
        time.sleep(0.005)


@pytest.fixture(scope="session")
def mariadb_server(mariadb_url, run_name):
    server = MariadbServer(mariadb_url, run=run_name)
    yield server
    server.stop()


@pytest.fixture
def on(request):
    """A fresh bank on the back end of a name: ``on("postgres")`` gives a database."""
    made = []

    def on(backend, build=build_bank, name="bank"):
        server = request.getfixturevalue(f"{backend}_server")
        made.append(server.template(name, build).clone())
        return made[-1]

    yield on
    for database in made:
        database.close()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def bank(request, on):
    """A fresh bank on each back end in turn."""
    return on(request.param)


@pytest.fixture
def engine(bank):
    return bank.engine()
