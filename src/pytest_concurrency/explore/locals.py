"""What ``threading.local`` objects keep for a pooled thread, and making it forget."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, Final, NamedTuple, final

_PREFIX: Final = "thread.local."


def _of_this_thread() -> dict[Any, Any]:
    """Return what the interpreter keeps for the calling thread."""
    get = ctypes.pythonapi.PyThreadState_GetDict
    get.restype = ctypes.c_void_p  # the reference is borrowed, which py_object would take over
    return ctypes.cast(get(), ctypes.py_object).value  # type: ignore[no-any-return]


def _told_by_the_thread() -> bool:
    """Whether a thread knows which objects keep something for it; since Python 3.13 none does."""
    if sys.implementation.name != "cpython" or sys.version_info >= (3, 13):
        return False
    probe = threading.local()
    probe.kept = True
    return any(str(key).startswith(_PREFIX) for key in _of_this_thread())


_TOLD: Final = _told_by_the_thread()


class _Kept(NamedTuple):
    """A thread-local object, and what it keeps for each thread, by a key of the thread's."""

    one: weakref.ref[Any]
    by_thread: dict[Any, dict[str, Any]]
    is_made: bool
    """Whether each thread's part is made by ``__init__``, and so must be made anew."""


@functools.lru_cache(maxsize=1)
def _found(_key: Hashable, _modules: int) -> tuple[_Kept, ...]:
    """Find the objects of the process, which takes a walk through all that it holds.

    Args:
        _key: For whom: programs of one body need only one walk.
        _modules: How many modules are loaded; more of them may have brought more objects.
    """
    kinds = set(_kinds(threading.local))
    found = [one for one in gc.get_referrers(*kinds) if type(one) in kinds]
    return tuple(
        _Kept(weakref.ref(one), held, type(one).__init__ is not object.__init__)
        for one in found
        if (held := _by_thread(one)) is not None
    )


def _kinds(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for more in kind.__subclasses__():
        yield from _kinds(more)


def _by_thread(one: object) -> dict[Any, dict[str, Any]] | None:
    """Return what an object keeps for each thread, without making anything for this one."""
    dicts = [held for held in gc.get_referents(one) if type(held) is dict]
    return dicts[-1] if dicts and all(map(_is_key, dicts[-1])) else None


def _is_key(key: object) -> bool:
    return type(key).__name__ == "_localdummy"


@final
class ThreadLocals:
    """The thread-local objects of the process, emptied for each worker as for a new thread."""

    def __init__(self, key: Hashable) -> None:
        """Find those that there are.

        Args:
            key: What the program is made of; another one of the same need not search again.
        """
        self._found = () if _TOLD else _found(key, len(sys.modules))
        self._probe = threading.local()
        self._probed = _by_thread(self._probe) or {}

    def forget(self) -> None:
        """Empty them for the calling thread, as if it were a new one."""
        if _TOLD:
            kept = _of_this_thread()
            for key in [key for key in kept if str(key).startswith(_PREFIX)]:
                del kept[key]
            return
        mine = self._key()
        for one, by_thread, is_made in self._found:
            if mine not in by_thread or one() is None:
                continue
            if is_made:
                del by_thread[mine]
            else:
                by_thread[mine].clear()

    def _key(self) -> object:
        """Return the key under which objects keep what they keep for the calling thread."""
        held = self._probe.__dict__
        return next((key for key, value in self._probed.items() if value is held), None)
