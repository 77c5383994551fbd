"""``python -m residency.tools`` serves the tools on standard input and output."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

from sqlalchemy.orm import Session

from residency.services.generation import Draft, Planner
from residency.settings import Settings
from residency.store.migrate import upgrade
from residency.tools.server import make_server
from residency.web.app import engine_of


def main() -> None:
    """Serve the database of the settings, with the rights of whoever started this."""
    settings = Settings()
    engine = engine_of(settings)
    upgrade(engine)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="tools") as executor:
            planner = _solver(settings)
            make_server(engine, planner=planner, executor=executor).run("stdio")
    finally:
        engine.dispose()


def _solver(settings: Settings) -> Planner:
    """Return the constraint solver, which is loaded when it is first needed."""

    def plan(session: Session, first_day: date, last_day: date) -> Draft:
        from residency.solver.planner import Limits, make_planner

        planner = make_planner(Limits(seconds=settings.solver_seconds))
        return planner(session, first_day, last_day)

    return plan


if __name__ == "__main__":
    main()
