"""The marker ``slo``: whose samples it holds, what it shows, and which tier it takes."""

from __future__ import annotations

import pytest

SLOS = """
[tool.pytest_concurrency.slo.api]
objectives = ["errors < 5%"]
tiers.normal = ["p95 < 500ms"]
tiers.strict = ["p95 < 5ms"]
"""


@pytest.fixture
def marked(pytester, timed):
    """Run a test with a marker and a body, its calls as long as it says."""

    def run(marker, body, *options):
        text = f"import pytest\n\n@pytest.mark.slo({marker})\ndef test_rush(perf_timer, calls):\n"
        pytester.makepyfile(test_rush=text + f"    {body}\n")
        return timed(*options)

    return run


def test_missed_objective_shows_its_evidence(marked, shown, told):
    """Quantile with bounds, margin, slowest call, and the command that runs it alone."""
    result = marked("'p95 < 50ms'", "calls([step * 37 % 100 for step in range(400)])")
    result.assert_outcomes(failed=1)
    assert shown(result, "Missed: p95 < 50ms") == [
        "pytest_concurrency.MissedObjective: Missed: p95 < 50ms",
        "  p95        94 ms  95 % bounds 93 to 96 ms, 400 calls",
        "  margin     44 ms over; 49 % of the calls were over 50 ms, 5 % may be",
        "  slowest    99 ms  call 27",
        "Run it alone: pytest test_rush.py::test_rush",
    ]
    assert told(result) == [
        "test_rush.py::test_rush  p95 < 50ms  94 ms  (93 to 96)  400 calls  missed"
    ]


def test_undecided_objective_warns_with_what_would_decide_it(marked):
    """Twenty calls cannot decide a p95; the test passes, and is warned about."""
    result = marked("'p95 < 50ms'", "calls([1] * 20)")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            (
                "*UndecidedWarning: undecided: p95 < 50ms: 20 calls cannot decide a p95 "
                "(59 are needed, all under 50 ms)."
            ),
            "*Collect more:  perf_timer.until_decided(max_calls=90), or ask for p50.",
        ]
    )


@pytest.mark.parametrize(
    ("option", "outcome"), [("fail", {"failed": 1}), ("pass", {"passed": 1, "warnings": 0})]
)
def test_undecided_does_what_the_option_says(marked, option, outcome):
    """Fail fails, and pass is silent."""
    result = marked("'p95 < 50ms'", "calls([1] * 20)", f"--slo-undecided={option}")
    result.assert_outcomes(**outcome)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("fail", {"failed": 1}), ("warn", {"passed": 1, "warnings": 1}), ("pass", {"passed": 1})],
)
def test_undecided_does_what_the_marker_says(marked, said, outcome):
    """A marker knows its test better than the option, which is for all of them."""
    other = "pass" if said == "fail" else "fail"
    marker = f"'p95 < 50ms', undecided={said!r}"
    result = marked(marker, "calls([1] * 20)", f"--slo-undecided={other}")
    result.assert_outcomes(**outcome)


def test_undecided_points_at_the_marker_where_warnings_are_errors(marked):
    """With ``-W error`` the failure shows the line of the test, and none of this plugin."""
    result = marked("'p95 < 50ms'", "calls([1] * 20)", "-W", "error:undecided")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(">   @pytest.mark.slo('p95 < 50ms')")
    result.stdout.no_fnmatch_line("*assert_goals*")


def test_warning_points_at_the_marker(marked):
    """A warning shows the line of the test that asked, and none of this plugin."""
    result = marked("'p95 < 50ms'", "calls([1] * 20)")
    result.stdout.fnmatch_lines(
        ["*test_rush.py:3: UndecidedWarning: *", "*@pytest.mark.slo('p95 < 50ms')"]
    )


@pytest.mark.parametrize(
    ("option", "outcome"), [("off", {"passed": 1, "warnings": 0}), ("warn", {"passed": 1})]
)
def test_missed_does_what_the_option_says(marked, option, outcome):
    """Off is silent, and warn passes."""
    result = marked("'p95 < 1ms'", "calls([2] * 100)", f"--slo={option}")
    result.assert_outcomes(**outcome)
    assert ("MissedWarning" in result.stdout.str()) == (option == "warn")


def test_named_slo_tells_tiers_and_budget(marked, told, pytester):
    """The default tier is enforced; which tiers held, and what may still fail, is told."""
    pytester.makepyprojecttoml(SLOS)
    result = marked("'api'", "calls([10] * 400)")
    result.assert_outcomes(passed=1)
    assert told(result) == [
        "test_rush.py::test_rush  api: errors < 5%  0 %    (0 to 0.75)  400 calls  met (normal)",
        "test_rush.py::test_rush  api: p95 < 500ms  10 ms  (10 to 10)   400 calls  met (normal)",
        (
            "test_rush.py::test_rush: SLO 'api': errors < 5%: error budget: 20 of 400 calls "
            "allowed, 0 spent, 20 left (burn rate 0)"
        ),
        "test_rush.py::test_rush: SLO 'api': tiers held: normal; missed: strict",
    ]


