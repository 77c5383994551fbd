"""Build both archives, install the wheel into an empty environment, run the archive's own tests.

The tests come from the unpacked source archive with its ``src`` removed: what they import can only
be the wheel, and what they read has to be in the archive.

    python scripts/try_wheel.py [PYTEST-ARGUMENT ...]
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(folder: Path, *arguments: str) -> int:
    """Do it in a folder; return pytest's exit code."""
    archives = folder / "dist"
    run(sys.executable, "-m", "build", "--outdir", archives, ROOT)
    (wheel,) = archives.glob("*.whl")
    (source,) = archives.glob("*.tar.gz")
    # The first releases of Python 3.11 know no filter.
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(source, folder, **safely)
    tree = folder / source.name.removesuffix(".tar.gz")
    shutil.rmtree(tree / "src")

    venv.create(folder / "empty", with_pip=True)
    python = folder / "empty" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-m", "pytest", "--markers", cwd=folder / "empty", shown=False)
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1")
    run(python, "-m", "pip", "install", "--quiet", "--group", tree / "pyproject.toml:tests")
    temporary = f"--basetemp={folder / 'pytest'}"
    return run(python, "-m", "pytest", temporary, *arguments, cwd=tree, check=False)


def run(*command: object, cwd: Path = ROOT, shown: bool = True, check: bool = True) -> int:
    """Say what is run, run it, and return its exit code."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    output = None if shown else subprocess.DEVNULL
    return subprocess.run(words, cwd=cwd, check=check, stdout=output).returncode


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as room:
        sys.exit(main(Path(room), *sys.argv[1:]))
