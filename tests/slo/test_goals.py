"""Markers name objectives and SLOs in any mixture, and every verdict knows where it came from."""

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.assertions import MissedObjective, Policy, assert_goals, assert_slo
from pytest_concurrency.slo.goals import Goal, check_run_tier, read_goals, split_texts
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.named import read_slo
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.verdicts import Verdict

SLOS = {
    "api": read_slo(
        "api",
        {
            "objectives": ["errors < 5%"],
            "tiers": {"normal": ["p95 < 5ms"], "under load": ["p95 < 2s"]},
        },
        where="f",
    ),
    "load": read_slo("load", {"tiers": {"strict": ["p95 < 300ms"]}}, where="f"),
}


def names(goals):
    """Return what each goal is and where it came from."""
    return [(str(goal.objective), goal.slo, goal.tier) for goal in goals]


def test_objectives_and_names_mix():
    """A name stands for the objectives of its default tier."""
    assert names(read_goals(["max < 1s", "api"], SLOS)) == [
        ("max < 1s", "", ""),
        ("errors < 5%", "api", "normal"),
        ("p95 < 5ms", "api", "normal"),
    ]


def test_the_tier_of_the_run_applies_where_it_exists():
    """An SLO without the run's tier keeps its default one; a marker's own tier comes first."""
    assert names(read_goals(["load", "api"], SLOS, run_tier="under load"))[-1] == (
        "p95 < 2s",
        "api",
        "under load",
    )
    assert read_goals(["load"], SLOS, run_tier="under load")[0].tier == "strict"
    assert read_goals(["api"], SLOS, tier="normal", run_tier="under load")[0].tier == "normal"


@pytest.mark.parametrize(
    ("text", "slos", "message"),
    [
        ("apy", SLOS, "t.py::t: slo: there is no SLO 'apy'. Write 'api'."),
        ("checkout", SLOS, "t.py::t: slo: there is no SLO 'checkout'. Write one of api, load."),
        (
            "p95",
            SLOS,
            "t.py::t: slo('p95'): there is no comparison. Write 'p95 < 50ms'.",
        ),
        (
            "errors",
            SLOS,
            "t.py::t: slo('errors'): there is no comparison. Write 'errors < 1%'.",
        ),
        (
            "p95 50ms",
            {},
            "t.py::t: slo('p95 50ms'): there is no comparison. Write 'p95 < 50ms'.",
        ),
        (7, {}, "t.py::t: slo(7): an objective is text. Write 'p95 < 50ms'."),
    ],
)
def test_what_is_neither_is_answered(text, slos, message):
    """A misspelt name is told from an objective that lacks its comparison."""
    with pytest.raises(UsageError) as refused:
        read_goals([text], slos, where="t.py::t: slo")

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("strikt", "--slo-tier=strikt: no SLO has that tier. Write --slo-tier=strict."),
        (
            "gold",
            "--slo-tier=gold: no SLO has that tier. There is: normal, strict, under load.",
        ),
    ],
)
def test_a_tier_that_no_slo_has_is_answered(tier, message):
    """A misspelt tier of the run is refused before any test runs."""
    with pytest.raises(UsageError) as refused:
        check_run_tier(SLOS, tier)

    assert str(refused.value) == message
    check_run_tier(SLOS, "strict")
    check_run_tier(SLOS, "")


def test_a_miss_names_slo_and_tier():
    """The text says which promise was broken."""
    with pytest.raises(MissedObjective) as missed:
        assert_goals([0.1] * 100, read_goals(["api"], SLOS), Policy())

    assert str(missed.value).startswith("Missed: p95 < 5ms (SLO 'api', tier normal)\n  p95  ")
    assert [each.state for each in missed.value.verdicts] == ["met", "missed"]


def test_what_was_decided_stays_decided():
    """A source that has decided is not judged again."""

    class Decided:
        durations = (0.1,)
        objective = parse_objective("p95 < 5ms")

        @property
        def decided(self):
            interval = assert_goals([1e-3] * 100, [Goal(objective=self.objective)], Policy())
            return {self.objective: interval[0]}

    (verdict,) = assert_goals(Decided(), [Goal(objective=Decided.objective, slo="api")], Policy())

    assert isinstance(verdict, Verdict)
    assert (verdict.state, verdict.slo, verdict.calls) == ("met", "api", 100)


def test_call_takes_names():
    """A call takes what a marker takes, and its verdicts know where they came from."""
    policy = Policy(slos=SLOS, tier="under load")
    verdicts = assert_slo([0.01] * 100, "api", parse_objective("max < 1s"), policy=policy)

    assert [(str(v.objective), v.slo, v.tier, v.state) for v in verdicts] == [
        ("errors < 5%", "api", "under load", "met"),
        ("p95 < 2s", "api", "under load", "met"),
        ("max < 1s", "", "", "met"),
    ]
    with pytest.raises(MissedObjective):
        assert_slo([0.01] * 100, "api", tier="normal", policy=policy)


@pytest.mark.parametrize(
    ("texts", "tier", "message"),
    [
        (["apy"], "", "there is no SLO 'apy'. Write 'api'."),
        (
            ["p95 < 1s"],
            "strict",
            "tier='strict': only named SLOs have tiers. Name one, or leave tier= out.",
        ),
        (
            ["load"],
            "strickt",
            "SLO 'load' has no tier 'strickt'. It has: strict. Write 'strict'.",
        ),
        (["latency"], "", "'latency': there is no comparison. Write 'p95 < 50ms'."),
    ],
)
def test_call_refuses_what_is_neither(texts, tier, message):
    """A word that people take for a figure is not taken for a name."""
    with pytest.raises(UsageError) as refused:
        assert_slo([0.01] * 100, *texts, tier=tier, policy=Policy(slos=SLOS))

    assert str(refused.value) == message


def test_call_without_any_slo_says_where_to_write_it():
    """Where none is written down, the text is the table to add."""
    with pytest.raises(UsageError) as refused:
        assert_slo([0.01] * 100, "api", policy=Policy())

    assert str(refused.value) == (
        "there is no SLO 'api', and none is written down. "
        "Write [tool.pytest_concurrency.slo.api] into pyproject.toml."
    )


def test_timer_decides_about_names():
    """Collecting takes a name, and leaves what no call decides to the end of the test."""
    slo = read_slo(
        "all", {"objectives": ["p50 < 1s", "memory < 5GB", "lock wait p50 < 1s"]}, where="f"
    )
    timer = PerfTimer(policy=Policy(slos={"all": slo}), takes_out_waits=False)
    for _ in timer.until_decided("all", max_calls=20):
        with timer:
            pass

    assert [str(objective) for objective in timer.decided] == ["p50 < 1s"]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("p95 < 1s", ["p95 < 1s"]),
        ("p95{a=b, c=d} < 1s,api\n errors < 1% ;", ["p95{a=b, c=d} < 1s", "api", "errors < 1%"]),
        (" , ", []),
    ],
)
def test_line_is_split_between_objectives(line, texts):
    """Commas, semicolons and lines part objectives, but not the tags of one."""
    assert split_texts(line) == texts
