"""How statements, deadlocks, waits and timelines read."""

import pytest

from pytest_concurrency.db.deadlock import Deadlock
from pytest_concurrency.db.innodb import InnodbProbe, deadlock_numbers
from pytest_concurrency.db.place import Place
from pytest_concurrency.db.statement import Statement, sql_text
from pytest_concurrency.db.timeline import timeline
from pytest_concurrency.db.waits import Wait


def sent(number, session, sql, *, ended=None, rows=None, error=None, values=None, waits=()):
    return Statement(
        number=number, session=session, sql=sql, parameters=(),
        place=Place(path="/app/transfer.py", line=10 + number, function="move"),
        started_ns=number * 1_000_000, ended_ns=ended, rows=rows, error=error, values=values,
        waits=list(waits),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "parameters", "width", "text"),
    [
        ("SELECT 1", (), 60, "SELECT 1"),
        ("SELECT  a\n FROM t", (), 60, "SELECT a FROM t"),
        ("SELECT a FROM t WHERE b = ?", ("x",), 60, "SELECT a FROM t WHERE b = 'x'"),
        ("SELECT a FROM t WHERE b = %s", (None,), 60, "SELECT a FROM t WHERE b = NULL"),
        ("UPDATE t SET a=%(a)s::VARCHAR", {"a": "x"}, 60, "UPDATE t SET a='x'"),
        ("UPDATE t SET a=$1::INTEGER, b=$2", (1, 2), 60, "UPDATE t SET a=1, b=2"),
        ("UPDATE t SET a=:a, b=b::text", {"a": 1}, 60, "UPDATE t SET a=1, b=b::text"),
        ("INSERT INTO t VALUES (?)", [(1,), (2,)], 60, "INSERT INTO t VALUES (1)  x 2"),
        ("SELECT ?", ("x" * 99,), 60, "SELECT 'xxxxxxxxxxxxxxxxxxx...'"),
        ("SELECT ?", (b"abc",), 60, "SELECT <3 bytes>"),
        ("SELECT aaaaaaaa, bbbbbbbb FROM t WHERE c = 1", (), 30, "SELECT ... FROM t WHERE c = 1"),
        ("DELETE FROM t WHERE aaaaaaaaaaaaaaa = 1", (), 20, "DELETE FROM t WH ..."),
    ],
)
def test_statement_reads_on_one_line(sql, parameters, width, text):
    """Values are filled in; what is too long loses its middle."""
    assert sql_text(sql, parameters, width=width) == text


def test_deadlock_shows_the_circle():
    """Who holds what and wants what, and what removes it."""
    found = Deadlock(
        cycle=("ann", "bob"),
        wants=("row account(id=2)", "row account(id=1)"),
        statements=(
            sent(2, "ann", "UPDATE account SET balance = 1 WHERE id = 2"),
            sent(3, "bob", "UPDATE account SET balance = 1 WHERE id = 1"),
        ),
    )

    assert (
        str(found)
        == """\
Deadlock among 2 sessions:

  ann  holds  row account(id=1)
       wants  row account(id=2)   UPDATE account SET balance = 1 WHERE id = 2  at transfer.py:12
  bob  holds  row account(id=2)
       wants  row account(id=1)   UPDATE account SET balance = 1 WHERE id = 1  at transfer.py:13

Taking the locks in one order (for example by primary key) removes it."""
    )


def test_timeline_shows_waits_where_they_end():
    """A statement that waited is shown where it began and where it went on."""
    wait = Wait(blocked_by=("ann",), lock="row account(id=1)")
    text = timeline(
        [
            sent(1, "ann", "SELECT balance FROM account", ended=1_500_000, values=[(10,)]),
            sent(2, "bob", "SELECT balance FROM account", ended=4_500_000, rows=1, waits=[wait]),
            sent(3, "connection 9", "SELECT 1", ended=3_500_000),
            sent(4, "ann", "COMMIT", ended=4_200_000),
            sent(5, "bob", "SELECT nothing", ended=5_200_000, error="Error: no such column"),
        ],
        ("ann", "bob"),
    )

    assert (
        text
        == """\
  ann                                            bob
1 SELECT balance FROM account
  -> 10
2                                                SELECT balance FROM account
                                                 ... waits for ann: row account(id=1)
3 COMMIT
4                                                goes on after 2.5 ms
                                                 -> 1 row
5                                                SELECT nothing
                                                 !! Error: no such column"""
    )


def test_timeline_of_many_sessions_is_a_list():
    """Where columns do not fit, each line names its session."""
    names = tuple(f"worker-{number}" for number in range(5))
    text = timeline([sent(n, name, "COMMIT", ended=n * 1_000_000 + 1) for n, name in
                     enumerate(names, 1)], names)  # fmt: skip

    assert text.splitlines() == [f"{n} {name}  COMMIT" for n, name in enumerate(names, 1)]


def test_timeline_of_many_statements_is_cut():
    """The last sixty are shown; how many are not is said."""
    text = timeline(
        [sent(n, "ann", "COMMIT", ended=n * 1_000_000 + 1) for n in range(70)], ("ann",)
    )

    assert text.splitlines()[1] == "(10 earlier statements left out)"
    assert len(text.splitlines()) == 62


STATUS = """
------------------------
LATEST DETECTED DEADLOCK
------------------------
*** (1) TRANSACTION:
MariaDB thread id 7, OS thread handle 1, query id 1 localhost root Updating
*** (2) TRANSACTION:
MariaDB thread id 9, OS thread handle 1, query id 1 localhost root Updating
------------
TRANSACTIONS
------------
LIST OF TRANSACTIONS FOR EACH SESSION:
---TRANSACTION 30, ACTIVE 3 sec starting index read
LOCK WAIT 2 lock struct(s), heap size 1128, 1 row lock(s)
MariaDB thread id 9, OS thread handle 1, query id 22 localhost root Updating
------- TRX HAS BEEN WAITING 3 us FOR THIS LOCK TO BE GRANTED:
RECORD LOCKS space id 5 page no 3 n bits 8 index `{index}` of table `d`.`account` trx id 30
Record lock, heap no 2 PHYSICAL RECORD: n_fields 5
 0: len 4; hex 80000001; asc     ;;
---TRANSACTION 29, ACTIVE 3 sec
MariaDB thread id 7, OS thread handle 1, query id 21 localhost root
---TRANSACTION 28, not started
MariaDB thread id 5, OS thread handle 1, query id 20 localhost root
--------
FILE I/O
"""


class Told:
    """A control connection that answers with a status."""

    def __init__(self, status):
        self.status = status

    def exec_driver_sql(self, _query, *_parameters):
        return self

    def one(self):
        return (None, None, self.status)


@pytest.mark.parametrize(
    ("index", "lock"),
    [("PRIMARY", "row account(1)"), ("by_owner", "row of account (index by_owner)")],
)
def test_innodb_status_is_understood(index, lock):
    """The status names the waiter, the one who can block it, and the row."""
    control = Told(STATUS.format(index=index))

    assert InnodbProbe().blockers(control, 9) == (7,)
    assert InnodbProbe().lock(control, 9) == lock
    assert deadlock_numbers(control) == (7, 9)
