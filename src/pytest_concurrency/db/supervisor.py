"""Keeps one PostgreSQL alive as long as any test process holds its lock; then removes it.

Run as a program, with Python's standard library only: ``supervisor.py JSON``. Test processes hold
a shared lock on a file. The kernel gives it back when they end, however they end; this program
waits for the exclusive one, stops the server, deletes its directory and is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_FAST = 3.0


def postmaster(data: Path) -> int | None:
    """Return the process number of the server on a data directory, if it runs."""
    try:
        number = int((data / "postmaster.pid").read_text().partition("\n")[0])
        os.kill(number, 0)
    except (OSError, ValueError):
        return None
    return number


def stop_server(data: Path) -> None:
    """Stop the server on a data directory: politely, then at once, then for good."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        number = postmaster(data)
        if number is None:
            return
        with suppress(ProcessLookupError):
            os.kill(number, how)
        deadline = time.monotonic() + _FAST
        while postmaster(data) is not None and time.monotonic() < deadline:
            time.sleep(0.002)


def remove(directory: Path) -> None:
    """Delete a server's directory, whatever is left in it."""
    for _ in range(5):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.02)


def start_server(task: dict[str, Any]) -> None:
    """Start the server, as another user if the task says so."""
    with Path(task["log"]).open("ab") as log:
        subprocess.Popen(
            task["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=task["directory"],
            start_new_session=True,
            **task["user"],
        )


def restart(task: dict[str, Any]) -> None:
    """Stop the server and start it again."""
    stop_server(Path(task["directory"]) / "home" / "data")
    start_server(task)


def main(task: dict[str, Any]) -> None:
    """Start the server, wait until nobody holds the lock, clean up."""
    directory = Path(task["directory"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, lambda *_: restart(task))
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    lock = os.open(directory / "lock", os.O_RDWR)
    start_server(task)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not (directory / "keep").exists():
        stop_server(directory / "home" / "data")
        remove(directory)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
