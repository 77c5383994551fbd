"""Idempotency: a request that comes again gets the answer that it got."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from residency.services.errors import InProgress, KeyReused
from residency.store.locks import take_lock
from residency.store.models import IdempotencyRecord, now

LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a key stands for now."""

    record: IdempotencyRecord
    is_new: bool
    """Whether the caller is the first, and has to do the work."""


def hash_body(body: Any) -> str:
    """Hash a request's body, whatever the order of its fields.

    >>> hash_body({"a": 1, "b": 2}) == hash_body({"b": 2, "a": 1})
    True
    """
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return sha256(text.encode()).hexdigest()


def create_request(session: Session, *, key: str, body: Any, at: datetime | None = None) -> Claim:
    """Claim a key for a body: the first caller is told to do the work, all others who did.

    The claim holds from the insert on, but nobody sees it before the transaction commits: whoever
    comes meanwhile waits, and then finds the completed record, or none if the first one failed.

    Raises:
        KeyReused: The key stands for another body.
    """
    moment = at or now()
    body_hash = hash_body(body)
    take_lock(session, f"idempotency:{key}")
    session.execute(
        delete(IdempotencyRecord).where(
            IdempotencyRecord.key == key, IdempotencyRecord.expires_at <= moment
        )
    )
    others = select(IdempotencyRecord.id).where(
        IdempotencyRecord.key == key, IdempotencyRecord.body_hash != body_hash
    )
    if session.scalar(others.limit(1)) is not None:
        detail = f"The key {key!r} was used for a request with another body."
        raise KeyReused(detail, advice="Send a new Idempotency-Key for a new request.")
    is_new = _insert(session, key=key, body_hash=body_hash, moment=moment)
    record = session.scalars(
        select(IdempotencyRecord).where(
            IdempotencyRecord.key == key, IdempotencyRecord.body_hash == body_hash
        )
    ).one()
    return Claim(record=record, is_new=is_new)


def _insert(session: Session, *, key: str, body_hash: str, moment: datetime) -> bool:
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    row = {
        "key": key,
        "body_hash": body_hash,
        "status": "started",
        "created_at": moment,
        "expires_at": moment + LIFETIME,
    }
    statement = insert(IdempotencyRecord).values(row).on_conflict_do_nothing()
    return bool(session.execute(statement.returning(IdempotencyRecord.id)).scalar())


def recorded_answer(claim: Claim) -> tuple[int, dict[str, Any]]:
    """Return the status code and the answer that a claimed key was given before.

    Raises:
        InProgress: There is none yet.
    """
    record = claim.record
    if record.status_code is None or record.answer is None:
        detail = f"The first request with the key {record.key!r} has no answer yet."
        raise InProgress(detail, advice="Send the same request again in a moment.")
    return record.status_code, record.answer


def mark_completed(
    session: Session, record_id: int, *, status_code: int, answer: dict[str, Any]
) -> bool:
    """Keep the answer for those who ask again; say whether this call was the one that did.

    Completing twice is harmless: the first answer stands.
    """
    result = session.execute(
        update(IdempotencyRecord)
        .where(IdempotencyRecord.id == record_id, IdempotencyRecord.status == "started")
        .values(status="completed", status_code=status_code, answer=answer)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def clean_up(session: Session, *, at: datetime | None = None) -> int:
    """Remove the expired records and no other; say how many there were."""
    result = session.execute(
        delete(IdempotencyRecord).where(IdempotencyRecord.expires_at <= (at or now()))
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
