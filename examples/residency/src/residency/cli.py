"""The command line: ``residency serve``, ``residency demo``, ``residency check``."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from residency.settings import Settings
from residency.store.engine import engine_of
from residency.store.migrate import is_current, upgrade
from residency.store.models import Person
from residency.web.app import make_app
from residency.web.observe import configure_logs
from residency.web.tokens import ROLES


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="residency", description="Residency scheduling.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("serve", "bring the database up to date and serve"),
        ("demo", "fill a database with synthetic people and schedules, and serve it"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=int, default=8000)
    commands.add_parser("check", help="say whether the settings and the database are ready")
    given = parser.parse_args(arguments)
    settings = Settings()
    if given.command == "check":
        return check(settings)
    if given.command == "demo":
        settings = prepare_demo(settings)
    serve(settings, host=given.host, port=given.port)
    return 0


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Bring the database up to date and serve until interrupted."""
    uvicorn.run(application(settings), host=host, port=port, log_level="warning")


def application(settings: Settings | None = None) -> FastAPI:
    """Bring the database up to date and return the application, for ``uvicorn --factory``.

    Args:
        settings: Those of the environment if not given.
    """
    chosen = settings or Settings()
    configure_logs(as_json=chosen.log_json)
    engine = engine_of(chosen)
    upgrade(engine)
    engine.dispose()
    return make_app(chosen)


def prepare_demo(settings: Settings) -> Settings:
    """Fill a database, unless it has people; return settings with a password for the users."""
    from residency.data.datasets import fill_large

    if "database_url" not in settings.model_fields_set:
        path = Path("residency-demo.db").resolve()
        settings = settings.model_copy(update={"database_url": f"sqlite:///{path}"})
    password = settings.demo_password or SecretStr(secrets.token_urlsafe(9))
    settings = settings.model_copy(update={"demo_password": password})
    engine = engine_of(settings)
    upgrade(engine)
    with Session(engine) as session, session.begin():
        if not session.scalar(select(func.count()).select_from(Person)):
            fill_large(session)
    engine.dispose()
    _say(f"Users {', '.join(ROLES)}; password {password.get_secret_value()}")
    return settings


def check(settings: Settings) -> int:
    """Say what is ready and what is not; return 1 if something is not."""
    faults = []
    engine = engine_of(settings)
    try:
        if not is_current(engine):
            faults.append("The tables are not up to date. Run: residency serve.")
    except SQLAlchemyError as error:
        faults.append(f"The database does not answer: {error}. Set RESIDENCY_DATABASE_URL.")
    engine.dispose()
    if settings.authentication and settings.token_secret is None:
        faults.append("Tokens end with the process. Set RESIDENCY_TOKEN_SECRET.")
    if not settings.authentication:
        faults.append("Anybody may do anything. Unset RESIDENCY_AUTHENTICATION.")
    for fault in faults:
        _say(fault)
    if not faults:
        _say("Ready.")
    return int(bool(faults))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
