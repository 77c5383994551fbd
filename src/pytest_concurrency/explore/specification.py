"""What an object should answer: a class run by one worker alone, one call after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

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


class Sequential:
    """A class, or a zero-argument factory, as the specification of its own methods.

    States are told apart by what the object holds. To go on from a state that is not the last
    one reached, its calls are run again on a fresh object: nothing needs to be copyable, so
    objects with locks, files and handles in them serve as well as others. What a call answers
    in a state is asked once, however many histories are checked.
    """

    __slots__ = ("_factory", "_live", "_states", "_strict", "initial", "name")

    def __init__(
        self, factory: Callable[[], Any], *, name: str | None = None, strict: bool = True
    ) -> None:
        """Take the class to run.

        Args:
            factory: The class or a function without arguments that makes a fresh object.
            name: What to call it; derived from the factory.
            strict: Whether exceptions must carry the same, not only be of one type.
        """
        self._factory = factory
        self._strict = strict
        self.name = name or getattr(factory, "__name__", type(factory).__name__)
        self.initial = _State(())
        target = factory()
        self._states = {fingerprint(target): self.initial}
        self._live: tuple[_State | None, Any] = (self.initial, target)

    def accepts(self, expected: Answer, given: Answer) -> bool:
        """Tell whether both answers are the same."""
        return expected.matches(given, strictly=self._strict)

    def step(self, state: _State, call: Call) -> tuple[Answer, _State]:
        """Return the answer to the call in this state, and the state after it."""
        asked = (call.operation, fingerprint(call.arguments))
        found = state.known.get(asked)
        if found is None:
            found = state.known[asked] = self._run(state, call)
        return found

    def _run(self, state: _State, call: Call) -> tuple[Answer, _State]:
        target = self._at(state)
        self._live = (None, None)  # a call that ends the run leaves no object half changed
        answer = answered(target, call)
        after = self._states.setdefault(fingerprint(target), _State((*state.recipe, call)))
        self._live = (after, target)
        return answer, after

    def _at(self, state: _State) -> Any:
        reached, target = self._live
        if reached is state:
            return target
        target = self._factory()
        here: _State | None = self.initial
        for call in state.recipe:
            answer = answered(target, call)
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


def answered(target: Any, call: Call) -> Answer:
    """Make one call of an object and return what it answers."""
    try:
        return Answer(value=kept(getattr(target, call.operation)(*kept(call.arguments))))
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        return Answer(error=error.with_traceback(None))


def _told(answer: Answer) -> str:
    text = str(answer)
    return text if answer.error is not None else f"answered {text.removeprefix('-> ')}"
