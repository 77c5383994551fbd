"""What a failure says, in full."""

# ruff: noqa: E501 - texts are as wide as they are shown

import re
import sys
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from textwrap import dedent

import pytest

from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.settings import Settings


class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        self.value = value + 1


class Accounts:
    def __init__(self):
        self.lock_a = threading.Lock()
        self.lock_b = threading.Lock()

    def forth(self):
        with self.lock_a, self.lock_b:
            pass

    def back(self):
        with self.lock_b, self.lock_a:
            pass


class Box:
    def __init__(self):
        self.full = False
        self.changed = threading.Condition()

    def wait(self):
        if not self.full:
            with self.changed:
                self.changed.wait()

    def fill(self):
        self.full = True
        with self.changed:
            self.changed.notify()


class Room:
    def __init__(self):
        self.bookings = {}

    def book(self, person):
        if 7 in self.bookings:
            return "refused"
        self.bookings[7] = person
        return "booked"


class Service:
    def __init__(self):
        self.lock = threading.Lock()
        self.parts = None

    def get(self):
        if self.parts is None:
            with self.lock:
                if self.parts is None:
                    self.parts = []
                    self.parts.append("ready")
        return len(self.parts)


class Tally:
    def __init__(self):
        self.held = {}

    def add(self):
        count = self.held.get("n", 0)
        self.held.update({"n": count + 1})


class Flag:
    def __init__(self):
        self.up = False

    def raise_it(self):
        self.up = True

    def look(self):
        return self.up


class Lazy:
    def __init__(self):
        self._made_by_hand = None
        self.calls = 0

    @cached_property
    def made_once(self):
        self.calls += 1
        return object()

    @property
    def made_by_hand(self):
        if self._made_by_hand is None:
            self._made_by_hand = object()
        return self._made_by_hand

    def __getattr__(self, name):
        if name != "made_when_missing":
            raise AttributeError(name)
        self.made_when_missing = object()
        return self.made_when_missing


class Guarded:
    def __init__(self):
        self.lock = threading.Lock()
        self.log = []
        self.count = 0

    def __repr__(self):
        with self.lock:
            return f"Guarded({self.count})"

    def add(self):
        with self.lock:
            count = self.count
            self.log.append(self)
        with self.lock:
            self.count = count + 1


class Stock:
    def __init__(self):
        self.left = {"a": 1}

    def reserve(self):
        if self.left["a"] > 0:
            self.left["a"] -= 1
            return True
        return False


def _text(body):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - what it is, is asserted below
        interleave(body, settings=Settings())
    error = caught.value
    whole = (
        f"{error}\n{error.__notes__[-1]}"
        if type(error).__name__ == "Deadlock"
        else error.__notes__[-1]
    )
    whole = re.sub(r"[\d,.]+ m?s\b", "N ms", whole)
    whole = re.sub(r"(_texts\.py:)(\d+)-(\d+)", r"\1\2 to \1\3", whole)
    return re.sub(r"_texts\.py:\d+", lambda at: f"_texts.py:{_name(at[0])}", whole)


def _name(at):
    """Write a line as its distance from the class it is in."""
    from pathlib import Path

    line = int(at.partition(":")[2])
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    start = next(i for i in range(line, 0, -1) if source[i - 1].startswith(("class ", "def ")))
    return f"+{line - start}"


def _expect(text):
    return dedent(text).strip("\n")


def test_race_is_shown_as_a_timeline():
    """A lost update: columns, values, the lost write, the lines to hold together, the replay."""

    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)
        assert counter.value == 2

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 3, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+5
            value = self.value
            reads value = 0
        2                                       test_failure_texts.py:+5
                                                  value = self.value
                                                  reads value = 0
        3                                       test_failure_texts.py:+6
                                                  self.value = value + 1
                                                  value: 0 -> 1
        4 test_failure_texts.py:+6
            self.value = value + 1
            value: 1 -> 1
            <- worker 1's write is lost

        Held together, test_failure_texts.py:+5 to _texts.py:+6 in both workers removes it (0 of 4 schedules fail).
        Replay: interleave(replay='T0x1 T1x*')
    """)


def test_check_then_act_is_held_from_the_check_to_the_act():
    """A double booking: the lines to hold together reach from the check to the act."""

    def body(run):
        room = Room()
        answers = run(lambda: room.book("ann"), lambda: room.book("bob"))
        assert sorted(answers) == ["booked", "refused"]

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 3, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+5
            if 7 in self.bookings:
            7 in {}: False
        2                                       test_failure_texts.py:+5
                                                  if 7 in self.bookings:
                                                  7 in {}: False
        3                                       test_failure_texts.py:+7
                                                  self.bookings[7] = person
                                                  [7] = 'bob'
        4 test_failure_texts.py:+7
            self.bookings[7] = person
            [7]: 'bob' -> 'ann'
            <- worker 1's write is lost

        Held together, test_failure_texts.py:+5 to _texts.py:+7 in both workers removes it (0 of 16 schedules fail).
        Replay: interleave(replay='T0x3 T1x*')
    """)


