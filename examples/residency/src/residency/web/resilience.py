"""Resilience: who cannot be missing, how well a schedule is defended, and the fallback."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from pydantic import Field

from residency.messages import Answer, Days, Number, RunAnswer
from residency.services.fallback import deploy_fallback, roll_back
from residency.services.resilience import burnout, contingency, defence
from residency.web.compliance import Judged
from residency.web.state import Shared
from residency.web.tokens import PLANNERS, allow

router = APIRouter(tags=["resilience"], dependencies=[allow(*PLANNERS)])


class GapAnswer(Answer):
    """A block that breaks, and what is missing there."""

    day: date
    half: str
    what: str


class LossAnswer(Answer):
    """Who is missing, and the blocks that break for it."""

    missing: list[str]
    gaps: list[GapAnswer]


class ContingencyAnswer(Answer):
    """Who cannot be missing: the first of each kind, and how many there are."""

    broken_already: list[GapAnswer]
    singles: list[LossAnswer]
    pairs: list[LossAnswer]
    critical_people: int
    critical_pairs: int


class DefenceAnswer(Answer):
    """The layers between a schedule and harm, each from 0 to 1."""

    level: int
    score: float
    prevention: float
    reserve: float
    one_missing: float
    two_missing: float
    fallback: float


class DriverAnswer(Answer):
    """Through whom burnout spreads, and what share of it."""

    person: str
    share: float


class BurnoutAnswer(Answer):
    """How burnout spreads: above 1 it grows."""

    reproduction_number: float
    is_growing: bool
    drivers: list[DriverAnswer]


class FallbackRequest(Days):
    """Which days to cover, and who is missing."""

    missing: list[Number] = Field(default_factory=list, max_length=500)


@router.get("/resilience/contingency")
def read_contingency(state: Shared, asked: Annotated[Judged, Query()]) -> ContingencyAnswer:
    """Try everybody, and all pairs, as missing."""
    with state.reading() as session:
        found = contingency(session, first_day=asked.first_day, last_day=asked.last_day)
    told = slice(asked.limit)
    return ContingencyAnswer(
        broken_already=[GapAnswer.model_validate(one) for one in found.broken_already[told]],
        singles=[LossAnswer.model_validate(one) for one in found.singles[told]],
        pairs=[LossAnswer.model_validate(one) for one in found.pairs[told]],
        critical_people=len(found.singles),
        critical_pairs=len(found.pairs),
    )


@router.get("/resilience/defence")
def read_defence(state: Shared, asked: Annotated[Days, Query()]) -> DefenceAnswer:
    """Rate each layer of the defence of what is planned."""
    with state.reading() as session:
        found = defence(session, first_day=asked.first_day, last_day=asked.last_day)
        return DefenceAnswer.model_validate(found)


@router.get("/resilience/burnout")
def read_burnout(state: Shared, asked: Annotated[Days, Query()]) -> BurnoutAnswer:
    """Work out how burnout spreads among those who work together."""
    with state.reading() as session:
        found = burnout(session, first_day=asked.first_day, last_day=asked.last_day)
    return BurnoutAnswer(
        reproduction_number=found.reproduction_number,
        is_growing=found.is_growing,
        drivers=[DriverAnswer(person=name, share=share) for name, share in found.drivers],
    )


@router.post("/fallbacks", status_code=status.HTTP_201_CREATED)
def deploy(state: Shared, asked: FallbackRequest) -> RunAnswer:
    """Put the least that must be covered in the place of what was planned, which is kept."""
    with state.writing() as session:
        run = deploy_fallback(
            session, first_day=asked.first_day, last_day=asked.last_day, missing=asked.missing
        )
        return RunAnswer.model_validate(run)


@router.post("/fallbacks/{run_id}/roll-back")
def take_back(state: Shared, run_id: Annotated[Number, Path()]) -> RunAnswer:
    """Put back what a fallback replaced, every assignment as it was."""
    with state.writing() as session:
        return RunAnswer.model_validate(roll_back(session, run_id))
