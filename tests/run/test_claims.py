"""Claims about all calls together: what holds passes, what does not shows the offenders."""

from __future__ import annotations

import pytest

from pytest_concurrency.errors import BrokenPromise


def refused(claim, *arguments):
    """Return the text with which a claim is refused."""
    with pytest.raises(BrokenPromise) as broken:
        claim(*arguments)
    return str(broken.value)


def values(make_outcome, *found, **more):
    """Make an outcome of values, one a worker."""
    return make_outcome(*((index, 0, 0, 1, value) for index, value in enumerate(found)), **more)


def test_one_succeeds(make_outcome):
    """Exactly one call returned: its value is returned."""
    assert values(make_outcome, ValueError(), "won", ValueError()).assert_one_succeeds() == "won"


def test_two_winners_are_shown(make_outcome):
    """Who succeeded besides the one, and what the others raised."""
    outcome = values(make_outcome, ValueError("taken"), "a", ValueError("taken"), None)

    assert refused(outcome.assert_one_succeeds) == (
        "One call should succeed; 2 of 4 calls did:\n"
        "  returned 'a'   worker 1\n"
        "  returned None  worker 3\n"
        "The others raised:\n"
        "  2 x ValueError: taken  workers 0, 2"
    )


def test_no_winner_is_told(make_outcome):
    """If nobody succeeded, what they raised is the cause."""
    outcome = values(make_outcome, ValueError("taken"), KeyError("x"))

    assert refused(outcome.assert_one_succeeds) == (
        "One call should succeed; none of 2 calls did:\n"
        "They raised:\n"
        "  1 x ValueError: taken  worker 0\n"
        "  1 x KeyError: 'x'      worker 1"
    )


def test_a_winner_among_calls_that_did_not_end_is_none(make_outcome):
    """One that returned may not be the only one while others have not ended."""
    outcome = values(make_outcome, "a", workers=3)

    assert refused(outcome.assert_one_succeeds) == (
        "One call should succeed; 1 of 3 calls did:\n  returned 'a'  worker 0\n2 calls did not end."
    )


def test_many_winners_are_cut(make_outcome):
    """A hundred winners do not make a hundred lines."""
    text = refused(values(make_outcome, *range(100)).assert_one_succeeds)

    assert text.splitlines()[0] == "One call should succeed; 100 of 100 calls did:"
    assert text.splitlines()[-1] == "  and 92 more"
    assert len(text.splitlines()) == 10


def test_all_equal(make_outcome):
    """Equal values pass, also those that cannot be hashed; the first is returned."""
    assert values(make_outcome, 1, 1.0, True).assert_all_equal() == 1
    assert values(make_outcome, {"a": 1, "b": 2}, {"b": 2, "a": 1}).assert_all_equal() == {
        "a": 1,
        "b": 2,
    }
    assert values(make_outcome, "a", "b").assert_all_equal(key=len) == "a"


def test_different_values_are_shown(make_outcome):
    """The most frequent first, with the workers that returned each."""
    outcome = values(make_outcome, "a", "b", "a", [1], "a")

    assert refused(outcome.assert_all_equal) == (
        "All values should be equal; there are 3 different ones:\n"
        "  3 x 'a'  workers 0, 2, 4\n"
        "  1 x 'b'  worker 1\n"
        "  1 x [1]  worker 3"
    )


def test_different_keys_are_shown_by_their_values(make_outcome):
    """With a key, the values that have different keys are shown."""
    outcome = values(make_outcome, "a", "bb", "c")

    assert refused(outcome.assert_all_equal, len) == (
        "All keys of the values should be equal; there are 2 different ones:\n"
        "  2 x 1  workers 0, 2\n"
        "  1 x 2  worker 1"
    )


def test_many_different_values_are_cut(make_outcome):
    """Eight rows, and how many more there are."""
    text = refused(values(make_outcome, *range(1000)).assert_all_equal)

    assert text.splitlines()[0] == "All values should be equal; there are 1,000 different ones:"
    assert text.splitlines()[-1] == "  and 992 more"


def test_no_duplicates(make_outcome):
    """Values that differ pass, and are returned."""
    assert values(make_outcome, 1, 2, [1]).assert_no_duplicates() == [1, 2, [1]]


def test_duplicates_are_shown(make_outcome):
    """Only what came twice, with the workers that returned it."""
    outcome = values(make_outcome, 7, 8, 7, 9, 9, 9)

    assert refused(outcome.assert_no_duplicates) == (
        "No value should come twice; 2 did:\n  3 x 9  workers 3-5\n  2 x 7  workers 0, 2"
    )


def test_duplicate_keys_are_shown(make_outcome):
    """With a key, the keys that came twice."""
    assert refused(values(make_outcome, "a", "bb", "cc").assert_no_duplicates, len) == (
        "No key of a value should come twice; 1 did:\n  2 x 2  workers 1, 2"
    )


@pytest.mark.parametrize("claim", ["assert_all_equal", "assert_no_duplicates"])
def test_a_claim_raises_errors_first(make_outcome, claim):
    """Where a call failed, that is the news."""
    outcome = values(make_outcome, 1, KeyError("B"))

    with pytest.raises(KeyError):
        getattr(outcome, claim)()


@pytest.mark.parametrize("claim", ["assert_all_equal", "assert_no_duplicates"])
@pytest.mark.parametrize("found", [(), (1,)])
def test_nothing_is_claimed_of_calls_that_did_not_end(make_outcome, claim, found):
    """A claim about all calls needs all calls."""
    outcome = values(make_outcome, *found, workers=3)

    assert refused(getattr(outcome, claim)) == (
        f"{3 - len(found)} of 3 calls did not end, so nothing can be claimed of all."
    )


def test_broken_claims_are_told_to_have_been_looked_at(make_outcome):
    """Claiming is looking."""
    outcome = values(make_outcome, 1, 1, KeyError("B"))
    refused(outcome.assert_one_succeeds)

    assert not outcome.has_unseen_errors
