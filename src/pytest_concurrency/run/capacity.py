"""How many processors this process may really use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def processors(cgroup: Path = CGROUP) -> int:
    """Count the processors that affinity and the container's quota leave, at least one."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        count = os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(count, quota) if quota is not None else count)


def _quota(cgroup: Path) -> int | None:
    with suppress(OSError, ValueError):
        limit, period = (cgroup / "cpu.max").read_text().split()
        return None if limit == "max" else -(-int(limit) // int(period))
    with suppress(OSError, ValueError):
        limit_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return None if limit_us < 0 else -(-limit_us // period_us)
    return None
