"""Databases and servers live as long as their session: workers of xdist, signals, users."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy.orm  # noqa: F401 - inner sessions forget what they import first

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


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_stopped_session_leaves_nothing(suite, pytester, room, environment, name):
    """After Ctrl-C at once, after SIGKILL as soon as the next session begins."""
    pytester.makepyfile(test_it=STOPS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "concurrency-slo",
    ]
    ran = subprocess.run(
        command, cwd=pytester.path, env={**environment, "STOP": name}, timeout=60, check=False,
        capture_output=True,
    )  # fmt: skip

    assert (pytester.path / "began").exists()
    assert ran.returncode == (2 if name == "SIGINT" else -signal.SIGKILL)
    if name == "SIGKILL":
        assert left_of_sqlite(room) != []
        assert suite("def test_next(database_engine):\n    pass\n").outcomes == {"passed": 1}
    assert left_of_sqlite(room) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_an_ordinary_user_gets_a_server_too(environment):
    """As `nobody`, with a home that cannot be written."""
    with tempfile.TemporaryDirectory(prefix="of-nobody-") as place:
        Path(place).chmod(0o777)
        (Path(place) / "test_it.py").write_text(
            "def test_it(database_engine):\n"
            "    with database_engine.connect() as connection:\n"
            "        assert connection.exec_driver_sql('SHOW fsync').scalar() == 'off'\n"
        )
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                   "-p", "concurrency-slo", "--concurrency-db=postgres"]  # fmt: skip
        try:
            ran = subprocess.run(
                command, cwd=place, user="nobody", group="nogroup", timeout=60, check=False,
                env={**environment, "HOME": "/nonexistent", "TMPDIR": place},
                capture_output=True, text=True,
            )  # fmt: skip
        except PermissionError:
            pytest.skip("this Python is in a directory that others cannot read")

    if "Permission" in ran.stderr or "No module named" in ran.stderr:
        pytest.skip("this Python is in a directory that others cannot read")
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
