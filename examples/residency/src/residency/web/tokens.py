"""Tokens: who asks, and what they may do."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast, get_args

import jwt
from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from residency.messages import TokenAnswer, TokenRequest
from residency.settings import Settings
from residency.web.problems import Forbidden, Unauthenticated
from residency.web.state import Shared

Role = Literal["admin", "coordinator", "faculty", "resident", "clinical-staff"]
ROLES: tuple[Role, ...] = get_args(Role)
ALGORITHM = "HS256"

router = APIRouter(tags=["tokens"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Issues and reads signed tokens."""

    secret: str
    lifetime: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Tokens:
        """Sign with the settings' secret, or with one made up for this process."""
        given = settings.token_secret
        secret = given.get_secret_value() if given is not None else secrets.token_urlsafe(48)
        return cls(secret=secret, lifetime=settings.token_lifetime)

    def issue(self, user: str, role: str) -> str:
        """Return a token that lasts its lifetime."""
        expires = datetime.now(UTC) + self.lifetime
        claims = {"sub": user, "role": role, "exp": expires}
        return jwt.encode(claims, self.secret, algorithm=ALGORITHM)

    def role_of(self, token: str) -> Role:
        """Return the role that a token gives.

        Raises:
            Unauthenticated: It is expired, forged, or no token of ours.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.secret,
                algorithms=[ALGORITHM],
                options={"require": ["sub", "role", "exp"]},
            )
        except jwt.ExpiredSignatureError as error:
            detail = "The token has expired."
            raise Unauthenticated(detail, advice="Get a new one: POST /token.") from error
        except jwt.InvalidTokenError as error:
            detail = "The token was not issued here."
            raise Unauthenticated(detail, advice="Get one: POST /token.") from error
        if claims["role"] not in ROLES:
            detail = f"There is no role {claims['role']!r}."
            raise Unauthenticated(detail, advice="Get a new token: POST /token.")
        return cast("Role", claims["role"])


def allow(*roles: Role) -> Any:
    """Return a dependency that lets these roles pass, if the settings ask for tokens."""

    def check(
        state: Shared,
        request: Request,
        sent: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
    ) -> None:
        if not state.settings.authentication:
            return
        if sent is None:
            detail = "The request has no token."
            advice = "Send the header 'Authorization: Bearer ...', from POST /token."
            raise Unauthenticated(detail, advice=advice)
        role = state.tokens.role_of(sent.credentials)
        if role not in roles:
            detail = f"The role {role!r} may not {request.method} {request.url.path}."
            raise Forbidden(detail, advice=f"Ask somebody who is {' or '.join(roles)}.")

    return Depends(check)


PLANNERS: tuple[Role, ...] = ("admin", "coordinator")
SCHEDULED: tuple[Role, ...] = (*PLANNERS, "faculty", "resident")


@router.post("/token")
def get_token(state: Shared, asked: TokenRequest) -> TokenAnswer:
    """Sign in as one of the synthetic users, each named like its role."""
    known = state.settings.demo_password
    if (
        known is None
        or asked.user not in ROLES
        or not secrets.compare_digest(asked.password.encode(), known.get_secret_value().encode())
    ):
        detail = "There is no such user and password."
        raise Unauthenticated(detail, advice="RESIDENCY_DEMO_PASSWORD sets the password.")
    return TokenAnswer(
        access_token=state.tokens.issue(asked.user, asked.user),
        expires_in=int(state.tokens.lifetime.total_seconds()),
    )
