"""The shapes of a memory and the rules for what may become one. Pure."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel

from muniment.errors import InvalidValue

MAX_CONTENT = 20_000  # characters
MAX_SOURCE = 1_000  # characters
MAX_TAGS = 50
MAX_TAG = 100  # characters


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
    similar: list[SimilarMemory] = []
    message: str | None = None


def new_memory_id() -> str:
    return secrets.token_hex(8)


def clean_text(field: str, text: str, longest: int = MAX_CONTENT) -> str:
    """The text without surrounding space. Raises InvalidValue when nothing is left, it is too long, or not text."""
    text = text.strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(field, ascii(text[:40]), "it holds half of a surrogate pair, which is no text") from error
    if not text:
        raise InvalidValue(field, text, "it is empty")
    if len(text) > longest:
        raise InvalidValue(field, f"{text[:40]}...", f"it has {len(text):,} characters, more than {longest:,}")
    return text


def clean_tags(tags: str | Iterable[str]) -> list[str]:
    """Trimmed, lower-cased, sorted, each once; a string holds tags separated by commas. Raises InvalidValue."""
    given = tags.split(",") if isinstance(tags, str) else tags
    clean = sorted({tag.strip().lower() for tag in given} - {""})
    if len(clean) > MAX_TAGS:
        raise InvalidValue("tags", f"{len(clean)} tags", f"a memory has at most {MAX_TAGS}")
    for tag in clean:
        clean_text("tags", tag, MAX_TAG)
    return clean
