"""The package under test, as text and syntax trees."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

import pytest_concurrency

PACKAGE = Path(pytest_concurrency.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of the package: its dotted name, its path below the package, its text."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The package's part it lives in; the empty text for the package's own ``__init__``."""
        return [*self.name.split("."), ""][1]

    def at(self, node: ast.AST) -> str:
        """Where a node is, as an editor opens it."""
        return f"{self.path}:{node.lineno}"  # type: ignore[attr-defined]

    def imports(self) -> list[tuple[ast.AST, str]]:
        """Every imported module with the statement that imports it, wherever it stands."""
        found: list[tuple[ast.AST, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.extend((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                found.extend((node, f"{node.module}.{alias.name}") for alias in node.names)
        return found


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Return every module of the installed package."""
    return [
        Module(
            name=".".join(
                ["pytest_concurrency", *path.relative_to(PACKAGE).with_suffix("").parts]
            ).removesuffix(".__init__"),
            path=path.relative_to(PACKAGE),
            text=path.read_text(encoding="utf-8"),
            tree=ast.parse(path.read_text(encoding="utf-8")),
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
