"""Clocks and locks that code bound when it was read are replaced like those that it looks up."""

import threading
import time
from dataclasses import dataclass, field
from functools import wraps

from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.locks import Lock

_HOUR = 3600


class Defaults:
    def __init__(self, clock=time.monotonic, *, wall=time.time):
        self.clock = clock
        self.wall = wall


class Attributes:
    clock = time.monotonic
    wall = staticmethod(time.time)
    sleep = staticmethod(time.sleep)

    class Inner:  # noqa: D106
        clock = time.perf_counter


@dataclass
class Fields:
    lock: object = field(default_factory=threading.Lock)
    clock: object = time.monotonic


def timed(clock=time.monotonic):
    def decorate(function):
        @wraps(function)
        def call():
            return clock()

        return call

    return decorate


@timed()
def closed_over():
    pass


class Registry:
    def __init__(self):
        self.clock = time.monotonic


registry = Registry()


def explored(look):
    """Return what something is before and after an hour, as the body of an exploration sees it."""
    seen = []

    def body(run):
        before = look()
        time.sleep(_HOUR)
        seen.append((before, look()))
        rows = []
        run(lambda: rows.append(1), lambda: rows.append(2))

    interleave(body)
    return seen


def test_clocks_in_defaults_follow_virtual_time():
    """By position and by keyword."""
    for before, after in explored(lambda: (Defaults().clock(), Defaults().wall())):
        assert all(b - a >= _HOUR for a, b in zip(before, after, strict=True))


def test_clocks_in_classes_follow_virtual_time():
    """As a plain attribute, as a static method, and in a class within."""
    look = lambda: (Attributes.clock(), Attributes().wall(), Attributes.Inner().clock())  # noqa: E731

    for before, after in explored(look):
        assert all(b - a >= _HOUR for a, b in zip(before, after, strict=True))


def test_clocks_in_closures_and_kept_objects_follow_virtual_time():
    """A decorator's clock, and that of an object made when the module was read."""
    for before, after in explored(lambda: (closed_over(), registry.clock(), Fields().clock())):
        assert all(b - a >= _HOUR for a, b in zip(before, after, strict=True))


def test_a_factory_of_locks_makes_those_that_are_ordered():
    """A field of a dataclass with ``default_factory=threading.Lock``."""
    kinds = {type(before) for before, _ in explored(lambda: Fields().lock)}

    assert kinds == {Lock}


def test_everything_is_put_back():
    """Nothing of ours is left where code had bound the real thing."""
    explored(lambda: None)

    assert Defaults.__init__.__defaults__ == (time.monotonic,)
    assert Defaults.__init__.__kwdefaults__ == {"wall": time.time}
    assert vars(Attributes)["clock"] is time.monotonic
    assert vars(Attributes)["wall"].__func__ is time.time
    assert vars(Attributes.Inner)["clock"] is time.perf_counter
    assert registry.clock is time.monotonic
    assert type(Fields().lock) is type(threading.Lock())
