"""An environment of chosen distributions: a folder of links, to be the only thing on the path.

Nothing is downloaded or built: what is installed where the benchmark runs is linked, together with
all that it requires. So each plugin is measured as if it alone had been installed.
"""

import json
import os
import shutil
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from packaging.requirements import Requirement

OURS = "pytest-concurrency-slo"


class Absent(Exception):
    """A distribution is not installed here."""


def required(*names: str) -> set[str]:
    """Return distributions with everything that they require, by name.

    Raises:
        Absent: One of them is not installed.
    """
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            todo += _requirements(name)
    return found


def _requirements(name: str) -> list[str]:
    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:
        raise Absent(name) from None
    parsed = [Requirement(text) for text in requires]
    return [one.name for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]


class Environment:
    """A folder that holds some distributions, and Python run with nothing else."""

    def __init__(self, folder: Path, names: set[str]) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in names:
            _link(distribution(name), folder)
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "PYTHON"))
        }
        self.variables = variables | {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of Python in this environment: ``-S`` hides all others."""
        return [sys.executable, "-S", *arguments]

    def processor_time(self, *arguments: str, cwd: Path) -> float:
        """Run Python once and return the processor time it took, in seconds."""
        quiet = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ]
        before = Path.cwd()
        os.chdir(cwd)
        try:
            child = os.posix_spawn(
                sys.executable, self.command(*arguments), self.variables, file_actions=quiet
            )
        finally:
            os.chdir(before)
        _, status, used = os.wait4(child, 0)
        if status != 0:
            msg = f"python {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}"
            raise RuntimeError(msg)
        return used.ru_utime + used.ru_stime


def _link(dist: Distribution, folder: Path) -> None:
    source = _editable_source(dist)
    if source is not None:
        _copy_as_installed(dist, source, folder)
        return
    tops = {
        path.parts[0] for path in dist.files or () if path.parts[0] not in ("..", "__pycache__")
    }
    for top in tops:
        (folder / top).symlink_to(Path(str(dist.locate_file(top))))


def _editable_source(dist: Distribution) -> Path | None:
    direct = json.loads(dist.read_text("direct_url.json") or "{}")
    if not direct.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlparse(direct["url"]).path)) / "src"


def _copy_as_installed(dist: Distribution, source: Path, folder: Path) -> None:
    """Lay out an editable install as a wheel's: its files and a record of them."""
    installed: list[str] = []
    for package in source.iterdir():
        if (package / "__init__.py").exists():
            copied = folder / package.name
            shutil.copytree(package, copied, ignore=shutil.ignore_patterns("__pycache__"))
            installed += [path.relative_to(folder).as_posix() for path in copied.rglob("*.py")]
    about = folder / f"{dist.name.replace('-', '_')}-{dist.version}.dist-info"
    about.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (about / name).write_text(dist.read_text(name) or "", encoding="utf-8")
    (about / "RECORD").write_text("".join(f"{path},,\n" for path in installed), encoding="utf-8")
