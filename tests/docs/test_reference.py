"""The reference names everything there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_concurrency

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_every_room_with_public_names_is_on_the_page():
    """A public name is documented as soon as it exists."""
    rooms = {module.split(".")[0] for module in pytest_concurrency._ROOMS.values()}
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")

    assert rooms <= set(re.findall(r"^```\{public-names\} (\w+)$", page, re.MULTILINE))


def test_the_glossary_is_in_order():
    """Each word has one entry, where a reader looks for it."""
    page = (REFERENCE / "glossary.md").read_text(encoding="utf-8")
    listed = page.split("```{glossary}\n")[1]
    words = re.findall(r"^(\w[\w -]*)$", listed, re.MULTILINE)

    assert len(words) > 10
    assert words == sorted(set(words))
