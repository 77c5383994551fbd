"""What the code under test may not do while its values are shown."""

from __future__ import annotations

from collections.abc import Callable


class Untold(Exception):
    """A value cannot be shown now: its ``repr`` would wait for another worker."""


def untold(ready: Callable[[], bool] | None) -> bool:
    """Let an operation of a ``repr`` be done if nobody has to wait for it.

    Args:
        ready: Whether the operation can be done now.

    Raises:
        Untold: It cannot.
    """
    if ready is not None and not ready():
        msg = "This has to wait for another worker."
        raise Untold(msg)
    return True
