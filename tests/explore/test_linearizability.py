"""The search for an order that explains a history."""

from __future__ import annotations

import random
from itertools import count, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.history import Answer, Call, History
from pytest_concurrency.explore.linearizability import linearize
from pytest_concurrency.explore.picture import picture, refusal
from pytest_concurrency.explore.specification import Sequential


class Register:
    def __init__(self):
        self.value = 0

    def write(self, value):
        self.value = value

    def read(self):
        return self.value


class Bag:
    """A queue whose empty state is an error, so that exceptions are answers too."""

    def __init__(self):
        self.items = []

    def put(self, item):
        self.items.append(item)

    def take(self):
        return self.items.pop(0)


def call(worker, text, invoked, returned=None, *, value=None, error=None):
    """Write a call shortly: an operation and its numbers, the moments, the answer."""
    operation, *arguments = text.split()
    answer = None if returned is None else Answer(value=value, error=error)
    return Call(
        worker=worker,
        operation=operation,
        arguments=tuple(map(int, arguments)),
        invoked=invoked,
        returned=returned,
        answer=answer,
    )


def history(*calls):
    return History(calls)


STALE = history(
    call(0, "write 1", 1, 2),
    call(1, "read", 3, 4, value=0),
)

OVERLAP = history(
    call(0, "write 1", 1, 4),
    call(1, "read", 2, 3, value=0),
    call(1, "read", 5, 6, value=1),
)


def test_linearize_finds_the_order_that_explains():
    """An overlapping read may come before the write."""
    found = linearize(OVERLAP, Sequential(Register))

    assert [str(each) for each in found.order] == ["read()", "write(1)", "read()"]


def test_linearize_refuses_a_stale_read():
    """A read after a write sees it."""
    assert not linearize(STALE, Sequential(Register))


def test_linearize_accepts_an_empty_history():
    """Nothing asked, nothing to explain."""
    assert linearize(history(), Sequential(Register)).order == ()


def test_linearize_lets_a_pending_call_take_effect():
    """A call that never came back may have taken effect."""
    seen = history(call(0, "write 1", 1), call(1, "read", 2, 3, value=1))

    assert [str(each) for each in linearize(seen, Sequential(Register)).order] == [
        "write(1)",
        "read()",
    ]


def test_linearize_lets_a_pending_call_take_no_effect():
    """A call that never came back may have done nothing."""
    seen = history(call(0, "write 1", 1), call(1, "read", 2, 3, value=0))

    assert linearize(seen, Sequential(Register))


def test_linearize_lets_a_pending_call_take_effect_late():
    """A call that never came back may take effect after later calls."""
    seen = history(
        call(0, "write 1", 1),
        call(1, "read", 2, 3, value=0),
        call(1, "read", 4, 5, value=1),
        call(1, "write 2", 6, 7),
        call(1, "read", 8, 9, value=2),
    )

    assert linearize(seen, Sequential(Register))


def test_linearize_counts_exceptions_as_answers():
    """An exception is an answer like any other."""
    empty = IndexError("pop from empty list")
    fine = history(call(0, "put 1", 1, 4), call(1, "take", 2, 3, error=empty))
    late = history(call(0, "put 1", 1, 2), call(1, "take", 3, 4, error=empty))

    assert linearize(fine, Sequential(Bag))
    assert not linearize(late, Sequential(Bag))


def test_linearize_checks_each_key_apart():
    """Calls of different keys are explained on their own; the failing key is named."""

    class Registers:
        def __init__(self):
            self.values = {}

        def write(self, name, value):
            self.values[name] = value

        def read(self, name):
            return self.values.get(name, 0)

    seen = history(
        call(0, "write 7 1", 1, 2),
        call(0, "write 8 1", 3, 4),
        call(1, "read 8", 5, 6, value=0),
        call(1, "read 7", 7, 8, value=1),
    )

    found = linearize(seen, Sequential(Registers), key=lambda each: each.arguments[0])

    assert found.key == 8
    assert len(found.history) == 2


def test_specification_that_is_not_deterministic_is_refused():
    """A class that answers by chance cannot be its own specification."""
    numbers = count()

    class Drawing:
        def __init__(self):
            self.opaque = (n for n in ())

        def draw(self):
            return next(numbers)

        def look(self):
            return None

    specification = Sequential(Drawing)
    _, drawn = specification.step(specification.initial, call(0, "draw", 1))
    specification.step(specification.initial, call(0, "look", 1))

    with pytest.raises(UsageError) as caught:
        specification.step(drawn, call(0, "look", 2))

    assert str(caught.value) == (
        "Drawing, run by one worker alone, is not deterministic: after the same calls draw() once "
        "answered 0 and once answered 1. Seed or replace what it draws from, or give a model=."
    )


def test_specification_runs_a_call_in_a_state_once():
    """What a state answers is asked once, however many histories are checked."""
    made = []

    class Counted(Register):
        def read(self):
            made.append(1)
            return super().read()

    specification = Sequential(Counted)
    for _ in range(5):
        linearize(OVERLAP, specification)

    assert len(made) == 2


