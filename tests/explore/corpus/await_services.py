"""Parts of services as people write them with asyncio: caches, pools, limits, hubs, shutdowns.

What is correct takes the thing that keeps it so as an argument, as in the other modules.
"""

import asyncio
import contextlib
import contextvars
import functools

from pytest_concurrency.explore.failures import Deadlock

from . import buggy, correct
from .await_correct import NoAsyncLock


async def _io(value=None):
    await asyncio.sleep(0)
    return value


def _bare(task):
    return task


# ---- caches ----------------------------------------------------------------------------------


@correct("await cache", sound=asyncio.shield, broken=_bare, fails=asyncio.CancelledError)
def one_flight_for_all_who_ask(run, protect):
    """The first one's time-out must not cancel what the second one waits for."""
    flights = {}

    async def load():
        await asyncio.sleep(2)
        return "page"

    async def get():
        if "page" not in flights:
            flights["page"] = asyncio.ensure_future(load())
        return await protect(flights["page"])

    async def impatient():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(get(), timeout=1)

    assert run(impatient, get)[1] == "page"


@buggy("await cache", fails=RuntimeError, says="already awaited")
def cached_coroutine_awaited_twice(run):
    @functools.cache
    def page(name):
        return _io(name)

    async def get():
        return await page("a")

    run(get, get)


@correct("await cache", sound=True, broken=False)
def lock_for_each_key_is_kept(run, keeps):
    """Who drops the lock of a key while others wait for it lets two in."""
    locks, inside = {}, []

    async def use(key):
        lock = locks.setdefault(key, asyncio.Lock())
        async with lock:
            inside.append(key)
            assert len(inside) == 1
            await _io()
            inside.remove(key)
        if not keeps:
            locks.pop(key, None)

    run(*[functools.partial(use, "a")] * 3)


# ---- pools and limits ------------------------------------------------------------------------


class _Pool:
    def __init__(self, *, again, tells):
        self.free = ["connection"]
        self.changed = asyncio.Condition()
        self.again, self.tells = again, tells

    @contextlib.asynccontextmanager
    async def connection(self):
        async with self.changed:
            while not self.free:
                await self.changed.wait()
                if not self.again:
                    break
            taken = self.free.pop()
        try:
            yield taken
        finally:
            async with self.changed:
                self.free.append(taken)
                if self.tells:
                    self.changed.notify()


def _use_pool(run, pool):
    async def use():
        async with pool.connection():
            await _io()

    run(use, use, use)
    assert pool.free == ["connection"]


@correct("await pool", sound=True, broken=False, fails=IndexError)
def pool_looks_again_after_a_wait(run, again):
    _use_pool(run, _Pool(again=again, tells=True))


@correct("await pool", sound=True, broken=False, fails=Deadlock)
def pool_tells_who_waits(run, tells):
    _use_pool(run, _Pool(again=True, tells=tells))


@correct("await limit", sound=asyncio.Lock, broken=NoAsyncLock)
def limit_of_calls_is_kept(run, lock):
    left, guard = {"calls": 1}, lock()

    async def take():
        async with guard:
            if not left["calls"]:
                return False
            await _io()
            left["calls"] -= 1
            return True

    assert sorted(run(take, take)) == [False, True]


@correct("await limit")
def bucket_spaces_calls_in_time(run):
    due = [0.0]

    async def wait():
        loop = asyncio.get_running_loop()
        now = loop.time()
        at = max(now, due[0])
        due[0] = at + 1
        await asyncio.sleep(at - now)
        return loop.time()

    assert sorted(run(wait, wait, wait)) == [0, 1, 2]


@buggy("await limit", fails=ValueError, says="released too many times")
def semaphore_given_back_twice(run):
    places = asyncio.BoundedSemaphore(1)

    async def use():
        async with places:
            await _io()
            places.release()

    run(use, use)


