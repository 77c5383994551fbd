"""People."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select

from residency.store.models import Person
from residency.web.messages import PersonAnswer
from residency.web.state import Transaction

router = APIRouter(tags=["people"])


@router.get("/people")
def list_people(
    session: Transaction,
    role: Annotated[str | None, Query(pattern="^(resident|faculty)$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> list[PersonAnswer]:
    """List people, residents or faculty or both."""
    query = select(Person).order_by(Person.id).limit(limit)
    if role is not None:
        query = query.where(Person.role == role)
    return [PersonAnswer.model_validate(one) for one in session.scalars(query)]
