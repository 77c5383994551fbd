"""Performance tests against another git revision, the calls of both taking turns."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pytest

from pytest_concurrency.plugin.journal import note_record, timer_key
from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from pytest_concurrency.slo.own_loops import RacingBlocks
    from pytest_concurrency.slo.pairs import Comparison
    from pytest_concurrency.slo.perf import PerfTimer
    from pytest_concurrency.slo.rivals import Rival
    from pytest_concurrency.slo.turns import Turns

NAME = "concurrency-slo-against"
ANSWERING = "pytest_concurrency.plugin.answering"
"""The module that the other interpreter loads."""
NOT_THERE = frozenset({4, 5})
"""What pytest ends with when the other revision has no such test."""

tree_key: pytest.StashKey[Path] = pytest.StashKey()
"""On the config: the root of the tests at the other revision."""
answers_key: pytest.StashKey[bool] = pytest.StashKey()
"""On the config of the other interpreter."""
found_key: pytest.StashKey[Comparison] = pytest.StashKey["Comparison"]()
"""On an item: what came of its race."""
raced_key: pytest.StashKey[bool] = pytest.StashKey()
"""On an item whose timer has been asked to take turns."""

blocks_key: pytest.StashKey[RacingBlocks] = pytest.StashKey["RacingBlocks"]()
"""On an item whose timed blocks take turns with those of the other revision."""

_LOOP = "for _ in perf_timer.until_decided(): ..."

Collector = Callable[[Any], Iterator[int]]


def join_against(config: pytest.Config) -> None:
    """Check the other revision out if one was asked for, once for all processes.

    Raises:
        pytest.UsageError: Git does not know it.
    """
    ref = str(read(config, "slo_against"))
    if not ref or read(config, "slo") == "off" or answers_key in config.stash:
        return
    given: dict[str, str] = getattr(config, "workerinput", {})
    if given:
        config.stash[tree_key] = Path(given["slo_against"])
        return
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.rivals import revision, root_of

    checkout = ExitStack()
    try:
        tree = checkout.enter_context(revision(ref, of=config.rootpath))
        within = config.rootpath.resolve().relative_to(root_of(config.rootpath, ref=ref))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.add_cleanup(checkout.close)
    config.stash[tree_key] = tree / within
    config.pluginmanager.register(Against(tree / within), NAME)


@final
class Against:
    """The hook that tells xdist's workers where the other revision is."""

    def __init__(self, tree: Path) -> None:
        """Know the checkout."""
        self._tree = tree

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the checkout to a worker."""
        node.workerinput["slo_against"] = str(self._tree)


def collector_of(item: pytest.Item) -> Collector | None:
    """Return what ``until_decided`` does in this process instead of collecting."""
    if answers_key in item.config.stash:
        return _answer
    tree = item.config.stash.get(tree_key, None)
    return None if tree is None else lambda timer: _race(item, tree, timer)


def _answer(timer: PerfTimer) -> Iterator[int]:
    from pytest_concurrency.slo.rivals import answer

    return answer(timer, sys.stdin, sys.stdout)


def turns_of(item: pytest.Item) -> Turns | None:
    """Return what the blocks of a test's own loop take turns with, closed when the test ends."""
    if answers_key in item.config.stash:
        from pytest_concurrency.slo.own_loops import AnsweringBlocks

        return AnsweringBlocks(sys.stdin, sys.stdout)
    tree = item.config.stash.get(tree_key, None)
    if tree is None:
        return None
    from pytest_concurrency.slo.own_loops import RacingBlocks

    blocks = RacingBlocks(lambda: _start(item, tree), _claim(item), seconds=_seconds(item))
    item.stash[blocks_key] = blocks
    item.addfinalizer(blocks.close)
    return blocks


def _race(item: pytest.Item, tree: Path, timer: PerfTimer) -> Iterator[int]:
    from pytest_concurrency.slo.rivals import race

    item.stash[raced_key] = True
    rival = _start(item, tree)
    if rival is None:
        yield 0
        return
    with rival:
        yield from race(timer, rival, _claim(item), conclude=_keeper(item), seconds=_seconds(item))


