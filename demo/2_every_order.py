"""A race, found and explained: two workers count, and one count is lost.

Nobody hopes for the race to show up: the plugin runs the body in every order that matters, fewest
switches first, and draws the first order that breaks it. The command it prints replays that order.
"""

EXPECTED = "1 failed"


class Counter:
    """A counter that reads, adds, and writes."""

    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        self.value = value + 1


def test_every_count_counts(interleave):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)
        assert counter.value == 2
