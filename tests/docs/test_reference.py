"""What no tool can write into the reference."""

from __future__ import annotations

import re
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_glossary_is_in_order():
    """Each word has one entry, where a reader looks for it."""
    page = (REFERENCE / "glossary.md").read_text(encoding="utf-8")
    listed = page.split("```{glossary}\n")[1]
    words = re.findall(r"^(\w[\w -]*)$", listed, re.MULTILINE)

    assert len(words) > 10
    assert words == sorted(set(words))