@buggy("await limit", fails=Deadlock, says="has ended")
def semaphore_kept_by_an_early_return(run):
    places = asyncio.Semaphore(1)

    async def use(is_empty):
        await places.acquire()
        if is_empty:
            return
        places.release()

    run(functools.partial(use, is_empty=True), functools.partial(use, is_empty=False))


@buggy("await deadlock", fails=Deadlock)
def two_full_queues_wait_for_each_other(run):
    to_left, to_right = asyncio.Queue(1), asyncio.Queue(1)

    async def talk(mine, yours):
        for _ in range(2):
            await yours.put("hello")
        for _ in range(2):
            await mine.get()

    run(lambda: talk(to_left, to_right), lambda: talk(to_right, to_left))


@buggy("await barrier", fails=Deadlock)
def barrier_for_one_more_than_come(run):
    start = asyncio.Barrier(2)
    absent = []

    async def play(name):
        if name not in absent:
            await start.wait()

    async def leave():
        absent.append("bob")

    run(lambda: play("ann"), lambda: play("bob"), leave)


# ---- hubs ------------------------------------------------------------------------------------


@correct("await hub", sound=list, broken=_bare, fails=RuntimeError)
def hub_sends_to_a_copy_of_its_subscribers(run, copied):
    inboxes = set()

    async def subscribe():
        inbox = asyncio.Queue(1)
        inboxes.add(inbox)
        await inbox.get()
        inboxes.discard(inbox)

    async def publish():
        for inbox in copied(inboxes):
            await inbox.put("news")
            await inbox.put("the end")

    async def both():
        readers = [asyncio.create_task(subscribe()) for _ in range(2)]
        await _io()
        await publish()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    run(both)


@buggy("await hub", fails=RuntimeError, says="already running")
def asynchronous_generator_read_by_two(run):
    async def pages():
        for number in range(3):
            await _io()
            yield number

    shared = pages()

    async def read():
        return [number async for number in shared]

    run(read, read)


@buggy("await hub")
def asynchronous_iterator_hands_out_twice(run):
    class Pages:
        at = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            number = self.at
            if number == 2:
                raise StopAsyncIteration
            await _io()
            self.at = number + 1
            return number

    shared = Pages()

    async def read():
        return [number async for number in shared]

    first, second = run(read, read)
    assert sorted([*first, *second]) == [0, 1]


# ---- time-outs, retries, cancellation ---------------------------------------------------------


@correct("await retry", sound=True, broken=False)
def retry_that_may_not_charge_twice(run, with_key):
    charged = []

    async def charge(key, seconds):
        if not with_key or key not in charged:
            charged.append(key)
        await asyncio.sleep(seconds)

    async def order():
        for seconds in (2, 0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(charge("order 1", seconds), timeout=1)
                return

    run(order, _io)
    assert charged == ["order 1"]


@correct("await cancellation", sound=True, broken=False)
def group_that_fails_is_rolled_back(run, careful):
    accounts = {"ann": 100, "bob": 0}

    async def move():
        accounts["ann"] -= 10
        try:
            await _io()
        except asyncio.CancelledError:
            if careful:
                accounts["ann"] += 10
            raise
        accounts["bob"] += 10

    async def fail():
        await _io()
        raise LookupError

    async def parent():
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(move())
                group.create_task(fail())

    run(parent)
    assert sum(accounts.values()) == 100


@correct("await cancellation", sound=True, broken=False, fails=Deadlock)
def lock_given_back_when_cancelled(run, careful):
    lock = asyncio.Lock()

    async def use():
        await lock.acquire()
        try:
            await _io()
        except asyncio.CancelledError:
            if careful:
                lock.release()
            raise
        lock.release()

    async def parent():
        task = asyncio.ensure_future(use())
        await _io()
        task.cancel()
        await asyncio.wait([task])
        await use()

    run(parent)


@correct("await cancellation", sound=True, broken=False)
def losers_of_a_race_are_cancelled(run, careful):
    sent = []

    async def ask(mirror):
        await asyncio.sleep(mirror)
        sent.append(mirror)

    async def fastest():
        asked = [asyncio.create_task(ask(mirror)) for mirror in (1, 2)]
        _, pending = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        for task in pending if careful else ():
            task.cancel()
        await asyncio.wait(asked)

    run(fastest, _io)
    assert sent == [1]


@buggy("await cancellation")
def gather_leaves_the_others_running(run):
    written = []

    async def fail():
        raise LookupError

    async def write():
        await _io()
        written.append("row")

    async def both():
        with contextlib.suppress(LookupError):
            await asyncio.gather(fail(), write())
        count = len(written)
        await asyncio.sleep(1)
        assert len(written) == count

    run(both, _io)


@buggy("await time-out")
def lease_that_ends_before_the_work(run):
    lease, inside = {"until": 0.0}, []

    async def work(seconds):
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0, lease["until"] - loop.time()))
        lease["until"] = loop.time() + 5
        inside.append(seconds)
        assert len(inside) == 1
        await asyncio.sleep(seconds)
        inside.remove(seconds)

    run(lambda: work(7), lambda: work(1))


