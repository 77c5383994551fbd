"""Problem documents: what was wrong with a request, and what to change."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from residency.services.errors import Refusal

MEDIA_TYPE = "application/problem+json"
logger = structlog.get_logger()


class Problem(BaseModel):
    """A problem document, as RFC 9457 has it."""

    type: str = "about:blank"
    status: int
    title: str
    detail: str
    advice: str = ""
    """What to change."""


RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {
        "description": "A problem document that says what to change",
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    for code in ("4XX", "5XX")
}
"""What every endpoint may answer instead, for the OpenAPI document."""


class Unauthenticated(Refusal):
    """Nobody knows who asks."""

    status = 401
    title = "Not signed in"


class Forbidden(Refusal):
    """Whoever asks may not do this."""

    status = 403
    title = "Not allowed"


class TooManyRequests(Refusal):
    """A client that asks too often."""

    status = 429
    title = "Too many requests"


def problem(status: int, title: str, detail: str, *, advice: str = "") -> JSONResponse:
    """Answer with a problem document."""
    document = Problem(status=status, title=title, detail=_printable(detail), advice=advice)
    return JSONResponse(document.model_dump(), status_code=status, media_type=MEDIA_TYPE)


def refusal(error: Refusal) -> JSONResponse:
    """Answer with what a refusal says."""
    answer = problem(error.status, error.title, error.detail, advice=error.advice)
    if isinstance(error, Unauthenticated):
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def add_problem_handlers(app: FastAPI) -> None:
    """Let everything that goes wrong in a known way answer with a problem document."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        advice = "Mend what is named; GET /docs shows what is expected."
        return problem(422, "The request cannot be read", "; ".join(faults), advice=advice)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        title = HTTPStatus(error.status_code).phrase
        detail = f"{request.method} {request.url.path}: {error.detail}."
        answer = problem(error.status_code, title, detail, advice="GET /docs lists what there is.")
        answer.headers.update(error.headers or {})
        return answer

    _add_database_handlers(app)


def _add_database_handlers(app: FastAPI) -> None:
    @app.exception_handler(IntegrityError)
    async def overtaken(_: Request, __: IntegrityError) -> JSONResponse:
        detail = "Another request changed what this one relies on. Nothing was changed."
        return problem(409, "Overtaken", detail, advice="Read it again and repeat the request.")

    @app.exception_handler(PoolTimeout)
    async def crowded(_: Request, __: PoolTimeout) -> JSONResponse:
        return _later("Too busy", "No database connection became free. Nothing was changed.")

    @app.exception_handler(OperationalError)
    async def database(_: Request, __: OperationalError) -> JSONResponse:
        return _later("The database does not answer", "Nothing was changed.")


def _later(title: str, detail: str) -> JSONResponse:
    answer = problem(503, title, detail, advice="Send the request again in a second.")
    answer.headers["Retry-After"] = "1"
    return answer


def _printable(text: str) -> str:
    """Replace what cannot be encoded, such as half of a surrogate pair in a field's name."""
    return text.encode(errors="replace").decode()


class LastResort:
    """Answers 500 where nothing else knows what went wrong, and writes it to the log."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand behind an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer it if nobody else does."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if has_begun or scope["type"] != "http":
                raise
            logger.exception("request failed")
            detail = "The service has a fault. Nothing was changed."
            advice = "Tell whoever runs it the X-Request-ID of this answer."
            await problem(500, "Internal error", detail, advice=advice)(scope, receive, send)
