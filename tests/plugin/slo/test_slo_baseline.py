"""``--slo-baseline``: kept, compared with, and enforced in the process that prints the report."""

from __future__ import annotations

import json
import re

import pytest

TEST = """
def test_rush(calls):
    calls([{level} + step % 7 / 100 for step in range(400)])
"""


@pytest.fixture
def session(pytester, timed):
    """Run one test whose calls take about as many milliseconds as asked."""

    def run(level, *options):
        pytester.makepyfile(test_rush=TEST.format(level=level))
        return timed("--slo-baseline=base.json", *options)

    return run


def content(pytester):
    """Return the file of baselines."""
    return json.loads((pytester.path / "base.json").read_text())


def test_first_run_stores(session, pytester, told):
    """A test that the file does not know is stored, and said to be new."""
    result = session(10)
    result.assert_outcomes(passed=1)
    assert told(result) == ["baseline base.json: 1 new"]
    assert list(content(pytester)["tests"]) == ["test_rush.py::test_rush"]


def test_file_that_cannot_be_written_is_told(pytester, timed, told):
    """What was measured is lost, so the run does not end as if all were well."""
    lost = "    from pathlib import Path\n    Path('kept').rmdir()\n    Path('kept').touch()\n"
    pytester.makepyfile(test_rush=TEST.format(level=10).rstrip() + "\n" + lost)
    pytester.mkdir("kept")
    result = timed("--slo-baseline=kept/base.json")
    result.assert_outcomes(passed=1)
    line = told(result)[0]
    path = pytester.path / "kept" / "base.json"
    assert re.sub(r"written: [^.]*", "written: WHY", line) == (
        f"--slo-baseline={path}: it cannot be written: WHY. Write --slo-baseline=NEW-FILE."
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_unchanged_run_leaves_the_file_alone(session, pytester, told):
    """What is the same is said so, and nothing is written."""
    session(10)
    before = content(pytester)
    result = session(10)
    result.assert_outcomes(passed=1)
    assert told(result) == ["baseline base.json: 1 the same"]
    assert content(pytester) == before


def test_regression_fails_naming_the_test(session, pytester, told):
    """A test that became slower by more than the margin fails, and says what it was and is."""
    session(10)
    before = content(pytester)
    result = session(15)
    result.assert_outcomes(failed=1)
    path = pytester.path / "base.json"
    start = result.stdout.lines.index(
        "test_rush.py::test_rush: p50 slower: 10.0 ms -> 15.0 ms, 1.50 times "
        "(99 % bounds 1.50 to 1.50), 400 calls"
    )
    assert result.stdout.lines[start + 1 : start + 4] == [
        (
            "test_rush.py::test_rush: p95 slower: 10.1 ms -> 15.1 ms, 1.50 times "
            "(99 % bounds 1.50 to 1.50), 400 calls"
        ),
        "Up to 10 % is no news (--slo-margin).",
        (
            "If it is meant to be slower: pytest test_rush.py::test_rush "
            f"--slo-baseline={path} --slo-baseline-update"
        ),
    ]
    assert told(result) == ["baseline base.json: 1 slower"]
    assert content(pytester) == before


def test_regression_counts_for_maxfail(session, pytester):
    """The failure is known before anybody counts, so ``-x`` stops at it."""
    session(10)
    pytester.makepyfile(test_z="def test_later(): pass")
    session(15, "-x").assert_outcomes(failed=1)


def test_margin_is_an_option(session, told):
    """A change within the margin is none."""
    session(10)
    result = session(15, "--slo-margin=60%")
    result.assert_outcomes(passed=1)
    assert told(result) == ["baseline base.json: 1 the same"]


def test_warn_tells_and_does_not_fail(session, told):
    """With ``--slo=warn`` a regression is news."""
    session(10)
    result = session(15, "--slo=warn")
    result.assert_outcomes(passed=1)
    assert told(result)[-1] == "baseline base.json: 1 slower"
    assert told(result)[0].startswith("test_rush.py::test_rush: p50 slower: 10.0 ms -> 15.0 ms")


def test_improvement_is_told(session, told):
    """What became faster is news too, and passes."""
    session(15)
    result = session(10)
    result.assert_outcomes(passed=1)
    assert told(result)[0] == (
        "test_rush.py::test_rush: p50 faster: 15.0 ms -> 10.0 ms, 0.67 times "
        "(99 % bounds 0.67 to 0.67), 400 calls"
    )
    assert told(result)[-1] == "baseline base.json: 1 faster"


def test_update_takes_the_new_samples(session, told):
    """What is meant to be slower becomes the baseline."""
    session(10)
    assert told(session(15, "--slo-baseline-update")) == ["baseline base.json: 1 updated"]
    assert told(session(15)) == ["baseline base.json: 1 the same"]


def test_other_machine_is_told_and_does_not_fail(session, pytester, told):
    """A baseline of another machine is compared in units of a reference, said so, and no gate."""
    session(10)
    written = content(pytester)
    [known] = written["tests"]["test_rush.py::test_rush"].values()
    known["machine"]["processor"] = "Abacus"
    written["tests"]["test_rush.py::test_rush"] = {"other": known}
    (pytester.path / "base.json").write_text(json.dumps(written))
    result = session(1_000)
    result.assert_outcomes(passed=1)
    assert "from another machine" in told(result)[-1]
    assert any("The baseline is from another machine" in line for line in told(result))
    assert len(content(pytester)["tests"]["test_rush.py::test_rush"]) == 2


def test_failed_test_is_not_stored(session, pytester):
    """The samples of a test that failed are no baseline."""
    pytester.makepyfile(test_broken="def test_broken(calls):\n    calls([1] * 100)\n    assert 0")
    session(10).assert_outcomes(passed=1, failed=1)
    assert list(content(pytester)["tests"]) == ["test_rush.py::test_rush"]


@pytest.mark.usefixtures("bare")
def test_xdist_workers_leave_the_file_to_the_controller(session, pytester, told):
    """With processes the same is stored, compared and failed, once."""
    assert told(session(10, "-n2"))[-1] == "baseline base.json: 1 new"
    result = session(15, "-n2")
    result.assert_outcomes(failed=1)
    assert told(result)[-1] == "baseline base.json: 1 slower"
    assert sorted(each.name for each in pytester.path.glob("base.json*")) == ["base.json"]


def test_run_of_an_outcome_is_stored_if_an_objective_was_held(pytester):
    """Samples of ``assert_slo`` on an outcome are compared like those of a timer."""
    pytester.makepyfile(
        """
        from pytest_concurrency import assert_slo

        def test_many(concurrent_runner):
            assert_slo(concurrent_runner(lambda: None, workers=8, rounds=10), "p50 < 2s")

        def test_no_objective(concurrent_runner):
            concurrent_runner(lambda: None, workers=2)
        """
    )
    result = pytester.runpytest(
        "-q", "-p", "no:randomly", "--slo-baseline=base.json", "--slo-undecided=pass"
    )
    result.assert_outcomes(passed=2)
    assert [name.partition("::")[2] for name in content(pytester)["tests"]] == ["test_many"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("no json", "it is not a file of baselines. Write --slo-baseline=NEW-FILE."),
        ('{"v": 9, "tests": {}}', "its version is 9, not 1. Delete it, and run once."),
    ],
)
def test_what_is_no_baseline_is_refused(session, pytester, written, message):
    """A file of something else is never overwritten."""
    path = pytester.path / "base.json"
    path.write_text(written)
    assert session(10).stderr.lines[0] == f"ERROR: {path}: {message}"
    assert path.read_text() == written


def test_update_without_a_file_is_refused(pytester):
    """There must be a baseline to update."""
    result = pytester.runpytest("-p", "no:randomly", "--slo-baseline-update")
    assert result.stderr.lines[0] == (
        "ERROR: --slo-baseline-update: no baseline is named. Write --slo-baseline=FILE too."
    )
