"""The arguments of our markers: which of them make sense."""

from __future__ import annotations

from typing import Any

import pytest

_ARGUMENTS = ("workers", "rounds", "timeout")
_WHEN_UNDECIDED = ("fail", "warn", "pass")


def check_arguments(item: pytest.Item, mark: pytest.Mark) -> None:
    """Check the arguments of one of our markers on one test.

    Raises:
        pytest.UsageError: It does not take them.
    """
    if mark.name == "concurrent":
        _check_concurrent(item, mark)
    elif mark.name == "slo":
        _check_slo(item, mark)
    elif mark.name == "backends":
        _check_backends(item, mark)
    elif mark.name == "interleave":
        _check_interleave(item, mark)
    # The others only select. A project that had them before may have given them a reason.


def _shown(mark: pytest.Mark) -> str:
    arguments = [repr(value) for value in mark.args]
    arguments += [f"{name}={value!r}" for name, value in mark.kwargs.items()]
    return f"@pytest.mark.{mark.name}({', '.join(arguments)})"


def _refuse(item: pytest.Item, mark: pytest.Mark, text: str) -> pytest.UsageError:
    return pytest.UsageError(f"{item.nodeid}: {_shown(mark)}: {text}")


def _check_concurrent(item: pytest.Item, mark: pytest.Mark) -> None:
    from pytest_concurrency.run.plan import MOST_WORKERS

    if mark.args:
        text = "its arguments have names. Write @pytest.mark.concurrent(workers=8)."
        raise _refuse(item, mark, text)
    for name, value in mark.kwargs.items():
        if name not in _ARGUMENTS:
            raise _refuse(item, mark, _unknown(name, _ARGUMENTS))
        if name == "timeout":
            _check_timeout(item, mark, value)
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _refuse(item, mark, f"{name} is {value!r}. Use an integer >= 1. Write {name}=8.")
        elif name == "workers" and value > MOST_WORKERS:
            text = f"at most {MOST_WORKERS:,} workers are started. For more calls use rounds=."
            raise _refuse(item, mark, text)
    if mark.kwargs:
        _check_plain_function(item, mark)


def _check_interleave(item: pytest.Item, mark: pytest.Mark) -> None:
    from pytest_concurrency.explore.interleave import OPTIONS, settled

    if mark.args:
        text = "its arguments have names. Write @pytest.mark.interleave(preemptions=2)."
        raise _refuse(item, mark, text)
    _check_plain_function(item, mark)
    for other in ("asyncio", "anyio", "trio"):
        if item.get_closest_marker(other) is not None:
            text = f"coroutines are explored on a loop of its own. Leave out {other!r}."
            raise _refuse(item, mark, text)
    for name in mark.kwargs:
        if name not in OPTIONS:
            raise _refuse(item, mark, _unknown(name, OPTIONS))
    reason = database_refusal(item)
    if reason is not None:
        raise _refuse(item, mark, reason)
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.explore.settings import Settings

    try:
        settled(Settings(), mark.kwargs)
    except UsageError as error:
        raise _refuse(item, mark, str(error).removeprefix("interleave: ")) from None


def database_refusal(item: pytest.Item) -> str | None:
    """Say why a test cannot explore, and what to do, if it has a database."""
    from pytest_concurrency.plugin import DATABASE

    for name in getattr(item, "fixturenames", ()):
        if name in DATABASE:
            return (
                f"the fixture {name!r} is about a database, whose locks no schedule can see: a "
                "paused worker would keep them. Write the order down: session.start(statement)."
            )
    return None


def _check_slo(item: pytest.Item, mark: pytest.Mark) -> None:
    from pytest_concurrency.plugin.objectives import goals_of

    for name, value in mark.kwargs.items():
        if name == "undecided":
            _check_undecided(item, mark, value)
            continue
        if name != "tier":
            text = _unknown(name, ("tier", "undecided"))
            if "Write" not in text:
                text = "objectives have no names. Write @pytest.mark.slo('p95 < 50ms')."
            raise _refuse(item, mark, text)
        if not isinstance(value, str):
            text = f"{value!r} is no tier. Write tier='strict'."
            raise _refuse(item, mark, text)
    if not mark.args:
        text = "there is no objective. Write @pytest.mark.slo('p95 < 50ms')."
        raise _refuse(item, mark, text)
    for objective in mark.args:
        if not isinstance(objective, str):
            text = f"{objective!r} is not an objective. Write 'p95 < 50ms'."
            raise _refuse(item, mark, text)
    goals = goals_of(item)
    if "tier" in mark.kwargs and not any(goal.slo in mark.args for goal in goals if goal.slo):
        text = "only named SLOs have tiers. Name one, or leave tier= out."
        raise _refuse(item, mark, text)


