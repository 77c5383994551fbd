"""Tools that change the schedule: swaps and edits."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

from residency.messages import NO_NUL, AssignmentAnswer, Number, SwapAnswer
from residency.services.assignments import LONGEST_NOTE, append_note, edit_assignment
from residency.services.swaps import request_swap as ask_for_swap
from residency.tools.desk import Desk

CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
Note = Annotated[str, Field(max_length=LONGEST_NOTE, pattern=NO_NUL)]
Line = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE, pattern=NO_NUL)]


def add_changing_tools(server: MCPServer[None], desk: Desk) -> None:
    """Give a server the tools that change the schedule."""

    @server.tool(annotations=CHANGES)
    def request_swap(
        assignment_id: Number,
        owner_id: Number,
        taker_id: Number,
        return_assignment_id: Number | None = None,
    ) -> SwapAnswer:
        """Give a shift to somebody, perhaps in exchange; queued while a schedule is generated."""
        with desk.writing() as session:
            made = ask_for_swap(
                session,
                assignment_id=assignment_id,
                owner_id=owner_id,
                taker_id=taker_id,
                return_assignment_id=return_assignment_id,
            )
            return SwapAnswer.model_validate(made)

    @server.tool(annotations=CHANGES)
    def edit_shift(assignment_id: Number, version: Number, note: Note) -> AssignmentAnswer:
        """Rewrite the note of a shift that still is at the version that was read."""
        changes = {"note": note}
        with desk.writing() as session:
            edited = edit_assignment(session, assignment_id, version=version, changes=changes)
            return AssignmentAnswer.model_validate(edited)

    @server.tool(annotations=CHANGES)
    def add_note(assignment_id: Number, text: Line) -> AssignmentAnswer:
        """Add a line to the note of a shift, whoever else is adding one."""
        with desk.writing() as session:
            return AssignmentAnswer.model_validate(append_note(session, assignment_id, text))
