"""What the agents of a team decided and learned, kept for all of them and found by meaning."""

from muniment.memory.model import Memory, MemoryHit, SimilarMemory, Stored
from muniment.memory.store import MemoryStore

__all__ = ["Memory", "MemoryHit", "MemoryStore", "SimilarMemory", "Stored"]
