"""What to say when there was nothing to explore: a pass would promise nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath


def alone() -> str:
    """Say that there was only one worker."""
    return "Nothing was explored: one worker ran alone. Start two or more: run(f, g)."


def unseen(workers: int, seen_from: Iterable[str], calls: Counter[str]) -> str:
    """Say that the workers share nothing that can be seen, and where they were instead.

    Args:
        workers: How many there were.
        seen_from: Files that are explored.
        calls: How many calls were made in each file, by the workers.
    """
    where = _directories(seen_from)
    lines = [f"Nothing was explored: the {workers} workers share no state that can be seen{where}."]
    total = sum(calls.values())
    if total:
        parts = [
            f"{_short(file)} ({count * 100 // total} %)" for file, count in calls.most_common(3)
        ]
        lines.append(f"They spent their calls in: {', '.join(parts)}.")
    package = next(
        (name for name in map(_package, (file for file, _ in calls.most_common())) if name), None
    )
    if package is not None:
        lines.append(
            f"Explore that package too: @interleave(packages=[{package!r}]),"
            " or test it with concurrent_runner."
        )
    else:
        if calls and calls.most_common(1)[0][0].startswith("<string"):
            lines.append("Code that is in no file, as what exec runs, is not looked into.")
        lines.append(
            "Let the workers share what the test is about, or test it with concurrent_runner."
        )
    return "\n".join(lines)


def _directories(files: Iterable[str]) -> str:
    here = Path.cwd()
    found = sorted(
        {_relative(Path(file).parent, here) for file in files if not file.startswith("<")}
    )
    if found == [""]:
        found = sorted({_short(file) for file in files if not file.startswith("<")})
    return f" from {' and '.join(found[:2])}" if found else ""


def _relative(directory: Path, here: Path) -> str:
    try:
        inside = directory.absolute().relative_to(here)
        return f"{inside.as_posix()}/" if inside.parts else "here"
    except ValueError:
        return f"{directory.name}/"


def _short(file: str) -> str:
    return "/".join(PurePath(file).parts[-2:])


def _package(file: str) -> str | None:
    parts = PurePath(file).parts
    for root in ("site-packages", "dist-packages"):
        if root in parts:
            return PurePath(parts[parts.index(root) + 1]).stem
    return None
