"""The kernel's figure is read where it can have changed, and nowhere else."""

from __future__ import annotations

from array import array

import pytest

from pytest_concurrency.slo import waits
from pytest_concurrency.slo.noise import are_waits_known

pytestmark = pytest.mark.skipif(not are_waits_known(), reason="this kernel does not tell waits")


class Kernel:
    """A kernel whose figures the test sets, and that counts how often it is asked."""

    fd = 3

    def __init__(self) -> None:
        self.waited_ns, self.switches, self.lines_read = 0, 0, 0

    def usage(self, _: int) -> tuple[int, ...]:
        return (0,) * 14 + (self.switches, 0)

    def line(self, *_: int) -> bytes:
        self.lines_read += 1
        return b"5 %d 1" % self.waited_ns

    def switch(self, waited_ns: int) -> None:
        self.switches += 1
        self.waited_ns += waited_ns


@pytest.fixture
def kernel(monkeypatch):
    """Return a kernel that the waits are read from."""
    kernel = Kernel()
    monkeypatch.setattr(waits, "pread", kernel.line)
    return kernel


@pytest.fixture
def timed(kernel, clock):
    """Return what times one call, in which the thread loses its processor or does not."""
    found = array("q")
    watch = waits.Waits(kernel, found)
    watch._usage = kernel.usage

    def call(took_ns: int, *, waited_ns: int | None = None, pause_ns: int = 0) -> int:
        clock.now += pause_ns
        started_ns = watch.begin()
        if waited_ns is not None:
            kernel.switch(waited_ns)
        clock.now += took_ns
        watch.end(clock.now, started_ns)
        return found[-1]

    return call


def test_thread_that_kept_its_processor_has_not_waited(timed, kernel):
    """Calls without a switch wait for nothing, and the figure is read once for all of them."""
    assert [timed(1_000) for _ in range(10)] == [0] * 10
    assert kernel.lines_read == 1


def test_wait_within_a_call_is_its_own(timed):
    """A switch within a call brings its wait, and the next call has none of it."""
    waited = [timed(90_000), timed(90_000, waited_ns=40_000), timed(90_000)]
    assert waited == [0, 40_000, 0]


def test_wait_between_calls_is_nobodys(timed, kernel):
    """What was waited between two calls is known before the second begins."""
    timed(1_000)
    kernel.switch(50_000_000)
    assert timed(90_000, pause_ns=60_000_000) == 0
    assert timed(90_000, waited_ns=30_000) == 30_000


def test_switch_without_a_wait_is_none(timed):
    """Giving the processor up, as a sleep does, is not waiting for one."""
    assert timed(5_000_000, waited_ns=0) == 0


def test_long_pause_without_a_switch_reads_nothing(timed, kernel):
    """However long ago the last call was, no switch means no wait."""
    timed(1_000)
    assert timed(1_000, pause_ns=10_000_000_000) == 0
    assert kernel.lines_read == 1
