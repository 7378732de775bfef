"""Tools for the memory that all agents share."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from muniment.memory import MemoryHit, Stored
from muniment.memory.store import MAX_LIMIT
from muniment_api import answers
from muniment_api.answers import Deleted
from muniment_api.deps import Services
from muniment_api.gateway import text
from muniment_api.gateway.parameters import ProjectName, Tags
from muniment_api.gateway.server import ADDS, DELETES, READS, GatewayServer, answer


class FoundMemories(BaseModel):
    results: list[MemoryHit]


class MemoryTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def store_memory(
        self,
        project: ProjectName,
        content: Annotated[str, Field(description="One fact, understandable without your conversation.")],
        tags: Tags = "",
        source: Annotated[str | None, Field(description="Where it comes from: file, commit, ticket, person.")] = None,
    ) -> Annotated[CallToolResult, Stored]:
        """Keep a decision, reason, convention or finding for every agent. A near-duplicate is named, not stored."""
        stored = answers.store_memory(self._services, self._services.projects.get(project), content, tags, source)
        return answer(text.stored_text(stored), stored)

    def search_memories(
        self,
        project: ProjectName,
        query: Annotated[str, Field(description="What you want to know, in plain language.")],
        tags: Annotated[Tags | None, Field(description="Only memories with any of these tags.")] = None,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most memories in the answer.")] = 5,
    ) -> Annotated[CallToolResult, FoundMemories]:
        """What agents stored about this, by meaning, best first; scores go from 0 to 1."""
        found = self._services.memory.search(
            self._services.projects.get(project).id, query, tags=tags or (), limit=limit
        )
        return answer(text.memories_text(found), FoundMemories(results=found))

    def delete_memory(
        self,
        project: ProjectName,
        memory_id: Annotated[str, Field(description="As in search_memories.")],
    ) -> Annotated[CallToolResult, Deleted]:
        """Delete a memory that is wrong or replaced. It cannot be brought back."""
        deleted = answers.delete_memories(self._services, self._services.projects.get(project), [memory_id])
        return answer(f"Deleted {memory_id}.", deleted)


def register(mcp: GatewayServer, services: Services) -> None:
    tools = MemoryTools(services)
    mcp.offer(tools.store_memory, ADDS)
    mcp.offer(tools.search_memories, READS)
    mcp.offer(tools.delete_memory, DELETES)
