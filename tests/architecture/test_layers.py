"""Who may import whom."""

from __future__ import annotations

import ast

import pytest_concurrency

ROOMS = ["slo", "run", "explore", "db", "faults", "load", "report", "plugin"]


def test_every_room_is_known(modules):
    """A new room has a place in the order, or it is not a room."""
    rooms = {module.room for module in modules} - {"", "errors", "surroundings"}

    assert rooms <= set(ROOMS)


def allowed(room):
    """Return the rooms that a room may import from, its own among them."""
    below = ROOMS[: ROOMS.index(room)] if room in ROOMS else []
    return {*below, room, "errors", "surroundings"}


def room_of(imported):
    """Return the room of an imported module, or of a public name imported from the package."""
    first = imported.split(".")[1]
    return pytest_concurrency._ROOMS.get(first, first).split(".")[0]


def test_rooms_import_only_rooms_below_them(modules):
    """A room knows the rooms below it and the errors, and nothing above."""
    offenders = [
        f"{module.at(node)}: {module.room} imports {name}"
        for module in modules
        if module.room
        for node, name in module.imports()
        if name.startswith("pytest_concurrency.") and room_of(name) not in allowed(module.room)
    ]

    assert offenders == []


def test_imports_are_absolute(modules):
    """An import says where from, so that a search for a room finds all who use it."""
    offenders = [
        module.at(node)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert offenders == []


def test_only_the_plugin_imports_pytest(modules):
    """Everything but the plugin works in a script, a notebook and under another runner."""
    offenders = [
        module.at(node)
        for module in modules
        for node, name in module.imports()
        if name.split(".")[0] in {"pytest", "pluggy"} and module.room != "plugin"
    ]

    assert offenders == []


def test_nobody_imports_pytest_internals(modules):
    """What pytest keeps to itself may change in any release."""
    offenders = [
        module.at(node)
        for module in modules
        for node, name in module.imports()
        if name.split(".")[0] == "_pytest"
    ]

    assert offenders == []
