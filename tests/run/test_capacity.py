"""How many processors there are to use: the least of affinity and the container's quota."""

from __future__ import annotations

import os

import pytest

from pytest_concurrency.run.capacity import processors


@pytest.fixture
def affinity(monkeypatch):
    """Pretend that this process may run on eight processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.usefixtures("affinity")
@pytest.mark.parametrize(
    ("quota", "number"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("nonsense", 8),
    ],
)
def test_the_quota_of_a_second_version_group_counts(tmp_path, quota, number):
    """A part of a processor counts as one; no quota leaves the affinity."""
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert processors(tmp_path) == number


@pytest.mark.usefixtures("affinity")
@pytest.mark.parametrize(("quota", "number"), [("-1", 8), ("300000", 3), ("50000", 1)])
def test_the_quota_of_a_first_version_group_counts(tmp_path, quota, number):
    """The older control groups keep quota and period in two files."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")

    assert processors(tmp_path) == number


@pytest.mark.usefixtures("affinity")
def test_without_a_group_the_affinity_counts(tmp_path):
    """Outside of containers there is no quota."""
    assert processors(tmp_path) == 8


@pytest.mark.parametrize(("count", "number"), [(3, 3), (None, 1)])
def test_without_affinity_the_machine_counts(monkeypatch, tmp_path, count, number):
    """Systems that know no affinity tell how many processors they have, or nothing."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)

    assert processors(tmp_path) == number


def test_this_machine_has_at_least_one():
    """The real files can be read."""
    assert processors() >= 1