def test_double_checked_initialisation_is_held_from_the_check_to_the_use():
    """A half-made object: the lines to hold together reach from the first check to the use."""

    def body(run):
        service = Service()
        assert run(service.get, service.get) == [1, 1]

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                              worker 1
        1                                       test_failure_texts.py:+11
                                                  return len(self.parts)
                                                  len([])
        2 test_failure_texts.py:+10
            self.parts.append("ready")
            Service.parts: [] -> ['ready']

        Held together, test_failure_texts.py:+6 to _texts.py:+11 in both workers removes it (0 of 20 schedules fail).
        Replay: interleave(replay='T0x5 T1x*')
    """)


def test_read_before_a_preemption_shows_what_was_read():
    """A call that only reads is shown with what it found, not with what another made of it."""

    def body(run):
        tally = Tally()
        run(tally.add, tally.add)
        assert tally.held["n"] == 2

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+5
            count = self.held.get("n", 0)
            get('n', 0): Tally.held = {}
        2                                       test_failure_texts.py:+5
                                                  count = self.held.get("n", 0)
                                                  get('n', 0): Tally.held = {}
        3                                       test_failure_texts.py:+6
                                                  self.held.update({"n": count + 1})
                                                  Tally.held: {} -> {'n': 1}
        4 test_failure_texts.py:+6
            self.held.update({"n": count + 1})
            update({'n': 1}): Tally.held = {'n': 1}

        Held together, test_failure_texts.py:+5 to _texts.py:+6 in both workers removes it (0 of 8 schedules fail).
        Replay: interleave(replay='T0x2 T1x*')
    """)


def test_no_lines_are_named_where_holding_them_does_not_help():
    """An order that is wrong without any preemption: no lines to hold together are named."""

    def body(run):
        flag = Flag()
        assert run(flag.look, flag.raise_it)[0]

    assert "Held together" not in _text(body)


def test_deadlock_is_shown_as_a_cycle():
    """A deadlock: who holds what, taken where, and wants what, where."""

    def body(run):
        accounts = Accounts()
        run(accounts.forth, accounts.back)

    assert _text(body) == _expect("""
        Deadlock among 2 workers:

          worker 0  holds  Accounts.lock_a  taken at test_failure_texts.py:+6
                    wants  Accounts.lock_b  at       test_failure_texts.py:+6
          worker 1  holds  Accounts.lock_b  taken at test_failure_texts.py:+10
                    wants  Accounts.lock_a  at       test_failure_texts.py:+10

        Taking both locks in one order removes it.

        Found by schedule 4, N ms.
        Replay: interleave(replay='T0x2 T1x*')
    """)


def test_missed_notification_is_told_from_a_cycle():
    """A wait that nobody will end: where it waits, and why nobody can."""

    def body(run):
        box = Box()
        run(box.wait, box.fill)

    assert _text(body) == _expect("""
        Deadlock: 1 worker waits for ever:

          worker 0  waits  in Box.changed.wait()  at test_failure_texts.py:+8  self.changed.wait()

        Nobody is left to wake it: a notification came before the wait, or never. Wait in a loop that
        checks the condition under the lock, and change the condition under the same lock.

        Found by schedule 3, N ms.
        Replay: interleave(replay='T0x1 T1x*')
    """)


COMPUTES_TWICE = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="a cached_property of Python 3.11 holds a lock"
)


