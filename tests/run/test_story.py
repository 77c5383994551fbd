"""What a run tells: the note under a failure, in full."""

from __future__ import annotations

import pytest


def note(outcome):
    """Return the note that the first failure gets."""
    with pytest.raises(Exception) as failed:  # noqa: PT011 - whatever a worker raised
        outcome.raise_errors()
    return failed.value.__notes__[-1]


def test_some_workers_failed(make_outcome):
    """How many failed, how, who did not, and how much they overlapped."""
    outcome = make_outcome(
        *((index, 0, 0, 10 + index, AssertionError("assert 1 == 2")) for index in (0, 1, 2)),
        (3, 0, 5, 8.1, KeyError("B")),
        (4, 0, 5, 8, "booked"),
    )

    assert note(outcome) == (
        "\n4 of 5 workers failed; worker 3 is shown above.\n"
        "  3 x AssertionError: assert 1 == 2  workers 0-2\n"
        "  1 x KeyError: 'B'                  worker 3\n"
        "Worker 4 returned 'booked'. All 5 overlapped for 3 ms."
    )


def test_calls_of_several_rounds_failed(make_outcome):
    """With rounds, calls are counted, and the round of the one shown is told."""
    outcome = make_outcome(
        (0, 0, 0, 2, 1), (0, 1, 3, 4, ValueError("x")), (1, 0, 1, 2, 2), (1, 1, 5, 6, 3), rounds=2
    )

    assert note(outcome) == (
        "\n1 of 4 calls failed, in 1 of 2 workers; worker 0, round 1, is shown above.\n"
        "  1 x ValueError: x  worker 0\n"
        "Workers 0, 1 returned 1, 2, 3. All 2 overlapped for 1 ms."
    )


def test_all_failed(make_outcome):
    """Where nobody returned, only the overlap is left to tell."""
    outcome = make_outcome((0, 0, 0, 1, ValueError()), (1, 0, 2, 3, ValueError()))

    assert note(outcome) == (
        "\n2 of 2 workers failed; worker 0 is shown above.\n"
        "  2 x ValueError  workers 0, 1\n"
        "The calls of the 2 workers never overlapped."
    )


def test_values_of_none_are_not_worth_a_word(make_outcome):
    """A call that returns nothing returned nothing to tell."""
    outcome = make_outcome((0, 0, 0, 4, ValueError()), (1, 0, 1, 3, None), (2, 0, 3.5, 5, None))

    assert note(outcome).endswith("worker 0\nAt most 2 of 3 ran at once.")


def test_many_different_values_are_counted(make_outcome):
    """More than three are not listed."""
    outcome = make_outcome((0, 0, 0, 1, ValueError()), *((n, 0, 0, 1, n) for n in range(1, 6)))

    assert note(outcome).endswith(
        "\n5 calls returned 5 different values. All 6 overlapped for 1 ms."
    )


def test_one_worker_runs_alone(make_outcome):
    """A run of one cannot overlap."""
    assert note(make_outcome((0, 0, 0, 1, ValueError()))).endswith("\nOne worker ran alone.")


def test_the_replay_is_told_where_numbers_were_drawn(make_outcome):
    """A failure that depends on random numbers says how to draw them again."""
    outcome = make_outcome((0, 0, 0, 1, ValueError()), replay="--concurrency-seed=7")

    assert note(outcome).endswith("\nSame random numbers again: --concurrency-seed=7")


def test_a_value_without_a_repr_is_told(make_outcome):
    """A broken repr does not hide the failure."""

    class Broken:
        def __repr__(self):
            raise ZeroDivisionError

    outcome = make_outcome((0, 0, 0, 1, ValueError()), (1, 0, 0, 1, Broken()))

    assert "\nWorker 1 returned <Broken whose repr raise...ivisionError>. All" in note(outcome)
