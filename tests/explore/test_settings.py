"""What can be asked of an exploration, and what cannot."""

import pytest

from pytest_concurrency import UsageError
from pytest_concurrency.explore.interleave import interleave


def _body(_run):
    pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preemptions": -1},
            "interleave: preemptions=-1 is not a whole number of at least 0. Write preemptions=2.",
        ),
        (
            {"schedules": 0},
            "interleave: schedules=0 is not a whole number of at least 1. Write schedules=2.",
        ),
        (
            {"seconds": 0},
            "interleave: seconds=0 is not a number of seconds above 0. Write seconds=10.",
        ),
        (
            {"packages": "redis"},
            "interleave: packages='redis' is one text. Write packages=['redis'].",
        ),
        (
            {"preemption": 1},
            "interleave: there is no option 'preemption'. Write preemptions=.",
        ),
        (
            {"packages": ["jsn"]},
            "interleave: packages=['jsn']: 'jsn' cannot be imported. Write 'json'.",
        ),
    ],
)
def test_option_that_cannot_be_used_says_what_to_write(options, message):
    """Each option is checked before anything runs."""
    with pytest.raises(UsageError) as caught:
        interleave(**options)(_body)

    assert str(caught.value) == message


def test_body_that_cannot_be_called_is_refused():
    """What is not a function is refused by name."""
    with pytest.raises(UsageError) as caught:
        interleave(3)

    assert (
        str(caught.value) == "interleave: 3 cannot be called. Decorate a function that takes run."
    )
