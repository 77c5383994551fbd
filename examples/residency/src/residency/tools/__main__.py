"""``python -m residency.tools`` serves the tools on standard input and output."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from residency.settings import Settings
from residency.solver.service import service_planner
from residency.store.engine import engine_of
from residency.store.migrate import upgrade
from residency.tools.server import make_server


def main() -> None:
    """Serve the database of the settings, with the rights of whoever started this."""
    settings = Settings()
    engine = engine_of(settings)
    upgrade(engine)
    planner = service_planner(seconds=settings.solver_seconds)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="tools") as executor:
            make_server(engine, planner=planner, executor=executor).run("stdio")
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
