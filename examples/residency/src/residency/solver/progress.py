"""How a search goes on: its effort, and its quality against time."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path
from typing import Any

from ortools.sat.python.cp_model import CpSolver, CpSolverSolutionCallback

POINTS = 500
"""So many points of a series are kept."""


class Progress(CpSolverSolutionCallback):
    """Notes every better schedule and every better bound, with the effort until then."""

    def __init__(self) -> None:
        """Begin without points."""
        super().__init__()
        self.points: list[dict[str, float]] = []
        self.bounds: list[dict[str, float]] = []
        self._lock = threading.Lock()

    def on_solution_callback(self) -> None:
        """Note a better schedule."""
        point = {
            "seconds": round(self.wall_time, 4),
            "objective": self.objective_value,
            "bound": max(0.0, self.best_objective_bound),
            "branches": self.num_branches,
            "conflicts": self.num_conflicts,
            "memory_bytes": memory_bytes(),
        }
        with self._lock:
            if len(self.points) < POINTS:
                self.points.append(point)

    def on_bound(self, seconds: float, bound: float) -> None:
        """Note a better bound; no schedule costs less than nothing, which every search proves."""
        with self._lock:
            best = self.bounds[-1]["bound"] if self.bounds else 0.0
            if bound > best and len(self.bounds) < POINTS:
                self.bounds.append({"seconds": round(seconds, 4), "bound": bound})


def effort(solver: CpSolver) -> dict[str, Any]:
    """Return what a search took."""
    response = solver.response_proto
    return {
        "seconds": round(solver.wall_time, 4),
        "objective": solver.objective_value,
        "bound": max(0.0, solver.best_objective_bound),
        "branches": solver.num_branches,
        "conflicts": solver.num_conflicts,
        "propagations": response.num_binary_propagations + response.num_integer_propagations,
        "restarts": response.num_restarts,
        "lp_iterations": response.num_lp_iterations,
        "deterministic_seconds": round(response.deterministic_time, 4),
        "memory_bytes": memory_bytes(),
        "peak_memory_bytes": peak_memory_bytes(),
    }


def memory_bytes() -> int:
    """Return the memory that this process holds now, or its peak where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_memory_bytes()
    return pages * resource.getpagesize()


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
