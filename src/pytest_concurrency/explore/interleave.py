"""`interleave`: a body run once per schedule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, overload

from pytest_concurrency.errors import UsageError, nearest
from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.exploration import Exploration
from pytest_concurrency.explore.explorer import explore
from pytest_concurrency.explore.failures import NothingExplored
from pytest_concurrency.explore.outcomes import checked
from pytest_concurrency.explore.settings import Settings, current_settings
from pytest_concurrency.slo.quantities import seconds

OPTIONS = ("preemptions", "schedules", "seconds", "packages", "seed", "replay")
"""What a call or a marker may say about how to explore."""

Run: TypeAlias = Callable[..., list[Any]]
Body: TypeAlias = Callable[[Run], object]


@overload
def interleave(body: Body, /) -> Exploration: ...
@overload
def interleave(
    body: None = None,
    /,
    *,
    preemptions: int = ...,
    schedules: int = ...,
    seconds: float | str = ...,
    packages: Sequence[str] = ...,
    seed: int = ...,
    replay: str | None = ...,
    settings: Settings | None = ...,
) -> Callable[[Body], Exploration]: ...
def interleave(
    body: Body | None = None, /, *, settings: Settings | None = None, **options: Any
) -> Exploration | Callable[[Body], Exploration]:
    """Run a body once per schedule, in every order of its workers that matters.

    The body makes fresh state, starts workers with ``run(f, g, …)`` and asserts what must hold.
    Threads, timers and executors that the code under test makes are workers too.
    ``interleave(body)``, ``@interleave`` and ``@interleave(preemptions=2, seconds=10)`` are the
    same call: each explores at once.

    >>> def body(run):
    ...     total = []
    ...     run(lambda: total.append(1), lambda: total.append(2))
    ...     assert sorted(total) == [1, 2]
    >>> interleave(body).exhausted
    True

    Args:
        body: Called with ``run`` for each schedule.
        settings: Defaults for the options below.
        options: Those of `Settings`: ``preemptions``, ``schedules``, ``seconds``, ``packages``,
            ``seed``, ``replay``; ``seconds`` may be a text such as ``"500ms"``.

    Returns:
        What was explored, when nothing fails.

    Raises:
        BaseException: What the failing schedule raised; a note has its timeline and token.
    """
    __tracebackhide__ = True
    usual = current_settings()
    chosen = _chosen(settings or usual, options)

    def decorate(given: Body) -> Exploration:
        __tracebackhide__ = True
        if usual.begin is not None:
            usual.begin()
        return explore_body(given, chosen)

    return decorate if body is None else decorate(body)


def _chosen(base: Settings, options: Mapping[str, Any]) -> Settings:
    __tracebackhide__ = True
    try:
        return settled(base, options)
    except UsageError as error:
        raise error.with_traceback(None) from None


def settled(base: Settings, options: Mapping[str, Any]) -> Settings:
    """Return settings with some of them given otherwise, as a call or a marker gives them.

    Args:
        base: What holds where nothing is given.
        options: What is given, by name.

    Raises:
        UsageError: There is no such option, or it does not take that.
    """
    known = Settings.__dataclass_fields__
    for name in options:
        if name not in known:
            near = nearest(name, known)
            remedy = f"Write {near}=." if near else f"It takes {', '.join(OPTIONS)}."
            msg = f"interleave: there is no option {name!r}. {remedy}"
            raise UsageError(msg)
    if not options:
        return base
    given = dict(options)
    limit = given.get("seconds")
    if isinstance(limit, str):
        given["seconds"] = seconds(limit, where=f"interleave: seconds={limit!r}")
    return replace(base, **given)


def explore_body(body: Body, settings: Settings) -> Exploration:
    """Explore a body under settings: what `interleave` does, for adapters.

    Args:
        body: Called with ``run`` for each schedule; may be any callable.
        settings: How far, what first, and how to replay.
    """
    __tracebackhide__ = True
    if not callable(body):
        msg = f"interleave: {body!r} cannot be called. Decorate a function that takes run."
        raise UsageError(msg)
    _check_parameters(body)
    found = _explored(body, settings)
    if settings.observe is not None:
        settings.observe(found)
    return found


def _check_parameters(body: Body) -> None:
    __tracebackhide__ = True
    try:
        signature = inspect.signature(body)
    except (TypeError, ValueError):  # written in C
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(body, "__name__", "body")
        msg = (
            f"interleave: {name}{signature} is called with one argument, run."
            f" Write def {name}(run)."
        )
        raise UsageError(msg) from None


def _explored(body: Body, settings: Settings) -> Exploration:
    __tracebackhide__ = True
    from pytest_concurrency.explore.coroutines import OnALoop, explore_coroutines

    if inspect.iscoroutinefunction(body):
        return explore_coroutines(body, settings)
    try:
        with CodeProgram(checked(body), settings) as program:
            found = explore(program, settings)
            if not found.shared:
                raise NothingExplored(program.emptiness())
    except OnALoop:
        return explore_coroutines(body, settings)
    return found
