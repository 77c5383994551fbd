"""A data directory of PostgreSQL, and the user it is run as."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pytest_concurrency.db.binaries import Binaries
from pytest_concurrency.errors import UsageError

_SETS = 16


def _run(command: list[Any], user: str | None) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", **run_as(user)
    )
    if done.returncode:
        msg = f"{Path(command[0]).name} ended with status {done.returncode}:\n{done.stderr.strip()}"
        raise UsageError(msg)


def run_as(user: str | None) -> dict[str, Any]:
    """Return how to run as a user: root may not run PostgreSQL."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def unprivileged() -> str | None:
    """Return whom to become; ``None`` if we are nobody special."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody", "daemon") if name in names)


def readable(binaries: Binaries, root: Path, user: str | None) -> Binaries:
    """Return programs that the user may run: a copy if they are in a private directory."""
    if user is None or _may_run(binaries.directory / "postgres", user):
        return binaries
    copied = root / f"programs-{binaries.version}"
    package, installed = binaries.directory.parts[-3:-1]
    if not copied.exists():
        making = Path(tempfile.mkdtemp(dir=root, prefix="copying-"))
        site = binaries.directory.parents[2]
        # The programs of a wheel find their libraries in a directory beside their package.
        for part in (Path(package, installed), Path(f"{package}.libs")):
            if (site / part).is_dir():
                shutil.copytree(site / part, making / "all" / part, symlinks=True)
        (making / "all").rename(copied)
        making.rmdir()
    return Binaries(directory=copied / package / installed / "bin", source=binaries.source)


def _may_run(program: Path, user: str) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, check=False, cwd="/", **run_as(user)
        )
    except PermissionError:
        return False
    return done.returncode == 0


def make_data(binaries: Binaries, directory: Path, user: str | None, *, cache: Path) -> None:
    """Make ``home/data`` in a directory: a copy of the output of one ``initdb`` per version."""
    cached = cache / f"initdb-{binaries.source}-{binaries.version}-{user or 'self'}"
    if not (cached / "data" / "PG_VERSION").exists():
        shutil.rmtree(cached, ignore_errors=True)
        making = Path(tempfile.mkdtemp(dir=cache, prefix="initdb-"))
        _give(making, user)
        options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1"]
        if binaries.major >= _SETS:  # before, initdb itself needs a megabyte of /dev/shm
            options += ["-c", "dynamic_shared_memory_type=mmap"]
        try:
            _run(
                [binaries.directory / "initdb", "-D", making / "data", "-U", "postgres", *options],
                user,
            )
        except UsageError:
            shutil.rmtree(making, ignore_errors=True)
            raise
        making.rename(cached)
    home = directory / "home"
    home.mkdir()
    _give(home, user)
    _run(["cp", "-a", cached / "data", home / "data"], user)


def _give(directory: Path, user: str | None) -> None:
    directory.chmod(0o700)
    if user is not None:
        shutil.chown(directory, user)
