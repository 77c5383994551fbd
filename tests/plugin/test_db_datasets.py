"""Datasets above the first test, with their rows where these are known."""

from __future__ import annotations

import pytest
import sqlalchemy.orm  # noqa: F401 - inner sessions forget what they import first

CONFTEST = """
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from pytest_concurrency.db import dataset, rows

class Base(DeclarativeBase):
    pass

class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]

@pytest.fixture(scope="session")
def database_schema():
    return Base.metadata
"""
TESTS = """
from conftest import Account
from pytest_concurrency.db import dataset, rows

many = dataset("many", rows(Account, 1_200), rows(Account, 500))

@dataset
def three(session):
    rows(Account, 3)(session)

def test_plain():
    pass

def test_three(large_dataset):
    large_dataset(three)
"""
CACHE = ("-p", "cacheprovider")


def above(ran):
    """The lines on datasets."""
    lines = ran.text.splitlines()
    return [line for line in lines if line.startswith(("dataset ", "and "))]


def test_datasets_are_told_with_their_rows(suite):
    """Rows that are declared are known; what a function fills is known once it did."""
    first = suite(TESTS, *CACHE, conftest=CONFTEST)
    second = suite(TESTS, *CACHE, conftest=CONFTEST)

    assert first.outcomes == second.outcomes == {"passed": 2}
    assert above(first) == ["dataset many: account 1,700", "dataset three: built on first use"]
    assert above(second) == [
        "dataset many: account 1,700",
        "dataset three: account 3 (when last built)",
    ]
    collected = second.text.index("collected 2 items")
    assert collected < second.text.index("dataset many") < second.text.index("test_it.py ")


@pytest.mark.parametrize("more", [("-q",), ("--no-header",), ("-k", "plain")])
def test_nothing_is_told_where_nobody_asked(suite, more):
    """Neither in a quiet session nor where no test has a database."""
    assert above(suite(TESTS, *more, conftest=CONFTEST)) == []


def test_many_datasets_and_tables_are_cut(suite):
    """Ten lines, each of a terminal's width."""
    ran = suite(
        """
        from conftest import Base
        from pytest_concurrency.db import dataset, rows
        from sqlalchemy.orm import Mapped, mapped_column

        for number in range(14):
            globals()[f"data_{number}"] = dataset(f"{number:02}")

        classes = [
            type(f"Kind{n}", (Base,), {
                "__tablename__": f"a_table_of_a_kind_{n}",
                "__annotations__": {"id": Mapped[int]},
                "id": mapped_column(primary_key=True),
            })
            for n in range(5)
        ]
        wide = dataset("00 wide", *[rows(one, 10) for one in classes])

        def test_any(database):
            pass
        """,
        conftest=CONFTEST,
    )

    assert ran.outcomes == {"passed": 1}
    assert above(ran) == [
        "dataset 00: no rows",
        (
            "dataset 00 wide: a_table_of_a_kind_0 10, a_table_of_a_kind_1 10, "
            "a_table_of_a_kind_2 10, a_table ..."
        ),
        *[f"dataset {number:02}: no rows" for number in range(1, 9)],
        "and 5 more datasets",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "large_dataset('many')",
            (
                "large_dataset: 'many' is no dataset. "
                "Declare one: clinic = dataset('clinic', rows(...))."
            ),
        ),
        (
            "large_dataset(Account)",
            (
                "large_dataset: <class 'conftest.Account'> is no dataset. "
                "Declare one: clinic = dataset('clinic', rows(...))."
            ),
        ),
    ],
)
def test_what_is_no_dataset_is_refused(suite, body, message):
    """Before a server is asked for it."""
    ran = suite(
        f"""
        from conftest import Account

        def test_it(large_dataset):
            {body}
        """,
        conftest=CONFTEST,
    )

    assert ran.outcomes == {"failed": 1}
    assert f"E       pytest_concurrency.UsageError: {message}" in ran.text


def test_fixture_that_returns_no_dataset_is_refused(suite):
    """`database_dataset` is named."""
    ran = suite(
        "def test_it(database):\n    pass\n",
        conftest=CONFTEST
        + "@pytest.fixture(scope='session')\ndef database_dataset():\n    return rows(Account, 3)\n",
    )

    assert ran.outcomes == {"errors": 1}
    assert (
        "UsageError: database_dataset: Rows(table=Ta...{}, base=None) is no dataset. " in ran.text
    )