def test_tier_of_the_marker_is_enforced(marked, pytester):
    """A marker may ask for more than the default."""
    pytester.makepyprojecttoml(SLOS)
    marked("'api', tier='strict'", "calls([10] * 400)").assert_outcomes(failed=1)


def test_tier_of_the_run_is_enforced(marked, pytester):
    """So may the command line, for all of them."""
    pytester.makepyprojecttoml(SLOS)
    result = marked("'api'", "calls([10] * 400)", "--slo-tier=strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*Missed: p95 < 5ms (SLO 'api', tier strict)")


def test_waits_tags_and_apdex_are_held(marked, told):
    """One timer answers for calls, for calls with tags, and for the waits inside."""
    body = (
        "calls([5] * 100, perf_timer.tagged(at='/a')); "
        "calls([50] * 100, perf_timer.tagged(at='/b')); "
        "calls([1] * 100, perf_timer.waiting('lock wait'))"
    )
    marker = "'p95{at=/a} < 9ms', 'apdex(20ms) > 0.5', 'lock wait p95 < 2ms'"
    result = marked(marker, body)
    result.assert_outcomes(passed=1)
    assert [line.split("  ")[-1] for line in told(result)] == ["met"] * 3


def test_pool_wait_is_told_of_a_watched_pool(pytester, told):
    """An objective may speak of the waits for a connection, and of the pool's use."""
    pytest.importorskip("sqlalchemy")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.slo("pool < 90%", "errors < 50%")
        def test_pool(perf_timer, pool_watch, database_engine):
            for _ in range(20):
                with perf_timer, database_engine.connect():
                    pass
        """
    )
    result = pytester.runpytest("-q", "-p", "no:randomly", "--slo-undecided=pass")
    result.assert_outcomes(passed=1)
    assert any("pool < 90%" in line and line.endswith("met") for line in told(result))


def test_memory_beside_a_quantile_does_not_stop_collecting(pytester):
    """What is known at the end only is judged at the end, not in every look."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.slo("p50 < 1s", "memory < 5GB")
        def test_memory(perf_timer):
            for _ in perf_timer.until_decided():
                with perf_timer:
                    pass
        """
    )
    pytester.runpytest("-q", "-p", "no:randomly", "--slo-quick").assert_outcomes(passed=1)


def test_comparisons_follow_the_options_and_have_a_row(pytester, told):
    """``compare`` takes its policy from the session: here a miss only warns."""
    pytester.makepyfile(
        """
        from pytest_concurrency import compare

        def test_rivals():
            compare(lambda: sum(range(5_000)), lambda: sum(range(500)), "new <= 1.1x old", seconds=60)
        """
    )
    result = pytester.runpytest("-q", "-p", "no:randomly", "--slo=warn", "-W", "always")
    result.assert_outcomes(passed=1)
    assert "MissedWarning: Missed: new <= 1.1x old" in result.stdout.str()
    assert told(result)[0].endswith("missed")


def test_canary_is_remembered_between_sessions(pytester):
    """The best of this machine is in pytest's cache, and fades by 1 % a session at most."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.slo("p50 < 1s")
        def test_canary(perf_timer, pytestconfig):
            for _ in perf_timer.until_decided():
                with perf_timer:
                    sum(range(50_000))
        """
    )
    pytester.runpytest("-q", "-p", "no:randomly", "-p", "cacheprovider").assert_outcomes(passed=1)
    [kept] = pytester.path.glob(".pytest_cache/v/concurrency/canary/*")
    assert int(kept.read_text()) > 0
    kept.write_text("1000")
    pytester.runpytest("-q", "-p", "no:randomly", "-p", "cacheprovider").assert_outcomes(passed=1)
    assert kept.read_text() == "1010"


def test_nothing_to_judge_is_told_at_the_marker_alone(pytester):
    """The failure is the line of the marker and the message, with no code of the plugin."""
    pytester.makepyfile(
        test_wait="""
        import pytest

        @pytest.mark.slo("pool wait p95 < 10ms")
        def test_wait(perf_timer):
            with perf_timer:
                pass
        """
    )
    result = pytester.runpytest("-p", "no:randomly")
    lines = result.stdout.lines
    start = next(number for number, line in enumerate(lines) if line.startswith("____"))
    assert lines[start + 1 : start + 8] == [
        "",
        '>   @pytest.mark.slo("pool wait p95 < 10ms")',
        "    ^^^^^^^^^^^",
        (
            "E   pytest_concurrency.UsageError: test_wait.py::test_wait: 'pool wait p95 < 10ms': "
            "no pool wait was recorded, so there is nothing to judge. "
            "Take pool_watch, or time the wait with perf_timer.waiting('pool wait')."
        ),
        "",
        "test_wait.py:3: UsageError",
        "=========================== short test summary info ============================",
    ]
