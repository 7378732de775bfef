"""The manifest: which files an index holds, at which size and time, as which chunks, and how far each stage is.

One process writes it, under the project's ``flock`` (``writer``); any number read it (``reader``).
"""

from muniment.manifest.listing import FilePage, FileState, ListedFile, Listing
from muniment.manifest.reader import Counters, IndexMeta, ManifestReader, SlotChunk
from muniment.manifest.unread import why_unread
from muniment.manifest.vector_ledger import PendingSlot, VectorLedger
from muniment.manifest.writer import FileUpdate, LeftOut, ManifestWriter, NewChunk

__all__ = [
    "Counters",
    "FilePage",
    "FileState",
    "FileUpdate",
    "IndexMeta",
    "LeftOut",
    "ListedFile",
    "Listing",
    "ManifestReader",
    "ManifestWriter",
    "NewChunk",
    "PendingSlot",
    "SlotChunk",
    "VectorLedger",
    "why_unread",
]