@pytest.mark.parametrize(
    "name",
    [pytest.param("made_once", marks=COMPUTES_TWICE), "made_by_hand", "made_when_missing"],
)
def test_what_is_computed_is_not_computed_by_looking(name):
    """A property is named, not asked: its value would be made by the question."""

    def body(run):
        lazy = Lazy()
        first, second = run(lambda: getattr(lazy, name), lambda: getattr(lazy, name))
        assert first is second

    with pytest.raises(AssertionError) as caught:
        interleave(settings=Settings())(body)

    assert "worker 0" in "\n".join(caught.value.__notes__)


@COMPUTES_TWICE
def test_attribute_that_is_computed_is_named():
    """The line that asks for it is shown, without a value."""

    def body(run):
        lazy, got = Lazy(), []
        run(lambda: got.append(lazy.made_once), lambda: got.append(lazy.made_once))
        assert got[0] is got[1]

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                                      worker 1
        1 test_failure_texts.py:+5
            run(lambda: got.append(lazy.made_once),
              lambda: got.append(lazy.made_once))
            reads made_once
        2                                               test_failure_texts.py:+5
                                                          run(lambda: got.append(lazy.made_once), lambda:
                                                            got.append(lazy.made_once))
                                                          reads made_once
        3                                               test_failure_texts.py:+7
                                                          self.calls += 1
                                                          reads calls = 0
                                                          calls: 0 -> 1
        4                                               test_failure_texts.py:+8
                                                          return object()
                                                          returns a value to be kept
        5 test_failure_texts.py:+7
            self.calls += 1
            reads calls = 1
            calls: 1 -> 2
        6 test_failure_texts.py:+8
            return object()
            returns a value to be kept

        Held together, test_failure_texts.py:+5 in both workers removes it (0 of 14 schedules fail).
        Replay: interleave(replay='T0x3 T1x*')
    """)


def test_value_that_a_cache_keeps_is_told_where_it_returns():
    """Who asks a cache, and who returns what it keeps, though nothing else is touched there."""

    def body(run):
        @lru_cache
        def connect():
            return object()

        def ask():
            return connect()

        one, other = run(ask, ask)
        assert one is other

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                                     worker 1
        1 test_failure_texts.py:+9  return connect()
                                     asks the cache of connect()
        2                                              test_failure_texts.py:+9  return connect()
                                                                                  asks the cache of
                                                                                    connect()
        3                                              test_failure_texts.py:+6  return object()
                                                                                  returns a value to be
                                                                                    kept
        4 test_failure_texts.py:+6  return object()
                                     returns a value to be kept

        Held together, test_failure_texts.py:+9 in both workers removes it (0 of 6 schedules fail).
        Replay: interleave(replay='T0x2 T1x*')
    """)


def test_lock_of_a_repr_is_no_step():
    """A value that cannot be shown now is named by its class, and accuses nobody of a deadlock."""

    def body(run):
        guarded = Guarded()
        run(guarded.add, guarded.add)
        assert guarded.count == 2

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+12
            count = self.count
            reads count = 0
        2                                       test_failure_texts.py:+12
                                                  count = self.count
                                                  reads count = 0
        3                                       test_failure_texts.py:+15
                                                  self.count = count + 1
                                                  count: 0 -> 1
        4 test_failure_texts.py:+15
            self.count = count + 1
            count: 1 -> 1
            <- worker 1's write is lost

        Held together, test_failure_texts.py:+11 to _texts.py:+15 in both workers removes it (0 of 20 schedules fail).
        Replay: interleave(replay='T0x6 T1x*')
    """)


def test_looking_fills_no_default():
    """A dictionary with defaults is read as it is."""

    def body(run):
        counts = defaultdict(int)

        def add():
            if "a" not in counts:
                counts["a"] = 0
            counts["a"] += 1

        run(add, add)
        assert counts["a"] == 2

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+7
            if "a" not in counts:
            'a' in defaultdict(<class 'int'>, {}): False
        2                                       test_failure_texts.py:+7
                                                  if "a" not in counts:
                                                  'a' in defaultdict(<class 'int'>, {}): False
        3                                       test_failure_texts.py:+8
                                                  counts["a"] = 0
                                                  ['a'] = 0
        4                                       test_failure_texts.py:+9
                                                  counts["a"] += 1
                                                  reads ['a'] = 0
                                                  ['a']: 0 -> 1
        5 test_failure_texts.py:+8
            counts["a"] = 0
            ['a']: 1 -> 0
        6 test_failure_texts.py:+9
            counts["a"] += 1
            reads ['a'] = 0
            ['a']: 0 -> 1

        Held together, test_failure_texts.py:+7 to _texts.py:+9 in both workers removes it (0 of 14 schedules fail).
        Replay: interleave(replay='T0x2 T1x*')
    """)


