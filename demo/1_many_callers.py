"""Many callers at once: eight people book the last seat.

The check and the booking are two steps. Alone, each caller is right; together, all of them are.
"""

import time

EXPECTED = "1 failed"


class SoldOut(Exception):
    """There is no seat left."""


class Flight:
    """A flight with one seat left and a booking that looks before it writes."""

    def __init__(self):
        self.seats = 1

    def book(self):
        if not self.seats:
            raise SoldOut
        time.sleep(0.001)  # the write takes a moment, as a real one does
        self.seats -= 1
        return "booked"


def test_one_seat_is_sold_once(concurrent_runner):
    outcome = concurrent_runner(Flight().book, workers=8)
    outcome.assert_one_succeeds()
