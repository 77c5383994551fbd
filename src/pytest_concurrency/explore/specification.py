"""What an object should answer: a class run by one worker alone, one call after the other."""

from __future__ import annotations

import inspect
from asyncio import events
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.history import Answer, Call
from pytest_concurrency.explore.snapshot import fingerprint, kept


class Specification(Protocol):
    """Says what a call answers in a state, and which state it leaves behind.

    States are hashable, and equal only if nothing can tell them apart.
    """

    @property
    def name(self) -> str:
        """What is run sequentially, as a person knows it."""
        ...

    @property
    def initial(self) -> Hashable:
        """The state before the first call."""
        ...

    def step(self, state: Any, call: Call) -> tuple[Answer, Any]:
        """Return the answer to the call in this state, and the state after it."""
        ...

    def accepts(self, expected: Answer, given: Answer) -> bool:
        """Tell whether the answer given is the one that was expected."""
        ...


@dataclass(slots=True)
class _State:
    """A state, known by how it was reached: its calls, run on a fresh object, lead there."""

    recipe: tuple[Call, ...]
    known: dict[Hashable, tuple[Answer, _State]] = field(default_factory=dict)
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


Operation: TypeAlias = Callable[..., Any]
"""What a call does: takes the object and the arguments of the call, may be a coroutine function."""

Alone: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine to its end with nobody else about; ``None`` if it would wait for ever."""


class Sequential:
    """A class, or a zero-argument factory, as the specification of its own methods.

    States are told apart by what the object holds. To go on from a state that is not the last
    one reached, its calls are run again on a fresh object: nothing needs to be copyable, so
    objects with locks, files and handles in them serve as well as others. What a call answers
    in a state is asked once, however many histories are checked.
    """

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        name: str | None = None,
        strict: bool = True,
        operations: Mapping[str, Operation] | None = None,
        alone: Alone | None = None,
        keep: bool = True,
        close: Callable[[Any], object] | None = None,
    ) -> None:
        """Take the class to run.

        Args:
            factory: The class or a function without arguments that makes a fresh object.
            name: What to call it; derived from the factory.
            strict: Whether exceptions must carry the same, not only be of one type.
            operations: What calls do; those that are not named are methods.
            alone: Runs the calls; by default they are simply made, and must not wait.
            keep: Whether an object may be used on after its call has ended.
            close: Gives back what an object holds.
        """
        self._factory = factory
        self._strict = strict
        self._operations = operations or {}
        self._alone = _at_once if alone is None else alone
        self._keeps = keep
        self._close = close
        self.name: str = name or str(getattr(factory, "__name__", type(factory).__name__))
        self.initial: _State = _State(())
        self._states: dict[Hashable, _State] = {}
        self._live: tuple[_State | None, Any] = (None, None)

    def accepts(self, expected: Answer, given: Answer) -> bool:
        """Tell whether both answers are the same."""
        return expected.matches(given, strictly=self._strict)

    def step(self, state: _State, call: Call) -> tuple[Answer, _State]:
        """Return the answer to the call in this state, and the state after it."""
        asked = (call.operation, fingerprint(call.arguments))
        found = state.known.get(asked)
        if found is None:
            found = self._alone(self._run(state, call)) or (Answer(waits=True), _State(()))
            state.known[asked] = found
        return found

    async def _run(self, state: _State, call: Call) -> tuple[Answer, _State]:
        target = await self._at(state)
        self._live = (None, target)  # a call that does not end leaves its object half changed
        answer = await answered(target, call, self._operations)
        after = self._states.setdefault(fingerprint(target), _State((*state.recipe, call)))
        self._live = (after, target)
        if not self._keeps:
            self.drop()
        return answer, after

    def drop(self) -> None:
        """Give back what the object at hand holds."""
        _, target = self._live
        self._live = (None, None)
        if target is not None and self._close is not None:
            self._close(target)

    async def _at(self, state: _State) -> Any:
        reached, target = self._live
        if reached is state:
            return target
        self.drop()
        target = self._factory()
        here: _State | None = self.initial
        if not self._states:
            self._states[fingerprint(target)] = self.initial
        for call in state.recipe:
            answer = await answered(target, call, self._operations)
            if here is not None:
                here = self._same(here, call, answer)
        return target

    def _same(self, here: _State, call: Call, answer: Answer) -> _State | None:
        """Refuse an object that answers differently after the same calls."""
        known = here.known.get((call.operation, fingerprint(call.arguments)))
        if known is None:
            return None
        if not self.accepts(known[0], answer):
            msg = (
                f"{self.name}, run by one worker alone, is not deterministic: after the same calls "
                f"{call} once {_told(known[0])} and once {_told(answer)}. "
                "Seed or replace what it draws from, or give a model=."
            )
            raise UsageError(msg)
        return known[1]


async def answered(target: Any, call: Call, operations: Mapping[str, Operation]) -> Answer:
    """Make one call of an object and return what it answers; an iterator is run to its end."""
    operation = operations.get(call.operation)
    arguments = kept(call.arguments)
    try:
        if operation is None:
            value = getattr(target, call.operation)(*arguments)
        else:
            value = operation(target, *arguments)
        if inspect.isawaitable(value):
            value = await _on_a_loop(value)
        if hasattr(value, "__next__"):
            value = list(value)
        return Answer(value=kept(value))
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        return Answer(error=error.with_traceback(None))


def _on_a_loop(value: Any) -> Any:
    """Return what is to be awaited if a loop runs, which it may need."""
    from pytest_concurrency.explore.coroutines import OnALoop

    if events._get_running_loop() is None:  # noqa: SLF001 - the one question that raises nothing
        if inspect.iscoroutine(value):
            value.close()
        raise OnALoop
    return value


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing to its end.

    Raises:
        OnALoop: It waits for something.
    """
    from pytest_concurrency.explore.coroutines import OnALoop

    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise OnALoop


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a call where no loop can be made for it."""
    from pytest_concurrency.explore.coroutines import OnALoop

    try:
        return finished(coroutine)
    except OnALoop:
        msg = "linearizable: an operation returns something to await. Make it a coroutine function."
        raise UsageError(msg) from None


def _told(answer: Answer) -> str:
    text = str(answer)
    return text if answer.error is not None else f"answered {text.removeprefix('-> ')}"
