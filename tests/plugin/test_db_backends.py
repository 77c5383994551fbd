"""Where a test's database is: the option and the marker, and what is refused."""

from __future__ import annotations

import pytest
import sqlalchemy.orm  # noqa: F401 - inner sessions forget what they import first

ASKS = """
import pytest

@pytest.mark.backends({names})
def test_asks(database_engine):
    print("ON", database_engine.dialect.name, database_engine.url)
"""
PLAIN = "def test_asks(database_engine):\n    print('ON', database_engine.dialect.name)\n"


def test_a_test_runs_on_every_back_end_of_its_marker(suite):
    """One test for each, named after it."""
    ran = suite(ASKS.format(names="'sqlite', 'memory', 'postgres'"), "-v")

    assert ran.outcomes == {"passed": 3}
    for name in ("sqlite", "memory", "postgres"):
        assert f"test_it.py::test_asks[{name}] PASSED" in ran.text


def test_name_of_a_test_shows_no_password(suite):
    """A URL gives its dialect."""
    ran = suite(ASKS.format(names="'mariadb+pymysql://root:secret@h/x'"), "--collect-only", "-q")

    assert ran.text.splitlines()[0] == "test_it.py::test_asks[mariadb]"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "",
            (
                "@pytest.mark.backends(): name the back ends. "
                "Write @pytest.mark.backends('sqlite', 'postgres')."
            ),
        ),
        (
            "'postgrse'",
            (
                "@pytest.mark.backends('postgrse'): 'postgrse' is no back end: "
                "sqlite, memory, postgres and URLs are. Write 'postgres'."
            ),
        ),
        (
            "7",
            (
                "@pytest.mark.backends(7): 7 is no back end: "
                "sqlite, memory, postgres and URLs are. Write 'sqlite'."
            ),
        ),
    ],
)
def test_back_ends_that_are_none_are_refused(suite, names, message):
    """Before any test runs."""
    ran = suite(ASKS.format(names=names))

    assert ran.message.partition(": ")[2] == message


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            "@pytest.mark.backends('sqlite')\ndef test_it():\n    pass",
            "the test asks for no database. Give it database_engine or separate_sessions.",
        ),
        (
            (
                "pytestmark = pytest.mark.backends('sqlite')\n"
                "@pytest.fixture\ndef database_engine():\n    return 1\n"
                "def test_it(database_engine):\n    pass"
            ),
            (
                "its database_engine is on a database of its own. Let the fixture use database: "
                "def database_engine(database): return database.engine()."
            ),
        ),
    ],
)
def test_back_ends_of_a_test_without_database_are_refused(suite, test, message):
    """They would change nothing."""
    ran = suite(f"import pytest\n{test}\n")

    assert ran.message == f"test_it.py::test_it: @pytest.mark.backends('sqlite'): {message}"


def test_back_ends_of_a_module_leave_the_others_alone(suite):
    """A test of the module that asks for no database runs once."""
    module = "import pytest\npytestmark = pytest.mark.backends('sqlite', 'memory')\n"
    ran = suite(module + PLAIN + "def test_plain():\n    pass\n", "-v")

    assert ran.outcomes == {"passed": 3}
    assert "test_it.py::test_plain PASSED" in ran.text


WRITTEN = "concurrency_backends = sqlite memory\n"


def test_project_names_its_back_ends_once(suite):
    """Every test that asks for a database runs on them; one that is marked on its own."""
    ran = suite(ASKS.format(names="'memory'") + PLAIN.replace("asks", "both"), "-v", ini=WRITTEN)

    assert ran.outcomes == {"passed": 3}
    for name in ("asks[memory]", "both[sqlite]", "both[memory]"):
        assert f"test_it.py::test_{name} PASSED" in ran.text


LIST, TEXT = "['sqlite', 'memory']", "'sqlite, memory'"
TABLES = [("tool.pytest.ini_options", TEXT)]
if pytest.version_tuple >= (9, 0):
    TABLES += [("tool.pytest", TEXT), ("tool.pytest", LIST)]


