"""Swaps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from sqlalchemy import select

from residency.messages import NEWEST, Before, Limit, Number, SwapAnswer, SwapWish
from residency.services.errors import NotFound
from residency.services.swaps import request_swap
from residency.store.models import SwapRequest
from residency.web.state import Shared
from residency.web.tokens import ROLES, SCHEDULED, allow

router = APIRouter(tags=["swaps"])


@router.post(
    "/swaps",
    status_code=status.HTTP_201_CREATED,
    responses={202: {"model": SwapAnswer, "description": "Waits for a schedule"}},
    dependencies=[allow(*SCHEDULED)],
)
def ask_for_swap(state: Shared, wish: SwapWish, response: Response) -> SwapAnswer:
    """Give a shift to somebody: 201 when it is done, 202 when it waits for a schedule, else 409."""
    with state.writing() as session:
        made = request_swap(session, **wish.model_dump())
        if made.status == "queued":
            response.status_code = status.HTTP_202_ACCEPTED
        return SwapAnswer.model_validate(made)


@router.get("/swaps", dependencies=[allow(*ROLES)])
def list_swaps(state: Shared, before: Before = NEWEST, limit: Limit = 200) -> list[SwapAnswer]:
    """List swaps, the newest first."""
    with state.reading() as session:
        query = select(SwapRequest).where(SwapRequest.id < before)
        query = query.order_by(SwapRequest.id.desc()).limit(limit)
        return [SwapAnswer.model_validate(one) for one in session.scalars(query)]


@router.get("/swaps/{swap_id}", dependencies=[allow(*ROLES)])
def read_swap(state: Shared, swap_id: Annotated[Number, Path()]) -> SwapAnswer:
    """Read one swap."""
    with state.reading() as session:
        found = session.get(SwapRequest, swap_id)
        if found is None:
            detail = f"There is no swap {swap_id}."
            raise NotFound(detail, advice="List the swaps: GET /swaps.")
        return SwapAnswer.model_validate(found)
