"""What lies near a question by meaning: its vector, and the vectors next to it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from muniment.embedding import Embedder, Vectors
from muniment.errors import (
    ChromaUnavailable,
    EmbedderRefused,
    EmbedderUnavailable,
    ModelGone,
    ModelUnavailable,
    VectorsMissing,
    VectorsTooSlow,
)
from muniment.languages import kind_of
from muniment.manifest import IndexMeta, ManifestReader
from muniment.project import Project
from muniment.ranking import Candidate
from muniment.search.filters import Filters
from muniment.search.open_indexes import Readers
from muniment.search.passing import PassingVectors
from muniment.vectors import VectorHit, VectorStore

SLOTS_ASKED: Final = 100  # the farthest is what the others are measured from
SIFTED_AT_ONCE: Final = 200
VECTOR_PATIENCE: Final = 0.03  # seconds
MORE_PATIENCE: Final = 5  # times as long: for the harder work of a filter, or of several projects at once
SERVER_PATIENCE: Final = 2.0  # seconds that a server may take to embed a question
VECTOR_QUERIES: Final = 8  # at once; more wait, and give up when their patience ends
VECTORS_AWAY: Final = (
    ChromaUnavailable, VectorsMissing, VectorsTooSlow, EmbedderUnavailable, EmbedderRefused, ModelUnavailable, ModelGone
)  # fmt: skip
ForModel = Callable[[str, str | None], Embedder | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Near:
    """Chunks by falling similarity, in a collection whose name tells the model."""

    model: str
    candidates: list[Candidate]


class Meaning:
    """Safe for threads. Every call may raise one of VECTORS_AWAY."""

    def __init__(self, vectors: VectorStore, embedder: Embedder, patience: float, for_model: ForModel) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._patience = patience
        self._for_model = for_model
        self._passing = PassingVectors()
        self._asking = ThreadPoolExecutor(max_workers=VECTOR_QUERIES, thread_name_prefix="vectors")
        # of their own: a server that hangs must not keep projects waiting whose model is here
        self._embedding = ThreadPoolExecutor(max_workers=VECTOR_QUERIES, thread_name_prefix="embedding")

    def close(self) -> None:
        for threads in (self._asking, self._embedding):
            threads.shutdown(wait=False, cancel_futures=True)

    def asked(
        self, index: Readers, project: Project, question: str, filters: Filters, *, hurried: bool = True
    ) -> Callable[[], Near | None]:
        """What waits for the answer: words can be searched while the vectors are. It may raise one of VECTORS_AWAY too.

        None when no vectors were made yet, or the question holds no word that the embedder knows.
        """
        meta = index.manifest.meta() if index.manifest is not None else None
        if index.manifest is None or meta is None or meta.collection is None:
            return _nothing
        manifest, collection = index.manifest, meta.collection
        model = collection.removeprefix(f"{project.id}-")
        vector = self.embedded(self._embedder_of(model, meta), question)
        if not vector.any():
            return _nothing
        if filters:
            return lambda: Near(
                model,
                _confirmed(manifest, self._nearest_passing(index, collection, vector, filters), filters.matcher()),
            )
        patience = self._patience if hurried else self._patience * MORE_PATIENCE
        pending = self._begun(lambda: self._vectors.query(collection, vector, SLOTS_ASKED), patience)
        return lambda: Near(model, _confirmed(manifest, pending()))

    def around(self, manifest: ManifestReader, collection: str, vector: Vectors, patience: float) -> list[Candidate]:
        """The chunks nearest to a vector, best first."""
        return _confirmed(manifest, self._nearest(collection, vector, SLOTS_ASKED, patience=patience))

    def vectors_of(self, collection: str, slots: Sequence[int], patience: float) -> dict[int, tuple[bytes, Vectors]]:
        """Of each slot that has one: of which text, and the vector."""
        return self._in_time(lambda: self._vectors.vectors(collection, slots), patience)

    def embedded(self, embedder: Embedder, question: str) -> Vectors:
        if embedder.source is None or "://" not in embedder.source:
            made = embedder.embed([question])
        else:
            asked = self._embedding.submit(embedder.embed, [question])
            try:
                made = asked.result(SERVER_PATIENCE)
            except TimeoutError:
                asked.cancel()
                raise VectorsTooSlow(round(SERVER_PATIENCE * 1000)) from None
        vector: Vectors = made[0]
        return vector

    def _embedder_of(self, model: str, meta: IndexMeta) -> Embedder:
        if model == self._embedder.name:
            return self._embedder
        other = self._for_model(model, meta.model_source)
        if other is None:
            raise ModelGone(model)
        return other

    def _nearest_passing(self, index: Readers, collection: str, vector: Vectors, filters: Filters) -> list[VectorHit]:
        if index.lexical is None or index.manifest is None:
            return []
        patience = self._patience * MORE_PATIENCE
        passing = self._passing.of(
            index.lexical,
            index.manifest,
            collection,
            filters,
            SLOTS_ASKED,
            lambda slots: self.vectors_of(collection, slots, patience),
        )
        if passing.asked:
            return self._sifted(index.manifest, collection, vector, filters, passing.asked)
        if passing.held is not None:
            return passing.held.nearest(vector, SLOTS_ASKED) if passing.held.slots else []
        if not passing.slots:
            return []
        return self._nearest(collection, vector, SLOTS_ASKED, passing.slots, patience=patience)

    def _sifted(
        self, manifest: ManifestReader, collection: str, vector: Vectors, filters: Filters, limit: int
    ) -> list[VectorHit]:
        patience = self._patience * MORE_PATIENCE
        near = self._in_time(lambda: self._vectors.nearest(collection, vector, limit), patience)
        slots, passed = list(near), []
        matches = filters.matcher() or (lambda _path: True)
        for start in range(0, len(slots), SIFTED_AT_ONCE):
            part = slots[start : start + SIFTED_AT_ONCE]
            wanted = {chunk.slot for chunk in manifest.slot_chunks(part) if matches(chunk.path)}
            passed += [slot for slot in part if slot in wanted]
            if len(passed) >= SLOTS_ASKED:
                break
        hashes = self._in_time(lambda: self._vectors.hashes(collection, passed[:SLOTS_ASKED]), patience)
        return [VectorHit(slot, hashes[slot], near[slot]) for slot in passed if slot in hashes]

    def _nearest(
        self, collection: str, vector: Vectors, limit: int, among: Sequence[int] | None = None, *, patience: float
    ) -> list[VectorHit]:
        # while a pass upserts, Chroma lets a query wait for all that was written: a second or more at times
        return self._in_time(lambda: self._vectors.query(collection, vector, limit, among), patience)

    def _in_time(self, action: Callable[[], T], patience: float) -> T:
        return self._begun(action, patience)()

    def _begun(self, action: Callable[[], T], patience: float) -> Callable[[], T]:
        """What waits for it, until ``patience`` seconds from now are over."""
        asked, deadline = self._asking.submit(action), time.monotonic() + patience

        def result() -> T:
            try:
                return asked.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                asked.cancel()
                raise VectorsTooSlow(round(patience * 1000)) from None

        return result


def _nothing() -> None:
    return None


def _confirmed(
    manifest: ManifestReader, hits: Sequence[VectorHit], matches: Callable[[str], bool] | None = None
) -> list[Candidate]:
    """The chunks of these vectors, nearest first, so far as the manifest knows them and their paths match."""
    near = {hit.slot: hit for hit in hits}
    candidates = [
        Candidate(chunk.path, chunk.chunk_id, kind_of(chunk.path), 1.0 - near[chunk.slot].distance)
        for chunk in manifest.slot_chunks(list(near))
        # a freed slot is taken over by another text: its vector may still be the old one
        if chunk.text_hash == near[chunk.slot].text_hash and (matches is None or matches(chunk.path))
    ]
    return sorted(candidates, key=lambda candidate: -candidate.score)
