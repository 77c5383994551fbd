"""The instructions of code under test, read without `dis`, are those that `dis` shows."""

import dis
import queue
import sys
import threading
import types
from pathlib import Path

import pytest

from pytest_concurrency.explore import memory
from pytest_concurrency.explore.bytecode import argument, instructions, lines
from pytest_concurrency.explore.memory import Readers
from pytest_concurrency.explore.points import Decoder
from pytest_concurrency.explore.scope import Scope


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def functions(module):
    file = Path(module.__file__)
    whole = compile(file.read_text(encoding="utf-8"), str(file), "exec")
    return [code for code in codes(whole) if code.co_name != "<module>"]


def line_of(shown):
    return shown.line_number if sys.version_info >= (3, 13) else shown.starts_line


@pytest.mark.parametrize("module", [queue, threading], ids=["queue", "threading"])
def test_instructions_are_those_that_dis_shows(module):
    """Offsets, names, numbers, jump targets and lines agree, instruction by instruction."""
    jumps = {*dis.hasjrel, *dis.hasjabs}
    for code in functions(module):
        at_line = lines(code)
        line = shown_line = code.co_firstlineno
        found = instructions(code)
        shown = list(dis.get_instructions(code))

        assert len(found) == len(shown)
        for ours, theirs in zip(found, shown, strict=True):
            line = at_line.get(ours.offset, line)
            shown_line = line_of(theirs) or shown_line
            target = theirs.argval if theirs.opcode in jumps else None
            assert (ours.offset, ours.name, ours.number, ours.target, line) == (
                *(theirs.offset, theirs.opname, theirs.arg, target, shown_line),
            )


def test_argument_is_the_name_that_dis_shows():
    """Attributes, methods, globals and variables of enclosing functions have their names."""
    for code in functions(threading):
        for ours, theirs in zip(instructions(code), dis.get_instructions(code), strict=True):
            if ours.name.endswith(("_ATTR", "_METHOD", "_GLOBAL", "_DEREF")):
                assert argument(code, ours) == theirs.argval


def test_numbers_beyond_a_byte_are_read_whole():
    """A function with more than 256 names has prefixes before its instructions."""
    body = "\n".join(f"    x.name_{i}" for i in range(600))
    names: dict[str, object] = {}
    exec(f"def many(x):\n{body}\n", names)  # noqa: S102 - made above
    code = names["many"].__code__

    found = [argument(code, one) for one in instructions(code) if one.name == "LOAD_ATTR"]

    assert found == [f"name_{i}" for i in range(600)]


def kinds_of(function):
    return [point.kind for point in Decoder(Scope()).points(function.__code__).values()]


def test_addition_of_a_number_is_no_point():
    """No container is changed by one in place; by what is not known to be one, it may be."""

    def adds(state):
        state.value += 1

    def multiplies(state):
        state.value *= 2

    def chooses(state, other):
        state.value += other if state else 1

    assert kinds_of(adds) == ["attribute-read", "attribute-write"]
    assert kinds_of(multiplies) == ["attribute-read", "update", "attribute-write"]
    assert "update" in kinds_of(chooses)


def test_readers_forget_others_when_they_are_many(monkeypatch):
    """One reader is kept for each place of a frame, up to a limit."""
    monkeypatch.setattr(memory, "_MOST", 2)
    readers, here = Readers(), id(sys._getframe())

    made = [readers[here + 16 * number] for number in range(4)]

    assert len(readers) == 1
    assert readers[here + 48] is made[3]
