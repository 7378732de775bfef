"""Tools for the memory that all agents share."""

import sqlite3
from enum import StrEnum
from typing import Annotated

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, Field, WithJsonSchema

from muniment.errors import MunimentError
from muniment.memory import MAX_LIMIT, Memory, MemoryFilters, Stored
from muniment.memory.model import MAX_BATCH, check_ids
from muniment.project import Project
from muniment_api import memories as memory_answers
from muniment_api.deps import Services
from muniment_api.gateway import memory_text
from muniment_api.gateway.parameters import OtherProjects, ProjectName, Tags
from muniment_api.gateway.server import ADDS, DELETES, READS, GatewayServer, answer
from muniment_api.memory_shapes import (
    MAX_AGE_DAYS,
    Change,
    Deleted,
    Expanded,
    FilePointer,
    FoundMemories,
    Mode,
    NewMemory,
    Pruned,
    Question,
    StoredBatch,
    Topics,
    cut,
)

POINTERS = 3  # indexed files that a search names beside the memories

MemoryId = Annotated[str, Field(description="As in results.")]
MemoryIds = Annotated[list[str], Field(description="As in results.")]
Source = Annotated[str | None, Field(description="Where it comes from: file, commit, ticket, person.")]
CodePath = Annotated[str | None, Field(description="File it is about, as in results; marks it when that changes.")]
CodeLines = Annotated[str | None, Field(description="Of that file: '12-40'.")]
CodeSymbol = Annotated[str | None, Field(description="Or the definition in it.")]


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


class MemoryTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def store_memory(
        self,
        project: ProjectName,
        content: Annotated[str, Field(description="One fact with its reason, understandable by itself.")],
        tags: Tags = "",
        source: Source = None,
        supersedes: Annotated[str | None, Field(description="Id of the memory that this one replaces.")] = None,
        path: CodePath = None,
        lines: CodeLines = None,
        symbol: CodeSymbol = None,
    ) -> Annotated[CallToolResult, Stored]:
        """Keep a decision, reason, convention or finding for every agent. A near-duplicate is named, not stored.

        E.g. content="Retries stop after 3: the bank bans more", tags="decision,pay", path="src/pay.py", symbol="retry"
        """
        of = self._project(project)
        memory = NewMemory(
            content=content, tags=tags, source=source, supersedes=supersedes, path=path, lines=lines, symbol=symbol
        )
        stored = memory_answers.store(self._services, of, memory)
        return answer(memory_text.stored_text(of.name, stored, self._beginnings(of, [stored])), stored)

    def store_batch(
        self,
        project: ProjectName,
        memories: Annotated[
            list[NewMemory],
            # the properties of an item would repeat what store_memory says
            WithJsonSchema({"type": "array", "items": {"type": "object", "required": ["content"]}}),
            Field(description=f"At most {MAX_BATCH}, each with the arguments of store_memory."),
        ],
    ) -> Annotated[CallToolResult, StoredBatch]:
        """Store several memories at once: all, or on an error none. E.g. memories=[{"content": "...", "tags": "ci"}]"""
        of = self._project(project)
        batch = memory_answers.store_batch(self._services, of, memories)
        return answer(memory_text.batch_text(of.name, batch, self._beginnings(of, batch.items)), batch)

    def search_memories(
        self,
        project: ProjectName,
        query: Annotated[str, Field(description="What you want to know, in plain language.")],
        tags: Annotated[Tags | None, Field(description="Only with any of these tags.")] = None,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most memories.")] = 5,
        mode: Annotated[Mode, Field(description="A line, the beginning, or all of each.")] = Mode.SUMMARY,
        min_score: Annotated[
            float, Field(ge=0, le=1, description="Similarity; right answers may have only 0.2.")
        ] = 0.0,
        after: Annotated[str | None, Field(description="Stored since: '2026-01-31'.")] = None,
        before: Annotated[str | None, Field(description="Stored until the end of that day.")] = None,
        source: Annotated[str | None, Field(description="Only sources that begin so.")] = None,
        projects: OtherProjects = None,
        include_superseded: Annotated[bool, Field(description="Also replaced ones.")] = False,
        output: Annotated[Output, Field(description="Form of the text.")] = Output.TEXT,
    ) -> Annotated[CallToolResult, FoundMemories]:
        """What agents decided and learned about this, by meaning, best first. Ask before you decide.

        Cheapest: mode="probe", then expand_memories. E.g. query="why do we retry payments only 3 times"
        """
        of = self._project(project)
        asked = Question(
            query=query,
            mode=mode,
            filters=MemoryFilters.of(tags or (), after, before, source, include_superseded=include_superseded),
            limit=limit,
            min_score=min_score,
            projects=projects,
        )
        results = memory_answers.search(self._services, of, asked)
        files = [] if mode == Mode.PROBE else self._pointers(of, query)
        found = FoundMemories(project=of.name, mode=mode, results=results, files=files)
        return _as_json(found) if output == Output.JSON else answer(memory_text.found_text(found), found)

    def expand_memories(self, project: ProjectName, memory_ids: MemoryIds) -> Annotated[CallToolResult, Expanded]:
        """Memories as a whole, by id: what a probe or a summary has cut."""
        expanded = memory_answers.expand(self._services, self._project(project), memory_ids)
        return answer(memory_text.expanded_text(expanded), expanded)

    def update_memory(
        self,
        project: ProjectName,
        memory_id: MemoryId,
        content: Annotated[str | None, Field(description="The new text.")] = None,
        tags: Annotated[Tags | None, Field(description="All its tags from now on.")] = None,
        source: Annotated[str | None, Field(description="'' for none.")] = None,
        path: Annotated[str | None, Field(description="File it is about; '' for none.")] = None,
        lines: CodeLines = None,
        symbol: CodeSymbol = None,
        confirm_code: Annotated[bool, Field(description="It still holds for the code as that is now.")] = False,
        superseded_by: Annotated[str | None, Field(description="Id of what replaces it; '' for none.")] = None,
    ) -> Annotated[CallToolResult, Memory]:
        """Correct a memory, keeping its id and date: what is omitted stays. A new decision supersedes instead.

        After `code changed`, read the code: confirm_code=true if the memory still holds, else new content.
        """
        of = self._project(project)
        change = Change(
            content=content,
            tags=tags,
            source=source,
            path=path,
            lines=lines,
            symbol=symbol,
            confirm_code=confirm_code,
            superseded_by=superseded_by,
        )
        updated = memory_answers.update(self._services, of, memory_id, change)
        return answer(memory_text.changed_text(of.name, "Updated", updated), updated)

    def retag_memory(
        self,
        project: ProjectName,
        memory_id: MemoryId,
        add_tags: Annotated[Tags, Field(description="Besides those it has.")] = "",
        remove_tags: Annotated[Tags, Field(description="Of those it has.")] = "",
        set_tags: Annotated[Tags | None, Field(description="Instead of those it has; alone.")] = None,
    ) -> Annotated[CallToolResult, Memory]:
        """Change a memory's tags."""
        of = self._project(project)
        tagged = memory_answers.retag(self._services, of, memory_id, add=add_tags, remove=remove_tags, replace=set_tags)
        return answer(memory_text.changed_text(of.name, "Tagged", tagged), tagged)

    def delete_memory(
        self,
        project: ProjectName,
        memory_id: Annotated[
            str | list[str], Field(description=f"As in results; of a list (at most {MAX_BATCH}) all or none.")
        ],
    ) -> Annotated[CallToolResult, Deleted]:
        """Delete a memory that is wrong, for good. One that was replaced is better superseded."""
        of = self._project(project)
        ids = check_ids([memory_id] if isinstance(memory_id, str) else memory_id)
        deleted = memory_answers.delete(self._services, of, ids)
        return answer(f"[{of.name}] Deleted {', '.join(ids)}.", deleted)

    def list_topics(self, project: ProjectName, projects: OtherProjects = None) -> Annotated[CallToolResult, Topics]:
        """The tags of memories, most used first, with their number."""
        of = self._project(project)
        topics = memory_answers.topics(self._services, of, projects)
        return answer(memory_text.topics_text(of.name, topics), topics)

    def prune_stale(
        self,
        project: ProjectName,
        max_age_days: Annotated[float, Field(description="Days without a read or a change.")] = MAX_AGE_DAYS,
        dry_run: Annotated[bool, Field(description="Only name them; false deletes them for good.")] = True,
    ) -> Annotated[CallToolResult, Pruned]:
        """Delete memories that nobody has used for long. Look at the dry run first."""
        of = self._project(project)
        pruned = memory_answers.prune(self._services, of, max_age_days, dry_run=dry_run)
        return answer(memory_text.pruned_text(of.name, pruned, max_age_days), pruned)

    def _project(self, name: str) -> Project:
        return self._services.projects.get(name)

    def _beginnings(self, of: Project, batch: list[Stored]) -> dict[str, str]:
        """A line of each memory that a new one resembles: whether it says the same cannot be told from an id."""
        near = {one.id for stored in batch for one in stored.similar} | {
            stored.duplicate_of for stored in batch if stored.duplicate_of
        }
        try:
            known = self._services.memory.get_all(of.id, sorted(near)[:MAX_BATCH]) if near else []
        except MunimentError:  # deleted meanwhile
            return {}
        return {memory.id: cut(memory.content, Mode.PROBE)[0] for memory in known}

    def _pointers(self, of: Project, query: str) -> list[FilePointer]:
        """Where the project's files speak of it. Nothing when they cannot be searched: memories were asked for."""
        try:
            hits = self._services.search.search(of, query, POINTERS).results
        except (MunimentError, sqlite3.Error):
            return []
        return [FilePointer.model_validate(hit, from_attributes=True) for hit in hits]


def _as_json(model: BaseModel) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=model.model_dump_json())],
        structured_content=model.model_dump(mode="json"),
    )


def register(mcp: GatewayServer, services: Services) -> None:
    tools = MemoryTools(services)
    for reading in (tools.search_memories, tools.expand_memories, tools.list_topics):
        mcp.offer(reading, READS)
    for adding in (tools.store_memory, tools.store_batch, tools.update_memory, tools.retag_memory):
        mcp.offer(adding, ADDS)
    for deleting in (tools.delete_memory, tools.prune_stale):
        mcp.offer(deleting, DELETES)
