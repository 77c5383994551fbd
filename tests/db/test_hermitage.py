"""The ten anomalies of the Hermitage suite, scripted with sessions and steps.

What PostgreSQL does at each level is compared with the matrix that Hermitage publishes for it. It
checks our scripting as much as the database: a step reported as done that really waits, or the
other way round, changes a cell.
"""

import pytest
from sqlalchemy import text

from pytest_concurrency.db import separate_sessions

LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

# What each level prevents. PostgreSQL runs READ UNCOMMITTED as READ COMMITTED.
PUBLISHED = {
    "READ UNCOMMITTED": {"G0", "G1a", "G1b", "G1c", "OTV"},
    "READ COMMITTED": {"G0", "G1a", "G1b", "G1c", "OTV"},
    "REPEATABLE READ": {"G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single"},
    "SERIALIZABLE": {
        "G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single", "G2-item", "G2",
    },
}  # fmt: skip


def build(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER)"))
        connection.execute(text("INSERT INTO test VALUES (1, 10), (2, 20)"))


def put(session, number, value):
    change = text("UPDATE test SET value = :value WHERE id = :id")
    return session.start(change, {"value": value, "id": number})


def see(session, number):
    return session.start("SELECT value FROM test WHERE id = :id", {"id": number}).result()[0][0]


def rows(session):
    return [tuple(row) for row in session.start("SELECT id, value FROM test ORDER BY id").result()]


def refused(*steps):
    """Whether any of the steps failed; a refusal prevents the anomaly."""
    return any(step.state == "failed" for step in steps)


def write_cycle(one, two, _three):
    put(one, 1, 11)
    put(two, 1, 12)
    put(one, 2, 21)
    one.commit()
    last = put(two, 2, 22)
    if not refused(last, two.start(two.commit)):
        return len({value % 10 for _, value in rows(one)}) == 2
    return False


def aborted_read(one, two, _three):
    put(one, 1, 101)
    before = see(two, 1)
    one.rollback()
    return 101 in {before, see(two, 1)}


def intermediate_read(one, two, _three):
    put(one, 1, 101)
    seen = see(two, 1)
    put(one, 1, 11)
    one.commit()
    return 101 in {seen, see(two, 1)}


def circular_flow(one, two, _three):
    put(one, 1, 11)
    put(two, 2, 22)
    return (see(one, 2), see(two, 1)) == (22, 11)


def observed_vanishes(one, two, three):
    put(one, 1, 11)
    put(one, 2, 19)
    waiting = put(two, 1, 12)
    one.commit()
    first = see(three, 1)
    if refused(waiting):
        return False
    put(two, 2, 18)
    second = see(three, 2)
    two.commit()
    return (first, second) == (11, 18) or (see(three, 2) != second != 20 and first == 12)


def predicate_many_preceders(one, two, _three):
    query = "SELECT count(*) FROM test WHERE value = 30"
    before = one.start(query).result()
    two.start("INSERT INTO test VALUES (3, 30)")
    two.commit()
    return one.start(query).result() != before


def lost_update(one, two, _three):
    see(one, 1), see(two, 1)
    put(one, 1, 11)
    second = put(two, 1, 11)
    one.commit()
    return not refused(second, two.start(two.commit))


def read_skew(one, two, _three):
    first = see(one, 1)
    see(two, 1), see(two, 2)
    put(two, 1, 12), put(two, 2, 18)
    two.commit()
    return (first, see(one, 2)) == (10, 18)


def write_skew(one, two, _three):
    rows(one), rows(two)
    steps = [put(one, 1, 11), put(two, 2, 21)]
    steps += [one.start(one.commit), two.start(two.commit)]
    return not refused(*steps)


def anti_dependency(one, two, _three):
    query = "SELECT count(*) FROM test WHERE value % 3 = 0"
    one.start(query), two.start(query)
    steps = [
        one.start("INSERT INTO test VALUES (3, 30)"),
        two.start("INSERT INTO test VALUES (4, 42)"),
    ]
    steps += [one.start(one.commit), two.start(two.commit)]
    return not refused(*steps)


ANOMALIES = {
    "G0": write_cycle,
    "G1a": aborted_read,
    "G1b": intermediate_read,
    "G1c": circular_flow,
    "OTV": observed_vanishes,
    "PMP": predicate_many_preceders,
    "P4": lost_update,
    "G-single": read_skew,
    "G2-item": write_skew,
    "G2": anti_dependency,
}


@pytest.mark.parametrize("level", LEVELS)
def test_postgres_prevents_what_is_published(on, level):
    """Each of the ten anomalies happens, or does not, as Hermitage says of PostgreSQL."""
    prevented = set()
    engine = on("postgres", build, "hermitage").engine(isolation_level=level)
    with separate_sessions(3, engine=engine) as sessions:
        for name, happens in ANOMALIES.items():
            if not happens(*sessions):
                prevented.add(name)
            for session in sessions:
                session.rollback()
            with engine.begin() as connection:
                connection.execute(text("DELETE FROM test"))
                connection.execute(text("INSERT INTO test VALUES (1, 10), (2, 20)"))

    assert prevented == PUBLISHED[level]
