"""How far apart released workers really start, and how much short calls then overlap.

Every call reads the clock when it starts and when it ends. They are released by this plugin, by a
plain ``threading.Barrier``, and by pytest-run-parallel around a test; the figures are medians of
several releases. The skew is the time from the first start to the last, of calls that do nothing.

While a run lasts, this plugin shortens the interval after which the interpreter lets another thread
on. The row with Python's own interval shows what that costs where calls do nothing; it is what
makes calls of a millisecond overlap at all.
"""

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import monotonic_ns, thread_time_ns

from measuring.environment import OURS, Absent, Environment, required
from measuring.table import microseconds, show

from pytest_concurrency import concurrent_runner
from pytest_concurrency.run import threads

WORKERS = (2, 10, 100, 500)
RELEASES = 15
BUSY_NS = 1_000_000
UNSHORTENED = 1.0

Spans = list[tuple[int, int]]
"""When each call of one release started and ended, in nanoseconds."""
Release = Callable[[int, Callable[[], None]], object]


def main() -> None:
    measures = {
        OURS: lambda number, ns: released(ours, number, ns),
        "  with Python's own interval": lambda number, ns: released(ours_unshortened, number, ns),
        "threading.Barrier": lambda number, ns: released(barrier, number, ns),
        "pytest-run-parallel": RunParallel().released,
    }
    table(f"skew: the median of {RELEASES} releases", measures, 0, skew_cell, WORKERS)
    title = "calls of 1 ms of processor time that overlapped another, and the most at once"
    table(title, measures, BUSY_NS, overlap_cell, WORKERS[:-1])


def table(
    title: str,
    measures: dict[str, Callable[[int, int], list[Spans]]],
    busy_ns: int,
    cell: Callable[[list[Spans], list[Spans]], str],
    workers: Sequence[int],
) -> None:
    rows = []
    first: dict[int, list[Spans]] = {}
    for name, measure in measures.items():
        try:
            found = {number: measure(number, busy_ns) for number in workers}
        except Absent:
            rows.append([name, "absent", *[""] * (len(workers) - 1)])
            continue
        first = first or found
        rows.append([name, *(cell(found[number], first[number]) for number in workers)])
    show(title, ["released by", *(f"{number} workers" for number in workers)], rows)


def skew_cell(found: list[Spans], ours_: list[Spans]) -> str:
    mine = skew(found)
    return microseconds(mine) + ("" if found is ours_ else f" ({mine / skew(ours_):.1f} x)")


def skew(found: list[Spans]) -> float:
    starts = [[begun for begun, _ in spans] for spans in found]
    return median((max(each) - min(each)) / 1e9 for each in starts)


def overlap_cell(found: list[Spans], _: list[Spans]) -> str:
    share = median(overlapping(spans) / len(spans) for spans in found)
    return f"{share:.0%} ({median(peak(spans) for spans in found):.0f})"


def overlapping(spans: Spans) -> int:
    """Count the calls during which another one ran."""
    return sum(
        any(begun < other[1] and other[0] < ended for other in spans if other != (begun, ended))
        for begun, ended in spans
    )


def peak(spans: Spans) -> int:
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


def released(release: Release, number: int, busy_ns: int) -> list[Spans]:
    found = []
    for _ in range(RELEASES if busy_ns == 0 else 5):
        spans: Spans = []
        release(number, lambda spans=spans: spans.append(call(busy_ns)))
        found.append(spans)
    return found


def call(busy_ns: int) -> tuple[int, int]:
    """Use the processor for some time, however often the worker is interrupted."""
    begun = monotonic_ns()
    if busy_ns:
        used = thread_time_ns()
        while thread_time_ns() - used < busy_ns:
            pass
    return begun, monotonic_ns()


def ours(number: int, work: Callable[[], None]) -> None:
    concurrent_runner(work, workers=number).raise_errors()


def ours_unshortened(number: int, work: Callable[[], None]) -> None:
    before, threads.SWITCH_INTERVAL = threads.SWITCH_INTERVAL, UNSHORTENED
    try:
        ours(number, work)
    finally:
        threads.SWITCH_INTERVAL = before


def barrier(number: int, work: Callable[[], None]) -> None:
    gate = threading.Barrier(number)

    def wait_and_work() -> None:
        gate.wait()
        work()

    crew = [threading.Thread(target=wait_and_work) for _ in range(number)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


class RunParallel:
    """The same calls as the bodies of tests under pytest-run-parallel."""

    TESTS = """
import pytest
from time import monotonic_ns, thread_time_ns

spans = {{}}

@pytest.mark.parametrize("release", range({releases}))
def test_release(release):
    begun = monotonic_ns()
    if {busy_ns}:
        used = thread_time_ns()
        while thread_time_ns() - used < {busy_ns}:
            pass
    spans.setdefault(release, []).append((begun, monotonic_ns()))
"""
    CONFTEST = """
import json

def pytest_sessionfinish(session):
    with open("spans.json", "w") as file:
        json.dump(list(session.items[0].module.spans.values()), file)
"""

    def released(self, number: int, busy_ns: int) -> list[Spans]:
        names = required("pytest", "pytest-run-parallel")
        with tempfile.TemporaryDirectory() as name:
            room = Path(name)
            environment = Environment(room / "site", names)
            suite = room / "suite"
            suite.mkdir()
            releases = RELEASES if busy_ns == 0 else 5
            text = self.TESTS.format(releases=releases, busy_ns=busy_ns)
            (suite / "test_release.py").write_text(text, encoding="utf-8")
            (suite / "conftest.py").write_text(self.CONFTEST, encoding="utf-8")
            arguments = ("-m", "pytest", "-q", f"--parallel-threads={number}")
            subprocess.run(
                environment.command(*arguments),
                cwd=suite,
                env=environment.variables,
                capture_output=True,
                check=True,
            )
            spans = json.loads((suite / "spans.json").read_text(encoding="utf-8"))
        return [[(begun, ended) for begun, ended in each] for each in spans]


if __name__ == "__main__":
    main()
