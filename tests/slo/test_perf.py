"""The timer keeps every sample apart, whoever takes it."""

import asyncio
import threading

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.assertions import Policy
from pytest_concurrency.slo.noise import are_waits_known
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.waits import wait_of_call


@pytest.fixture
def timer(clock):  # noqa: ARG001 - the timer reads it
    """Return a timer on that clock."""
    return PerfTimer(takes_out_waits=False)


def test_a_block_is_a_sample(timer, clock):
    """Each with statement adds its duration."""
    for took in (5, 7, 11):
        with timer:
            clock.now += took
        clock.now += 100

    assert list(timer.samples.ns) == [5, 7, 11]
    assert timer.durations == (5e-9, 7e-9, 11e-9)
    assert len(timer) == 3
    assert timer.evidence().seconds == pytest.approx(223e-9)


def test_a_timer_without_samples_is_true():
    """A timer is never mistaken for nothing."""
    assert PerfTimer()


def test_a_failing_block_is_a_failed_call(timer, clock):
    """What a block raises goes on; its duration counts, and so does the error."""

    def fail():
        with timer:
            clock.now += 3
            raise KeyError

    with timer:
        clock.now += 2
    with pytest.raises(KeyError):
        fail()

    assert list(timer.samples.ns) == [2, 3]
    assert list(timer.samples.failed) == [1]
    assert timer.evidence().errors == 1


def test_blocks_nest(timer, clock):
    """An inner block is a sample of its own."""
    with timer:
        clock.now += 1
        with timer:
            clock.now += 10
        clock.now += 100
    with timer:
        clock.now += 1_000

    assert sorted(timer.samples.ns) == [10, 111, 1_000]


def test_threads_do_not_mix(timer):
    """A block on another thread neither ends nor disturbs the first worker's."""
    inside, outside = threading.Event(), threading.Event()

    def other():
        with timer:
            inside.set()
            outside.wait(5)

    thread = threading.Thread(target=other)
    with timer:
        thread.start()
        inside.wait(5)
    with timer:
        pass
    outside.set()
    thread.join()
    with timer:
        pass

    assert len(timer) == 4


@pytest.mark.parametrize("is_async_with", [False, True])
def test_tasks_do_not_mix(timer, clock, is_async_with):
    """Blocks of tasks that interleave each get their own duration."""

    async def call(took, entered, leave):
        if is_async_with:
            async with timer:
                entered.set()
                await leave.wait()
                clock.now += took
        else:
            with timer:
                entered.set()
                await leave.wait()
                clock.now += took

    async def main():
        first, second = asyncio.Event(), asyncio.Event()
        ends = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(call(10, first, ends[0]))]
        await first.wait()
        clock.now += 1
        tasks.append(asyncio.create_task(call(100, second, ends[1])))
        await second.wait()
        for end, task in zip(ends, tasks, strict=True):
            end.set()
            await task

    asyncio.run(main())

    assert sorted(timer.samples.ns) == [11, 110]


def test_a_task_begun_inside_a_block_has_its_own(timer, clock):
    """A task inherits the context of an open block and still ends only its own."""

    async def child():
        with timer:
            clock.now += 5

    async def parent():
        with timer:
            clock.now += 1
            task = asyncio.create_task(child())
            await task
            clock.now += 1

    async def main():
        with timer:
            await asyncio.gather(parent(), parent())

    asyncio.run(main())

    assert sorted(timer.samples.ns)[:2] == [5, 5]
    assert len(timer) == 5
    with timer:
        clock.now += 3
    assert len(timer) == 6


def test_functions_are_timed_by_decorator_and_call(timer, clock):
    """A decorated function and a call return what the function returns."""

    def double(number):
        clock.now += number
        return 2 * number

    @timer
    def halve(number):
        """Halve it."""
        clock.now += 1
        return number // 2

    assert timer.call(double, 21) == 42
    assert halve(8) == 4
    assert halve.__doc__ == "Halve it."
    assert list(timer.samples.ns) == [21, 1]


def test_coroutine_functions_are_timed_when_awaited(timer, clock):
    """A decorated coroutine function stays one, and counts its awaited time."""

    @timer
    async def fetch(number):
        clock.now += number
        return number

    async def main():
        pending = timer.call(fetch.__wrapped__, 5)
        clock.now += 1_000
        return await pending + await fetch(7)

    assert asyncio.run(main()) == 12
    assert list(timer.samples.ns) == [5, 7]


