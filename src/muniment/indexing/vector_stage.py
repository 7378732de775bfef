"""The second stage: embeds the texts that have no vector yet and upserts them, one batch in flight.

Texts come from the lexical index by id, never from the disk: what is embedded is what was indexed.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from muniment.embedding import Embedder
from muniment.errors import ChromaUnavailable
from muniment.indexing.opening import OpenIndex
from muniment.manifest import PendingSlot
from muniment.vectors import VectorStore

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0


@dataclass
class VectorStage:
    """``check`` raises when the pass has to stop; ``pause`` waits that long unless it has to."""

    index: OpenIndex
    store: VectorStore
    embedder: Embedder
    collection: str
    batch_chunks: int
    check: Callable[[], None]
    pause: Callable[[float], None]
    clock: Callable[[], float] = time.monotonic

    def prepare(self) -> None:
        """Makes the collection and, after a crash or a loss, marks as pending what it does not hold."""
        manifest = self.index.manifest
        fresh = manifest.use_collection(self.collection)
        made = self.patiently(lambda: self.store.ensure(self.collection))
        if fresh and not made:
            # vectors of an index that was lost: none of them can be told from the next one's
            self._empty()
        expected = manifest.embedded_slots() if made or self.index.after_crash else None
        if expected is None and self.patiently(lambda: self.store.count(self.collection)) < manifest.embedded_count():
            expected = manifest.embedded_slots()
        if expected is not None:
            held = self.patiently(lambda: self.store.slots(self.collection))
            if not expected and held:
                self._empty()
            manifest.forget_vectors(expected - held)

    def _empty(self) -> None:
        self.patiently(lambda: self.store.drop(self.collection))
        self.patiently(lambda: self.store.ensure(self.collection))

    def run(self, between: Callable[[int], None]) -> None:
        """Until nothing is pending. ``between(count)`` is called after each batch, with none in flight."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="upsert") as pool:
            while self._sweep(pool, between):
                pass

    def _sweep(self, pool: ThreadPoolExecutor, between: Callable[[int], None]) -> bool:
        """Once over all pending slots; False when it marked none."""
        after, marked = 0, False
        flight: tuple[list[PendingSlot], Future[None]] | None = None
        while True:
            self.check()
            batch = self.index.manifest.pending_slots(self.batch_chunks, after)
            work = self._embed(batch) if batch else None
            if flight is not None:
                flight[1].result()
                self.index.manifest.mark_embedded(flight[0])
                marked = marked or bool(flight[0])
                between(len(flight[0]))
            if work is None:
                return marked
            after = batch[-1].slot
            flight = (work[0], pool.submit(self.patiently, work[1]))

    def _embed(self, batch: list[PendingSlot]) -> tuple[list[PendingSlot], Callable[[], None]]:
        texts = self.index.lexical.texts([item.chunk_id for item in batch])
        present = [item for item in batch if item.chunk_id in texts]
        if len(present) < len(batch):
            self.index.manifest.reread(item.chunk_id for item in batch if item.chunk_id not in texts)
        vectors = self.embedder.embed([texts[item.chunk_id] for item in present])
        slots, hashes = [item.slot for item in present], [item.text_hash for item in present]
        return present, lambda: self.store.upsert(self.collection, slots, hashes, vectors)

    def patiently(self, action: Callable[[], T]) -> T:
        """Tries again while Chroma is away, for two minutes at most; then raises ChromaUnavailable."""
        deadline = self.clock() + PATIENCE_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return action()
            except ChromaUnavailable:
                if self.clock() >= deadline:
                    raise
            self.check()
            self.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
