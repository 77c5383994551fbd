"""The plan of a run: who calls what, in each of the three forms."""

from __future__ import annotations

from functools import partial

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.run.plan import Plan, Step, describe, is_coroutine_function, make_plan
from pytest_concurrency.run.worker import Worker


def first():
    return "first"


def second():
    return "second"


def greet(item, worker):
    return f"{item} from {worker.index}"


async def later():
    return "later"


class Shop:
    def book(self):
        return "booked"

    async def pay(self):
        return "paid"

    async def __call__(self):
        return "called"


def plan(*calls, workers=None, rounds=1, items=None):
    return make_plan(calls, workers=workers, rounds=rounds, items=items)


def functions(made):
    return [[step.function for step in steps] for steps in made.steps]


def test_one_call_is_made_by_every_worker():
    """One callable is what each of N workers calls."""
    made = plan(first, workers=3)

    assert functions(made) == [[first]] * 3
    assert (made.workers, made.rounds, made.calls, made.is_async) == (3, 1, 3, False)


def test_one_call_has_the_default_number_of_workers():
    """Where nobody says, there are eight workers."""
    assert plan(first).workers == 8


def test_different_calls_have_a_worker_each():
    """Different callables are dealt out, one to each worker."""
    assert functions(plan(first, second)) == [[first], [second]]


def test_different_calls_are_dealt_out_in_turn():
    """More workers than callables take them in turn."""
    assert functions(plan(first, second, workers=5)) == [
        [first],
        [second],
        [first],
        [second],
        [first],
    ]


def test_every_item_has_a_worker():
    """Each item becomes the first argument of one worker's call."""
    made = plan(first.__eq__, items=iter("abc"))

    assert [[step.arguments for step in steps] for steps in made.steps] == [
        [("a",)],
        [("b",)],
        [("c",)],
    ]


def test_fewer_workers_share_the_items():
    """With fewer workers than items, each makes several calls a round, in the items' order."""
    made = plan(str, workers=2, rounds=10, items=range(5))

    assert [[step.arguments[0] for step in steps] for steps in made.steps] == [[0, 2, 4], [1, 3]]
    assert made.calls == 50


def test_more_workers_than_items_are_not_started():
    """Nobody waits at the gate for workers that have nothing to do."""
    assert plan(str, workers=9, items=range(2)).workers == 2


def test_rounds_multiply_the_calls():
    """A complete run makes every call once a round."""
    assert plan(first, workers=4, rounds=25).calls == 100


def test_a_parameter_named_worker_is_filled():
    """A callable that has a parameter named worker gets the caller's own."""
    (step,), *_ = plan(greet, items=["hello"]).steps

    assert step.wants_worker
    assert step.bind(Worker(index=7, seed=1))() == "hello from 7"


def test_a_step_binds_no_more_than_it_needs():
    """A plain callable is called as it is: no wrapper costs time between start and call."""
    assert Step(function=first).bind(Worker(index=0, seed=1)) is first


@pytest.mark.parametrize("call", [later, partial(later), Shop().pay, Shop()])
def test_coroutine_functions_are_known(call):
    """A coroutine function is one through partials, methods and callable objects."""
    assert is_coroutine_function(call)
    assert plan(call).is_async


@pytest.mark.parametrize("call", [first, Shop().book, Shop, print, partial(first)])
def test_plain_callables_are_known(call):
    """What returns no coroutine runs in threads."""
    assert not is_coroutine_function(call)


def test_builtins_without_a_signature_are_called_without_arguments():
    """A callable that does not tell its parameters is trusted."""
    made = plan(dict, workers=1)

    assert made.steps == ((Step(function=dict),),)


@pytest.mark.parametrize(
    ("callable_", "name"),
    [
        (first, "first"),
        (partial(greet, "a"), "greet"),
        (Shop().book, "Shop.book"),
        (print, "print"),
        (partial(Shop.book), "Shop.book"),
    ],
)
def test_a_callable_is_named_as_its_author_would(callable_, name):
    """Messages name functions by their qualified names."""
    assert describe(callable_) == name


