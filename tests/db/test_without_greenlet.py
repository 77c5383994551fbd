"""SQLAlchemy and nothing else: what is not async works where greenlet cannot be imported."""

import subprocess
import sys

SCRIPT = """
import sys
sys.modules["greenlet"] = None
from sqlalchemy import text
from pytest_concurrency.db import open_server, separate_sessions

server = open_server("sqlite")

def build(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE seat (taken INTEGER)"))
        connection.execute(text("INSERT INTO seat VALUES (0)"))

with server.template("seats", build).clone() as database:
    with separate_sessions("ann", "bob", engine=database.engine()) as (ann, bob):
        ann.execute(text("UPDATE seat SET taken = 1"))
        step = bob.start("UPDATE seat SET taken = 2")
        print(step.state, step.blocked_by)
        ann.commit()
        print(step.result())
server.stop()
print("sqlalchemy.ext.asyncio" in sys.modules)
"""


def test_sessions_and_steps_need_no_greenlet():
    """Two sessions, a wait and its end, with greenlet out of reach."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.stdout, ran.stderr) == ("waiting ['ann']\n1\nFalse\n", "")