def test_asking_uses_up_no_iterator():
    """Whether something is in an iterator is not asked twice."""

    def body(run):
        numbers = iter(range(4))
        found = run(lambda: 1 in numbers, lambda: 3 in numbers)
        assert found == [True, True]

    assert _text(body).strip("\n") == _expect("""
        This order breaks it, without preemption (schedule 2, N ms):

          worker 0                                      worker 1
        1                                               test_failure_texts.py:+5
                                                          found = run(lambda: 1 in numbers, lambda: 3 in
                                                            numbers)
                                                          3 in <range_iterator>
        2 test_failure_texts.py:+5
            found = run(lambda: 1 in numbers, lambda:
              3 in numbers)
            1 in <range_iterator>

        Replay: interleave(replay='T1x*')
    """)


def test_workers_of_a_pool_show_what_they_ran():
    """What the pool does for itself is left out; the body's last words too."""

    def body(_):
        stock = Stock()
        with ThreadPoolExecutor(2) as pool:
            sold = [pool.submit(stock.reserve) for _ in range(2)]
        assert sorted(one.result() for one in sold) == [False, True]

    text = re.sub(r"schedule \d+", "schedule N", _text(body))
    text = re.sub(r"Held together, .*\n", "", text)  # only where hundreds are played in time
    assert text.strip("\n") == _expect("""
        One preemption breaks it (schedule N, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+5
            if self.left["a"] > 0:
            reads ['a'] = 1
        2                                       test_failure_texts.py:+5
                                                  if self.left["a"] > 0:
                                                  reads ['a'] = 1
        3                                       test_failure_texts.py:+6
                                                  self.left["a"] -= 1
                                                  reads ['a'] = 1
                                                  ['a']: 1 -> 0
        4 test_failure_texts.py:+6
            self.left["a"] -= 1
            reads ['a'] = 0
            ['a']: 0 -> -1

        Replay: interleave(replay='Bx* T0x5 T1x*')
    """)


def test_attribute_that_is_asked_for_by_name_is_shown():
    """`hasattr`, `getattr`, `setattr` and `delattr` read and write as the dot does."""

    def body(run):
        class Box:
            pass

        box = Box()
        box.mark = 1

        def clear():
            if hasattr(box, "mark"):
                delattr(box, "mark")
            setattr(box, "clear", getattr(box, "clear", 0) + 1)  # noqa: B010

        run(clear, clear)

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 3, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+11
            if hasattr(box, "mark"):
            reads mark = 1
        2                                       test_failure_texts.py:+11
                                                  if hasattr(box, "mark"):
                                                  reads mark = 1
        3                                       test_failure_texts.py:+12
                                                  delattr(box, "mark")
                                                  deletes mark
        4 test_failure_texts.py:+12
            delattr(box, "mark")
            deletes mark

        Held together, test_failure_texts.py:+11 to _texts.py:+12 in both workers removes it (0 of 34 schedules fail).
        Replay: interleave(replay='T0x2 T1x*')
    """)


def test_lock_that_is_tried_in_vain_names_who_has_it():
    """No value tells why: who has the lock does."""

    def body(run):
        lock, done = threading.Lock(), []

        def work():
            if lock.acquire(blocking=False):
                done.append(1)
                lock.release()

        run(work, work)
        assert len(done) == 2

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 4, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+7
            if lock.acquire(blocking=False):
        2                                       test_failure_texts.py:+7
                                                  if lock.acquire(blocking=False):
                                                  does not get it: worker 0 has it
        3 test_failure_texts.py:+9
            lock.release()

        Held together, test_failure_texts.py:+7 to _texts.py:+9 in both workers removes it (0 of 12 schedules fail).
        Replay: interleave(replay='T0x2 T1x*')
    """)


