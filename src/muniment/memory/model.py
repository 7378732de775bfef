"""The shapes of a memory and the rules for what may become one. Pure."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from muniment.errors import InvalidValue

MAX_CONTENT = 20_000  # characters
MAX_SOURCE = 1_000  # characters
MAX_SYMBOL = 1_000
MAX_TAGS = 50
MAX_TAG = 100  # characters
MAX_BATCH = 200  # memories stored by one call
MAX_ID = 64  # characters


class Anchor(BaseModel):
    """The code that a memory is about, as it was when that was said: lines 1-based and inclusive.

    ``hash`` is that of the lines' text without trailing space, behind that of the first line alone; without lines, of
    the whole file's.
    """

    path: str
    start_line: int | None = None
    end_line: int | None = None
    symbol: str | None = None
    hash: str


class CodeState(StrEnum):
    SAME = "same"  # the anchored text is in its file, perhaps on other lines
    CHANGED = "code changed"
    GONE = "code gone"  # the file is
    UNREADABLE = "code unreadable"  # at present: its folder is away, it may not be read, or is no text or too large


class Memory(BaseModel):
    """One memory. ``project`` is the project's name, tags are sorted, times are UTC."""

    id: str
    project: str
    project_id: str
    content: str
    tags: list[str] = []
    source: str | None = None
    created_at: datetime
    updated_at: datetime
    superseded_by: str | None = Field(None, description="The memory that replaced this one.")
    anchor: Anchor | None = None
    code: CodeState | None = Field(None, description="Whether the code that it is about is still the same.")


class MemoryHit(Memory):
    """A found memory. ``score`` is the cosine similarity to the query, from 0 to 1 (below 0 counts as 0)."""

    score: float


class SimilarMemory(BaseModel):
    id: str
    score: float


class Stored(BaseModel):
    """What became of a memory: stored under ``id``, or (``created`` false) ``id`` is the one that said it before."""

    id: str
    created: bool
    duplicate_of: str | None = None
    supersedes: str | None = None
    similar: list[SimilarMemory] = []
    message: str | None = None


class Topic(BaseModel):
    """A tag, how many memories carry it, and when the last of them changed."""

    tag: str
    memories: int
    updated_at: datetime


class StaleMemory(BaseModel):
    """A memory that was neither read nor changed since ``last_used_at``."""

    id: str
    content: str
    tags: list[str]
    last_used_at: datetime


class StaleMemories(BaseModel):
    """``count`` of them in all, and those that were unused for longest."""

    count: int
    memories: list[StaleMemory]


class Draft(BaseModel):
    """What is to be stored, cleaned by ``clean_draft``."""

    model_config = ConfigDict(extra="forbid")

    content: str
    tags: str | list[str] = []
    source: str | None = None
    supersedes: str | None = Field(None, description="Id of a memory that this one replaces.")
    anchor: Anchor | None = None


def new_memory_id() -> str:
    return secrets.token_hex(8)


def clean_draft(draft: Draft, field: str = "") -> Draft:
    """With text, tags and source cleaned. ``field`` begins the name of what is wrong in an InvalidValue."""
    return Draft(
        content=clean_text(f"{field}content", draft.content),
        tags=clean_tags(draft.tags, f"{field}tags"),
        source=clean_source(draft.source, f"{field}source"),
        supersedes=(draft.supersedes or "").strip() or None,
        anchor=draft.anchor,
    )


def clean_text(field: str, text: str, longest: int = MAX_CONTENT) -> str:
    """The text without surrounding space. Raises InvalidValue when nothing is left, it is too long, or not text."""
    text = text.strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(field, ascii(text[:40]), "it holds half of a surrogate pair, which is no text") from error
    if not text:
        raise InvalidValue(field, text, "it is empty")
    if "\0" in text:
        raise InvalidValue(field, ascii(text[:40]), "it holds a NUL character")
    if len(text) > longest:
        raise InvalidValue(field, f"{text[:40]}...", f"it has {len(text):,} characters, more than {longest:,}")
    return text


def clean_source(source: str | None, field: str = "source") -> str | None:
    """None for a source of nothing but space."""
    return clean_text(field, source, MAX_SOURCE) if source and source.strip() else None


def clean_tags(tags: str | Iterable[str], field: str = "tags") -> list[str]:
    """Trimmed, lower-cased, sorted, each once; a comma parts tags, in each of several too. Raises InvalidValue."""
    given = [tags] if isinstance(tags, str) else tags
    clean = sorted({tag.strip().lower() for one in given for tag in one.split(",")} - {""})
    if len(clean) > MAX_TAGS:
        raise InvalidValue(field, f"{len(clean)} tags", f"a memory has at most {MAX_TAGS}")
    for tag in clean:
        clean_text(field, tag, MAX_TAG)
    return clean


def check_ids(memory_ids: Sequence[str]) -> list[str]:
    """Without surrounding space, each once. Raises InvalidValue when there is none, or more than one call may name."""
    field = "memory ids"  # what they come in has other names
    if not memory_ids:
        raise InvalidValue(field, list(memory_ids), "name at least one memory")
    distinct = list(dict.fromkeys(clean_text(field, memory_id, MAX_ID) for memory_id in memory_ids))
    if len(distinct) > MAX_BATCH:
        raise InvalidValue(field, f"{len(distinct)} ids", f"name at most {MAX_BATCH} in one call")
    return distinct
