"""Settings, from the environment or a file."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an installation decides; each is an environment variable ``RESIDENCY_...``."""

    model_config = SettingsConfigDict(env_prefix="RESIDENCY_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///residency.db"
    pool_size: int = Field(default=5, ge=1)
    max_overflow: int = Field(default=5, ge=0)
    pool_timeout: float = Field(default=2.0, gt=0)
    token_secret: SecretStr = SecretStr("change-me-in-production-0123456789abcdef")
    token_lifetime: timedelta = timedelta(minutes=30)
    rate_limit: str = "0/second"
    """Requests of one client; ``0/second`` is no limit."""
    solver_seconds: float = Field(default=10.0, gt=0)
    log_json: bool = False