def test_tagged_calls_count_among_all(timer, clock):
    """Samples with tags are found by them, and are among the timer's own."""
    for took, endpoint in ((1, "/a"), (2, "/b"), (4, "/a")):
        with timer.tagged(endpoint=endpoint, method="GET"):
            clock.now += took

    evidence = timer.evidence()
    selected = evidence.select((("endpoint", "/a"),))

    assert sorted(evidence.latency.ns) == [1, 2, 4]
    assert sorted(selected.latency.ns) == [1, 4]
    assert evidence.select((("endpoint", "/c"),)) is None


def test_reset_forgets(timer, clock):
    """After a reset there are no samples, and new ones count."""
    with timer:
        clock.now += 1
    timer.reset()
    assert len(timer) == 0
    with timer:
        clock.now += 2

    assert list(timer.samples.ns) == [2]


@pytest.mark.skipif(not are_waits_known(), reason="this kernel does not tell waits")
def test_waits_are_as_many_as_samples():
    """Where the kernel tells, each sample has its wait, never longer than itself."""
    timer = PerfTimer()

    def work():
        for _ in range(50):
            with timer:
                sum(range(500))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()

    samples = timer.samples
    assert len(samples.ns) == len(samples.waits_ns) == 200
    assert all(0 <= w <= d for d, w in zip(samples.ns, samples.waits_ns, strict=True))


@pytest.mark.skipif(not are_waits_known(), reason="this kernel does not tell waits")
def test_what_the_machine_did_is_known_without_collecting():
    """A plain loop of blocks is watched too, from its first block on."""
    timer = PerfTimer()
    assert timer.evidence().noise is None
    with timer:
        pass

    assert timer.evidence().noise.excused == 1.0


def test_judging_by_wall_reads_no_waits():
    """A policy that judges by wall saves the kernel's figures."""
    assert not PerfTimer(policy=Policy(by_wall=True)).takes_out_waits


@pytest.mark.parametrize(
    ("before", "after", "late_ns", "took_ns", "wait"),
    [
        (b"5 100 1", b"5 100 1", 0, 1_000, 0),
        (b"5 100 1", b"9 700 2", 500, 1_000, 600),
        (b"5 0 1", b"9 5000000 2", 500, 1_000, 1_000),
        (b"5 0 1", b"9 5000000 2", 5_000_100, 400_000, 0),
        (b"5 0 1", b"9 7000000 2", 5_000_000, 3_000_000, 2_000_000),
        (b"5 0 1", b"9 300000 2", 4_000_000, 400_000, 300_000),
    ],
)
def test_a_wait_after_the_call_is_not_the_calls(before, after, late_ns, took_ns, wait):
    """A processor lost between the end of the call and the reading is left out."""
    assert wait_of_call(before, after, late_ns, took_ns) == wait


def test_until_decided_needs_an_objective():
    """Without anything to decide, the call says where to write it."""
    with pytest.raises(UsageError) as refused:
        PerfTimer().until_decided()

    assert str(refused.value) == (
        "until_decided(): there is no objective to decide about. "
        "Write @pytest.mark.slo('p95 < 50ms'), or until_decided('p95 < 50ms')."
    )


def test_until_decided_needs_a_timed_body():
    """A loop whose body times nothing ends at once, with the missing line."""
    with pytest.raises(UsageError) as refused:
        list(PerfTimer().until_decided("p95 < 50ms"))

    assert str(refused.value) == (
        "until_decided(): the body of the loop timed nothing. "
        "Put the call into 'with perf_timer:' inside the loop."
    )


def test_until_decided_refuses_an_empty_budget():
    """A budget of no calls is refused."""
    with pytest.raises(UsageError) as refused:
        PerfTimer().until_decided("p95 < 50ms", max_calls=0)

    assert str(refused.value) == ("until_decided(max_calls=0): a budget of calls is at least 1.")


@pytest.mark.parametrize("most", [2.5, "9", True])
def test_until_decided_refuses_a_budget_that_is_no_number_of_calls(most):
    """Half a call cannot be made."""
    with pytest.raises(UsageError) as refused:
        PerfTimer().until_decided("p95 < 50ms", max_calls=most)

    assert str(refused.value) == (
        f"until_decided(max_calls={most!r}): it is not a whole number. Write max_calls=500."
    )
