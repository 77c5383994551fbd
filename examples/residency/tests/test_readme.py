"""The README's tables name tests that there are, and leave out no protection."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
README = TESTS.with_name("README.md").read_text(encoding="utf-8")
DEFINED = {
    (path.name, test)
    for path in TESTS.glob("test_*.py")
    for test in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def named(line):
    """Return the tests that a line names, each with its file; ``…`` stands for the file before."""
    file = None
    for name, test in re.findall(r"`(test_\w+\.py|…)::(test_\w+)`", line):
        file = name if name != "…" else file
        yield file, test


def test_every_test_that_is_named_is_there():
    """README: whoever looks a requirement or a protection up finds the test."""
    found = list(named(README))
    assert len(found) > 100
    assert [one for one in found if one not in DEFINED] == []


def test_every_test_that_is_named_without_its_file_is_there():
    """README: so are those that are named alone, or by how their names begin."""
    alone = re.findall(r"`(test_\w+?)(_…)?`", README)
    assert len(alone) > 5
    whole, beginnings = ({test for test, rest in alone if bool(rest) is it} for it in (False, True))
    tests = {test for _, test in DEFINED}
    assert whole <= tests
    assert all(any(test.startswith(one) for test in tests) for one in beginnings)


def test_every_mutant_is_named():
    """README: each test that takes a protection away is in the list of protections."""
    mutants = {one for one in DEFINED if one[1].startswith("test_mutant_")}
    assert sorted(mutants - set(named(README))) == []


def test_every_requirement_has_rows():
    """README: requirements 2.1 to 2.9 are all in the table."""
    assert [row for row in range(1, 10) if f"\n| 2.{row} " not in README] == []
