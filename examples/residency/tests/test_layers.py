"""The layers: what may know of what, so that a rule is found where its name says."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import residency

HOME = Path(residency.__file__).parent
LAYERS = (
    {"domain", "settings"},
    {"store"},
    {"services"},
    {"solver", "data", "messages"},
    {"web", "tools"},
    {"cli"},
)
OUTSIDE = {
    "domain": {"numpy"},
    "services": {"numpy", "sqlalchemy", "tenacity", "circuitbreaker"},
    "solver": {"ortools", "sqlalchemy"},
}
"""What the inner layers use that is no part of Python; the outer ones use what they need."""


def imports():
    """Yield the part of each module and what it imports, functions included."""
    for path in sorted(HOME.rglob("*.py")):
        part = path.relative_to(HOME).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield part, node.module
            elif isinstance(node, ast.Import):
                yield from ((part, one.name) for one in node.names)


def level(part):
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def test_parts_import_from_below_only():
    """Layers: domain, store, services, solver, faces: none imports what is above or beside it."""
    upward = [
        (part, name)
        for part, name in imports()
        if part != "__init__" and name.startswith("residency.")
        if (other := name.split(".")[1]) != part and level(other) >= level(part)
    ]
    assert upward == []


def test_inner_layers_use_few_libraries():
    """Layers: rules know of no database, and services of no web server."""
    standard = set(sys.stdlib_module_names) | {"residency"}
    found = {part: set() for part in OUTSIDE}
    for part, name in imports():
        if part in OUTSIDE:
            found[part].add(name.split(".")[0])
    assert {part: names - standard for part, names in found.items()} == OUTSIDE
