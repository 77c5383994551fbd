"""A token that was recorded on one supported Python replays on the others."""

import pytest

from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.settings import Settings

from .corpus import programs
from .corpus.record_tokens import recorded


@pytest.mark.parametrize(
    "program", [pytest.param(program, id=program.name) for program in programs("buggy")]
)
def test_token_of_each_version_replays(program):
    """The one schedule that a token names fails here too, and nothing else is tried."""
    versions = {token: version for version, token in recorded(program.name).items()}
    assert len(recorded(program.name)) >= 2, "run corpus/record_tokens.py with each Python"
    for token, version in versions.items():
        replayed = []
        settings = Settings(replay=token, record=replayed.append, seconds=0.02)

        with pytest.raises(program.fails) as caught:
            interleave(settings=settings)(program.body)

        assert type(caught.value) is program.fails
        assert replayed == [token], version
