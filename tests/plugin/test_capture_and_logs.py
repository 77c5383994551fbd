"""What workers print, log and warn reaches the report of their test."""

from __future__ import annotations

import pytest

SUITE = """
import logging, sys
import pytest

def talk(worker):
    sys.stdout.write(f"out of {worker.index}\\n")
    sys.stderr.write(f"err of {worker.index}\\n")
    logging.getLogger("app").warning("log of %s", worker.index)
    logging.getLogger("app").info("quiet")

@pytest.mark.parametrize("on", ["threads", "processes"])
def test_fails(concurrent_runner, on, request):
    with request.getfixturevalue("caplog").at_level("INFO"):
        concurrent_runner(talk, workers=2, on=on)
    assert sorted(request.getfixturevalue("caplog").messages) == [
        "log of 0", "log of 1", "quiet", "quiet"
    ]
    assert 0

def test_asks(concurrent_runner, capsys):
    concurrent_runner(talk, workers=2)
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == ["out of 0", "out of 1"]
    assert sorted(err.splitlines()) == ["err of 0", "err of 1"]
"""


@pytest.mark.parametrize("capture", ["fd", "sys"])
def test_output_reaches_the_report(suite, capture):
    """Of threads and processes, captured either way, in the failure's sections and fixtures."""
    ran = suite(SUITE, f"--capture={capture}")

    assert ran.outcomes == {"failed": 2, "passed": 1}
    for word in ("out of", "err of", "log of"):
        assert [ran.text.count(f"{word} {index}\n") for index in (0, 1)] == [2, 2]
    assert ran.text.count("Captured stdout call") == 2
    assert ran.text.count("Captured log call") == 2


def test_output_is_shown_at_once_without_capture(suite):
    """With ``-s`` it goes where the session's own goes."""
    ran = suite(SUITE, "-s", "-k", "fails")

    assert ran.text.count("out of 0") == 2
    assert ran.errors.count("err of 0") == 2
    assert "Captured stdout" not in ran.text
