"""What is said of plays that do not repeat, that go on and on, or that share nothing, in full."""

import json
import random
import re

import pytest

from pytest_concurrency import InternalError
from pytest_concurrency.explore.exploration import Exploration
from pytest_concurrency.explore.explorer import explore
from pytest_concurrency.explore.failures import Hang, NotDeterministic, NothingExplored
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.program import Ending, Trace
from pytest_concurrency.explore.settings import Settings

DECIDED = (
    "Something else than the order decides: a random number, the order of a set, or what the last\n"
    "schedule has left. Make it anew in the body, the same each time."
)


def told(body, kind, **options):
    """Return what is said, without line numbers."""
    with pytest.raises(kind) as caught:
        interleave(**options)(body)
    return re.sub(r"_plays\.py:\d+", "_plays.py:N", str(caught.value))


def test_a_schedule_that_fails_once_is_no_finding():
    """It passes when it is played again."""
    turns = []

    def body(run):
        rows = []
        turns.append(1)
        run(lambda: rows.append(1), lambda: rows.append(2))
        assert len(turns) != 3

    assert told(body, NotDeterministic) == (
        f"A schedule failed once and passed when it was played again.\n{DECIDED}"
    )


def test_a_schedule_that_goes_two_ways_is_told_where():
    """The first step that was another one, what may be behind it, and what to do."""
    chance = random.Random(7)

    def body(run):
        rows = []

        def work():
            while chance.randrange(10):
                rows.append(1)

        run(work, work)

    text = told(body, NotDeterministic)

    first, _, rest = text.partition("\n")
    assert re.fullmatch(
        r"The same schedule went two ways: step \d+ was "
        r"(none|(worker \d|the body)( at test_messages_of_plays\.py:N)?) once, and "
        r"(none|(worker \d|the body)( at test_messages_of_plays\.py:N)?) then\.",
        first,
    )
    assert rest == DECIDED


def test_a_loop_without_end_is_a_hang():
    """Two workers that spin: where they stand, and what to do."""

    def body(run):
        up = []

        def wait():
            while not up:
                pass

        run(wait, wait)

    text = told(body, Hang)

    assert re.sub(r"worker \d did", "worker N did", text) == (
        "Hang: worker N did not end within 60,000 points.\n"
        "\n"
        "  the body  in body             test_messages_of_plays.py:N run(wait, wait)\n"
        "  worker 0  in wait             test_messages_of_plays.py:N while not up:\n"
        "  worker 1  in wait             test_messages_of_plays.py:N while not up:\n"
        "\n"
        "Let it end: a loop that waits needs something that ends it, and less work is enough."
    )


def test_a_worker_that_was_made_to_yield_is_told():
    """Nothing is complete where a loop waits, and the reader learns why."""

    def body(run):
        up = []

        def wait():
            while not up:
                pass

        def go():
            up.append(1)

        run(wait, go)

    explored = interleave(schedules=2)(body)

    assert explored.complete is None
    assert explored.notes == (
        (
            "A worker went on for 3,000 points while others could run, and was made to let them: a "
            "loop that waits has orders without end. Wait with an Event, a Condition or sleep()."
        ),
    )


def test_what_ended_by_itself_is_not_stopped():
    """Without a bound that was finished, and without a budget that ran out."""
    assert str(Exploration(schedules=3)) == "not complete, 3 schedules"


def test_workers_that_spend_their_calls_elsewhere_are_told_where():
    """The files that they were in; the standard library is nothing to explore."""

    def body(run):
        run(lambda: json.dumps([1]), lambda: json.dumps([2]))

    assert re.sub(r"\d+ %", "N %", told(body, NothingExplored)) == (
        "Nothing was explored: the 2 workers share no state that can be seen from tests/explore/.\n"
        "They spent their calls in: json/encoder.py (N %), json/__init__.py (N %).\n"
        "Let the workers share what the test is about, or test it with concurrent_runner."
    )


@pytest.mark.parametrize("name", ["<ipython-input-3-abc>", "<stdin>", "<doctest a[0]>"])
def test_code_that_somebody_typed_is_explored(name):
    """A cell of a notebook and a line of a session are code under test, though in no file."""
    typed = {}
    exec(compile("def fill(box): box.append(1)", name, "exec"), typed)  # noqa: S102 - what a notebook does

    def body(run):
        box = []
        run(lambda: typed["fill"](box), lambda: typed["fill"](box))
        assert box == [1, 1]

    assert interleave(body).shared


def test_code_of_no_file_is_told():
    """What exec runs is not looked into: where nothing else is shared, the reader learns it."""
    made = {}
    exec("class Counter:\n  n = 0\n  def up(self):\n    self.n = self.n + 1\n", made)  # noqa: S102

    def body(run):
        counter = made["Counter"]()
        run(counter.up, counter.up)

    assert told(body, NothingExplored) == (
        "Nothing was explored: the 2 workers share no state that can be seen from tests/explore/.\n"
        "They spent their calls in: <string> (100 %).\n"
        "Code that is in no file, as what exec runs, is not looked into.\n"
        "Let the workers share what the test is about, or test it with concurrent_runner."
    )


def test_an_installed_package_that_they_were_in_is_named(monkeypatch):
    """With what to type; the directory of the test is where the reader is."""
    import pluggy

    def body(run):
        run(lambda: pluggy.PluginManager("one"), lambda: pluggy.PluginManager("two"))

    monkeypatch.chdir("tests/explore")
    text = told(body, NothingExplored)

    first, spent, last = text.splitlines()
    assert first == (
        "Nothing was explored: the 2 workers share no state that can be seen from here."
    )
    assert re.fullmatch(
        r"They spent their calls in: (pluggy/\w+\.py \(\d+ %\), )*pluggy/\w+\.py \(\d+ %\)\.", spent
    )
    assert last == (
        "Explore that package too: @interleave(packages=['pluggy']),"
        " or test it with concurrent_runner."
    )


class _Silent:
    """A program that fails and gives no error."""

    def play(self, _guide, *, record=True, explain=False):
        """Fail."""
        assert record or not explain
        return Trace(ending=Ending(kind="failed"))


def test_a_failure_without_an_error_is_a_mistake_of_ours():
    """It is named as one, with the schedule."""
    with pytest.raises(InternalError) as caught:
        explore(_Silent(), Settings())

    assert str(caught.value) == "A schedule failed without saying how: Bx*."
