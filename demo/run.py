"""Show the failures this plugin is for: run every step beside this file, in order.

A step is a test file named ``<number>_<what>.py``. Its docstring says what it shows, and its
``EXPECTED`` how pytest's closing line begins. When the failure offers a replay, that command is
run as well, and has to fail in the same way.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PYTEST = [sys.executable, "-m", "pytest", "--no-header", "-q", "-p", "no:cacheprovider"]
PYTEST += ["--disable-plugin-autoload", "-p", "concurrency-slo"]
SUMMARY = re.compile(r"^(?:=+ )?(\d+ \w+.*?) in [\d.]+m?s", re.MULTILINE)
REPLAY = re.compile(r"Replay: (?:pytest )(.+)$", re.MULTILINE)


def main() -> int:
    """Run the steps; return 0 when each ended as it says it does."""
    steps = sorted(HERE.glob("[0-9]*_*.py"))
    surprises = [step.name for step in steps if not shows_what_it_says(step)]
    if surprises:
        print(f"\nEnded otherwise than expected: {', '.join(surprises)}")
    else:
        print(f"\nEvery step ended as it says. Read them in {HERE.name}/.")
    return len(surprises)


def shows_what_it_says(step: Path) -> bool:
    """Run one step and, where its failure offers one, the replay."""
    tree = ast.parse(step.read_text(encoding="utf-8"))
    expected = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXPECTED"
    )
    print(f"\n{'=' * 96}\n{ast.get_docstring(tree)}\n{'=' * 96}", flush=True)
    shown = run(step.name)
    replay = REPLAY.search(shown)
    if replay:
        shown = run(*shlex.split(replay[1]))
    ended = SUMMARY.findall(shown)
    return bool(ended) and ended[-1].startswith(expected)


def run(*arguments: str) -> str:
    """Run pytest, show what it prints, and return it."""
    print(f"$ pytest {shlex.join(arguments)}", flush=True)
    environment = os.environ | {"COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [*PYTEST, *arguments],
        cwd=HERE,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout + ran.stderr, flush=True)
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