# ---- callbacks, context, threads --------------------------------------------------------------


@correct("await callback", sound=True, broken=False)
def debounced_call_comes_once(run, cancels):
    planned, sent = [], []

    async def touch():
        await _io()
        while cancels and planned:
            planned.pop().cancel()
        planned.append(asyncio.get_running_loop().call_later(1, lambda: sent.append("saved")))

    async def wait():
        await asyncio.sleep(5)

    run(touch, touch, wait)
    assert sent == ["saved"]


@correct("await callback")
def done_callback_comes_before_who_waits(run):
    """Callbacks come in the order of asyncio: whoever awaits the task comes after them."""
    ended = []

    def end(_):
        ended.append("job")

    async def work():
        job = asyncio.create_task(_io())
        job.add_done_callback(end)
        await job
        return len(ended)

    async def twice():
        await work()
        return await work()

    assert run(twice, _io)[0] == 2


@buggy("await callback", fails=asyncio.InvalidStateError)
def future_resolved_by_two(run):
    replies = []

    async def reply():
        if not replies:
            replies.append(asyncio.get_running_loop().create_future())
        if not replies[0].done():
            await _io()
            replies[0].set_result("yes")

    run(reply, reply)


@buggy("await context")
def user_of_a_request_in_a_global(run):
    current = {}

    async def handle(user):
        current["user"] = user
        await _io()
        return current["user"]

    assert run(lambda: handle("ann"), lambda: handle("bob")) == ["ann", "bob"]


@correct("await context")
def user_of_a_request_in_its_context(run):
    current = contextvars.ContextVar("current")

    async def handle(user):
        current.set(user)
        await _io()
        return current.get()

    assert run(lambda: handle("ann"), lambda: handle("bob")) == ["ann", "bob"]


@buggy("await thread")
def value_read_and_written_in_two_threads(run):
    account = {"balance": 0}

    def write(balance):
        account["balance"] = balance

    async def deposit():
        balance = await asyncio.to_thread(account.get, "balance")
        await asyncio.to_thread(write, balance + 10)

    run(deposit, deposit)
    assert account["balance"] == 20


@buggy("await race")
def reload_between_two_calls(run):
    """A function that takes the place of another is a write like any other."""

    def old():
        return "old"

    def new():
        return "new"

    rules = old

    async def reload():
        nonlocal rules
        await _io()
        rules = new

    async def judge():
        first = rules()
        await _io()
        assert first == rules()

    run(reload, judge)


@correct("await gather")
def results_in_the_order_of_completion(run):
    async def ask(seconds):
        await asyncio.sleep(seconds)
        return seconds

    async def all_of_them():
        return [await each for each in asyncio.as_completed([ask(2), ask(1)])]

    assert run(all_of_them, _io)[0] == [1, 2]
