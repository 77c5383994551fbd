"""Tallies: numbers as spans, workers, counts, columns, groups."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_concurrency.run.call import Call
from pytest_concurrency.run.tally import (
    aligned,
    count,
    error_line,
    one_line,
    repr_of,
    spans,
    tally_rows,
    workers_text,
)


def read_spans(text):
    """Read a text of spans back."""
    found = []
    for part in filter(None, text.split(", ")):
        low, _, high = part.partition("-")
        found += range(int(low), int(high or low) + 1)
    return found


@given(st.lists(st.integers(0, 60)))
def test_spans_lose_nothing(numbers):
    """What the text says is the set of numbers, in order, each once."""
    assert read_spans(spans(numbers)) == sorted(set(numbers))


@given(st.sets(st.integers(0, 60)))
def test_spans_are_as_short_as_can_be(numbers):
    """Three or more in a row are one span; two are written out; no spans touch."""
    parts = [tuple(map(int, part.split("-"))) for part in filter(None, spans(numbers).split(", "))]

    assert all(part[-1] - part[0] >= 2 for part in parts if len(part) == 2)
    in_three = [n for n in numbers if {n, n + 1, n + 2} <= numbers]
    assert all(any(len(p) == 2 and p[0] <= n <= p[1] - 2 for p in parts) for n in in_three)


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(20, 60))
def test_workers_are_named_within_the_width(numbers, width):
    """However many workers there are, naming them stays short and says how many."""
    text = workers_text(numbers, width)
    unique = set(numbers)

    assert text.startswith("worker " if len(unique) == 1 else "workers ")
    listed, dots, rest = text.partition(" ")[2].partition(", ...")
    assert len(listed) <= width
    assert set(read_spans(listed)) <= unique
    if dots:
        assert rest == f" ({len(unique)} workers)"
    else:
        assert set(read_spans(listed)) == unique


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 calls"), (1, "1 call"), (2, "2 calls"), (2400, "2,400 calls")]
)
def test_a_count_agrees_with_its_noun(number, text):
    """One call, two calls, thousands apart."""
    assert count(number, "call") == text


@given(st.text(), st.integers(10, 80))
def test_a_line_is_one_and_short(text, width):
    """Any text becomes one line of at most the width, cut in the middle."""
    line = one_line(text, width)

    assert len(line) <= width
    assert not re.search(r"\s\s|[\n\r\t]", line)
    if len(" ".join(text.split())) <= width:
        assert line == " ".join(text.split())


def test_a_long_line_keeps_both_ends():
    """The start tells more than the end, and gets two thirds."""
    assert one_line("a" * 50 + "b" * 50, 30) == "a" * 18 + "..." + "b" * 9


def test_a_repr_that_raises_is_told():
    """A value that cannot show itself does not break the report of a failure."""

    class Broken:
        def __repr__(self):
            raise ZeroDivisionError

    assert repr_of(Broken()) == "<Broken whose repr raised ZeroDivisionError>"
    assert repr_of("it") == "'it'"


def test_an_error_is_shown_by_type_and_first_line():
    """The rest of a long text is left out; an empty text is no colon."""

    class Mute(Exception):
        def __str__(self):
            raise ZeroDivisionError

    assert error_line(ValueError("first\nsecond")) == "ValueError: first"
    assert error_line(ValueError()) == "ValueError"
    assert error_line(Mute()) == "Mute"


def test_columns_are_aligned_and_empty_ones_left_out():
    """Counts stand to the right, close to what they count."""
    rows = [("10 x", "KeyError", "", "worker 1"), ("1 x", "ValueError: no", "", "workers 2, 3")]

    assert aligned(rows) == [
        "10 x KeyError        worker 1",
        " 1 x ValueError: no  workers 2, 3",
    ]
    assert aligned([("a", "bb"), ("ccc", "d")], counts=False) == ["a    bb", "ccc  d"]


def failed(worker, error):
    return Call(worker, 0, 0, 1, None, error)


def test_failures_are_grouped_by_what_was_raised():
    """Same type, text and place: one row, the most frequent first, addresses put aside."""
    errors = [ValueError("at 0x7f00aa"), KeyError("B"), ValueError("at 0x7f11bb1")]
    calls = [failed(worker, error) for worker, error in enumerate(errors)]

    assert tally_rows(calls, None) == [
        "  2 x ValueError: at 0x...  workers 0, 2",
        "  1 x KeyError: 'B'         worker 1",
    ]


def test_the_place_of_the_failure_shown_is_left_out(raised):
    """Its traceback is above; the others say where they were raised."""
    calls = [failed(0, raised(ValueError("a"))), failed(1, raised(KeyError("b")))]
    shown, other = [re.split(r"\s{2,}", row) for row in tally_rows(calls, calls[0])]

    assert shown == ["", "1 x ValueError: a", "worker 0"]
    assert (other[1], other[3]) == ("1 x KeyError: 'b'", "worker 1")
    assert re.fullmatch(r"at tests/run/conftest\.py:\d+", other[2])


def test_many_kinds_of_failures_are_cut():
    """Twelve rows, then how many errors of other kinds there are."""
    calls = [failed(worker, ValueError(f"kind {worker:02}")) for worker in range(20)]
    rows = tally_rows(calls, None)

    assert len(rows) == 13
    assert rows[0] == "  1 x ValueError: kind 00  worker 0"
    assert rows[-1] == "  and 8 errors of other kinds"
