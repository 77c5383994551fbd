"""Is there one order of these calls, made by one worker alone, that gives all their answers?

A call takes effect at some moment between its invocation and its return. The search goes
through the returns in time and lets a call take effect no earlier than a return needs it
(Wing and Gong's search, in the just-in-time form, with memory): what is left to decide at any
moment concerns only the calls that are open then, so memory stays small and long histories
cost little more than their length.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_concurrency.explore.history import Answer, Call, History, Key
from pytest_concurrency.explore.specification import Specification

_KEPT_DEAD_ENDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearization:
    """An order of the calls in which the specification gives every answer that was given."""

    order: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEnd:
    """An order that explains some answers, and what the calls that could come next answer there."""

    order: tuple[Call, ...]
    expected: tuple[tuple[Call, Answer], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refutation:
    """No order gives these answers.

    Attributes:
        history: The calls that have no order: all, or those of one key.
        specification: What was run sequentially, as a person knows it.
        key: The key whose calls have no order, or None if the calls were not split.
        dead_ends: The longest orders that explain a part, and why each ends there.
        states: How many states of the search were seen.
    """

    history: History
    specification: str
    key: Hashable
    dead_ends: tuple[DeadEnd, ...]
    states: int

    def __bool__(self) -> bool:
        """A refutation is false, a linearization true."""
        return False


def linearize(
    history: History,
    specification: Specification,
    *,
    key: Key | None = None,
    stuck: bool = False,
) -> Linearization | Refutation:
    """Find an order of the calls that explains every answer, or why there is none.

    Args:
        history: The calls with their moments and answers.
        specification: What each call answers when one worker makes them one after the other.
        key: Names the part of the object that a call is about. Calls of different keys are
            checked apart, which is much faster for long histories, and right if no call of one
            key can change what a call of another answers.
        stuck: Whether nobody could go on in the end. Calls that never returned then did nothing,
            and each must be one that waits for ever when all the others have been made.

    Returns:
        An order, true in a condition, or a refutation, false in a condition.
    """
    if key is None:
        return _Search(history, specification, None, stuck=stuck).run()
    orders: list[Call] = []
    for name, part in history.partition(key).items():
        found = _Search(part, specification, name, stuck=stuck).run()
        if isinstance(found, Refutation):
            return found
        orders.extend(found.order)
    return Linearization(order=tuple(orders))


@dataclass(frozen=True, slots=True)
class _Return:
    """A moment at which one call must have taken effect, and the calls that are open then.

    Every open call has a bit of its own; bits are used again, so they stay few.
    """

    bit: int
    open: tuple[tuple[int, int], ...]


_Node: TypeAlias = tuple[int, int, Any]
"""The next return, the bits of the open calls that have taken effect, and the state."""


class _Search:
    """One search through one history."""

    def __init__(
        self, history: History, specification: Specification, key: Hashable, *, stuck: bool
    ) -> None:
        self._calls = tuple(history)
        self._last = tuple(
            (number, 0)
            for number, call in enumerate(self._calls)
            if stuck and call.returned is None
        )
        self._stuck = stuck
        self._returns = tuple(_returns(self._calls))
        self._specification = specification
        self._key = key
        self._steps: dict[tuple[Any, int], tuple[bool, Answer, Any]] = {}
        self._seen: set[_Node] = set()
        self._furthest = (0, 0)
        self._dead_ends: list[tuple[tuple[int, ...], _Node]] = []

    def run(self) -> Linearization | Refutation:
        """Search depth first; the call that must have taken effect is tried first."""
        order: list[int] = []
        start: _Node = (0, 0, self._specification.initial)
        path: list[tuple[_Node, Iterator[tuple[int, _Node]]]] = [(start, self._moves(start))]
        while path:
            node, moves = path[-1]
            if self._is_end(node):
                return Linearization(order=self._named(order))
            move = next(moves, None)
            if move is None:
                self._note(node, order)
                path.pop()
                del order[-1:]
                continue
            number, node = move
            order.append(number)
            path.append((node, self._moves(node)))
        return self._refutation()

    def _is_end(self, node: _Node) -> bool:
        """Tell whether every answer is explained, and every call that waits should wait."""
        at, _, state = node
        return at == len(self._returns) and all(
            self._step(state, number)[1].waits for number, _ in self._last
        )

    def _open(self, at: int) -> Iterable[tuple[int, int]]:
        return self._returns[at].open if at < len(self._returns) else self._last

    def _moves(self, node: _Node) -> Iterator[tuple[int, _Node]]:
        at, effective, state = node
        for number, bit in self._open(at):
            if effective & bit or (self._stuck and self._calls[number].returned is None):
                continue
            fits, _, after = self._step(state, number)
            if not fits:
                continue
            then = (*self._settled(at, effective | bit), after)
            if then not in self._seen:
                self._seen.add(then)
                yield number, then

    def _settled(self, at: int, effective: int) -> tuple[int, int]:
        """Go on to the first return whose call has not taken effect yet."""
        while at < len(self._returns) and effective & self._returns[at].bit:
            effective ^= self._returns[at].bit
            at += 1
        return at, effective

    def _step(self, state: Any, number: int) -> tuple[bool, Answer, Any]:
        known = self._steps.get((state, number))
        if known is None:
            call = self._calls[number]
            answer, after = self._specification.step(state, call)
            fits = call.answer is None or self._specification.accepts(answer, call.answer)
            known = self._steps[state, number] = (fits, answer, after)
        return known

    def _note(self, node: _Node, order: list[int]) -> None:
        """Keep the orders that explain most."""
        reached = (node[0], len(order))
        if reached > self._furthest:
            self._furthest = reached
            self._dead_ends.clear()
        if reached == self._furthest and len(self._dead_ends) < _KEPT_DEAD_ENDS:
            self._dead_ends.append((tuple(order), node))

    def _named(self, order: Iterable[int]) -> tuple[Call, ...]:
        return tuple(self._calls[number] for number in order)

    def _refutation(self) -> Refutation:
        return Refutation(
            history=History(self._calls),
            specification=self._specification.name,
            key=self._key,
            dead_ends=tuple(self._dead_end(*each) for each in self._dead_ends),
            states=len(self._seen) + 1,
        )

    def _dead_end(self, order: tuple[int, ...], node: _Node) -> DeadEnd:
        at, effective, state = node
        return DeadEnd(
            order=self._named(order),
            expected=tuple(
                (self._calls[number], self._step(state, number)[1])
                for number, bit in self._open(at)
                if not effective & bit
            ),
        )


def _returns(calls: Sequence[Call]) -> Iterator[_Return]:
    """Go through the returns in time, each with the calls that are open at it."""
    moments = [(call.invoked, 0, number) for number, call in enumerate(calls)]
    moments += [
        (call.returned, 1, number) for number, call in enumerate(calls) if call.returned is not None
    ]
    bits: dict[int, int] = {}
    for _, returns, number in sorted(moments):
        if not returns:
            bits[number] = _free_bit(bits.values())
            continue
        first = (number, bits.pop(number))
        rest = sorted(bits.items(), key=lambda each: _end(calls[each[0]]))
        yield _Return(first[1], (first, *rest))


def _free_bit(taken: Iterable[int]) -> int:
    used = sum(taken)
    return ~used & (used + 1)


def _end(call: Call) -> float:
    return math.inf if call.returned is None else call.returned
