"""Claims about all calls together, and the texts of those that do not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.run.call import Call
from pytest_concurrency.run.tally import aligned, count, one_line, repr_of, tally_rows, workers_text

if TYPE_CHECKING:
    from pytest_concurrency.run.outcome import Outcome

MOST_ROWS = 8


def counted(values: Iterable[Any]) -> Counter[Hashable]:
    """Count equal values, those that cannot be hashed under the ``repr`` of their first."""
    names: dict[Hashable, Hashable] = {}
    tally: Counter[Hashable] = Counter()
    for value in values:
        frozen = _frozen(value)
        tally[names.setdefault(frozen, _name(value))] += 1
    return tally


def _name(value: object) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _frozen(value: object) -> Hashable:
    """Return something hashable, which is equal for equal containers however they are ordered."""
    if isinstance(value, dict):
        return dict, frozenset((key, _frozen(part)) for key, part in value.items())
    if isinstance(value, (set, frozenset)):
        return set, frozenset(value)
    if isinstance(value, (list, tuple)):
        return list if isinstance(value, list) else tuple, tuple(map(_frozen, value))
    return _name(value)


def refuse_winners(outcome: Outcome[Any], winners: Sequence[Call]) -> NoReturn:
    """Tell who succeeded where one only should have."""
    __tracebackhide__ = True
    total = count(len(outcome) + outcome.unfinished, "call")
    failed = [call for call in outcome.calls if call.error is not None]
    lines = [f"One call should succeed; {len(winners) or 'none'} of {total} did:"]
    groups = _grouped(winners, None)
    rows = [
        (f"returned {one_line(repr_of(value))}", workers_text(call.worker for call in calls))
        for value, calls in groups[:MOST_ROWS]
    ]
    lines += [f"  {line}" for line in aligned(rows, counts=False)]
    if len(groups) > MOST_ROWS:
        lines.append(f"  and {len(groups) - MOST_ROWS:,} more")
    if failed:
        lines += ["The others raised:" if winners else "They raised:", *tally_rows(failed, None)]
    if outcome.unfinished:
        lines.append(f"{count(outcome.unfinished, 'call')} did not end.")
    raise BrokenPromise("\n".join(lines))


def check_complete(outcome: Outcome[Any]) -> None:
    """Refuse to claim anything of all calls where some did not end."""
    __tracebackhide__ = True
    if outcome.unfinished:
        total = count(len(outcome) + outcome.unfinished, "call")
        msg = f"{outcome.unfinished:,} of {total} did not end, so nothing can be claimed of all."
        raise BrokenPromise(msg)


def check_all_equal(calls: Sequence[Call], key: Callable[[Any], Any] | None) -> None:
    """Compare all values with each other."""
    __tracebackhide__ = True
    groups = _grouped(calls, key)
    if len(groups) > 1:
        what = "values" if key is None else "keys of the values"
        lines = [f"All {what} should be equal; there are {len(groups):,} different ones:"]
        raise BrokenPromise("\n".join([*lines, *_group_rows(groups)]))


def check_no_duplicates(calls: Sequence[Call], key: Callable[[Any], Any] | None) -> None:
    """Look for values that came twice."""
    __tracebackhide__ = True
    twice = [group for group in _grouped(calls, key) if len(group[1]) > 1]
    if twice:
        what = "value" if key is None else "key of a value"
        lines = [f"No {what} should come twice; {len(twice):,} did:"]
        raise BrokenPromise("\n".join([*lines, *_group_rows(twice)]))


def _grouped(
    calls: Sequence[Call], key: Callable[[Any], Any] | None
) -> list[tuple[Any, list[Call]]]:
    groups: dict[Hashable, tuple[Any, list[Call]]] = {}
    for call in calls:
        value = call.value if key is None else key(call.value)
        groups.setdefault(_frozen(value), (value, []))[1].append(call)
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def _group_rows(groups: Sequence[tuple[Any, list[Call]]]) -> list[str]:
    rows = [
        (f"{len(calls)} x", one_line(repr_of(value)), workers_text(call.worker for call in calls))
        for value, calls in groups[:MOST_ROWS]
    ]
    rest = len(groups) - len(rows)
    return [*(f"  {line}" for line in aligned(rows)), *([f"  and {rest:,} more"] if rest else [])]
