"""Options and ini keys are judged before the run, never inside of the first test."""

from __future__ import annotations

import pytest

from pytest_concurrency.plugin.options import OPTIONS

WRONG = {
    "concurrency_workers": ("0", "use an integer from 1 to 10,000, or auto. Write <flag>8."),
    "concurrency_timeout": ("10", "'10' has no unit. Write '10ms' or '10s'."),
    "concurrency_seed": ("today", "use an integer. Write <flag>1."),
    "concurrency_unseen": ("warning", "there is no 'warning'. Write <flag>warn."),
    "concurrency_replay": (
        "Q",
        (
            "'Q' is not a leg. A leg is a worker and its points: T0x5 for five, T1x* until it ends "
            "or waits. Write one as a failure shows it: 'T0x5 T1x*'."
        ),
    ),
    "concurrency_preemptions": ("-1", "use an integer >= 0. Write <flag>2."),
    "concurrency_schedules": ("many", "use an integer >= 1. Write <flag>5000."),
    "concurrency_seconds": ("10", "'10' has no unit. Write '10ms' or '10s'."),
    "concurrency_packages": (
        "nosuch",
        "'nosuch' cannot be imported. Install it, or name it as it is imported.",
    ),
    "concurrency_sqlite_begin": (
        "now",
        "use one of immediate, deferred, driver. Write <flag>immediate.",
    ),
    "concurrency_leaks": ("warning", "there is no 'warning'. Write <flag>warn."),
    "slo": ("strict", "use one of off, warn, enforce. Write <flag>enforce."),
    "slo_undecided": ("skip", "use one of fail, warn, pass. Write <flag>warn."),
    "slo_margin": ("5", "'5' has no unit. Write '5%'."),
    "slo_clock": ("cpu", "use one of own, wall. Write <flag>own."),
}
"""A wrong value of each option and key, and what is said of it."""
FLAGS = ("concurrency_keep_db", "slo_baseline_update", "slo_quick")
FREE = ("slo_tier", "slo_file", "slo_baseline", "slo_against", "slo_objectives")
"""Options that name something outside, or are a language: judged by who reads it."""
DATABASES = ("concurrency_db", "concurrency_backends")
"""Options that name databases."""

MORE = {
    "--concurrency-preemptions=two": (
        "--concurrency-preemptions=two: use an integer >= 0. Write --concurrency-preemptions=2."
    ),
    "--concurrency-preemptions=1.5": (
        "--concurrency-preemptions=1.5: use an integer >= 0. Write --concurrency-preemptions=2."
    ),
    "--concurrency-packages=json,jsn": (
        "--concurrency-packages=json,jsn: 'jsn' cannot be imported. Write 'json'."
    ),
    "--concurrency-packages=itertools": (
        "--concurrency-packages=itertools: 'itertools' is not written in Python, so it has no "
        "points. Leave it out."
    ),
    "--concurrency-replay=T0x0": "--concurrency-replay=T0x0: 'T0x0' has no points. Leave it out.",
    "--concurrency-replay=T0x5 T1": (
        "--concurrency-replay=T0x5 T1: 'T1' is not a leg. A leg is a worker and its points: T0x5 "
        "for five, T1x* until it ends or waits. Write one as a failure shows it: 'T0x5 T1x*'."
    ),
    "--concurrency-seconds=0s": (
        "--concurrency-seconds=0s: use a time longer than zero. Write --concurrency-seconds=10s."
    ),
    "--concurrency-schedules=-1": (
        "--concurrency-schedules=-1: use an integer >= 1. Write --concurrency-schedules=5000."
    ),
}
"""Other slips of what an exploration is given."""


def test_every_option_has_a_wrong_value_here():
    """None is forgotten."""
    assert {*WRONG, *FLAGS, *FREE, *DATABASES} == {option.ini for option in OPTIONS}


def refused(ran):
    """Return what a session said that did not start."""
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in ran.errors
    return ran.message


@pytest.mark.parametrize("ini", WRONG)
def test_a_wrong_option_ends_the_session_before_it_starts(suite, ini):
    """With the option as it was typed, and what to type."""
    flag = next(option.flag for option in OPTIONS if option.ini == ini)
    value, said = WRONG[ini]

    text = refused(suite("def test_it(): pass", f"{flag}={value}"))

    assert text == f"{flag}={value}: {said.replace('<flag>', f'{flag}=')}"


