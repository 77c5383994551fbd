"""What the code under test may not do while its values are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage


class Untold(Exception):
    """A value cannot be shown now: its ``repr`` would wait for another worker."""


@contextmanager
def telling(stage: Stage) -> Iterator[None]:
    """Let values be shown: what a ``repr`` does is no step of the play."""
    started, stage.started, stage.telling = stage.started, 0, True
    try:
        yield
    finally:
        stage.started, stage.telling = started, False


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
