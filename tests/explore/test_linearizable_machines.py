"""State machines of Hypothesis, their rules run by several workers."""

from __future__ import annotations

import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.linearizable import linearizable
from pytest_concurrency.explore.trial import NotLinearizable


class Bank:
    def __init__(self):
        self.balances = {}

    def open(self, name):
        self.balances[name] = 3
        return name

    def withdraw(self, name, amount):
        if self.balances[name] < amount:
            return False
        self.balances[name] = self.balances[name] - amount
        return True

    def close(self, name):
        return self.balances.pop(name)


class LockedBank(Bank):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def open(self, name):
        with self.lock:
            return super().open(name)

    def withdraw(self, name, amount):
        with self.lock:
            return super().withdraw(name, amount)

    def close(self, name):
        with self.lock:
            return super().close(name)


class BankMachine(RuleBasedStateMachine):
    kind = Bank
    accounts = Bundle("accounts")

    def __init__(self):
        super().__init__()
        self.bank = self.kind()

    @rule(target=accounts, name=st.sampled_from("ab"))
    def open(self, name):
        return self.bank.open(name)

    @rule(account=accounts, amount=st.integers(1, 3))
    def withdraw(self, account, amount):
        return self.bank.withdraw(account, amount)

    @invariant()
    def never_negative(self):
        assert all(balance >= 0 for balance in self.bank.balances.values())


class LockedBankMachine(BankMachine):
    kind = LockedBank


class ClosingMachine(LockedBankMachine):
    torn_down = 0

    @rule(account=consumes(BankMachine.accounts))
    def close(self, account):
        return self.bank.close(account)

    def teardown(self):
        type(self).torn_down += 1


class StackMachine(RuleBasedStateMachine):
    """Its precondition may not hold any more when another worker has popped."""

    def __init__(self):
        super().__init__()
        self.items = []

    @initialize(size=st.integers(0, 2))
    def fill(self, size):
        self.items = [0] * size

    @rule(item=st.integers(0, 1))
    def push(self, item):
        self.items.append(item)

    @precondition(lambda self: self.items)
    @rule()
    def pop(self):
        return self.items.pop()


class TornStackMachine(StackMachine):
    @rule(item=st.integers(0, 1))
    def push(self, item):
        self.items = [*self.items, item]


def test_machine_with_a_race_is_caught():
    """Rules are operations; what the machine alone would not answer is a failure."""
    with pytest.raises(NotLinearizable, match="BankMachine is not linearizable"):
        linearizable(BankMachine, examples=100)


def test_machine_without_a_race_passes():
    """A machine whose object is locked is never accused."""
    assert linearizable(LockedBankMachine, examples=15).programs > 3


def test_machine_is_torn_down_each_time():
    """Bundles can be consumed, and the teardown of each machine runs."""
    found = linearizable(ClosingMachine, examples=10)

    assert ClosingMachine.torn_down >= found.schedules


def test_machine_with_preconditions_is_never_asked_too_much():
    """Only programs whose preconditions hold in each order are run."""
    assert linearizable(StackMachine, examples=20).programs > 3


def test_machine_with_preconditions_is_caught():
    """A lost push is found beside a precondition."""
    with pytest.raises(NotLinearizable):
        linearizable(TornStackMachine, examples=100)


def test_machine_invariant_is_checked_at_the_end():
    """An invariant that only workers together can break is an answer that nobody explains."""

    class Doubled(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.bank = Bank()
            self.bank.open("a")

        @rule()
        def withdraw(self):
            self.bank.withdraw("a", 2)

        @invariant()
        def paid_once(self):
            assert self.bank.balances["a"] in {1, 3}

        @rule()
        def spend(self):
            if self.bank.balances["a"] == 3:
                self.bank.balances["a"] -= 2

    with pytest.raises(NotLinearizable, match="invariants"):
        linearizable(Doubled, examples=200, preemptions=3)


def test_machine_without_rules_is_refused():
    """There is nothing to run."""

    class Empty(RuleBasedStateMachine):
        pass

    with pytest.raises(UsageError) as caught:
        linearizable(Empty)

    assert str(caught.value) == (
        "linearizable: Empty has no rule to run. Decorate a method with @rule()."
    )
