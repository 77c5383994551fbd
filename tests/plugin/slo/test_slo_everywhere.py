"""Objectives and the names of SLOs are read alike by markers, calls, ini files and options."""

from __future__ import annotations

import re

import pytest

SLOS = """
[tool.pytest_concurrency.slo.api]
objectives = ["errors < 5%"]
tiers.normal = ["p95 < 500ms"]
tiers.strict = ["p95 < 5ms", "memory < 5GB"]
"""
TIMED = """
import pytest

@pytest.mark.performance
def test_timed(perf_timer, calls):
    calls([10] * 100)

@pytest.mark.performance
@pytest.mark.slo("p95 < 2s")
def test_marked(perf_timer, calls):
    calls([10] * 100)

def test_other(perf_timer, calls):
    calls([10] * 100)
"""
CALLED = """
from pytest_concurrency import assert_slo

def test_call(perf_timer, calls):
    calls([10] * 100)
    assert_slo(perf_timer, "p50 < 1s", "api", {tier})
"""


@pytest.fixture
def called(pytester, timed):
    """Run a test that names an SLO in a call."""

    def run(tier, *options):
        pytester.makepyprojecttoml(SLOS)
        pytester.makepyfile(test_call=CALLED.format(tier=tier))
        return timed(*options)

    return run


def test_call_takes_a_name(called, told):
    """A call enforces the default tier, and tells the others and the budget as a marker does."""
    result = called("")
    result.assert_outcomes(passed=1)
    assert told(result) == [
        "test_call.py::test_call  p50 < 1s          10 ms  (10 to 10)  100 calls  met",
        "test_call.py::test_call  api: errors < 5%  0 %    (0 to 3.0)  100 calls  met (normal)",
        "test_call.py::test_call  api: p95 < 500ms  10 ms  (10 to 10)  100 calls  met (normal)",
        (
            "test_call.py::test_call: SLO 'api': errors < 5%: error budget: 5 of 100 calls "
            "allowed, 0 spent, 5 left (burn rate 0)"
        ),
        "test_call.py::test_call: SLO 'api': tiers held: normal; undecided: strict",
    ]


def test_call_takes_the_tier_of_the_run(called):
    """The command line asks for another tier of calls too."""
    result = called("", "--slo-tier=strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*'memory < 5GB': memory was not measured*")


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        (
            "tier='strickt'",
            "SLO 'api' has no tier 'strickt'. It has: normal, strict. Write 'strict'.",
        ),
        ("'apy'", "there is no SLO 'apy'. Write 'api'."),
        ("'checkout'", "there is no SLO 'checkout'. Write one of api."),
    ],
)
def test_call_refuses_a_slip(called, shown, tier, message):
    """What is misspelt is answered with what to type."""
    assert shown(called(tier), "UsageError: ")[0].strip() == (
        f"pytest_concurrency.UsageError: {message}"
    )


def rows(lines):
    """Return test and objective of each row of the table."""
    cells = [re.split(r"\s{2,}", line) for line in lines if line.endswith(("met", "(normal)"))]
    return [(test, objective) for test, objective, *_ in cells]


def test_option_holds_timed_tests_that_say_nothing(pytester, timed, told):
    """Only those: a marker of their own says more, and other tests promise nothing."""
    pytester.makepyfile(test_x=TIMED)
    pytester.makepyprojecttoml(SLOS)
    result = timed("--slo-objectives=p95 < 1s, api")
    result.assert_outcomes(passed=3)
    assert rows(told(result)) == [
        ("test_x.py::test_timed", "p95 < 1s"),
        ("test_x.py::test_timed", "api: errors < 5%"),
        ("test_x.py::test_timed", "api: p95 < 500ms"),
        ("test_x.py::test_marked", "p95 < 2s"),
    ]


def test_option_can_be_missed(pytester, timed, shown):
    """What an option asks for fails as a marker's objective does."""
    pytester.makepyfile(test_x=TIMED)
    result = timed("--slo-objectives=p95 < 1ms")
    result.assert_outcomes(passed=2, failed=1)
    assert shown(result, "Missed: ")[0] == "pytest_concurrency.MissedObjective: Missed: p95 < 1ms"


def test_ini_holds_them_too(pytester, timed):
    """The same text in a file, one objective a line."""
    pytester.makepyfile(test_x=TIMED)
    pytester.makeini("[pytest]\nslo_objectives =\n  p95 < 1ms\n  errors < 5%\n")
    timed().assert_outcomes(passed=2, failed=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "p95 < 1s, p99 < 2",
            (
                "--slo-objectives('p99 < 2'): the threshold has no unit. "
                "Write 'p99 < 2ms' or 'p99 < 2s'."
            ),
        ),
        ("apy", "--slo-objectives: there is no SLO 'apy'. Write 'api'."),
        (" , ", "--slo-objectives: there is no objective. Write --slo-objectives='p95 < 50ms'."),
    ],
)
def test_slip_in_the_option_is_refused(pytester, given, message):
    """The run ends before any test, with the part that is wrong."""
    pytester.makepyprojecttoml(SLOS)
    result = pytester.runpytest("-q", "-p", "no:randomly", f"--slo-objectives={given}")
    assert result.stderr.lines[0] == f"ERROR: {message}"


def test_slip_in_the_file_names_it(pytester):
    """A file is named with its key."""
    pytester.makeini("[pytest]\nslo_objectives = p95 < 50\n")
    result = pytester.runpytest("-q", "-p", "no:randomly")
    assert result.stderr.lines[0] == (
        "ERROR: slo_objectives in tox.ini('p95 < 50'): the threshold has no unit. "
        "Write 'p95 < 50ms' or 'p95 < 50s'."
    )


def test_warning_of_a_call_points_at_it(pytester, timed):
    """The line that asserts is the one to change."""
    body = "def test_x(perf_timer, calls):\n    calls([1] * 20)\n    assert_slo(perf_timer, 'p95 < 1s')\n"
    pytester.makepyfile(test_x=f"from pytest_concurrency import assert_slo\n{body}")
    timed().stdout.fnmatch_lines(
        ["*test_x.py:4: UndecidedWarning: *", "*    assert_slo(perf_timer, 'p95 < 1s')"]
    )


def test_directory_of_the_markers_name_is_no_marker(pytester, told):
    """Only marked tests are held, whatever their directory is called."""
    pytester.mkdir("performance").joinpath("test_x.py").write_text("def test_x(perf_timer): pass\n")
    result = pytester.runpytest("-q", "-p", "no:randomly", "--slo-objectives=max < 1ns")
    result.assert_outcomes(passed=1)
    assert told(result) == []
