"""Options and ini keys: what help says, who wins."""

from __future__ import annotations

import pytest

from pytest_concurrency.plugin.options import OPTIONS

ASK = """
import pytest
def test_ask(concurrent_runner, request):
    from pytest_concurrency.run.settings import current_settings
    settings = current_settings()
    print("WORKERS", settings.workers, "TIMEOUT", settings.timeout, settings.timeout_source)
"""


def asked(ran):
    """Return what the inner test printed."""
    assert ran.outcomes == {"passed": 1}
    return next(line for line in ran.result.outlines if line.startswith("WORKERS"))


def test_the_default_holds(suite):
    """Where nobody says anything."""
    assert asked(suite(ASK, "-rP")) == "WORKERS 8 TIMEOUT 30.0 the default"


def test_the_configuration_file_comes_before_the_default(suite):
    """And is named as the source of a limit."""
    ran = suite(ASK, "-rP", ini="concurrency_workers = 3\nconcurrency_timeout = 2min")

    assert asked(ran) == "WORKERS 3 TIMEOUT 120.0 concurrency_timeout = 2min in tox.ini"


def test_the_command_line_comes_before_the_configuration_file(suite):
    """As everywhere in pytest."""
    ran = suite(
        ASK,
        "-rP",
        "--concurrency-workers=4",
        "--concurrency-timeout=500ms",
        ini="concurrency_workers = 3\nconcurrency_timeout = 2min",
    )

    assert asked(ran) == "WORKERS 4 TIMEOUT 0.5 --concurrency-timeout=500ms"


def test_auto_is_what_the_machine_has(suite, monkeypatch):
    """As many workers as processors may be used."""
    monkeypatch.setattr("pytest_concurrency.run.capacity.processors", lambda: 5)

    assert asked(suite(ASK, "-rP", "--concurrency-workers=auto")).startswith("WORKERS 5 ")


def test_help_lists_every_option_and_key(suite):
    """With its one sentence, under one title."""
    text = " ".join(suite(ASK, "--help").result.stdout.str().split())

    assert "concurrency and service-level objectives: --concurrency-workers=N|auto" in text
    for option in OPTIONS:
        assert f" {option.flag}" in text
        assert f" {option.ini} (string): {option.help}" in text
        assert text.count(option.help) == 2


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.ini)
def test_an_option_is_described_by_the_rules(option):
    """Flags with the two prefixes, keys derived from them, sentences that end."""
    assert option.flag.startswith(("--concurrency-", "--slo"))
    assert option.ini == option.flag[2:].replace("-", "_")
    assert option.help[0].isupper()
    assert option.help.endswith(".")


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="pytest reads no such table before")
def test_numbers_of_a_toml_file_are_numbers(suite, pytester):
    """A wrong one is told as it is written, as anywhere else."""
    pytester.makepyprojecttoml("[tool.pytest]\nconcurrency_workers = 0\n")

    assert suite("def test_it(): pass").message == (
        "concurrency_workers = 0 in pyproject.toml: use an integer from 1 to 10,000, or auto. "
        "Write concurrency_workers = 8."
    )
