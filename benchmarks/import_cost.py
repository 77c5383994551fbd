"""What importing the plugin costs a session that pytest has started, beside other plugins.

Each import is made in a fresh process in which pytest is loaded, in an environment that holds that
plugin and what it requires; the figure is the fastest of several, since a disturbance only adds.
The bar is 2 ms, and no module of another distribution.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from measuring.environment import OURS, Absent, Environment, required
from measuring.table import show

PLUGINS = {
    OURS: "pytest_concurrency.plugin",
    "pytest-benchmark": "pytest_benchmark.plugin",
    "pytest-asyncio": "pytest_asyncio.plugin",
    "pytest-run-parallel": "pytest_run_parallel.plugin",
}
TIMES = 15
SCRIPT = """
import json, sys, pytest
from time import perf_counter
before = set(sys.modules)
start = perf_counter()
import {module}
took = perf_counter() - start
loaded = set(sys.modules) - before
own = "{module}".split(".")[0]
known = sys.stdlib_module_names | {{own}}
others = {{name.split(".")[0] for name in loaded}} - known
print(json.dumps([took, len(loaded), sorted(n for n in others if not n.startswith("_"))]))
"""


def main() -> None:
    found = {name: measure(name, module) for name, module in PLUGINS.items()}
    ours = found[OURS]
    rows = [row(name, figures, ours[0] if ours else 0.0) for name, figures in found.items()]
    show(
        f"import cost: pytest already loaded, the fastest of {TIMES} fresh processes",
        ["plugin", "time", "beside ours", "modules", "of other distributions"],
        rows,
    )


def measure(name: str, module: str) -> tuple[float, int, list[str]] | None:
    """Return the time, the number of modules and whose they are; nothing if it is absent."""
    try:
        names = required(name, "pytest")
    except Absent:
        return None
    with tempfile.TemporaryDirectory() as room:
        environment = Environment(Path(room) / "only", names)
        command = environment.command("-c", SCRIPT.format(module=module))
        return min(once(command, environment.variables) for _ in range(TIMES))


def once(command: list[str], variables: dict[str, str]) -> tuple[float, int, list[str]]:
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    took, number, others = json.loads(ran.stdout)
    return took, number, others


def row(name: str, figures: tuple[float, int, list[str]] | None, ours: float) -> list[str]:
    if figures is None:
        return [name, "absent", "", "", ""]
    took, number, others = figures
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return [name, f"{took * 1e3:.2f} ms", f"{took / ours:.1f} x", str(number), shown or "none"]


if __name__ == "__main__":
    main()