def test_three_preemptions_and_lines_of_each_worker():
    """More than one preemption is counted; each worker has lines of its own to hold."""

    def body(run):
        counter, steps = Counter(), []

        def climb():
            counter.value = 1
            counter.value = 2
            if counter.value == 3:
                steps.append(1)

        def watch():
            if counter.value == 1 and counter.value == 2:
                counter.value = 3

        run(climb, watch)
        assert not steps

    assert _text(body).strip("\n") == _expect("""
        3 preemptions break it (schedule 9, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+8
            counter.value = 2
            value: 1 -> 2
        2                                       test_failure_texts.py:+13
                                                  if counter.value == 1 and counter.value == 2:
                                                  reads value = 2
        3                                       test_failure_texts.py:+14
                                                  counter.value = 3
                                                  value: 2 -> 3
        4 test_failure_texts.py:+9
            if counter.value == 3:
            reads value = 3

        Held together, test_failure_texts.py:+8 to _texts.py:+9 in worker 0 and test_failure_texts.py:+13 to _texts.py:+14 in worker 1 removes it (0 of 12 schedules fail).
        Replay: interleave(replay='T0x2 T1x2 T0x2 T1x*')
    """)


def test_lines_are_held_in_all_workers_where_there_are_more_than_two():
    """Who is not shown in the timeline must hold them too."""

    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment, counter.increment)
        assert counter.value == 3

    assert _text(body).strip("\n") == _expect("""
        One preemption breaks it (schedule 7, N ms):

          worker 0                              worker 1
        1 test_failure_texts.py:+5
            value = self.value
            reads value = 0
        2                                       test_failure_texts.py:+5
                                                  value = self.value
                                                  reads value = 0
        3                                       test_failure_texts.py:+6
                                                  self.value = value + 1
                                                  value: 0 -> 1
        4 test_failure_texts.py:+6
            self.value = value + 1
            value: 1 -> 1
            <- worker 1's write is lost

        Held together, test_failure_texts.py:+5 to _texts.py:+6 in all workers removes it (0 of 18 schedules fail).
        Replay: interleave(replay='T0x1 T1x*')
    """)


def test_value_that_is_gone_is_told():
    """What was deleted before it is read."""

    def body(run):
        rows = {"a": 1}

        def look():
            return rows["a"]

        def drop():
            del rows["a"]

        run(look, drop)

    assert _text(body).strip("\n") == _expect("""
        This order breaks it, without preemption (schedule 2, N ms):

          worker 0                                     worker 1
        1                                              test_failure_texts.py:+10  del rows["a"]
                                                                                  deletes ['a']
        2 test_failure_texts.py:+7  return rows["a"]
                                     reads ['a'], which is not there

        Replay: interleave(replay='T1x*')
    """)


def test_token_that_does_not_fit_is_told_with_the_failure():
    """The search that began anew has found something."""

    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)
        assert counter.value == 2

    with pytest.raises(AssertionError) as caught:
        interleave(replay="T0x1 T5x*")(body)

    told = caught.value.__notes__[-1].splitlines()
    assert told[-3] == "The token 'T0x1 T5x*' no longer fits the code; the search began anew."
    assert told[-2].startswith("Held together, ")
    assert told[-1] == "Replay: interleave(replay='T0x1 T1x*')"


def test_hint_of_a_pool_says_how_far_it_was_tried():
    """Orders with as many preemptions as the failure took are enough to name lines."""

    def body(_):
        counter = Counter()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(counter.increment)
            pool.submit(counter.increment)
        assert counter.value == 2

    told = re.sub(r"0 of \d+", "0 of N", _text(body))

    assert (
        "Held together, test_failure_texts.py:+5 to _texts.py:+6 in both workers removes it "
        "(0 of N schedules with up to 1 preemption fail)."
    ) in told or "removes it (0 of N schedules fail)." in told


def test_repr_that_changes_what_it_shows_changes_no_schedule():
    """What is shown is shown once more without it, and the timeline stays."""

    class Remembered:
        def __init__(self):
            self.text, self.count, self.log = None, 0, []

        def __repr__(self):
            self.text = "shown"
            return self.text

        def add(self):
            self.log.append(self)
            count = self.count
            if self.text is None:
                self.count = count + 1
            else:
                self.count = 2

    def body(run):
        remembered = Remembered()
        run(remembered.add, remembered.add)
        assert remembered.count == 2

    text = _text(body)

    assert "reads count = 0" in text
    assert "count: 1 -> 1\n    <- worker 1's write is lost" in text
