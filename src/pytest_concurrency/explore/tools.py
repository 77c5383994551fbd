"""The tools that ``sys.monitoring`` knows by a number, of which we need one or two."""

from __future__ import annotations

import sys
from typing import Any, Final

NAME: Final = "pytest-concurrency-slo"
"""What our tools are called."""

IDS: Final = (4, 3, 5, 2, 0)
"""Those that we take, the first one first: 0, 2 and 5 are meant for others, 1 is coverage's."""


def free() -> list[int]:
    """Return the ids that nobody has, the one to take first."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    return [tool for tool in IDS if monitoring.get_tool(tool) is None]
