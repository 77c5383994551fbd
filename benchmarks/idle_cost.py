"""What the plugin costs a suite that never uses it: 2,000 trivial tests, with it and without.

Both run in an environment that holds pytest and all that the plugin requires; one holds the plugin
as well. Runs alternate, and each is compared with its neighbour. The figure is processor time,
since other processes disturb the clock on the wall. The bar is 1 %.

    python benchmarks/idle_cost.py [--instructions]

Instructions are counted by valgrind, where it is installed: one run of each suffices, since the
count is the same on an idle machine and on a busy one. It takes a few minutes, and leaves out what
the kernel does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic

from measuring.environment import OURS, Absent, Environment, required
from measuring.table import interval, show

TESTS = 2000
PAIRS = 32
RIVALS = ("pytest-benchmark", "pytest-asyncio", "pytest-run-parallel")
RIVAL_PAIRS = 2
FEW = 5
MOST_SECONDS = 80
PYTEST = ("-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_trivial.py")


def main() -> None:
    pin()
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        suite = room / "suite"
        suite.mkdir()
        (suite / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        tests = "\n".join(f"def test_{number}():\n    pass\n" for number in range(TESTS))
        (suite / "test_trivial.py").write_text(tests, encoding="utf-8")
        base = required(OURS, "pytest") - {OURS}
        if "--instructions" in sys.argv:
            instructions(room, suite, base)
            return
        contest = Contest(room, Environment(room / "without", base), monotonic() + MOST_SECONDS)
        rivals = [contest.row(rival, rival_names(rival, base), RIVAL_PAIRS) for rival in RIVALS]
        ours = contest.row(OURS, base | {OURS}, PAIRS)
    show(
        f"idle cost: {TESTS:,} trivial tests, processor time with a plugin and without",
        ["plugin", "without", "with", "more", "95 % interval", "pairs"],
        [ours, *rivals],
    )


def instructions(room: Path, suite: Path, base: set[str]) -> None:
    """Count what one run executes without the plugin and with it, by where it is spent."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        print("valgrind is not installed")
        return
    few = room / "few"
    few.mkdir()
    (few / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (few / "test_trivial.py").write_text("def test_0():\n    pass\n", encoding="utf-8")
    without, having = Environment(room / "without", base), Environment(room / "with", base | {OURS})
    counts = {
        tests: [counted(valgrind, environment, tests) for environment in (without, having)]
        for tests in (few, suite)
    }
    rows = [
        [what, *(f"{count / 1e6:,.0f} M" for count in found), f"{found[1] / found[0] - 1:+.2%}"]
        for what, found in (("1 test", counts[few]), (f"{TESTS:,} tests", counts[suite]))
    ]
    show("idle cost: instructions executed", ["suite", "without", "with", "more"], rows)


def counted(valgrind: str, environment: Environment, suite: Path) -> int:
    """Return how many instructions one run executes, after one that fills caches."""
    environment.processor_time(*PYTEST, cwd=suite)
    tool = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    ran = subprocess.run(
        [*tool, *environment.command(*PYTEST)],
        cwd=suite,
        env=environment.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", ran.stderr)
    return int(found[1].replace(",", "")) if found else 0


def pin() -> None:
    """Stay on one processor: moving between them costs time that varies."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def rival_names(rival: str, base: set[str]) -> set[str] | None:
    try:
        return base | required(rival)
    except Absent:
        return None


class Contest:
    """Pairs of runs, without and with a plugin, until a given time."""

    def __init__(self, room: Path, without: Environment, end: float) -> None:
        self.room = room
        self.without = without
        self.end = end

    def row(self, name: str, names: set[str] | None, pairs: int) -> list[str]:
        if names is None:
            return [name, "absent", "", "", "", ""]
        times = self.times(Environment(self.room / name, names), pairs)
        mid, low, high = interval([used / base - 1 for base, used in times])
        spread = f"{low:+.2%} to {high:+.2%}" if len(times) > FEW else ""
        before, after = (median(column) for column in zip(*times, strict=True))
        return [name, f"{before:.3f} s", f"{after:.3f} s", f"{mid:+.2%}", spread, str(len(times))]

    def times(self, having: Environment, pairs: int) -> list[tuple[float, float]]:
        """Return processor times without and with; the first runs only fill caches."""
        self.used(self.without), self.used(having)
        found: list[tuple[float, float]] = []
        while len(found) < pairs and (not found or monotonic() < self.end):
            if len(found) % 2:
                before = self.used(self.without)
                found.append((before, self.used(having)))
            else:
                after = self.used(having)
                found.append((self.used(self.without), after))
        return found

    def used(self, environment: Environment) -> float:
        return environment.processor_time(*PYTEST, cwd=self.room / "suite")


if __name__ == "__main__":
    main()
