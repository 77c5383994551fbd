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


class BeingEdited(Refusal):
    """Somebody else is editing it at this moment."""

    title = "Being edited"


class NoteFull(Refusal):
    """A note has no room for another line."""

    title = "Note full"


class KeyReused(Refusal):
    """An idempotency key was used before, for something else."""

    status = 422
    title = "Idempotency key reused"


class InProgress(Refusal):
    """The first request with this idempotency key has no answer yet."""

    title = "Still being worked on"


class SwapConflict(Refusal):
    """A swap that would break the schedule."""

    title = "Swap not possible"


class NothingToPlan(Refusal):
    """There are no blocks between the days."""

    status = 422
    title = "No blocks"


class RunOver(Refusal):
    """A schedule run that ended already, or was given up."""

    title = "The run is over"


class TaskEnded(Refusal):
    """A task that is over cannot be cancelled."""

    title = "The task is over"


class VersionConflict(Refusal):
    """Two plans asked for one version number; trying again will do."""

    title = "Try again"
