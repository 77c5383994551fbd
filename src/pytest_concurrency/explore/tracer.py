"""What calls a stage before each point of the code in scope."""

from __future__ import annotations

import sys
from typing import Any

from pytest_concurrency.explore.points import Decoder
from pytest_concurrency.explore.scope import Scope


def tracer(scope: Scope, decoder: Decoder) -> Any:
    """Make what this version of Python has for it.

    Args:
        scope: What is explored.
        decoder: Finds points.
    """
    if sys.version_info >= (3, 12):
        from pytest_concurrency.explore.monitoring import Monitoring

        return Monitoring(scope, decoder)
    from pytest_concurrency.explore.opcodes import Opcodes

    return Opcodes(scope, decoder)
