"""What ``threading.local`` objects keep for a pooled thread, and making it forget."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
import threading
import weakref
from collections.abc import Hashable
from typing import Any, Final, final

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


@functools.lru_cache(maxsize=1)
def _found(_key: Hashable, _modules: int) -> tuple[weakref.ref[Any], ...]:
    """Find the objects of the process, which takes a walk through all that it holds.

    Args:
        _key: For whom: programs of one body need only one walk.
        _modules: How many modules are loaded; more of them may have brought more objects.
    """
    kinds: list[type[Any]] = [threading.local, *threading.local.__subclasses__()]
    plain = [kind for kind in kinds if kind.__init__ is object.__init__]
    referrers = gc.get_referrers(*plain)
    return tuple(weakref.ref(one) for one in referrers if type(one) in plain)


@final
class ThreadLocals:
    """The thread-local objects of the process, emptied for each worker as for a new thread."""

    def __init__(self, key: Hashable) -> None:
        """Find those that there are.

        Args:
            key: What the program is made of; another one of the same need not search again.
        """
        self._found = () if _TOLD else _found(key, len(sys.modules))

    def forget(self) -> None:
        """Empty them for the calling thread."""
        if _TOLD:
            kept = _of_this_thread()
            for key in [key for key in kept if str(key).startswith(_PREFIX)]:
                del kept[key]
            return
        for one in self._found:
            held = one()
            if held is not None:
                held.__dict__.clear()
