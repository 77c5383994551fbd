"""Find the race, deterministically; hold the objective, honestly.

The public names, each imported from its room on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_concurrency.errors import BrokenPromise, InternalError, MissingExtra, UsageError

__all__ = ["BrokenPromise", "InternalError", "MissingExtra", "UsageError"]

_ROOMS = {
    "BrokenPromise": "errors",
    "InternalError": "errors",
    "MissingExtra": "errors",
    "UsageError": "errors",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("pytest-concurrency-slo")
    room = _ROOMS.get(name)
    if room is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{room}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
