"""Many callers at once: eight people book the last seat.

The check and the booking are two steps. Alone, each caller is right; together, all of them are.
"""

import time

import pytest

EXPECTED = "1 failed"


class SoldOut(Exception):
    """There is no seat left."""


class Flight:
    """A flight with one seat left and a booking that looks before it writes."""

    def __init__(self) -> None:
        self.passengers: list[str] = []

    def book(self, passenger: str) -> int:
        if self.passengers:
            raise SoldOut(passenger)
        time.sleep(0.001)  # the write takes a moment, as a real one does
        self.passengers.append(passenger)
        return len(self.passengers)


def test_one_seat_is_sold_once(concurrent_runner: pytest.FixtureRequest) -> None:
    flight = Flight()
    concurrent_runner(lambda worker: flight.book(worker.name), workers=8)
    assert flight.passengers == flight.passengers[:1]
