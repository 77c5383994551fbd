"""The tool server: one function that makes it."""

from __future__ import annotations

from concurrent.futures import Executor

from mcp.server.mcpserver import MCPServer
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from residency.services.background import Background
from residency.services.generation import Planner
from residency.tools.changing import add_changing_tools
from residency.tools.desk import Desk
from residency.tools.long import add_long_tools
from residency.tools.reading import add_finding_tools, add_judging_tools

INSTRUCTIONS = """Residency scheduling. Read before changing: find_people, list_shifts and
find_swap_partners give the numbers that request_swap takes. What is refused says why, and what to
do instead."""


def make_server(engine: Engine, *, planner: Planner, executor: Executor) -> MCPServer[None]:
    """Make the tool server. Who may use it may use everything: it asks for no token.

    Args:
        engine: Where the data is; closed by the caller.
        planner: Works schedules out.
        executor: Does what nobody waits for; ended by the caller.
    """
    sessions = sessionmaker(engine, expire_on_commit=False)
    server: MCPServer[None] = MCPServer(
        "residency", version="0.1.0", instructions=INSTRUCTIONS, log_level="WARNING"
    )
    desk = Desk(sessions=sessions, planner=planner, background=Background(sessions, executor))
    for add in (add_finding_tools, add_judging_tools, add_changing_tools, add_long_tools):
        add(server, desk)
    return server
