"""Databases and servers live as long as their session: workers of xdist, signals, users."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import sqlalchemy.orm  # noqa: F401 - inner sessions forget what they import first
from sqlalchemy.engine import make_url

import pytest_concurrency

FAILS = """
from sqlalchemy import text

def test_fails(database_engine):
    with database_engine.begin() as connection:
        connection.execute(text("CREATE TABLE seat (taken INTEGER)"))
    assert False
"""
MANY = """
import pytest
from sqlalchemy import text

@pytest.mark.parametrize("which", range(8))
def test_own(database_engine, which):
    with database_engine.begin() as connection:
        connection.execute(text("CREATE TABLE seat (taken INTEGER)"))
        place = connection.scalar(text("SHOW data_directory"))
    with open("places.txt", "a") as file:
        print(place, database_engine.url.database, file=file)
"""
STOPS = """
import signal
import os
import sys
from pathlib import Path

def test_stops(database_engine):
    with database_engine.connect():
        Path("began").write_text(str(database_engine.url))
        os.kill(os.getpid(), getattr(signal, os.environ["STOP"]))
        signal.pause()
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A temporary directory that inner sessions put everything in."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_of_sqlite(room):
    """Return the files of databases that are still there."""
    return sorted(path.name for path in room.glob("pytest-concurrency-sqlite-*"))


@pytest.mark.usefixtures("room")
def test_kept_database_can_be_looked_into(suite):
    """The command to do so is printed, and what was committed is there."""
    ran = suite(FAILS, "--concurrency-keep-db")

    command = ran.section("test_fails").splitlines()
    shown = re.search(r"-+ Database kept -+\n(sqlite3 (\S+))", ran.text)
    assert shown is not None, command
    with sqlite3.connect(shown[2]) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("seat",)]
    connection.close()


def test_nothing_is_kept_unasked(suite, room):
    """Not even of a test that failed."""
    ran = suite(FAILS)

    assert ran.outcomes == {"failed": 1}
    assert "Database kept" not in ran.text
    assert left_of_sqlite(room) == []


def test_passed_tests_leave_nothing_to_keep(suite, room):
    """The option is about failures."""
    ran = suite("def test_passes(database_engine):\n    pass\n", "--concurrency-keep-db")

    assert ran.outcomes == {"passed": 1}
    assert left_of_sqlite(room) == []


def test_workers_of_xdist_share_one_server(suite, pytester):
    """A database for each test, one server for all, and nothing of it is left."""
    ran = suite(MANY, "-n", "2", "--concurrency-db=postgres", plugins=("xdist",), apart=True)

    assert ran.outcomes == {"passed": 8}
    lines = (pytester.path / "places.txt").read_text().splitlines()
    places, names = zip(*[line.split() for line in lines], strict=True)
    assert len(set(places)) == 1
    assert len(set(names)) == 8
    assert not Path(places[0]).exists()


def stopped(pytester, environment, name, *arguments):
    """Run a session that stops itself by a signal, and return how it ended."""
    pytester.makepyfile(test_it=STOPS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
               "-p", "concurrency-slo", *arguments]  # fmt: skip
    ran = subprocess.run(
        command, cwd=pytester.path, env={**environment, "STOP": name}, timeout=60, check=False,
        capture_output=True,
    )  # fmt: skip
    assert ran.returncode == (2 if name == "SIGINT" else -signal.SIGKILL)


def left_at(home):
    """Return the directory of a server and the processes that name it, if there are any."""
    found = [home.parent] if home.parent.exists() else []
    return found + [
        one
        for one in psutil.process_iter(["cmdline"])
        if str(home) in " ".join(one.info["cmdline"] or ())
    ]


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_server_is_gone_with_a_stopped_session(pytester, environment, name):
    """Ctrl-C or SIGKILL of pytest itself: no process and no directory of PostgreSQL is left."""
    stopped(pytester, environment, name, "--concurrency-db=postgres")

    home = Path(make_url((pytester.path / "began").read_text()).query["host"])
    assert home.parent.name.startswith("run-")
    deadline = time.monotonic() + 20
    while left_at(home) and time.monotonic() < deadline:
        os.sched_yield()
    assert left_at(home) == []


