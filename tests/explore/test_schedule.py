"""Schedules as tokens."""

import pytest

from pytest_concurrency import UsageError
from pytest_concurrency.explore.program import FOREVER
from pytest_concurrency.explore.schedule import Leg, Plan, parse, token


def test_token_reads_back_as_it_was_written():
    """What `token` writes, `parse` reads."""
    legs = (Leg(worker=1, points=5), Leg(worker=0, points=2), Leg(worker=2))

    assert token(legs) == "T0x5 Bx2 T1x*"
    assert parse(token(legs)) == legs


def test_token_accepts_commas():
    """A token pasted with commas is the same token."""
    assert parse("T0x1, T1x*") == parse("T0x1 T1x*")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "replay=' ': the token is empty. Write one as a failure shows it: 'T0x5 T1x*'."),
        (
            "T0x1 W1",
            (
                "replay='T0x1 W1': 'W1' is not a leg. A leg is a worker and its points:"
                " T0x5 for five, T1x* until it ends or waits."
                " Write one as a failure shows it: 'T0x5 T1x*'."
            ),
        ),
        ("T0x0", "replay='T0x0': 'T0x0' has no points. Leave it out."),
    ],
)
def test_token_that_cannot_be_read_says_what_to_write(text, message):
    """A token that is none names the word and what a leg looks like."""
    with pytest.raises(UsageError) as caught:
        parse(text)

    assert str(caught.value) == message


def test_plan_goes_on_without_preemption_after_its_legs():
    """When the legs are used up the current worker goes on, then the first that can."""
    plan = Plan([(2, 3)])

    assert plan.choose(0, [0, 1, 2]) == (2, 3)
    assert plan.choose(2, [0, 1, 2]) == (2, FOREVER)
    assert plan.choose(None, [0, 1]) == (0, FOREVER)
    assert plan.used
    assert plan.misfit is None


def test_plan_notices_a_leg_that_does_not_fit():
    """A leg of a worker that cannot run is passed over and remembered."""
    plan = Plan([(3, 1), (1, 1)])

    assert plan.choose(0, [0, 1]) == (1, 1)
    assert plan.misfit == (0, 3)
