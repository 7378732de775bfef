"""What the agents of a team decided and learned, kept for all of them and found by meaning."""

from muniment.memory.filters import CURRENT, MemoryFilters
from muniment.memory.model import (
    Anchor,
    CodeState,
    Draft,
    Memory,
    MemoryHit,
    SimilarMemory,
    StaleMemory,
    Stored,
    Topic,
)
from muniment.memory.store import MAX_LIMIT, MemoryStore
from muniment.memory.transfer import Imported, Record, export_line, read_lines

__all__ = [
    "CURRENT",
    "MAX_LIMIT",
    "Anchor",
    "CodeState",
    "Draft",
    "Imported",
    "Memory",
    "MemoryFilters",
    "MemoryHit",
    "MemoryStore",
    "Record",
    "SimilarMemory",
    "StaleMemory",
    "Stored",
    "Topic",
    "export_line",
    "read_lines",
]
