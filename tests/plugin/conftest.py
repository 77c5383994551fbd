"""What the tests of the plugin share: suites inside of the suite, and their texts made to compare."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import warnings
from dataclasses import dataclass

import pytest

import pytest_concurrency.plugin.journal
import pytest_concurrency.plugin.marked
import pytest_concurrency.plugin.summary
import pytest_concurrency.run.processes
import pytest_concurrency.run.runner  # noqa: F401 - inner sessions forget what they import first

PLAIN = ("-p", "no:cacheprovider", "-p", "concurrency-slo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """An inner session that has ended."""

    result: pytest.RunResult

    @property
    def outcomes(self) -> dict[str, int]:
        """How many tests ended how; warnings have their own."""
        found = self.result.parseoutcomes()
        return {word: number for word, number in found.items() if not word.startswith("warning")}

    @property
    def warned(self) -> int:
        """How many warnings were told."""
        return self.result.parseoutcomes().get("warnings", 0)

    @property
    def text(self) -> str:
        """The whole output, without what differs from run to run."""
        return settle("\n".join(self.result.outlines))

    @property
    def errors(self) -> str:
        """The whole error output."""
        return settle("\n".join(self.result.errlines))

    def section(self, title: str) -> str:
        """Return what stands below a title line and above the next."""
        lines = iter(self.text.splitlines())
        for line in lines:
            if re.fullmatch(rf"[_=-]+ {re.escape(title)} [_=-]+", line):
                break
        found = []
        for line in lines:
            if re.fullmatch(r"(_{3,}|={3,}|-{3,}) .* (_{3,}|={3,}|-{3,})", line):
                break
            found.append(line)
        return "\n".join(found).strip("\n")

    @property
    def message(self) -> str:
        """What pytest said about the one mistake that ended the session."""
        said = [line for line in self.result.errlines if line.startswith("ERROR: ")]
        return "\n".join(said).removeprefix("ERROR: ")


def settle(text: str) -> str:
    """Put aside what differs from run to run: times, identifiers, addresses, places to install."""
    text = re.sub(r"\b\d+(\.\d+)? (ns|\u00b5s|ms|s)\b", "TIME", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x", text)
    text = re.sub(r"pid \d+", "pid N", text)
    text = re.sub(r"seed=\d{4,}", "seed=N", text)
    return re.sub(r"in \d+\.\d+s", "in TIME", text)


@pytest.fixture
def suite(pytester, monkeypatch):
    """Return what runs a suite and returns it when it has ended.

    Its plugins are ours and those asked for by name; it runs in this process, or in one of its own.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("PYTEST_ADDOPTS", "CI", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)

    def run(test, *arguments, ini="", conftest="", apart=False, plugins=(), plain=PLAIN):
        pytester.makepyfile(test_it=textwrap.dedent(test))
        if ini:
            pytester.makeini("[pytest]\n" + textwrap.dedent(ini))
        if conftest:
            pytester.makeconftest(textwrap.dedent(conftest))
        more = [part for name in plugins for part in ("-p", name)]
        if apart:
            result = pytester.run(
                sys.executable, "-m", "pytest", *plain, *more, *arguments, timeout=60
            )
        else:
            with warnings.catch_warnings():
                warnings.resetwarnings()  # this session's are errors
                result = pytester.runpytest_inprocess(*plain, *more, *arguments)
        return Suite(result=result)

    return run


@pytest.fixture
def environment():
    """Return the environment of processes that a test starts itself."""
    return {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "80"}


@pytest.fixture(autouse=True)
def _at_a_desk(monkeypatch):
    """Let inner runs print as at a desk: where CI is set, pytest cuts nothing and folds nothing."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