def test_a_callable_without_a_name_shows_its_repr():
    """An object that is called is named by its repr."""
    shop = Shop()

    assert describe(shop) == repr(shop)


def test_a_plan_is_plain_data():
    """Two plans of the same steps are equal."""
    assert plan(first, workers=2) == Plan(
        steps=((Step(function=first),),) * 2, rounds=1, is_async=False
    )


WRONG = [
    ((), {}, "concurrent_runner(): there is nothing to call. Pass a callable."),
    (
        (3,),
        {},
        "concurrent_runner(3): int is not callable. Pass a function itself, not what it returns.",
    ),
    (
        (first,),
        {"workers": 0},
        "concurrent_runner(workers=0): use an integer >= 1, such as workers=8.",
    ),
    (
        (first,),
        {"workers": True},
        "concurrent_runner(workers=True): use an integer >= 1, such as workers=8.",
    ),
    (
        (first,),
        {"rounds": 1.5},
        "concurrent_runner(rounds=1.5): use an integer >= 1, such as rounds=8.",
    ),
    (
        (first,),
        {"rounds": None},
        "concurrent_runner(rounds=None): use an integer >= 1, such as rounds=8.",
    ),
    (
        (first,),
        {"workers": 10_001},
        (
            "concurrent_runner(workers=10001): at most 10,000 workers are started. "
            "For more calls use rounds=."
        ),
    ),
    (
        (str,),
        {"items": range(10_001)},
        (
            "concurrent_runner(workers=10001): at most 10,000 workers are started. "
            "For more calls use rounds=."
        ),
    ),
    (
        (str,),
        {"items": "abc"},
        "concurrent_runner(items='abc'): use a list or another iterable of items.",
    ),
    ((str,), {"items": 3}, "concurrent_runner(items=3): use a list or another iterable of items."),
    (
        (str,),
        {"items": []},
        "concurrent_runner(items=...): there are no items, so nothing would run.",
    ),
    (
        (first, second),
        {"items": [1]},
        (
            "concurrent_runner(items=...): 2 callables are given. "
            "With items, pass one; each item becomes its first argument."
        ),
    ),
    (
        (first, second),
        {"workers": 1},
        (
            "concurrent_runner(workers=1): 2 callables are given. "
            "Use workers=2 or more; the callables are dealt out in turn."
        ),
    ),
    (
        (first, later),
        {},
        (
            "concurrent_runner(): coroutine functions and plain functions cannot run together. "
            "Use one kind; a plain function becomes the other with asyncio.to_thread."
        ),
    ),
    (
        (greet,),
        {},
        (
            "concurrent_runner(greet): greet(item, worker) lacks 'item'. "
            "Write concurrent_runner(lambda: greet(...))."
        ),
    ),
    (
        (lambda x, y=(): (x, y),),
        {},
        (
            "concurrent_runner(lambda x, y=(): ...): it lacks 'x'. "
            "Write concurrent_runner(lambda: ...)."
        ),
    ),
    (
        (lambda: 1,),
        {"items": [1]},
        ("concurrent_runner(lambda: ...): it takes no item. Each item is its first argument."),
    ),
    (
        (first,),
        {"items": [1]},
        "concurrent_runner(first): first() takes no item. Each item is its first argument.",
    ),
]


@pytest.mark.parametrize(("calls", "arguments", "text"), WRONG)
def test_what_makes_no_run_is_refused(calls, arguments, text):
    """A call that cannot be laid out says where, what, and what to type."""
    with pytest.raises(UsageError) as refused:
        plan(*calls, **arguments)

    assert str(refused.value) == text


def test_a_coroutine_in_place_of_its_function_is_refused():
    """A coroutine runs only once; it is closed, so that nobody is warned of it."""
    coroutine = later()

    with pytest.raises(UsageError) as refused:
        plan(coroutine)

    assert coroutine.cr_frame is None
    assert str(refused.value) == (
        "concurrent_runner(later(...)): this coroutine can run only once. "
        "Pass the coroutine function itself: concurrent_runner(later)."
    )
