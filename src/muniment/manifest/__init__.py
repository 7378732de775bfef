"""The manifest: which files an index holds, at which size and time, as which chunks, and how far each stage is.

One process writes it, under the project's ``flock`` (``writer``); any number read it (``reader``).
"""

from muniment.manifest.reader import Counters, IndexMeta, ManifestReader, SlotChunk
from muniment.manifest.writer import FileUpdate, ManifestWriter, NewChunk, PendingSlot

__all__ = [
    "Counters",
    "FileUpdate",
    "IndexMeta",
    "ManifestReader",
    "ManifestWriter",
    "NewChunk",
    "PendingSlot",
    "SlotChunk",
]
