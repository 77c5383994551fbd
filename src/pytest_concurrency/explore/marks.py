"""What steps touch, in numbers: read once for all steps of a search that touch the same.

Each schedule of a search is gone through twice, for its class and for its conflicts. Resources are
nested tuples, and hashing one takes longer than all else that is done with it; numbers are their
own hash.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, TypeAlias, final

from pytest_concurrency.explore.program import Touch

Mark: TypeAlias = tuple[int, bool, int, int | None, int | None, bool]
"""One touch: the resource; whether it is written; the resource that touches of another width are
found under; for an item, the resource that its touch is kept under besides; for a worker whose end
is waited for, which; whether the resource comes in one order only.
"""

_ORDERED: Final = frozenset({"worker", "wake"})
"""Resources that come in one order only: who waits for the other's end, or to be woken by it,
cannot come first.
"""

EVERYTHING: Final = 0
"""The number of the resource ``"*"``."""

_KEYED: Final = 3
_MOST: Final = 50_000


def whole(resource: Hashable) -> Hashable:
    """Return what an item is an item of, and other resources as they are.

    A resource ``(owner, name, key)`` is one item of ``(owner, name)``.
    """
    return resource[:2] if type(resource) is tuple and len(resource) == _KEYED else resource


@final
class Marks:
    """Numbers for resources, equal for equal ones until `trim` is called."""

    def __init__(self) -> None:
        """Know of none."""
        self._numbers: dict[Hashable, int] = {"*": EVERYTHING}
        self._known: dict[tuple[Touch, ...], tuple[Mark, ...]] = {}

    @property
    def count(self) -> int:
        """One more than the highest number."""
        return len(self._numbers)

    def trim(self) -> None:
        """Forget all numbers when they have become many: no trace may be gone through just now."""
        if len(self._known) > _MOST:
            self._known.clear()
            self._numbers = {"*": EVERYTHING}

    def of(self, touches: tuple[Touch, ...]) -> tuple[Mark, ...]:
        """Return the marks of a step."""
        found = self._known.get(touches)
        if found is None:
            found = self._known[touches] = tuple(map(self._mark, touches))
        return found

    def all(self, touched: Sequence[tuple[Touch, ...]]) -> list[tuple[Mark, ...]]:
        """Return the marks of each step of a trace."""
        of, known = self.of, self._known
        return [known.get(touches) or of(touches) for touches in touched]

    def _number(self, resource: Hashable) -> int:
        return self._numbers.setdefault(resource, len(self._numbers))

    def _mark(self, touch: Touch) -> Mark:
        resource, write = touch
        number = self._number(resource)
        if type(resource) is tuple and len(resource) == _KEYED:
            wide = resource[:2]
            part = self._number((wide, "any"))
            return number, write, self._number(wide), part, None, resource[0] in _ORDERED
        joined, is_ordered = None, type(resource) is tuple and resource[0] in _ORDERED
        if type(resource) is tuple and resource[0] == "worker" and not write:
            joined = resource[1]
        return number, write, self._number((resource, "any")), None, joined, is_ordered
