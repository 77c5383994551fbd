"""What the tests of concurrent editing share: who has which shift, and what is wished for."""

from __future__ import annotations

from sqlalchemy import select

from residency.store.models import Assignment

WHOLE = "the database's write lock"
"""What one waits for on SQLite, whatever one wants to write."""


def note_of(sessions, number=1):
    with sessions() as session:
        return session.get_one(Assignment, number).note


def owners(sessions):
    """Return who has which block: (block, person) pairs, and fail if anybody has one twice."""
    query = select(Assignment.block_id, Assignment.person_id)
    with sessions() as session:
        pairs = [tuple(row) for row in session.execute(query)]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def wish(scenario, taker):
    return {"assignment_id": scenario.assignment, "owner_id": scenario.owner, "taker_id": taker}
