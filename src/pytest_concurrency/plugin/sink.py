"""Where the records of a session go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Sink(Protocol):
    """Where the records of a session go when it ends."""

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take every record of the session, in the order in which the tests ended.

        A record holds nothing but ``None``, numbers, text, lists and mappings. Under pytest-xdist
        only the controller writes, and it has the records of all workers.
        """
