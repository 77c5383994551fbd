"""What the wheel and the source archive hold."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both archives once, as an installer would, and return their folder."""
    if not (ROOT / "src").is_dir():
        pytest.skip("the archives are built from the source tree, and it was taken away here")
    folder = tmp_path_factory.mktemp("dist")
    for kind in ("wheel", "sdist"):
        subprocess.run(
            [
                sys.executable,
                "-c",
                f"from hatchling.build import build_{kind} as b; b({str(folder)!r})",
            ],
            cwd=ROOT,
            check=True,
            timeout=60,
        )
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    """Open the wheel."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_runs_on_every_platform(built):
    """One pure wheel serves every interpreter and system."""
    (path,) = built.glob("*.whl")

    assert path.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """No test, no document and no stray file is installed beside the package."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    ours = {name for name in tops if not name.endswith(".dist-info")}

    assert ours == {"pytest_concurrency"}


def test_the_wheel_is_typed(wheel):
    """Type checkers of users read our annotations."""
    assert "pytest_concurrency/py.typed" in wheel.namelist()


def test_the_wheel_registers_the_plugin(wheel):
    """Installing the wheel is all it takes for pytest to find the plugin."""
    (name,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))

    assert wheel.read(name).decode() == (
        "[pytest11]\nconcurrency-slo = pytest_concurrency.plugin\n"
    )


def test_the_metadata_says_who_can_use_it(wheel):
    """The index and the installers know the licence, the Pythons and the front page."""
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())

    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "Framework :: Pytest" in metadata.get_all("Classifier")
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_the_source_archive_can_test_itself(built):
    """A packager runs the tests from the archive: they and all they read are in it."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}

    assert {"tests/conftest.py", "README.md", "docs/index.md", "pyproject.toml", "tox.ini"} <= held
    assert {name for name in held if name.split("/")[0] in {".venv", "build", "dist"}} == set()