def _start(item: pytest.Item, tree: Path) -> Rival | None:
    """Start a test at the other revision and have it make a call; None if it is not there."""
    from pytest_concurrency.slo.rivals import Rival, RivalEnded

    rival = Rival(_command(item), cwd=tree, env=_environment(item.config, tree))
    try:
        rival.take(1)
    except BaseException as error:
        rival.close()
        if not isinstance(error, RivalEnded) or error.status not in NOT_THERE:
            raise
        text = f"{item.nodeid}: not compared, for {_ref(item)} has no such test"
        note_record(item, {"kind": "against", "nodeid": item.nodeid, "text": text})
        item.stash[raced_key] = True
        return None
    return rival


def _seconds(item: pytest.Item) -> float:
    return 2.0 if read(item.config, "slo_quick") else 10.0


def _keeper(item: pytest.Item) -> Callable[[Comparison], None]:
    def keep(comparison: Comparison) -> None:
        item.stash[found_key] = comparison

    return keep


def _ref(item: pytest.Item) -> str:
    return str(read(item.config, "slo_against"))


def _claim(item: pytest.Item) -> str:
    margin = float(read(item.config, "slo_margin"))  # type: ignore[arg-type]
    return f"new <= {1 + margin:.4g}x old"


def judge_comparison(item: pytest.Item) -> bool:
    """Enforce what came of a test's race, and return whether it took part in one.

    Raises:
        MissedObjective: It is slower than the other revision by more than the margin.
        UndecidedObjective: That could not be told, and it was to fail.
    """
    __tracebackhide__ = True
    found, more = item.stash.get(found_key, None), "Run it alone, or raise --slo-margin."
    if found is None and raced_key not in item.stash and blocks_key in item.stash:
        found, more = item.stash[blocks_key].conclude(), f"Run it alone, or write {_LOOP}"
        if found is None:
            _note_apart(item)
    if found is None:
        return raced_key in item.stash or answers_key in item.config.stash
    from pytest_concurrency.plugin.objectives import marker_policy
    from pytest_concurrency.slo.assertions import conclude
    from pytest_concurrency.slo.pairs import comparison_text

    ref = _ref(item)
    text = comparison_text(found, more=more)
    text = f"{text}\n  new is this tree, old is {ref}. {_again(item, ref)}"
    claim, *rest = found.row()
    conclude(found.state, text, marker_policy(item), row=(f"{claim} ({ref})", *rest))
    return True


def _note_apart(item: pytest.Item) -> None:
    """Say of a test that measured, but too few calls, that it was not compared."""
    from pytest_concurrency.slo.own_loops import FEWEST_CALLS

    timer = item.stash.get(timer_key, None)
    if timer is not None and len(timer):
        calls = f"{len(timer)} call{'' if len(timer) == 1 else 's'}"
        text = (
            f"{item.nodeid}: not compared with {_ref(item)}: {calls} cannot decide it "
            f"({FEWEST_CALLS} are needed). Write {_LOOP}"
        )
        note_record(item, {"kind": "against", "nodeid": item.nodeid, "text": text})


def _again(item: pytest.Item, ref: str) -> str:
    from pytest_concurrency.slo.wording import command

    return f"Run it alone: {command(item.nodeid)} --slo-against={ref}"


def _command(item: pytest.Item) -> list[str]:
    options = ["-q", "-s", "--no-header", "-p", "no:cacheprovider"]
    options += ["-p", "concurrency-slo", "-p", ANSWERING]
    if item.config.pluginmanager.has_plugin("xdist"):
        options += ["-n0"]
    return [sys.executable, "-m", "pytest", *options, "--slo-against=", item.nodeid]


def _environment(config: pytest.Config, tree: Path) -> dict[str, str]:
    """Return an environment in which the modules of the other revision come first."""
    inside = []
    for entry in (*sys.path, str(config.rootpath / "src"), str(config.rootpath)):
        path = Path(entry).resolve() if entry else config.rootpath
        if path.is_relative_to(config.rootpath) and "site-packages" not in path.parts:
            inside.append(tree / path.relative_to(config.rootpath))
    known = dict.fromkeys(str(path) for path in inside if path.is_dir())
    before = os.environ.get("PYTHONPATH")
    paths = [*known, *([before] if before else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
