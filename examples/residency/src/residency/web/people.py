"""People."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from sqlalchemy import select

from residency.messages import After, PersonAnswer
from residency.store.models import Person
from residency.web.state import Shared
from residency.web.tokens import ROLES, allow

router = APIRouter(tags=["people"])
_ANSWER = TypeAdapter(list[PersonAnswer])


@router.get("/people", dependencies=[allow(*ROLES)])
def list_people(
    state: Shared,
    role: Literal["resident", "faculty"] | None = None,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> list[PersonAnswer]:
    """List people, residents or faculty or both; a cache may be a minute behind."""
    key = f"people:{role}:{after}:{limit}"
    kept = state.cache.get(key)
    if kept is not None:
        return _ANSWER.validate_json(kept)
    query = select(Person).where(Person.id > after).order_by(Person.id).limit(limit)
    if role is not None:
        query = query.where(Person.role == role)
    with state.reading() as session:
        found = [PersonAnswer.model_validate(one) for one in session.scalars(query)]
    seconds = int(state.settings.cache_lifetime.total_seconds())
    state.cache.set(key, _ANSWER.dump_json(found), seconds=seconds)
    return found
