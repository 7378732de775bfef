"""What is asked of memories and answered about them, by REST and by MCP alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, Field

from muniment.memory import CURRENT, Memory, MemoryFilters, StaleMemory, Stored, Topic
from muniment_api.routes.bodies import Body

PROBE_LENGTH = 80  # characters of a memory
SUMMARY_LENGTH = 200

MAX_AGE_DAYS = 60.0


class Mode(StrEnum):
    """How much of each memory is told: its first line's beginning, its beginning, or all of it."""

    PROBE = "probe"
    SUMMARY = "summary"
    FULL = "full"


class NewMemory(Body):
    content: str = Field(description="One fact, understandable by itself.")
    tags: str | list[str] = Field([], description="A list, or text separated by commas.")
    source: str | None = Field(None, description="Where it comes from: a path, a URL, a person.")
    supersedes: str | None = Field(None, description="Id of the memory that this one replaces.")
    path: str | None = Field(None, description="The file that it is about, as in results.")
    lines: str | None = Field(None, description="The lines of it: 12-40.")
    symbol: str | None = Field(None, description="Or the definition in it.")


class FoundMemory(Memory):
    score: float | None = Field(None, description="Similarity to the question, from 0 to 1; null without a question.")
    truncated: bool = Field(False, description="The content goes on.")


class FilePointer(BaseModel):
    """Where an indexed file speaks of what was asked."""

    path: str
    start_line: int
    end_line: int
    symbol: str | None
    score: float


class FoundMemories(BaseModel):
    """``files`` are those of the project itself; a probe asks for none."""

    project: str
    mode: Mode
    results: list[FoundMemory]
    files: list[FilePointer] = []


class StoredBatch(BaseModel):
    items: list[Stored]


class Expanded(BaseModel):
    """``missing``: ids that the project does not have."""

    project: str
    memories: list[Memory]
    missing: list[str] = []


class Deleted(BaseModel):
    deleted: int


class Topics(BaseModel):
    items: list[Topic]


class Pruned(BaseModel):
    """``memories`` are the first of the ``count`` that nobody used; without ``dry_run`` all of them are deleted."""

    dry_run: bool
    count: int
    memories: list[StaleMemory]


@dataclass(frozen=True, kw_only=True)
class Question:
    """``projects``: further ones by name or id, or "*" for all."""

    query: str
    mode: Mode
    filters: MemoryFilters = CURRENT
    limit: int = 5
    min_score: float = 0.0
    projects: str | Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is None stays. ``source``, ``path`` and ``superseded_by`` that are empty take away what there was.

    ``confirm_code``: the memory holds for its code as that is now.
    """

    content: str | None = None
    tags: str | Sequence[str] | None = None
    source: str | None = None
    path: str | None = None
    lines: str | None = None
    symbol: str | None = None
    confirm_code: bool = False
    superseded_by: str | None = None

    @property
    def moves(self) -> bool:
        return any((self.path, self.lines, self.symbol))


def cut(content: str, mode: Mode) -> tuple[str, bool]:
    """What a mode shows of a text, and whether it goes on."""
    if mode == Mode.FULL:
        return content, False
    if mode == Mode.PROBE:
        content = " ".join(content.split())
    room = PROBE_LENGTH if mode == Mode.PROBE else SUMMARY_LENGTH
    if len(content) <= room:
        return content, False
    beginning = content[:room]
    at_a_word = beginning.rsplit(None, 1)[0]
    # a text without spaces is cut anywhere
    return (at_a_word if len(at_a_word) > room // 2 else beginning).rstrip() + "…", True
