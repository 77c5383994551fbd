"""The markers: what they are, and on which tests they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONCURRENT = (
    "run the test's body from many workers at once, its fixtures shared by all of them; "
    "without arguments it only selects."
)
_INTERLEAVE = (
    "run the whole test once per schedule of the threads it starts, or of the workers it is marked "
    "for, with its function-scoped fixtures made anew each time."
)
_BACKENDS = (
    "run the test once on each of these back ends: sqlite, memory, postgres, or an SQLAlchemy URL."
)
_SLO = (
    "hold what the test measured (its perf_timer, its outcomes, or its own duration) against "
    "objectives such as 'p95 < 50ms', or against a named SLO."
)
MARKERS = (
    ("concurrent(*, workers=8, rounds=1, timeout='30s')", _CONCURRENT),
    (
        "interleave(*, preemptions=2, schedules=5000, seconds='10s', packages=(), replay=None)",
        _INTERLEAVE,
    ),
    ("slo(objective, ..., *, tier=None, undecided=None)", _SLO),
    ("backends(name, ...)", _BACKENDS),
    ("performance", "select tests that measure time or memory."),
    ("slow", "select tests that take long."),
    ("integration", "select tests that need a server, a network or another process."),
)
_NAMES = frozenset(signature.partition("(")[0] for signature, _ in MARKERS)


def add_markers(config: pytest.Config) -> None:
    """Register every marker, so that strict mode knows them and ``--markers`` lists them."""
    for signature, text in MARKERS:
        config.addinivalue_line("markers", f"{signature}: {text}")


def check_markers(items: Iterable[pytest.Item]) -> set[str]:
    """Check the arguments of our markers on all tests, before any runs.

    Returns:
        The names of those that stand on any test.

    Raises:
        pytest.UsageError: One has arguments that it does not take.
    """
    seen: set[str] = set()
    known: dict[int, list[pytest.Mark]] = {id(None): []}
    for item in items:
        marks = known.get(id(item.parent))
        if marks is None:
            marks = _ours(item.parent, known)
        if item.own_markers:
            marks = [*filter(_is_ours, item.own_markers), *marks]
        if marks:
            from pytest_concurrency.plugin.arguments import check_arguments

            for mark in marks:
                check_arguments(item, mark)
                seen.add(mark.name)
    return seen


def _is_ours(mark: pytest.Mark) -> bool:
    return mark.name in _NAMES


def _ours(node: Any, known: dict[int, list[pytest.Mark]]) -> list[pytest.Mark]:
    """Return our markers on a module or a class and all that holds it, each looked at once."""
    if node is None:
        return []
    if id(node) not in known:
        known[id(node)] = [*filter(_is_ours, node.own_markers), *_ours(node.parent, known)]
    return known[id(node)]
