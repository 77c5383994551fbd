"""What a service refuses, with what a person can do about it."""

from __future__ import annotations


class Refusal(Exception):
    """A request that cannot be carried out as it stands.

    Attributes:
        status: The HTTP status that says so.
        title: What kind of refusal it is.
        advice: What to change.
    """

    status = 409
    title = "Conflict"

    def __init__(self, detail: str, *, advice: str = "") -> None:
        """Say what stands in the way, and what to change."""
        super().__init__(detail)
        self.detail = detail
        self.advice = advice


class NotFound(Refusal):
    """There is no such thing."""

    status = 404
    title = "Not found"


class StaleVersion(Refusal):
    """Somebody else edited it first."""

    title = "Edited in between"


class KeyReused(Refusal):
    """An idempotency key was used before, for something else."""

    status = 422
    title = "Idempotency key reused"


class SwapConflict(Refusal):
    """A swap that would break the schedule."""

    title = "Swap not possible"


class GenerationRunning(Refusal):
    """A schedule is being generated."""

    title = "A schedule is being generated"


class VersionConflict(Refusal):
    """Two plans asked for one version number; trying again will do."""

    title = "Try again"
