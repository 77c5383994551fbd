"""``--pdb`` lands in the frame of the worker that failed."""

from __future__ import annotations

import subprocess
import sys

SUITE = """
def book(worker):
    seat = worker.index + 40
    assert seat == 1

def test_book(concurrent_runner):
    concurrent_runner(book, workers=1).raise_errors()
"""


def test_the_debugger_is_where_the_worker_was(pytester, environment):
    """Its locals can be asked for."""
    pytester.makepyfile(test_it=SUITE)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--pdb", "-p", "concurrency-slo"],
        input="print('seat is', seat)\nquit\n",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "(Pdb) seat is 40" in ran.stdout
    assert "-> assert seat == 1" in ran.stdout
