"""Waiting for what another thread or process does: it is asked for, until it is so."""

from __future__ import annotations

import threading
from time import monotonic

PATIENCE = 60
"""For how many seconds something is waited for that is there at once on an idle machine."""


def wait_until(ask):
    """Ask again and again until the answer is true; return it."""
    give_up = monotonic() + PATIENCE
    while not (answer := ask()):
        assert monotonic() < give_up, f"it is not so after {PATIENCE} s"
        threading.Event().wait(0.01)
    return answer