@pytest.mark.skipif(shutil.which("psql") is None, reason="no psql on this machine")
def test_kept_postgres_can_be_looked_into(suite):
    """The printed command finds what the failed test committed; the next session ends the server."""
    ran = suite(FAILS, "--concurrency-keep-db", "--concurrency-db=postgres", apart=True)

    shown = re.search(r"-+ Database kept -+\n(psql .*)", "\n".join(ran.result.outlines))
    assert shown is not None, ran.text
    home = Path(shlex.split(shown[1])[2])
    asked = subprocess.run(
        [*shlex.split(shown[1]), "-Atc", "SELECT tablename FROM pg_tables WHERE tablename='seat'"],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert asked.stdout == "seat\n"

    suite("def test_next(database):\n    pass\n", "--concurrency-db=postgres")
    assert not home.parent.exists()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_stopped_session_leaves_nothing(suite, pytester, room, environment, name):
    """After Ctrl-C at once, after SIGKILL as soon as the next session begins."""
    stopped(pytester, environment, name)

    assert (pytester.path / "began").exists()
    if name == "SIGKILL":
        assert left_of_sqlite(room) != []
        assert suite("def test_next(database_engine):\n    pass\n").outcomes == {"passed": 1}
    assert left_of_sqlite(room) == []


NEEDED = """
pytest _pytest py.py pluggy iniconfig packaging pygments psutil sqlalchemy greenlet hypothesis psycopg
psycopg-* psycopg_binary psycopg_binary.libs sortedcontainers typing_extensions.py pytest_concurrency_*
"""
"""What an inner session imports, as it is found among the installed packages."""


def linked(source, target, *, besides=()):
    """Make a directory appear elsewhere, at the cost of its names; copied where links cannot be."""

    def put(one, other):
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    shutil.copytree(
        source, target, copy_function=put, dirs_exist_ok=True, ignore_dangling_symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__", "*.a", *besides),
    )  # fmt: skip


@pytest.fixture
def place():
    """A directory that everybody may write to, below no private one."""
    with tempfile.TemporaryDirectory(prefix="of-nobody-", dir="/tmp") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def everybodys_python(place):
    """The interpreter with all its packages where every user can run it, and what finds them."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home, library = place / "python", Path(sys.base_prefix) / "lib"
    (home / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.base_prefix) / "bin" / name, home / "bin" / name)
    for shared in library.glob("libpython*"):
        (home / "lib").mkdir(exist_ok=True)
        shutil.copy2(shared, home / "lib" / shared.name)
    linked(library / name, home / "lib" / name, besides=("test", "site-packages", "config-*"))
    packages = place / "packages"
    for pattern in NEEDED.split():
        for found in Path(sysconfig.get_path("purelib")).glob(pattern):
            if found.is_dir():
                linked(found, packages / found.name)
            else:
                shutil.copy2(found, packages / found.name)
    source = Path(pytest_concurrency.__file__).parent
    linked(source, packages / source.name)
    paths = {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(home / "lib")}
    return home / "bin" / name, paths


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_an_ordinary_user_gets_a_server_too(environment, place, everybodys_python):
    """As `nobody`, with a home that cannot be written."""
    program, paths = everybodys_python
    (place / "test_it.py").write_text(
        "import os\n"
        "def test_it(database_engine):\n"
        "    assert os.geteuid() != 0\n"
        "    with database_engine.connect() as connection:\n"
        "        assert connection.exec_driver_sql('SHOW fsync').scalar() == 'off'\n"
    )
    command = [program, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "concurrency-slo",
               "--concurrency-db=postgres", "test_it.py"]  # fmt: skip
    ran = subprocess.run(
        command, cwd=place, user="nobody", group="nogroup", extra_groups=[], timeout=100,
        env={**environment, **paths, "HOME": "/nonexistent", "TMPDIR": str(place)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert not list(place.glob("pytest-pg-*/run-*"))