def _check_undecided(item: pytest.Item, mark: pytest.Mark, value: Any) -> None:
    from pytest_concurrency.errors import nearest

    if value not in _WHEN_UNDECIDED:
        meant = (isinstance(value, str) and nearest(value, _WHEN_UNDECIDED)) or "pass"
        text = f"undecided is {value!r}. It is fail, warn or pass. Write undecided={meant!r}."
        raise _refuse(item, mark, text)


def check_slo_options(config: pytest.Config) -> None:
    """Check what options about objectives say together, and take up what they ask for.

    Raises:
        pytest.UsageError: They ask for what there is not.
    """
    from pytest_concurrency.plugin.settings import read

    if read(config, "slo_tier") or read(config, "slo_file"):
        from pytest_concurrency.plugin.objectives import named_slos

        named_slos(config)
    if read(config, "slo_objectives"):
        from pytest_concurrency.plugin.unmarked import join_unmarked

        join_unmarked(config)
    if read(config, "slo_baseline") or read(config, "slo_baseline_update"):
        from pytest_concurrency.plugin.baseline import join_baseline

        join_baseline(config)
    if read(config, "slo_against"):
        from pytest_concurrency.plugin.against import join_against

        join_against(config)


def backend_id(name: str) -> str:
    """Return what a back end is called in a test's name: a URL may hold a password."""
    return name.partition("://")[0].partition("+")[0]


def backends_of(node: pytest.Item) -> tuple[str, ...]:
    """Return the back ends that a test is marked for, by the nearest marker, or else the run's.

    Whoever types ``--concurrency-db`` wants that one, whatever the project has written down.
    """
    from pytest_concurrency.plugin.settings import read

    mark = node.get_closest_marker("backends")
    if mark is not None:
        return tuple(name for name in mark.args if isinstance(name, str))
    typed = [node.config.getoption(name) for name in ("concurrency_backends", "concurrency_db")]
    if typed[0] is None and typed[1] is not None:
        return ()
    names = read(node.config, "concurrency_backends")
    return names if isinstance(names, tuple) else ()


def _check_backends(item: pytest.Item, mark: pytest.Mark) -> None:
    from pytest_concurrency.db.servers import BACKENDS
    from pytest_concurrency.errors import nearest

    if mark.kwargs or not mark.args:
        text = "name the back ends. Write @pytest.mark.backends('sqlite', 'postgres')."
        raise _refuse(item, mark, text)
    for name in mark.args:
        if not isinstance(name, str) or (name not in BACKENDS and "://" not in name):
            meant = nearest(str(name), BACKENDS) or "sqlite"
            text = f"{name!r} is no back end: {', '.join(BACKENDS)} and URLs are. Write {meant!r}."
            raise _refuse(item, mark, text)
    names = getattr(item, "fixturenames", ())
    if "database_backend" not in names:
        is_its_own = any(own is mark for own in item.own_markers)
        if not is_its_own and "database_engine" not in names:
            return  # the module or class has others that ask for one
        text = "the test asks for no database. Give it database_engine or separate_sessions."
        if "database_engine" in names:
            text = (
                "its database_engine is on a database of its own. Let the fixture use database: "
                "def database_engine(database): return database.engine()."
            )
        raise _refuse(item, mark, text)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    from pytest_concurrency.errors import nearest

    meant = nearest(name, known)
    remedy = f"Write {meant}=." if meant else f"It takes {', '.join(known)}."
    return f"there is no {name!r}. {remedy}"


def _check_plain_function(item: pytest.Item, mark: pytest.Mark) -> None:
    if not isinstance(item, pytest.Function):
        text = f"a {type(item).__name__} has no body to run. Mark plain test functions only."
        raise _refuse(item, mark, text)
    if type(item).__name__ == "TestCaseFunction":
        text = (
            "a TestCase runs its methods itself. Mark a plain test function, "
            "or call what the marker stands for in the method."
        )
        raise _refuse(item, mark, text)


def _check_timeout(item: pytest.Item, mark: pytest.Mark, value: Any) -> None:
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.quantities import seconds

    try:
        limit = seconds(value, where="timeout")
    except UsageError as error:
        raise _refuse(item, mark, str(error)) from None
    if limit <= 0:
        raise _refuse(item, mark, "a run needs time. Write timeout='10s'.")
