"""The second stage: embeds the texts that have no vector yet and upserts them, one batch in flight.

Texts come from the lexical index by id, never from the disk: what is embedded is what was indexed.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from muniment.embedding import Embedder, Vectors
from muniment.errors import ChromaUnavailable, EmbedderRefused, EmbedderUnavailable, VectorsMissing
from muniment.indexing.control import Control, Step
from muniment.indexing.examining import compare_vectors
from muniment.indexing.opening import OpenIndex
from muniment.lexical import LexicalChunk
from muniment.manifest import PendingSlot, VectorLedger
from muniment.vectors import VectorStore

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_SECONDS = 30.0  # then the job gives its slot back and waits
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
STOPPABLE_TEXTS = 500  # embedded and upserted before the pass asks again whether it has to stop
MOST_REFUSED = 20  # texts in a row: then the server refuses not them but the model, or us
NONE: Vectors = np.zeros((0, 1), np.float32)
MOST_LOSSES = 5  # of a collection that goes while it is filled: a server that came back without its folder


@dataclass
class VectorStage:
    """``collection`` is filled beside the active one, when that belongs to another model, and then takes its place.

    ``refused``: files that hold a text of which the embedder makes no vector; every pass asks again.
    """

    index: OpenIndex
    store: VectorStore
    embedder: Embedder
    collection: str
    batch_chunks: int
    control: Control
    clock: Callable[[], float] = time.monotonic
    refused: set[str] = field(default_factory=set)
    _refused_in_a_row: int = 0
    _refusal: EmbedderRefused | None = None  # the last one

    @property
    def _ledger(self) -> VectorLedger:
        return self.index.manifest.vectors

    def prepare(self, *, repair: bool = False) -> None:
        """Makes the collection and, after a crash or a loss, marks as pending what it does not hold.

        ``repair`` compares in any case, and the text of every vector too, because searches trust the manifest in that;
        so does a store that was set back.
        """
        ledger = self._ledger
        fresh = ledger.fill(self.collection, self.embedder.source)
        self.control.reached(Step.COLLECTION_CHOSEN)
        made = self._ensure()
        if fresh and not made:
            # vectors of an index that was lost: none of them can be told from the next one's
            self._empty()
        expected = ledger.embedded_slots() if made or self.index.after_crash else None
        if expected is None:
            set_back = self.patiently(lambda: self.store.count(self.collection)) < ledger.embedded_count()
        else:
            held = self.patiently(lambda: self.store.slots(self.collection))
            if not expected and held:
                self._empty()
            ledger.forget(expected - held)
            set_back = bool(held) and not expected <= held
        if repair or set_back:  # what a store that was set back still has may be of texts that left since
            self._repair()

    def _repair(self) -> None:
        manifest, beside = self.index.manifest, self._ledger.beside
        found = self.patiently(lambda: compare_vectors(manifest.reader, self.store, self.collection, beside=beside))
        self._ledger.forget([*found.missing, *found.foreign])
        self.patiently(lambda: self.store.remove(self.collection, found.unknown))

    def finish(self) -> None:
        """Everything is embedded: lets a collection that was filled beside the active one take its place."""
        if self._ledger.swap():
            self.control.reached(Step.COLLECTION_SWAPPED)
        for name in self._ledger.abandoned():
            self.patiently(partial(self.store.drop, name))
            self._ledger.dropped(name)

    def _empty(self) -> None:
        self.patiently(lambda: self.store.drop(self.collection))
        self._ensure()

    def _ensure(self) -> bool:
        expected = self._ledger.pending_count() + self._ledger.embedded_count()
        return self.patiently(lambda: self.store.ensure(self.collection, expected))

    def run(self, between: Callable[[int], None]) -> None:
        """Until nothing is pending. ``between(count)`` is called after each batch, with none in flight."""
        losses = 0
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="upsert") as pool:
            while True:
                try:
                    if not self._sweep(pool, between):
                        break
                except VectorsMissing as missing:
                    losses += 1
                    if losses > MOST_LOSSES:
                        raise
                    log.warning("%s", missing)
                    self.prepare()
        if self._refusal is not None and not self._ledger.embedded_count():
            raise self._refusal  # it never made a vector: an empty collection must not take an active one's place

    def _sweep(self, pool: ThreadPoolExecutor, between: Callable[[int], None]) -> bool:
        """Once over all pending slots; False when it marked none."""
        after, marked = 0, False
        flight: tuple[list[PendingSlot], Future[None]] | None = None
        while True:
            self.control.check()
            batch = self._ledger.pending(min(self.batch_chunks, self.embedder.batch_texts), after)
            work = self._embed(batch) if batch else None
            if flight is not None:
                flight[1].result()
                self.control.reached(Step.VECTORS_UPSERTED)
                self._ledger.mark_embedded(flight[0])
                self.control.reached(Step.VECTORS_MARKED)
                marked = marked or bool(flight[0])
                between(len(flight[0]))
            if work is None:
                return marked
            after = batch[-1].slot
            self.control.check()
            flight = (work[0], pool.submit(self.patiently, work[1]))

    def _embed(self, batch: list[PendingSlot]) -> tuple[list[PendingSlot], Callable[[], None]]:
        chunks = self.index.lexical.chunks([item.chunk_id for item in batch])
        present = [item for item in batch if item.chunk_id in chunks]
        if len(present) < len(batch):
            self.index.manifest.reread(item.chunk_id for item in batch if item.chunk_id not in chunks)
        taken, vectors = self._vectors_of(present, chunks)
        slots, hashes = [item.slot for item in taken], [item.text_hash for item in taken]
        return taken, partial(self._upsert, slots, hashes, vectors)

    def _upsert(self, slots: list[int], hashes: list[bytes], vectors: Vectors) -> None:
        for start in range(0, len(slots), STOPPABLE_TEXTS):
            self.control.check()
            part = slice(start, start + STOPPABLE_TEXTS)
            self.store.upsert(self.collection, slots[part], hashes[part], vectors[part])

    def _embedded(self, texts: list[str]) -> Vectors:
        parts = []
        for start in range(0, len(texts), STOPPABLE_TEXTS):
            self.control.check()
            part = texts[start : start + STOPPABLE_TEXTS]
            parts.append(self.patiently(partial(self.embedder.embed, part)))
        return np.concatenate(parts) if parts else NONE

    def _vectors_of(
        self, items: list[PendingSlot], chunks: Mapping[int, LexicalChunk]
    ) -> tuple[list[PendingSlot], Vectors]:
        """Without the texts that a server refuses although it takes others: they must not keep the others waiting."""
        try:
            vectors = self._embedded([chunks[item.chunk_id].text for item in items])
        except EmbedderRefused as refusal:
            if len(items) > 1:
                middle = len(items) // 2
                first, second = (self._vectors_of(half, chunks) for half in (items[:middle], items[middle:]))
                parts = [part for taken, part in (first, second) if taken]
                return [*first[0], *second[0]], np.concatenate(parts) if parts else NONE
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= MOST_REFUSED:
                raise
            self._refusal = refusal
            self.refused.add(chunks[items[0].chunk_id].path)
            return [], NONE
        if items:
            self._refused_in_a_row = 0
        return items, vectors

    def patiently(self, action: Callable[[], T]) -> T:
        """Tries again while Chroma or a remote embedder is away, but not for long; then raises its error."""
        deadline = self.clock() + PATIENCE_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return action()
            except (ChromaUnavailable, EmbedderUnavailable) as away:
                if self.clock() >= deadline:
                    raise
                pause = max(pause, getattr(away, "retry_after", None) or 0.0)
            self._wait(min(pause, max(FIRST_PAUSE_SECONDS, deadline - self.clock())))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _wait(self, seconds: float) -> None:
        """A server may ask for hours: meanwhile the pass may have to stop."""
        while seconds > 0:
            self.control.check()
            self.control.pause(min(seconds, LONGEST_PAUSE_SECONDS))
            seconds -= LONGEST_PAUSE_SECONDS
