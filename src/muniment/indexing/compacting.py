"""Keeps the lexical index from growing under churn.

The library merges small segments as they come; a large one, that loses its chunks little by little, it leaves until
there are eight of that size. Here the living chunks of such a segment are written once more, and the segment goes.
"""

import logging
from collections.abc import Callable
from typing import Final

from muniment.lexical import LexicalWriter

log = logging.getLogger(__name__)

MOST_DELETED: Final = 0.5  # of the living chunks; from there on it is compacted
SPARED: Final = 0.15  # of the living chunks: so many deleted ones may stay
FEWEST: Final = 500  # deleted chunks that are worth the trouble
SLICE: Final = 2000  # chunks written in one commit
SHORTEST_SECONDS: Final = 0.5
SHARE: Final = 0.5  # of the pass's own time: a small update does not wait for what many of them have left


def compact(lexical: LexicalWriter, pass_seconds: float, check: Callable[[], None], clock: Callable[[], float]) -> int:
    """Returns how many chunks were written again. What there is no time for, the next pass goes on with."""
    living, deleted = lexical.num_chunks, lexical.deleted_chunks
    if deleted < FEWEST or deleted <= living * MOST_DELETED:
        return 0
    deadline = clock() + max(SHORTEST_SECONDS, pass_seconds * SHARE)
    ids = lexical.beside_deleted(int(living * SPARED))
    written = 0
    for start in range(0, len(ids), SLICE):
        if clock() >= deadline:
            break
        check()
        chunks = lexical.chunks(ids[start : start + SLICE])
        # one commit: a reader, and a crash, sees each chunk exactly once
        lexical.delete_chunks(chunks)
        lexical.add(sorted(chunks.values(), key=lambda chunk: chunk.chunk_id))
        lexical.commit()
        written += len(chunks)
    log.info("%d of %d chunks written again beside %d deleted ones", written, living, deleted)
    return written
