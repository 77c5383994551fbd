"""Python's collector of garbage: never in the middle of a schedule, and between two once it pays.

What plays leave in circles, such as event loops, would else be collected after the last of them,
when no budget counts the time that it takes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_MUCH: Final = 20_000
"""How many objects may come to be before it is looked for those that are garbage."""


@contextmanager
def steady() -> Iterator[Any]:
    """Keep the garbage collector from running finalizers in the middle of a schedule."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def tidy() -> None:
    """Collect what plays have left, if that may be much; called while none runs."""
    if gc.get_count()[0] > _MUCH:
        gc.collect(0)
