"""The files that a question names by a line of theirs: ``src/x.py:42``."""

from collections.abc import Sequence
from typing import Final

from muniment.manifest import ManifestReader, SlotChunk
from muniment.search.questions import NamedPlace, tails

MOST_MEANT: Final = 3  # files of one name: of more nobody knows which is meant
LOOKED_FOR: Final = 3  # names that are looked for below any folder, which reads every path


def files_named(manifest: ManifestReader, places: Sequence[NamedPlace]) -> dict[str, int]:
    """The indexed files that are meant, each with its first line that is named."""
    indexed = manifest.with_chunks({tail for place in places for tail in tails(place.path)})
    meant: dict[str, int] = {}
    looked_for = 0
    for place in places:
        known = [tail for tail in tails(place.path) if tail in indexed][:1]
        if not known and looked_for < LOOKED_FOR:
            looked_for += 1
            ending = manifest.paths_ending(place.path, MOST_MEANT + 1)
            known = ending if len(ending) <= MOST_MEANT else []
        for path in known:
            meant.setdefault(path, place.line)
    return meant


def chunk_at(chunks: Sequence[SlotChunk], line: int) -> SlotChunk | None:
    """The chunk that holds a line; None when none does."""
    return next((chunk for chunk in chunks if chunk.start_line <= line <= chunk.end_line), None)
