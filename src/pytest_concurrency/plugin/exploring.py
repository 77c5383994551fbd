"""Exploring under pytest: fixtures and the marker over ``explore``, tokens kept in the cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_concurrency.plugin.journal import note_record
from pytest_concurrency.plugin.settings import read, session_seed

if TYPE_CHECKING:
    from pytest_concurrency.explore.exploration import Exploration
    from pytest_concurrency.explore.settings import Settings

CACHE = "concurrency/tokens"
NAME = "concurrency-slo-expecting"
NEVER = (
    "Nothing was explored: the test takes interleave and never calls it with a body."
    " Write @interleave above def body(run)."
)

asked_key: pytest.StashKey[bool] = pytest.StashKey[bool]()
"""On a test that takes the fixture ``interleave``: whether it has called it with a body."""


def expect_call(request: pytest.FixtureRequest) -> None:
    """Fail the test if it passes without having called the fixture that it takes itself."""
    item = request.node
    if "interleave" in inspect.signature(getattr(item, "obj", expect_call)).parameters:
        item.stash[asked_key] = False
        if not item.config.pluginmanager.has_plugin(NAME):
            item.config.pluginmanager.register(Expecting(), NAME)


class Expecting:
    """The hook that looks whether what was asked for was used."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail a test that explored nothing though it asked for the fixture."""
        __tracebackhide__ = True
        result = yield
        if item.stash.get(asked_key, True):
            return result
        from pytest_concurrency.explore.failures import NothingExplored
        from pytest_concurrency.plugin.pointing import raise_at_test

        raise_at_test(item, NothingExplored(NEVER))


def explore_settings(item: pytest.Item) -> Settings:
    """Return how far a test explores, and what it tries first."""
    from pytest_concurrency.explore.settings import Settings

    config = item.config
    values: dict[str, Any] = {
        name: read(config, f"concurrency_{name}")
        for name in ("preemptions", "schedules", "seconds", "packages")
    }
    cache = cache_of(config)
    tokens = cache.get(CACHE, {}) if cache is not None else {}
    return Settings(
        **values,
        seed=session_seed(config),
        replay=read(config, "concurrency_replay"),  # type: ignore[arg-type]
        saved=tokens.get(item.nodeid),
        command=f"pytest {item.nodeid!r} --concurrency-replay={{token!r}}",
        begin=lambda: item.stash.__setitem__(asked_key, True),
        record=lambda token: note_token(item, token),
        observe=lambda exploration: note_exploration(item, exploration),
    )


def cache_of(config: pytest.Config) -> pytest.Cache | None:
    """Return pytest's cache, which a session may do without."""
    return getattr(config, "cache", None)


def note_token(item: pytest.Item, token: str | None) -> None:
    """Note which schedule of a test failed, or that none did."""
    note_record(item, {"kind": "token", "nodeid": item.nodeid, "token": token})


def note_exploration(item: pytest.Item, exploration: Exploration) -> None:
    """Note how far a test explored."""
    record = {
        "kind": "exploration",
        "nodeid": item.nodeid,
        "schedules": exploration.schedules,
        "seconds": exploration.seconds,
        "how_far": str(exploration),
        "complete": exploration.complete,
        "exhausted": exploration.exhausted,
        "budget": exploration.budget,
        "notes": list(exploration.notes),
    }
    note_record(item, record)


def save_tokens(config: pytest.Config, records: tuple[dict[str, Any], ...]) -> None:
    """Keep the tokens of schedules that failed, to be tried first next time; forget the others."""
    cache = cache_of(config)
    if cache is None:
        return
    before: dict[str, str] = cache.get(CACHE, {})
    after = dict(before)
    for record in records:
        if record["kind"] == "exploration":
            after.pop(record["nodeid"], None)
        elif record["kind"] == "token":
            after[record["nodeid"]] = record["token"]
    if after != before:
        cache.set(CACHE, after)


def marker_arguments(item: pytest.Item) -> dict[str, Any] | None:
    """Return the arguments of a test's marker ``interleave``, or ``None`` if it has none."""
    mark = item.get_closest_marker("interleave")
    return dict(mark.kwargs) if mark is not None else None


def explore_body(item: pytest.Function) -> bool:
    """Run the whole test once per schedule if it is marked; say whether it was."""
    __tracebackhide__ = True
    arguments = marker_arguments(item)
    if arguments is None:
        return False
    from pytest_concurrency.explore.interleave import interleave
    from pytest_concurrency.plugin.fresh import refusal

    reason = refusal(item)
    if reason is not None:
        _refuse(item, reason)
    from pytest_concurrency.errors import BrokenPromise
    from pytest_concurrency.plugin.pointing import raise_at_test
    from pytest_concurrency.run.place import raised_at

    try:
        interleave(settings=explore_settings(item), **arguments)(_body(item))
    except BrokenPromise as error:
        if raised_at(error.__traceback__):
            raise
        raise_at_test(item, error, marker="interleave")
    return True


def _refuse(item: pytest.Item, reason: str) -> None:
    # Not hidden: where every frame is, pytest adds that all are.
    pytest.fail(f"{item.nodeid}: @pytest.mark.interleave: {reason}", pytrace=False)


def _body(item: pytest.Function) -> Callable[[Any], object]:
    """Return what runs the test once, with fresh fixtures, by the workers it is marked for."""
    from pytest_concurrency.plugin.fresh import fresh_values

    many = item.get_closest_marker("concurrent")
    workers = many.kwargs.get("workers") if many is not None and many.kwargs else None
    function = item.obj

    if inspect.iscoroutinefunction(function):

        async def awaited(run: Any) -> None:
            __tracebackhide__ = True
            with fresh_values(item) as values:
                if workers is None:
                    await function(**values)
                else:
                    await run(*[lambda: function(**values)] * workers)

        return awaited

    def body(run: Any) -> None:
        __tracebackhide__ = True
        with fresh_values(item) as values:
            if workers is None:
                function(**values)
            else:
                run(*[lambda: function(**values)] * workers)

    return body
