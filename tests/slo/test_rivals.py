"""Another revision is called in turn with this one, and leaves nothing behind."""

import io
import json
import shutil
import subprocess
import sys

import pytest

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.slo.assertions import Policy
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.rivals import Rival, answer, race, revision

CHILD = """
import json, sys
print("a line of a test's own")
for line in sys.stdin:
    print(json.dumps({"took": [1_000_000] * json.loads(line)["take"]}), flush=True)
"""


class Steady:
    """A rival whose calls take a millisecond."""

    def take(self, calls):
        return [1_000_000] * calls


def raced(timer, took_ns, rival, **settings):
    """Race calls of a given duration against a rival, and return what was found."""
    found = []
    for _ in race(timer, rival, conclude=found.append, **settings):
        timer._cell.ns.append(took_ns)
    return found[0]


@pytest.mark.parametrize(
    ("took_ns", "state"), [(1_000_000, "met"), (500_000, "met"), (1_300_000, "missed")]
)
def test_a_race_is_decided(took_ns, state):
    """The claim holds for the same and for faster, and not for slower."""
    got = raced(PerfTimer(takes_out_waits=False), took_ns, Steady())

    assert (got.state, got.ratio.value) == (state, took_ns / 1e6)


def test_a_policy_makes_until_decided_a_race():
    """The loop of a test stays as it is; who runs it decides what it collects for."""
    found = []
    policy = Policy(collect=lambda timer: race(timer, Steady(), conclude=found.append))
    timer = PerfTimer(takes_out_waits=False, policy=policy)
    for _ in timer.until_decided():
        timer._cell.ns.append(1_000_000)

    assert [each.state for each in found] == ["met"]


def test_a_race_ends_at_its_budget():
    """At the end of the seconds, an undecided claim stays undecided."""
    got = raced(PerfTimer(takes_out_waits=False), 1_100_000, Steady(), seconds=0, claim="new < old")

    assert got.state in ("missed", "undecided")


def test_a_rival_runs_in_an_interpreter_of_its_own(tmp_path):
    """It answers each request, whatever else it prints, and ends when told to."""
    with Rival([sys.executable, "-c", CHILD], cwd=tmp_path) as rival:
        assert rival.take(3) == [1_000_000] * 3
        assert rival.take(1) == [1_000_000]

    assert rival._process.returncode == 0


def test_a_rival_that_dies_is_named(tmp_path):
    """Its status is shown, and how to look further."""
    rival = Rival([sys.executable, "-c", "raise SystemExit(3)"], cwd=tmp_path)
    with rival, pytest.raises(BrokenPromise) as broken:
        rival.take(1)

    assert str(broken.value) == (
        "the other revision ended with status 3 before it was compared. "
        "Run the test on that revision alone to see why."
    )


def test_the_other_side_answers_requests():
    """It makes as many calls as it is asked for, and tells what each took."""
    timer, answers = PerfTimer(takes_out_waits=False), io.StringIO()
    requests = io.StringIO('{"take": 2}\n{"take": 1}\n')
    for _ in answer(timer, requests, answers):
        timer._cell.ns.append(7)

    lines = [json.loads(line) for line in answers.getvalue().splitlines() if line]
    assert lines == [{"took": [7, 7]}, {"took": [7]}]


def git(where, *arguments):
    """Run git, and return what it says."""
    command = [shutil.which("git") or "git", "-C", where, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a git repository with a commit."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    path = tmp_path / "project"
    path.mkdir()
    (path / "code.py").write_text("old = True\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        git(path, *command)
    (path / "code.py").write_text("old = False\n")
    return path


def test_a_revision_is_checked_out_and_taken_away(repository):
    """The tree has the files of the revision, and is gone afterwards."""
    with revision("v1", of=repository) as tree:
        assert (tree / "code.py").read_text() == "old = True\n"

    assert not tree.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_an_unknown_revision_is_answered(repository):
    """What git says is shown, with what to write."""
    with pytest.raises(UsageError) as refused, revision("v9", of=repository):
        pass

    assert str(refused.value) == (
        "--slo-against=v9: git cannot check it out: fatal: invalid reference: v9. "
        "Write a branch, a tag or a commit."
    )