def _run_together(randomness, workers, length):
    """Make a history of a register and a bag in one, some answers spoilt."""
    target, clock, calls = Bag(), count(1), []
    running = {}
    while len(calls) < length or running:
        worker = randomness.randrange(workers)
        if worker not in running and len(calls) < length:
            operation = randomness.choice(["put", "take"])
            arguments = (randomness.randrange(2),) if operation == "put" else ()
            calls.append(None)
            running[worker] = [len(calls) - 1, operation, arguments, next(clock), None]
        elif worker in running and running[worker][4] is None:
            running[worker][4] = _ask(target, *running[worker][1:3])
        elif worker in running:
            place, operation, arguments, invoked, answer = running.pop(worker)
            pending = randomness.random() < 0.1
            if randomness.random() < 0.2:
                answer = Answer(value=randomness.randrange(2))
            calls[place] = Call(
                worker=worker + 10 * place * pending,
                operation=operation,
                arguments=arguments,
                invoked=invoked,
                returned=None if pending else next(clock),
                answer=None if pending else answer,
            )
    return History(tuple(calls))


def _ask(target, operation, arguments):
    try:
        return Answer(value=getattr(target, operation)(*arguments))
    except IndexError as error:
        return Answer(error=error)


def _explained_by_some_permutation(seen):
    """Try every order of every choice of pending calls."""
    calls = tuple(seen)
    pending = [each for each in calls if each.returned is None]
    for chosen in range(2 ** len(pending)):
        left_out = [each for n, each in enumerate(pending) if not chosen >> n & 1]
        kept = [each for each in calls if each not in left_out]
        if any(_explains(order) for order in permutations(kept)):
            return True
    return False


def _explains(order):
    for place, later in enumerate(order):
        if any(
            later.returned is not None and later.returned < each.invoked for each in order[:place]
        ):
            return False
    target = Bag()
    return all(
        each.answer is None
        or _ask(target, each.operation, each.arguments).matches(each.answer)
        or False
        for each in order
        if each.answer is not None or _ask(target, each.operation, each.arguments)
    )


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10_000), workers=st.integers(1, 4), length=st.integers(1, 5))
def test_linearize_agrees_with_trying_every_order(seed, workers, length):
    """The search finds an order exactly if one of all permutations is one."""
    seen = _run_together(random.Random(seed), workers, length)

    assert bool(linearize(seen, Sequential(Bag))) == _explained_by_some_permutation(seen)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), workers=st.integers(1, 4), length=st.integers(1, 12))
def test_linearize_returns_an_order_that_explains(seed, workers, length):
    """The order found keeps who came after whom and gives every answer."""
    found = linearize(_run_together(random.Random(seed), workers, length), Sequential(Bag))

    assert not found or _explains(found.order)


def test_picture_of_a_history():
    """Overlapping calls are opened, carried on and closed; others take one line."""
    assert picture(OVERLAP) == (
        "   worker 0     worker 1\n"
        " 1 write(1)\n"
        " 2 |            read() -> 0\n"
        " 3 `-> None\n"
        " 4              read() -> 1"
    )


def test_picture_cuts_what_is_too_wide():
    """No line is wider than asked, however long the arguments."""
    wide = History(
        tuple(
            Call(worker=worker, operation="put", arguments=("x" * 80,), invoked=worker)
            for worker in range(4)
        )
    )

    assert max(map(len, picture(wide).splitlines())) <= 96
    assert "put('xxxxxxxxxxxxx..." in picture(wide)


def test_refusal_of_a_stale_read():
    """The text draws the history and says what the class alone answers."""
    assert refusal(linearize(STALE, Sequential(Register))) == (
        "No order of these 2 calls gives these answers:\n"
        "\n"
        "   worker 0          worker 1\n"
        " 1 write(1) -> None\n"
        " 2                   read() -> 0\n"
        "\n"
        "The most that an order explains:\n"
        "  1. worker 0  write(1)  -> None\n"
        "  then Register, run by one worker alone, answers otherwise:\n"
        "     worker 1  read()  alone -> 1, together -> 0"
    )


def test_refusal_tells_of_each_longest_order():
    """Orders that end differently are told apart; those that end alike are told once."""
    seen = history(
        call(0, "write 1", 1, 4),
        call(1, "write 2", 2, 3),
        call(2, "read", 5, 6, value=0),
    )

    assert refusal(linearize(seen, Sequential(Register))) == (
        "No order of these 3 calls gives these answers:\n"
        "\n"
        "   worker 0          worker 1          worker 2\n"
        " 1 write(1)\n"
        " 2 |                 write(2) -> None\n"
        " 3 `-> None\n"
        " 4                                     read() -> 0\n"
        "\n"
        "The most that an order explains:\n"
        "  1. worker 1  write(2)  -> None\n"
        "  2. worker 0  write(1)  -> None\n"
        "  then Register, run by one worker alone, answers otherwise:\n"
        "     worker 2  read()  alone -> 1, together -> 0\n"
        "Nor in this order:\n"
        "  1. worker 0  write(1)  -> None\n"
        "  2. worker 1  write(2)  -> None\n"
        "  then Register, run by one worker alone, answers otherwise:\n"
        "     worker 2  read()  alone -> 2, together -> 0"
    )


def test_refusal_of_one_call():
    """A single call that no order explains is told in the singular, with what was raised."""
    seen = history(call(0, "take", 1, 2, value=1), call(1, "put 1", 3))

    assert refusal(linearize(seen, Sequential(Bag))) == (
        "No order of these 2 calls gives these answers:\n"
        "\n"
        "   worker 0          worker 1\n"
        " 1 take() -> 1\n"
        " 2                   put(1)\n"
        "                     (never returned)\n"
        "\n"
        "Whichever call comes first, Bag, run by one worker alone, answers otherwise:\n"
        "     worker 0  take()  alone raises IndexError('pop from empty list'), together -> 1"
    )
