"""A worker checks, another acts, the first acts on what is no longer so."""

# ruff: noqa: RUF051, FURB132 - the check and the act are apart on purpose

from collections import OrderedDict, deque
from functools import cached_property, lru_cache

from . import buggy


class Room:
    """One free block that must not be booked twice."""

    def __init__(self):
        self.bookings = []
        self.free = True

    def book(self, person):
        if self.free:
            self.free = False
            self.bookings.append(person)


@buggy("check-then-act", preemptions=1)
def double_booking(run):
    room = Room()
    run(lambda: room.book("ann"), lambda: room.book("bob"))
    assert len(room.bookings) == 1


@buggy("check-then-act", preemptions=1)
def overdraft(run):
    account = {"balance": 100}

    def withdraw(amount):
        if account["balance"] >= amount:
            account["balance"] -= amount

    run(lambda: withdraw(70), lambda: withdraw(60))
    assert account["balance"] in (30, 40)


@buggy("check-then-act", preemptions=1)
def membership_then_insert(run):
    made, cache = [], {}

    def load(key):
        if key not in cache:
            made.append(key)
            cache[key] = len(made)

    run(lambda: load("a"), lambda: load("a"))
    assert made == ["a"]


@buggy("check-then-act", preemptions=1)
def get_then_insert(run):
    made, cache = [], {}

    def load(key):
        value = cache.get(key)
        if value is None:
            made.append(key)
            cache[key] = key * 2

    run(lambda: load("a"), lambda: load("a"))
    assert made == ["a"]


@buggy("check-then-act", fails=KeyError, preemptions=1)
def membership_then_delete(run):
    cache = {"a": 1}

    def drop():
        if "a" in cache:
            del cache["a"]

    run(drop, drop)


@buggy("check-then-act", fails=KeyError, preemptions=1)
def set_membership_then_remove(run):
    waiting = {"ann"}

    def leave():
        if "ann" in waiting:
            waiting.remove("ann")

    run(leave, leave)


@buggy("check-then-act", fails=IndexError, preemptions=1)
def truth_then_popleft(run):
    jobs = deque(["a"])

    def work():
        if jobs:
            jobs.popleft()

    run(work, work)


@buggy("check-then-act", fails=IndexError, preemptions=1)
def length_then_pop(run):
    jobs = ["a"]

    def work():
        if len(jobs) > 0:
            jobs.pop()

    run(work, work)


@buggy("check-then-act", preemptions=1)
def append_then_length(run):
    rows, places = [], []

    def add(item):
        rows.append(item)
        places.append((len(rows) - 1, item))

    run(lambda: add("a"), lambda: add("b"))
    assert all(rows[place] == item for place, item in places)


@buggy("check-then-act", preemptions=1)
def next_free_id(run):
    ids = [1]

    def create():
        ids.append(max(ids) + 1)

    run(create, create)
    assert len(set(ids)) == len(ids)


@buggy("check-then-act", fails=ValueError, preemptions=1)
def list_membership_then_remove(run):
    members = ["ann", "bob"]

    def leave():
        if "ann" in members:
            members.remove("ann")

    run(leave, leave)


@buggy("check-then-act", fails=AttributeError, preemptions=1)
def hasattr_then_delattr(run):
    room = Room()

    def close():
        if hasattr(room, "free"):
            del room.free

    run(close, close)


@buggy("check-then-act", fails=TypeError, preemptions=1)
def none_check_then_use(run):
    room = Room()
    room.guest = "ann"
    seen = []

    def greet():
        if room.guest is not None:
            seen.append("hello " + room.guest)

    def leave():
        room.guest = None

    run(greet, leave)


@buggy("check-then-act", preemptions=1)
def ordered_dict_eviction(run):
    cache = OrderedDict(a=1, b=2)

    def put(key):
        if len(cache) >= 2:
            cache.popitem(last=False)
        cache[key] = 0

    run(lambda: put("c"), lambda: put("d"))
    assert len(cache) == 2


@buggy("check-then-act", preemptions=1)
def lru_cache_computes_twice(run):
    made = []

    @lru_cache
    def connect():
        made.append("connection")
        return len(made)

    run(connect, connect)
    assert made == ["connection"]


@buggy("check-then-act", preemptions=1, since=(3, 12))
def cached_property_computes_twice(run):
    class Service:
        made = 0

        @cached_property
        def connection(self):
            Service.made += 1
            return Service.made

    service = Service()
    run(lambda: service.connection, lambda: service.connection)
    assert Service.made == 1


@buggy("check-then-act", preemptions=1)
def lru_cache_keeps_one_of_two(run):
    @lru_cache
    def connect():
        return object()

    one, other = run(lambda: connect(), lambda: connect())  # noqa: PLW0108 - their calls are points
    assert one is other


@buggy("check-then-act", preemptions=1)
def lru_cache_within_another_keeps_one_of_two(run):
    @lru_cache
    def number():
        return 7

    @lru_cache
    def row():
        return [number()]

    number()
    one, other = run(lambda: row(), lambda: row())  # noqa: PLW0108 - their calls are points
    assert one is other


@buggy("check-then-act", preemptions=1, since=(3, 12))
def cached_property_keeps_one_of_two(run):
    class Service:
        @cached_property
        def connection(self):
            return object()

    service = Service()
    one, other = run(lambda: service.connection, lambda: service.connection)
    assert one is other


@buggy("double-checked initialisation", preemptions=1)
def singleton_without_second_check(run):
    from threading import Lock

    class Settings:
        lock = Lock()
        made = 0
        instance = None

        @classmethod
        def get(cls):
            if cls.instance is None:
                with cls.lock:
                    cls.made += 1
                    cls.instance = cls()
            return cls.instance

    run(Settings.get, Settings.get)
    assert Settings.made == 1


@buggy("double-checked initialisation", fails=AttributeError, preemptions=1)
def flag_before_value(run):
    from threading import Lock

    class Settings:
        def __init__(self):
            self.lock = Lock()
            self.ready = False

        def get(self):
            if not self.ready:
                with self.lock:
                    if not self.ready:
                        self.ready = True
                        self.value = "loaded"
            return self.value

    settings = Settings()
    run(settings.get, settings.get)


@buggy("publication before initialisation", fails=KeyError, preemptions=1)
def published_before_filled(run):
    registry = {}

    def publish():
        plugin = {}
        registry["plugin"] = plugin
        plugin["name"] = "sql"

    def use():
        plugin = registry.get("plugin")
        if plugin is not None:
            plugin["name"].upper()

    run(publish, use)


@buggy("publication before initialisation", fails=AttributeError, preemptions=1)
def registered_in_constructor(run):
    listeners = []

    class Listener:
        def __init__(self, name):
            listeners.append(self)
            self.name = name

    def announce():
        for listener in tuple(listeners):
            listener.name.upper()

    run(lambda: Listener("ann"), announce)


@buggy("check-then-act", preemptions=1)
def lock_made_lazily(run):
    from threading import Lock

    class Lazy:
        lock = None
        inside = 0
        most = 0

        def enter(self):
            if self.lock is None:
                self.lock = Lock()
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.inside -= 1

    lazy = Lazy()
    run(lazy.enter, lazy.enter)
    assert lazy.most == 1
    assert lazy.inside == 0


@buggy("check-then-act", preemptions=1)
def last_one_closes(run):
    from threading import Lock

    class Shared:
        def __init__(self):
            self.lock = Lock()
            self.users = 2
            self.closed = 0

        def release(self):
            with self.lock:
                self.users -= 1
            if self.users == 0:
                self.closed += 1

    shared = Shared()
    run(shared.release, shared.release)
    assert shared.closed == 1
