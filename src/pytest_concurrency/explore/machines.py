"""A Hypothesis state machine as an object: its rules are operations, its invariants come last."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.operations import Made, Operation, Unmet

_INVARIANTS = "invariants"


def is_machine(factory: object) -> bool:
    """Tell whether something is a class of rule-based state machines."""
    stateful = sys.modules.get("hypothesis.stateful")
    return (
        stateful is not None
        and isinstance(factory, type)
        and issubclass(factory, stateful.RuleBasedStateMachine)
    )


class Machine:
    """A machine in the middle of a run, with what its rules have put into bundles."""

    def __init__(self, machine: Any) -> None:
        """Start a run."""
        self.machine = machine
        self.made: list[Any] = []

    def close(self) -> None:
        """End the run as Hypothesis does."""
        self.machine.teardown()


def machine_operations(kind: type) -> dict[str, Operation]:
    """Return the rules of a machine as operations that take a `Machine`."""
    from hypothesis import stateful

    found: dict[str, Operation] = {}
    invariants: list[Any] = []
    for name, function in inspect.getmembers(kind, callable):
        rule = getattr(function, stateful.RULE_MARKER, None)
        first = getattr(function, stateful.INITIALIZE_RULE_MARKER, None)
        invariant = getattr(function, stateful.INVARIANT_MARKER, None)
        if invariant is not None:
            invariants.append(invariant)
        elif rule is not None or first is not None:
            found[name] = _rule(name, rule or first, is_first=first is not None)
    if not any(each.turn is None for each in found.values()):
        msg = f"linearizable: {kind.__name__} has no rule to run. Decorate a method with @rule()."
        raise UsageError(msg)
    if invariants:
        found[_INVARIANTS] = Operation(name=_INVARIANTS, function=_checks(invariants), turn="last")
    return found


def _rule(name: str, rule: Any, *, is_first: bool) -> Operation:
    names = tuple(rule.arguments)

    def operate(run: Machine, *given: Any) -> Any:
        if not all(holds(run.machine) for holds in rule.preconditions):
            raise Unmet(name)
        values = [run.made[each.place] if isinstance(each, Made) else each for each in given]
        result = rule.function(run.machine, **dict(zip(names, values, strict=True)))
        if rule.targets:
            run.made.append(result)
        return result

    return Operation(
        name=name,
        arguments=tuple(rule.arguments.values()),
        function=operate,
        makes=tuple(rule.targets),
        turn="first" if is_first else None,
        is_conditional=bool(rule.preconditions),
    )


def _checks(invariants: list[Any]) -> Callable[[Machine], None]:
    def check(run: Machine) -> None:
        for invariant in invariants:
            if all(holds(run.machine) for holds in invariant.preconditions):
                invariant.function(run.machine)

    return check
