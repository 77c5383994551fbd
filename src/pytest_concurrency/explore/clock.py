"""Time for the workers of a schedule: it moves only when nobody can run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from pytest_concurrency.explore.region import caller, entered, here

_NANO = 1_000_000_000


def sleep(seconds: float) -> None:
    """Stand in for ``time.sleep``."""
    stage = here()
    if stage is None:
        _sleep(seconds)
        return
    if seconds < 0:
        msg = "sleep length must be non-negative"
        raise ValueError(msg)
    stage.operate(("sleep", *caller(2)), (), _never, seconds=seconds, wants="sleep")


def _never() -> bool:
    return False


_sleep = time.sleep


def _is_asked_by_loop() -> bool:
    """Whether a loop looks at its clock, as it does when its worker is unwound and it tidies up."""
    return sys._getframe(2).f_globals.get("__name__") == "asyncio.base_events"  # noqa: SLF001


def shifted(real: Callable[[], Any], unit: int = 1) -> Callable[[], Any]:
    """Make the stand-in for a clock: it starts at real time and moves with virtual time.

    Args:
        real: The clock.
        unit: Units of the clock in a second: ``1_000_000_000`` for one that counts nanoseconds.
    """
    base = real()

    def now() -> Any:
        stage = entered() if _is_asked_by_loop() else here()
        if stage is None:
            return real()
        return base + (stage.now if unit == 1 else int(stage.now * unit))

    now.__name__ = getattr(real, "__name__", "now")
    return now
