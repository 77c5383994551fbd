"""Names that nobody gives another meaning while code is explored."""

from __future__ import annotations

from types import CodeType
from typing import Any, final

from pytest_concurrency.explore.bytecode import argument, instructions
from pytest_concurrency.explore.kinds import FIXED, MISSING

_WRITES = frozenset(
    f"{does}_{what}" for does in ("STORE", "DELETE") for what in ("GLOBAL", "ATTR", "DEREF")
)


@final
class Constants:
    """Knows which names of modules mean a function, a class or a module for good.

    It is taken from the code that has run so far: a name that some instruction writes, be it to
    another object, is none.
    """

    __slots__ = ("_relied", "_written")

    def __init__(self) -> None:
        """Know of no code."""
        self._written: set[str] = set()
        self._relied: set[str] = set()

    def holds(self, name: str, value: Any) -> bool:
        """Whether a name means this value for good; from now on somebody relies on it.

        Args:
            name: Of a global variable, or of a module's attribute.
            value: What it means now; ``MISSING`` if only the builtins have it.
        """
        if name in self._written or not (value is MISSING or isinstance(value, FIXED)):
            return False
        self._relied.add(name)
        return True

    def changes(self, name: str) -> bool:
        """Whether some code gives a name, or an attribute of this name, another meaning."""
        return name in self._written

    def learn(self, code: CodeType) -> bool:
        """Take note of the names that code writes; whether somebody relied on one of them."""
        steps = instructions(code)
        written = {argument(code, one) for one in steps if one.name in _WRITES} - self._written
        self._written |= written
        return not self._relied.isdisjoint(written)
