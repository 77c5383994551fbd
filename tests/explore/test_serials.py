"""An object has one number for one play, whatever lived where it lives now."""

from pytest_concurrency.explore.serials import Serials


class Thing:
    def __init__(self):
        self.play = None
        self.number = 0


def test_object_keeps_its_number_for_one_play():
    """In the next it is given another one when it is used."""
    one, other, play, later = Thing(), Thing(), Serials(), Serials()

    given = [play.of(one), play.of(other), play.of(one)]

    assert given == [1, 2, 1]
    assert [later.of(other), later.of(one)] == [1, 2]


def test_objects_that_follow_each_other_have_numbers_of_their_own():
    """The ids of objects that are gone come again, and the numbers do not."""
    play = Serials()

    assert [play.of(Thing()) for _ in range(5)] == [1, 2, 3, 4, 5]
