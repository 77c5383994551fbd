"""Which code is explored: the project's own files, and packages asked for."""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any, final

from pytest_concurrency.errors import UsageError, nearest

_OURS = str(Path(__file__).parent.parent) + "/"

_TYPED = ("<doctest", "<ipython-input", "<stdin>")
"""How the names of code begin that somebody typed, and that is in no file."""


@functools.cache
def _foreign() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    places = {
        paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths
    }
    places.update(site.getsitepackages())
    places.add(site.getusersitepackages())
    places.update({str(Path(place).resolve()) for place in set(places)})
    return tuple(sorted(place.rstrip("/") + "/" for place in places))


def code_of(function: Any) -> CodeType | None:
    """Return the code of a function, of a method, or of what `functools.partial` makes of them."""
    while isinstance(function, functools.partial):
        function = function.func
    found = getattr(getattr(function, "__func__", function), "__code__", None)
    return found if isinstance(found, CodeType) else None


def ours(code: CodeType) -> bool:
    """Whether code belongs to this package."""
    return code.co_filename.startswith(_OURS)


@functools.lru_cache(maxsize=8192)
def _decide(name: str, wanted: tuple[str, ...]) -> bool:
    if name.startswith("<"):
        return name.startswith(_TYPED)
    return name.startswith(wanted) or not name.startswith((_OURS, *_foreign()))


@final
class Scope:
    """Tells code under test from the rest."""

    def __init__(self, packages: Iterable[str] = ()) -> None:
        """Explore the project's own files and these packages.

        Args:
            packages: Import names of installed packages or modules.
        """
        packages = tuple(packages)
        self._wanted = check_packages(packages, where=f"interleave: packages={[*packages]!r}")
        self._known: dict[str, bool] = {}

    def has(self, code: CodeType) -> bool:
        """Whether the code is explored."""
        return code.co_name != "<module>" and self.has_file(code.co_filename)

    def has_file(self, name: str) -> bool:
        """Whether code of this file is explored."""
        known = self._known.get(name)
        if known is None:
            at = name if name.startswith(("<", "/")) else os.path.abspath(name)  # noqa: PTH100
            known = self._known[name] = _decide(at, self._wanted)
        return known

    def own_modules(self) -> list[object]:
        """Return the loaded modules whose code is explored."""
        found: list[object] = []
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            if isinstance(name, str) and self.has_file(name):
                found.append(module)
        return found


def check_packages(packages: Iterable[str], *, where: str) -> tuple[str, ...]:
    """Return where packages or modules are installed.

    Args:
        packages: Their import names.
        where: Who named them, as it was typed, for the message when one is not there.

    Raises:
        UsageError: One of them cannot be imported.
    """
    return tuple(_place(package, where) for package in packages)


def _place(package: str, where: str) -> str:
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not (spec.submodule_search_locations or spec.has_location):
        raise UsageError(_not_there(package, where, built_in=spec is not None))
    if spec.submodule_search_locations:
        return str(Path(next(iter(spec.submodule_search_locations))).absolute()) + "/"
    return str(spec.origin)


def _not_there(package: str, where: str, *, built_in: bool) -> str:
    if built_in:
        return f"{where}: {package!r} is not written in Python, so it has no points. Leave it out."
    near = nearest(package, {name.partition(".")[0] for name in sys.modules})
    remedy = f"Write {near!r}" if near else "Install it, or name it as it is imported"
    return f"{where}: {package!r} cannot be imported. {remedy}."
