"""The unrelated distribution that owns the same import package is detected and explained."""

from __future__ import annotations

import pytest

from pytest_concurrency.plugin.conflict import find_damage

FIXTURE = """
def test_run(concurrent_runner):
    pass
"""
MARKER = """
import pytest

@pytest.mark.concurrent(workers=2)
def test_run():
    pass
"""
BESIDE = """\
pytest-concurrency 1.0.0 is also installed, and has files of the same import package,
pytest_concurrency: uninstalling either one deletes files of the other.
Run: pip uninstall pytest-concurrency && pip install --force-reinstall pytest-concurrency-slo"""
LOST = """\
pytest-concurrency-slo has lost its pytest_concurrency/__init__.py, as pytest-concurrency takes it
along when it is installed or uninstalled.
Run: pip install --force-reinstall pytest-concurrency-slo"""


@pytest.fixture(autouse=True)
def fresh():
    """Look again at what is installed, before and after."""
    find_damage.cache_clear()
    yield
    find_damage.cache_clear()


@pytest.fixture
def rival(monkeypatch, tmp_path):
    """Install the other distribution, as far as can be seen."""
    place = tmp_path / "pytest_concurrency-1.0.0.dist-info"
    place.mkdir()
    place.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: pytest-concurrency\nVersion: 1.0.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def overwritten(monkeypatch):
    """Take away what our ``__init__`` says."""
    monkeypatch.delattr("pytest_concurrency.__all__")


@pytest.mark.usefixtures("rival")
def test_a_rival_ends_the_first_test_that_needs_us(suite):
    """The text alone, without any traceback."""
    ran = suite(FIXTURE)

    assert ran.outcomes == {"errors": 1}
    assert ran.section("ERROR at setup of test_run") == BESIDE


@pytest.mark.usefixtures("rival")
def test_a_rival_ends_a_session_with_our_markers(suite):
    """At collection."""
    ran = suite(MARKER)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "\n".join(ran.result.errlines).strip() == f"ERROR: {BESIDE}"


@pytest.mark.usefixtures("overwritten")
def test_a_rival_that_left_its_mark_is_noticed(suite):
    """An ``__init__`` that was overwritten or deleted is not ours."""
    assert suite(FIXTURE).section("ERROR at setup of test_run") == LOST


def test_without_a_rival_nothing_is_found():
    """All is well here."""
    assert find_damage() == ""
