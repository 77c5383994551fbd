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
    from pytest_concurrency.slo.pairs import Comparison
    from pytest_concurrency.slo.perf import PerfTimer

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


def _race(item: pytest.Item, tree: Path, timer: PerfTimer) -> Iterator[int]:
    from pytest_concurrency.slo.rivals import Rival, RivalEnded, race

    item.stash[raced_key] = True
    seconds = 2.0 if read(item.config, "slo_quick") else 10.0
    with Rival(_command(item), cwd=tree, env=_environment(item.config, tree)) as rival:
        try:
            rival.take(1)
        except RivalEnded as error:
            if error.status not in NOT_THERE:
                raise
            text = f"{item.nodeid}: not compared, for {_ref(item)} has no such test"
            note_record(item, {"kind": "against", "nodeid": item.nodeid, "text": text})
            yield 0
            return
        keep = _keeper(item)
        yield from race(timer, rival, _claim(item), conclude=keep, seconds=seconds)


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
    found = item.stash.get(found_key, None)
    if found is None:
        if tree_key in item.config.stash:
            _note_apart(item)
        return raced_key in item.stash or answers_key in item.config.stash
    from pytest_concurrency.plugin.objectives import slo_policy
    from pytest_concurrency.slo.assertions import conclude
    from pytest_concurrency.slo.pairs import comparison_text

    ref = _ref(item)
    text = comparison_text(found, more="Run it alone, or raise --slo-margin.")
    text = f"{text}\n  new is this tree, old is {ref}. {_again(item, ref)}"
    claim, *rest = found.row()
    conclude(found.state, text, slo_policy(item), row=(f"{claim} ({ref})", *rest))
    return True


def _note_apart(item: pytest.Item) -> None:
    """Say of a test that measured, but in a loop of its own, that it was not compared."""
    timer = item.stash.get(timer_key, None)
    if timer is not None and len(timer) and raced_key not in item.stash:
        text = (
            f"{item.nodeid}: not compared with {_ref(item)}, for it loops by itself. "
            "Write for _ in perf_timer.until_decided(): ..."
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
