"""``--slo-against``: every ``until_decided`` loop against another git revision."""

from __future__ import annotations

import shutil
import subprocess

import pytest

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is missing"),
    pytest.mark.usefixtures("bare"),
]

TEST = """
import pytest
from app import work

@pytest.mark.performance
@pytest.mark.slo("p95 < 1ns")
def test_work(perf_timer):
    for _ in perf_timer.until_decided():
        with perf_timer:
            work()
"""


def git(pytester, *arguments):
    """Run git as nobody in particular."""
    who = ("-c", "user.name=n", "-c", "user.email=e@e", "-c", "commit.gpgsign=false")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=pytester.path, check=True, capture_output=True, text=True)


@pytest.fixture
def history(pytester):
    """Have a repository whose HEAD counts to 20,000, and a tree that counts as far as asked."""
    steps = "def work():\n    return sum(range({}))\n"
    pytester.makepyfile(app=steps.format(20_000), test_app=TEST)
    git(pytester, "init", "-q")
    git(pytester, "add", "app.py", "test_app.py")
    git(pytester, "commit", "-qm", "first")

    def run(count, *options):
        pytester.makepyfile(app=steps.format(count))
        return pytester.runpytest_subprocess("-q", "--slo-against=HEAD", *options)

    return run


def test_slower_than_the_revision_fails(history, pytester, told):
    """Twice the work is a ratio of two, whatever the machine; the checkout is taken away."""
    result = history(40_000)
    result.assert_outcomes(failed=1)
    lines = result.stdout.lines
    [head] = [i for i, line in enumerate(lines) if "Missed: new <= 1.1x old" in line]
    assert lines[head + 1].startswith("E     new takes ")
    assert lines[head + 2] == (
        "E     new is this tree, old is HEAD. "
        "Run it alone: pytest test_app.py::test_work --slo-against=HEAD"
    )
    assert told(result)[0].startswith("test_app.py::test_work  new <= 1.1x old (HEAD)  ")
    assert git(pytester, "worktree", "list").stdout.count("\n") == 1


def test_faster_than_the_revision_passes(history, told):
    """Half the work meets the claim; objectives of the marker are not judged meanwhile."""
    result = history(10_000)
    result.assert_outcomes(passed=1)
    assert told(result)[0].endswith("met")


def test_workers_share_one_checkout(history, pytester):
    """Under xdist the same, from the one checkout of the controller."""
    history(40_000, "-n2").assert_outcomes(failed=1)
    assert git(pytester, "worktree", "list").stdout.count("\n") == 1


def test_test_that_the_revision_has_not_is_told(history, pytester, told):
    """A new test has nothing to be compared with, and passes."""
    pytester.makepyfile(test_new=TEST)
    result = history(20_000, "--slo-margin=500%", "test_new.py")
    result.assert_outcomes(passed=1)
    assert told(result) == ["test_new.py::test_work: not compared, for HEAD has no such test"]


OWN_LOOP = """
from app import work

def test_work(perf_timer):
    for _ in range({}):
        with perf_timer:
            work()
    assert len(perf_timer) == {}
"""


@pytest.fixture
def own_loop(history, pytester):
    """Have the repository know a test that loops by itself."""

    def run(calls, steps, *options):
        pytester.makepyfile(test_own=OWN_LOOP.format(calls, calls))
        git(pytester, "add", "test_own.py")
        git(pytester, "commit", "-qm", "second")
        return history(steps, "test_own.py", *options)

    return run


def test_loop_of_its_own_takes_turns(own_loop, pytester, told):
    """A plain loop of timed blocks is compared block by block, and keeps all its samples."""
    result = own_loop(300, 40_000)
    result.assert_outcomes(failed=1)
    assert any("Missed: new <= 1.1x old" in line for line in result.stdout.lines)
    assert told(result)[0].startswith("test_own.py::test_work  new <= 1.1x old (HEAD)  ")
    assert git(pytester, "worktree", "list").stdout.count("\n") == 1


def test_loop_of_its_own_that_is_faster_passes(own_loop, told):
    """So is one that became faster, and the objective of a rival stays out of it."""
    result = own_loop(300, 10_000)
    result.assert_outcomes(passed=1)
    assert told(result)[0].endswith("met")


def test_loop_of_its_own_meets_another_one(own_loop, pytester, told):
    """Where one side loops by itself and the other collects, they take turns all the same."""
    own_loop(300, 20_000)
    pytester.makepyfile(test_own=TEST)
    result = pytester.runpytest_subprocess(
        "-q", "--slo-against=HEAD", "--slo-margin=500%", "test_own.py"
    )
    result.assert_outcomes(passed=1)
    assert told(result)[0].endswith("met")


def test_loop_of_too_few_calls_is_told(own_loop, told):
    """Three calls decide nothing: nobody compared them."""
    result = own_loop(3, 20_000)
    result.assert_outcomes(passed=1)
    assert told(result) == [
        (
            "test_own.py::test_work: not compared with HEAD: 3 calls cannot decide it "
            "(17 are needed). Write for _ in perf_timer.until_decided(): ..."
        )
    ]


def test_test_that_breaks_at_the_revision_is_said_to(history, pytester):
    """A test that fails at the other revision cannot be compared, and fails here."""
    pytester.makepyfile(app="def work():\n    raise RuntimeError")
    git(pytester, "commit", "-qam", "second")
    result = history(20_000)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        "E*the other revision ended with status 1 before it was compared. "
        "Run the test on that revision alone to see why."
    )


def test_unknown_revision_is_refused(history):
    """A slip ends the run before it starts."""
    result = history(20_000, "--slo-against=nowhere")
    assert result.stderr.lines[0] == (
        "ERROR: --slo-against=nowhere: git cannot check it out: "
        "fatal: invalid reference: nowhere. Write a branch, a tag or a commit."
    )


def test_directory_without_a_repository_is_refused(pytester):
    """Where git knows nothing, there is no revision."""
    result = pytester.runpytest("-p", "no:randomly", "--slo-against=HEAD")
    line = result.stderr.lines[0]
    assert line.startswith("ERROR: --slo-against=HEAD: git cannot check it out: ")
    assert line.endswith(". Run pytest in a directory of one.")
