"""Hold how many exported symbols have a declared type: the share may rise, never fall.

    python scripts/complete_types.py 94.5

Symbols of rooms count as well as public names; those that are missing are printed.
"""

import json
import subprocess
import sys


def main(least: float) -> int:
    """Ask pyright, print what has no declared type, and return the exit code."""
    asked = subprocess.run(
        ["pyright", "--ignoreexternal", "--verifytypes", "pytest_concurrency", "--outputjson"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(asked.stdout)["typeCompleteness"]
    missing = [
        one["name"] for one in found["symbols"] if one["isExported"] and not one["isTypeKnown"]
    ]
    share = found["completenessScore"] * 100
    print(f"{share:.1f} % of the exported symbols have a declared type; at least {least} % should.")
    if share < least:
        print("\n".join(missing))
    return share < least


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
