"""What ``threading.local`` objects keep for a pooled thread, and making it forget."""

from __future__ import annotations

import gc
import threading
from typing import Any, final


@final
class ThreadLocals:
    """The thread-local objects of the process, emptied for each worker as for a new thread."""

    def __init__(self) -> None:
        """Find those that there are."""
        kinds: list[type[Any]] = [threading.local, *threading.local.__subclasses__()]
        self._found = [
            one
            for kind in kinds
            if kind.__init__ is object.__init__
            for one in gc.get_referrers(kind)
            if type(one) is kind
        ]

    def forget(self) -> None:
        """Empty them for the calling thread."""
        for one in self._found:
            one.__dict__.clear()
