"""Every example in the README, the documentation and the docstrings does what it shows.

A page is a project of its own. A block of Python or TOML whose first line is a comment naming a
file, such as ``# test_booking.py``, is written there; another block of Python has to run, under
pytest if it holds a test. In a ``console`` block each ``$ pytest`` or ``$ python`` line is run in
the project and has to print what follows it, where ``...`` stands for anything and durations may
differ. Blocks in other languages are only shown.
"""

from __future__ import annotations

import difflib
import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.example import SybilFailure
from sybil.parsers import markdown, rest

import pytest_concurrency

ROOT = Path(__file__).parents[2]
PACKAGE = Path(pytest_concurrency.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>>" in path.read_text("utf-8")]

COMMAND = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n?)*)", re.MULTILINE)
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml|ini))\n")
DIFFERS = [
    (re.compile(r"\b\d+(?:\.\d+)? ?(?=(?:ns|us|µs|ms|s|min)\b)"), "0 "),
    (re.compile(r"([=_-])\1{3,}"), r"\1\1\1\1"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
]


def run(command: list[str], project: Path) -> str:
    """Run a command as a reader would, in a project with nothing but this plugin."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") and name not in {"CI", "BUILD_NUMBER", "PYTHONDEVMODE"}
    }
    environment |= {
        "COLUMNS": "80",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": ".",
        "PYTHONUNBUFFERED": "1",  # both streams in order, as in a terminal
        "TMPDIR": str(project.parent),
    }
    if command[0] == "pytest":
        plugins = ["-p", "concurrency-slo", "-p", "no:cacheprovider"]
        command = ["-m", "pytest", "--rootdir=.", *plugins, *command[1:]]
    else:
        command = command[1:]
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return ran.stdout


def without_what_differs(text: str) -> str:
    """Replace what is another on every machine: durations, widths of rules, addresses."""
    for pattern, replacement in DIFFERS:
        text = pattern.sub(replacement, text)
    return text.strip() + "\n"


def write_or_run(example) -> str | None:
    """Write a block to the file it names; run one that names none. Return what went wrong."""
    source = str(example.parsed)
    project = example.namespace["project"]
    named = FILE.match(source)
    if named:
        path = project / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        return None
    path = project / f"test_line_{example.line}.py"
    path.write_text(source, encoding="utf-8")
    tested = re.search(r"^\s*(async )?def test_", source, re.MULTILINE)
    shown = run([("pytest" if tested else "python"), path.name], project)
    ended_well = re.search(r"^=+ \d+ passed", shown, re.MULTILINE) if tested else not shown
    return None if ended_well else shown


def compare_transcript(example) -> str | None:
    """Run the commands of a console block. Return how their output differs."""
    for command, shown in COMMAND.findall(str(example.parsed) + "\n"):
        words = shlex.split(command)
        if words[0] not in {"pytest", "python"}:
            continue
        printed = without_what_differs(run(words, example.namespace["project"]))
        expected = without_what_differs(shown)
        if not doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS):
            return "\n".join(
                difflib.unified_diff(
                    expected.splitlines(), printed.splitlines(), "shown", "printed", lineterm=""
                )
            )
    return None


IN_PAGES = Sybil(
    parsers=[
        markdown.CodeBlockParser("python", write_or_run),
        markdown.CodeBlockParser("toml", write_or_run),
        markdown.CodeBlockParser("console", compare_transcript),
    ]
)
IN_DOCSTRINGS = Sybil(
    parsers=[
        rest.DocTestParser(doctest.ELLIPSIS),
        rest.CodeBlockParser("python", write_or_run),
    ],
    document_types={".py": PythonDocStringDocument},
)


def follow(sybil: Sybil, path: Path, room: Path) -> None:
    """Do everything that a page or a module shows, in order."""
    document = sybil.parse(path)
    document.namespace["project"] = room / "project"
    document.namespace["project"].mkdir()
    for example in document:
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_shows_what_happens(page, tmp_path):
    """What a reader copies from a page does what the page says."""
    follow(IN_PAGES, page, tmp_path)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_docstring_shows_what_happens(module, tmp_path):
    """What a reader copies from a docstring does what the docstring says."""
    follow(IN_DOCSTRINGS, module, tmp_path)


NAMED = "```python\n# test_it.py\ndef test_it():\n    assert 1 + 1 == {result}\n```\n"
SHOWN = "```console\n$ pytest -q test_it.py\n...\n{closing} in 0.02s\n```\n"


@pytest.mark.parametrize(
    "page",
    [
        NAMED.format(result=2) + SHOWN.format(closing="1 passed"),
        NAMED.format(result=3) + SHOWN.format(closing="1 failed"),
        NAMED.format(result=3) + NAMED.format(result=2) + SHOWN.format(closing="1 passed"),
        "```python\ndef test_it():\n    pass\n```\n",
        "```python\nimport re\n```\n",
        "```console\n$ pip install pytest-concurrency-slo\n```\n",
        "```text\nnever run\n```\n",
    ],
)
def test_a_page_that_is_right_passes(page, tmp_path):
    """What holds is not complained about."""
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")

    follow(IN_PAGES, path, tmp_path)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (NAMED.format(result=3) + SHOWN.format(closing="1 passed"), "+1 failed in 0 s"),
        (NAMED.format(result=2) + SHOWN.format(closing="2 passed"), "+1 passed in 0 s"),
        ("```python\ndef test_it():\n    assert 1 == 2\n```\n", "assert 1 == 2"),
        ("```python\nimport nothing_like_it\n```\n", "No module named 'nothing_like_it'"),
        ("```python\nprint('unexpected')\n```\n", "unexpected"),
        ("```console\n$ python -c 'print(1)'\n2\n```\n", "-2\n+1"),
    ],
)
def test_a_page_that_is_wrong_fails(page, complaint, tmp_path):
    """A transcript that differs and code that fails are found, and the difference is shown."""
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")

    with pytest.raises(SybilFailure) as failure:
        follow(IN_PAGES, path, tmp_path)

    assert complaint in str(failure.value)
