"""How programs are drawn, and how far each is explored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.case import Case
from pytest_concurrency.explore.history import Key


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The options of `linearizable`.

    Args:
        model: What says the answers instead of the class: one with methods of the same names.
        key: Names the part of the object that a call is about, if calls on different parts never
            interact.
        workers: How many call at once: 2, 3 or 4.
        operations_each: How many calls each makes at most.
        examples: How many programs to draw.
        schedules: How many schedules of each program to run at most.
        preemptions: Explore every schedule with at most this many preemptions.
        seconds: Stop after this long.
        seed: Same seed, same programs and schedules.
        packages: Installed packages to explore besides the project's own files; that of the class
            is.
        replay: Run this program only, as a failure shows it.
    """

    model: Callable[[], Any] | None = None
    key: Key | None = None
    workers: int = 2
    operations_each: int = 3
    examples: int = 200
    schedules: int = 100
    preemptions: int = 2
    seconds: float = 10.0
    seed: int = 0
    packages: Sequence[str] = ()
    replay: Case | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.workers not in {2, 3, 4}:
            msg = (
                f"linearizable: workers={self.workers!r} is out of range. Write workers=2, 3 or 4."
            )
            raise UsageError(msg)
        for name, least in (("operations_each", 1), ("examples", 1), ("schedules", 1)):
            _check_whole(name, getattr(self, name), least)
        _check_whole("preemptions", self.preemptions, 0)
        for name in ("model", "key"):
            _check_callable(name, getattr(self, name))
        if self.replay is not None and not isinstance(self.replay, Case):
            msg = (
                f"linearizable: replay={self.replay!r} is not a case. "
                "Paste the one that a failure shows: replay=Case([('put', 1)], [('get',)])."
            )
            raise UsageError(msg)


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        msg = f"linearizable: {name}={value!r} is not a whole number of at least {least}."
        raise UsageError(msg)


def _check_callable(name: str, value: object) -> None:
    if value is None or callable(value):
        return
    what = {
        "model": "a class with the same methods. Write model=SlowButSure",
        "key": "a function of a call. Write key=lambda call: call.arguments[0]",
    }
    msg = f"linearizable: {name}={value!r} is not {what[name]}."
    raise UsageError(msg)


def check_factory(factory: object) -> None:
    """Refuse what makes no fresh object."""
    if not callable(factory):
        msg = (
            f"linearizable: {factory!r} is not a class and not a function. "
            f"Pass what makes a fresh object: linearizable({type(factory).__name__}, …)."
        )
        raise UsageError(msg)


def packages_of(factory: Callable[[], Any], packages: Sequence[str]) -> Sequence[str]:
    """Explore the package of the class itself, unless it is the standard library's."""
    if isinstance(packages, str) or not isinstance(factory, type):
        return packages
    if not isinstance(packages, Iterable):
        return packages  # refused with what to write instead where it is used
    name = factory.__module__.partition(".")[0]
    if name in sys.stdlib_module_names or name in packages or name == "__main__":
        return packages
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return packages if spec is None else (*packages, name)
