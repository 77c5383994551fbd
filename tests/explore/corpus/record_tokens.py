"""Write down, for the running Python, the token with which each buggy program is found.

    python tests/explore/corpus/record_tokens.py

Run it with each supported Python after points or shrinking changed on purpose; the tests replay
every token of every version on whatever runs them.
"""

import json
import sys
from functools import partial
from pathlib import Path

TABLE = Path(__file__).with_name("tokens.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def recorded(name):
    """Return the tokens with which a program was found, by version of Python."""
    return json.loads(TABLE.read_text()).get(name, {})


def found_tokens():
    """Return the token of each buggy program, by name."""
    from corpus import programs
    from pytest_concurrency import BrokenPromise
    from pytest_concurrency.explore.interleave import interleave
    from pytest_concurrency.explore.settings import Settings

    tokens = {}
    for program in programs("buggy"):
        try:
            interleave(settings=Settings(record=partial(tokens.__setitem__, program.name)))(
                program.body
            )
        except program.fails:
            continue
        except BrokenPromise as error:
            print(f"{program.name}: {error}")  # noqa: T201 - a script that reports
            continue
        print(f"{program.name} was not found")  # noqa: T201
    return tokens


def main():
    """Bring the table up to date for this version."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    for versions in table.values():
        versions.pop(VERSION, None)
    for name, token in found_tokens().items():
        table.setdefault(name, {})[VERSION] = token
    kept = {name: dict(sorted(table[name].items())) for name in sorted(table) if table[name]}
    TABLE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
