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
    """Seconds to wait for a connection before a request is answered 503."""
    lock_seconds: float = Field(default=5.0, gt=0)
    """Seconds to wait for a lock before a request is answered 503."""
    authentication: bool = True
    """Whether requests need a token."""
    token_secret: SecretStr | None = Field(default=None, min_length=32)
    """Signs tokens; without it each process makes one up, and its tokens end with it."""
    token_lifetime: timedelta = timedelta(minutes=30)
    demo_password: SecretStr | None = None
    """The password of the five synthetic users; without it nobody gets a token here."""
    rate_limit: str | None = None
    """Requests of one client, such as ``100/minute``."""
    rate_limit_storage: str = "memory://"
    """Where they are counted; ``redis://host`` for several processes."""
    cache_url: str | None = None
    """A Redis that keeps what rarely changes; the service does without one."""
    cache_lifetime: timedelta = timedelta(minutes=1)
    clean_up_every: timedelta = timedelta(minutes=5)
    """How often expired idempotency records are removed, and what was left behind is given up."""
    solver_seconds: float = Field(default=10.0, gt=0)
    log_requests: bool = True
    log_json: bool = False