@pytest.mark.parametrize("ini", [*WRONG, *FLAGS])
def test_a_wrong_key_ends_the_session_before_it_starts(suite, ini):
    """With the key, its value, the file, and what to write."""
    value, said = WRONG.get(ini, ("maybe", "use true or false. Write <flag>true."))

    text = refused(suite("def test_it(): pass", ini=f"{ini} = {value}"))

    assert text == f"{ini} = {value} in tox.ini: {said.replace('<flag>', f'{ini} = ')}"


@pytest.mark.parametrize("given", MORE)
def test_a_slip_about_exploring_is_told_in_full(suite, given):
    """Each with its remedy."""
    assert refused(suite("def test_it(): pass", given)) == MORE[given]


@pytest.mark.parametrize(
    ("arguments", "ini", "where"),
    [
        (["--concurrency-db=postgrse"], "", "--concurrency-db"),
        (["--concurrency-backends=postgrse"], "", "--concurrency-backends"),
        ([], "concurrency_db = postgrse", "concurrency_db"),
    ],
)
def test_a_wrong_database_is_told_where_it_was_given(suite, arguments, ini, where):
    """The option names the option, the key the key."""
    said = refused(suite("def test_it(): pass", *arguments, ini=ini))

    assert said == (
        f"{where}: 'postgrse' is no database. 'sqlite', 'memory', 'postgres' and URLs such as "
        f"'mariadb+pymysql://user@host' are. Write {where}=postgres."
    )


def test_what_is_right_is_taken(suite):
    """Every option of exploring, on the command line and in the file."""
    test = """
    def test_it(interleave):
        from pytest_concurrency.explore.settings import current_settings
        found = current_settings()
        print("FOUND", found.preemptions, found.schedules, found.seconds, found.packages)
    """
    ran = suite(
        test,
        "-rP",
        "--concurrency-preemptions=0",
        "--concurrency-packages=json, email.message",
        ini="concurrency_schedules = 7\nconcurrency_seconds = 1min\nconcurrency_replay =",
    )

    assert "FOUND 0 7 60.0 ('json', 'email.message')" in ran.text


MARKS = {
    "seconds=0": "seconds=0 is not a number of seconds above 0. Write seconds=10.",
    "seconds='10'": "seconds='10': '10' has no unit. Write '10ms' or '10s'.",
    "schedules=0": "schedules=0 is not a whole number of at least 1. Write schedules=2.",
    "seed='x'": "seed='x' is not a whole number. Write seed=1.",
    "packages='redis'": "packages='redis' is one text. Write packages=['redis'].",
    "packages=[3]": "packages=[3] is not a list of import names. Write packages=['thelib'].",
    "packages=['jsn']": "packages=['jsn']: 'jsn' cannot be imported. Write 'json'.",
    "replay=3": ("replay=3 is not a token. Write one as a failure shows it: replay='T0x5 T1x*'."),
    "replay=''": "replay='': the token is empty. Write one as a failure shows it: 'T0x5 T1x*'.",
    "hang=1": (
        "there is no 'hang'. It takes preemptions, schedules, seconds, packages, seed, replay."
    ),
}
"""Arguments of the marker, and what is said of them."""


@pytest.mark.parametrize("mark", MARKS)
def test_a_wrong_argument_of_the_marker_ends_the_session_at_collection(suite, mark):
    """With the test, the marker as it stands, and the remedy."""
    test = f"import pytest\n\n@pytest.mark.interleave({mark})\ndef test_it(): pass\n"

    assert refused(suite(test)) == (
        f"test_it.py::test_it: @pytest.mark.interleave({mark}): {MARKS[mark]}"
    )


def test_the_marker_takes_a_time_as_a_text(suite):
    """As the list of markers says."""
    test = """
    import pytest

    @pytest.mark.interleave(seconds="10s")
    @pytest.mark.concurrent(workers=2)
    def test_it(box):
        box.append(1)

    @pytest.fixture
    def box():
        return []
    """

    assert suite(test).outcomes == {"passed": 1}
