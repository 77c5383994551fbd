"""Problem documents: what was wrong with a request, and what to change."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from residency.services.errors import Refusal

MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """Answer with a problem document, as RFC 9457 has it."""
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail, **more}
    headers = {"Retry-After": "1"} if status == 503 else None  # noqa: PLR2004 - the status itself
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def add_problem_handlers(app: FastAPI) -> None:
    """Let every refusal answer with a problem document."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return problem(error.status, error.title, error.detail, advice=error.advice)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = [
            {"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()
        ]
        detail = "; ".join(f"{one['where']}: {one['what']}" for one in fields)
        return problem(422, "The request cannot be read", detail, fields=fields)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        answer = problem(error.status_code, str(error.detail), str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(OverflowError)
    async def too_large(_: Request, error: OverflowError) -> JSONResponse:
        return problem(422, "A number is too large", str(error))

    @app.exception_handler(PoolTimeout)
    async def crowded(_: Request, __: PoolTimeout) -> JSONResponse:
        return problem(503, "Too busy", "No database connection became free. Try again.")

    @app.exception_handler(OperationalError)
    async def database(_: Request, __: OperationalError) -> JSONResponse:
        return problem(503, "The database does not answer", "Nothing was changed. Try again.")
