"""Coverage is the same with exploring as without."""

import json
import subprocess
import sys
from textwrap import dedent

import pytest

_PROGRAM = """
import threading
from pytest_concurrency.explore.interleave import interleave

class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        if value > 100:
            print("never")
        self.value = value + 1

def explored(run):
    counter = Counter()
    run(counter.increment, counter.increment)

def threaded():
    counter = Counter()
    threads = [threading.Thread(target=counter.increment) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

interleave(explored)
after = 1
"""


@pytest.mark.parametrize("core", ["ctrace", "sysmon"])
def test_lines_run_by_workers_are_covered(tmp_path, core):
    """Each line that a worker runs is covered, and what comes after the exploration too."""
    program = tmp_path / "program.py"
    program.write_text(dedent(_PROGRAM), encoding="utf-8")
    environment = {"COVERAGE_CORE": core, "PATH": "", "COVERAGE_FILE": str(tmp_path / "data")}
    report = tmp_path / "report.json"

    for arguments in (
        ["run", "--rcfile=/dev/null", f"--include={program}", str(program)],
        ["json", "--rcfile=/dev/null", "-o", str(report)],
    ):
        subprocess.run(
            [sys.executable, "-m", "coverage", *arguments],
            check=True,
            env=environment,
            capture_output=True,
        )
    (measured,) = json.loads(report.read_text(encoding="utf-8"))["files"].values()

    assert measured["missing_lines"] == [12, *range(20, 26)]
