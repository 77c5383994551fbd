"""What importing the package, a room or the plugin loads."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import pytest_concurrency

ROOMS = sorted(
    path.parent.name for path in Path(pytest_concurrency.__file__).parent.glob("*/__init__.py")
)
HEAVY = {"asyncio", "concurrent", "ctypes", "email", "http", "multiprocessing", "sqlite3", "ssl"}


def loaded_by(statement: str, *, after: str = "pass") -> set[str]:
    """Return the modules that one statement adds to a fresh interpreter that ran another."""
    script = textwrap.dedent(f"""
        import sys
        {after}
        before = set(sys.modules)
        {statement}
        print(*set(sys.modules) - before)
    """)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(ran.stdout.split())


def packages(modules: set[str]) -> set[str]:
    """Return the top-level packages of some modules that are not Python's own nor this one."""
    return (
        {name.split(".")[0] for name in modules} - sys.stdlib_module_names - {"pytest_concurrency"}
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_loads_no_other_distribution(room):
    """A room's optional dependencies are imported when they are used."""
    loaded = loaded_by(f"import pytest_concurrency.{room}", after="import pytest")

    assert packages(loaded) == set()


def test_the_package_loads_nothing():
    """The public names are imported on first use."""
    loaded = loaded_by("import pytest_concurrency", after="import __future__")

    assert loaded == {"pytest_concurrency"}


def test_the_plugin_loads_nothing_that_takes_long():
    """Whoever installs the plugin and never uses it pays for none of its machinery."""
    loaded = loaded_by("import pytest_concurrency.plugin", after="import pytest")

    assert {name.split(".")[0] for name in loaded} & HEAVY == set()
    assert {name for name in loaded if name.startswith("pytest_concurrency.")} == {
        "pytest_concurrency.plugin",
        "pytest_concurrency.plugin.database_fixtures",
        "pytest_concurrency.plugin.fixtures",
    }


def test_a_run_that_uses_nothing_loads_nothing(pytester):
    """A suite without a concurrent test never imports what concurrent tests need."""
    pytester.makepyfile("""
        import sys

        def test_nothing():
            needed = {"hypothesis", "psutil", "sqlalchemy", "pytest_concurrency.explore"}
            assert needed & set(sys.modules) == set()
    """)
    ran = pytester.run(
        sys.executable, "-m", "pytest", "-p", "concurrency-slo", "--disable-plugin-autoload"
    )

    ran.assert_outcomes(passed=1)


def test_the_entry_point_is_the_name_that_users_type():
    """``-p no:concurrency-slo`` switches the plugin off."""
    ours = entry_points(group="pytest11", name="concurrency-slo")

    assert [point.value for point in ours] == ["pytest_concurrency.plugin"]
