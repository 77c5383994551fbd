"""Who may import whom."""

from __future__ import annotations

import ast

ROOMS = ["slo", "run", "explore", "db", "faults", "load", "report", "plugin"]


def test_every_room_is_known(modules):
    """A new room has a place in the order, or it is not a room."""
    rooms = {module.room for module in modules} - {"", "errors"}

    assert rooms <= set(ROOMS)


def test_rooms_import_only_rooms_below_them(modules):
    """A room knows the rooms below it and the errors, and nothing above."""
    offenders = []
    for module in modules:
        if not module.room:
            continue
        allowed = (
            {module.room, "errors", *ROOMS[: ROOMS.index(module.room)]}
            if (module.room in ROOMS)
            else {"errors"}
        )
        for node, name in module.imports():
            package, _, rest = name.partition(".")
            if package == "pytest_concurrency" and rest.split(".")[0] not in allowed:
                offenders.append(f"{module.at(node)}: {module.room} imports {name}")

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