@pytest.mark.parametrize(("table", "names"), TABLES)
def test_names_of_a_toml_file_are_a_list_or_text(suite, pytester, table, names):
    """Though pytest gives out text alone for a key that may be text."""
    pytester.makepyprojecttoml(f"[{table}]\nconcurrency_backends = {names}\n")

    assert suite(PLAIN).outcomes == {"passed": 2}


def test_typed_back_end_goes_before_written_ones(suite):
    """Who types one wants that one."""
    assert suite(PLAIN, "--concurrency-db=memory", ini=WRITTEN).outcomes == {"passed": 1}
    ran = suite(PLAIN, "--concurrency-backends=memory,sqlite", ini=WRITTEN)
    assert ran.outcomes == {"passed": 2}


def test_written_back_ends_that_are_none_are_refused(suite):
    """Before any test runs, the near one named."""
    ran = suite(PLAIN, ini="concurrency_backends = sqlite memry\n")

    assert ran.message == (
        "concurrency_backends: 'memry' is no database. 'sqlite', 'memory', 'postgres' and URLs "
        "such as 'mariadb+pymysql://user@host' are. Write concurrency_backends=memory."
    )


@pytest.mark.parametrize("value", ["sqlite", "memory", "postgres"])
def test_option_chooses(suite, value):
    """Each name leads to a database."""
    ran = suite(PLAIN, f"--concurrency-db={value}", "-rP")

    assert ran.outcomes == {"passed": 1}
    assert f"ON {'postgresql' if value == 'postgres' else 'sqlite'}" in ran.text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "postgrse",
            (
                "--concurrency-db: 'postgrse' is no database. 'sqlite', 'memory', 'postgres' and URLs "
                "such as 'mariadb+pymysql://user@host' are. Write --concurrency-db=postgres."
            ),
        ),
        (
            "sqlite://",
            (
                "--concurrency-db: 'sqlite://' is a database of one connection: workers would share "
                "it, lose writes, and can crash Python. Write --concurrency-db=memory."
            ),
        ),
        (
            "://x",
            (
                "--concurrency-db: '://x' is no SQLAlchemy URL. "
                "Write --concurrency-db=dialect://user@host/name."
            ),
        ),
    ],
)
def test_option_that_cannot_be_read_is_refused(suite, value, message):
    """Before any test runs, and the near miss is told."""
    ran = suite(PLAIN, f"--concurrency-db={value}")

    assert ran.message == message


def test_server_that_does_not_answer_is_told_without_its_password(suite):
    """Every test that needs it says why it cannot run, and how it could."""
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/x"
    ran = suite(PLAIN, f"--concurrency-db={url}")

    assert ran.outcomes == {"errors": 1}
    text = ran.section("ERROR at setup of test_asks")
    assert text.startswith("--concurrency-db=postgresql+psycopg://me:***@127.0.0.1:1/x: connection")
    assert text.endswith("Start that server, or write --concurrency-db=postgres.")
    assert "secret" not in ran.section("ERROR at setup of test_asks")


def test_driver_that_is_absent_is_told(suite):
    """With what to install."""
    ran = suite(PLAIN, "--concurrency-db=mssql+pymssql://me@h/x")

    assert ran.section("ERROR at setup of test_asks") == (
        "--concurrency-db=mssql+pymssql://me@h/x: there is no driver 'pymssql'. "
        "Run: pip install pymssql"
    )


@pytest.mark.parametrize("fixture", ["separate_sessions", "database_engine", "large_dataset"])
def test_explored_tests_may_have_no_database(suite, fixture):
    """A paused worker keeps its locks, and the others would fail for want of them."""
    ran = suite(f"""
import pytest
@pytest.mark.interleave
def test_it({fixture}):
    pass
""")

    assert ran.message.startswith(
        f"test_it.py::test_it: @pytest.mark.interleave(): the fixture {fixture!r} is about a "
        "database, whose locks no schedule can see: a paused worker would keep them. "
        "Write the order down: session.start(statement)."
    )
