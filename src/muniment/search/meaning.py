"""What lies near a question by meaning: its vector, and the vectors next to it."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
Matches = Callable[[str], bool]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Asked:
    """``meta``: as it was before anything was asked; ``limit``: how many vectors are asked for, of all or ``among``
    these slots; ``patience`` in seconds."""

    meta: IndexMeta
    collection: str
    vector: Vectors
    patience: float
    limit: int = SLOTS_ASKED
    among: Sequence[int] | None = None


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
        patience = self._patience if hurried and not filters else self._patience * MORE_PATIENCE
        asked = _Asked(meta, collection, vector, patience)
        if filters:
            return lambda: Near(model, self._passing_near(index, manifest, asked, filters))
        pending = self._near(manifest, asked)
        return lambda: Near(model, pending())

    def around(self, manifest: ManifestReader, collection: str, vector: Vectors, patience: float) -> list[Candidate]:
        """The chunks nearest to a vector, best first."""
        return self._near(manifest, _Asked(manifest.meta(), collection, vector, patience))()

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

    def _passing_near(
        self, index: Readers, manifest: ManifestReader, asked: _Asked, filters: Filters
    ) -> list[Candidate]:
        if index.lexical is None:
            return []
        passing = self._passing.of(
            index.lexical,
            manifest,
            asked.collection,
            filters,
            SLOTS_ASKED,
            lambda slots: self.vectors_of(asked.collection, slots, asked.patience),
            patience=asked.patience,
        )
        matches = filters.matcher()
        if passing.asked:
            return self._near(manifest, replace(asked, limit=passing.asked), matches)()
        if passing.held is not None:
            hits = passing.held.nearest(asked.vector, SLOTS_ASKED) if passing.held.slots else []
            return _of_hits(manifest, hits, matches)
        return self._near(manifest, replace(asked, among=passing.slots), matches)() if passing.slots else []

    def _near(
        self, manifest: ManifestReader, asked: _Asked, matches: Matches | None = None
    ) -> Callable[[], list[Candidate]]:
        """What waits for the chunks nearest to a vector, best first."""
        collection, vector, limit, among = asked.collection, asked.vector, asked.limit, asked.among
        # while a pass upserts, Chroma lets a query wait for all that was written: a second or more at times
        pending = self._begun(lambda: self._vectors.nearest(collection, vector, limit, among), asked.patience)

        def found() -> list[Candidate]:
            candidates = _candidates(manifest, pending(), matches)
            now = manifest.meta()
            if (now.collection, now.reused) == (collection, asked.meta.reused):
                return candidates
            # Between the two a slot may have come to another text. Whose vector it was, only the hash beside it tells;
            # to fetch those too takes Chroma half as long again.
            hits = self._in_time(lambda: self._vectors.query(collection, vector, limit, among), asked.patience)
            return _of_hits(manifest, hits, matches)

        return found

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


def _of_hits(manifest: ManifestReader, hits: Sequence[VectorHit], matches: Matches | None) -> list[Candidate]:
    near, hashes = {hit.slot: hit.distance for hit in hits}, {hit.slot: hit.text_hash for hit in hits}
    return _candidates(manifest, near, matches, hashes)


def _candidates(
    manifest: ManifestReader,
    near: Mapping[int, float],
    matches: Matches | None,
    hashes: Mapping[int, bytes] | None = None,
) -> list[Candidate]:
    """The chunks of the ``SLOTS_ASKED`` nearest slots that pass: embedded as the manifest says, and their paths match.

    ``hashes``: of the texts whose vectors these are, where that must be looked at.
    """
    slots = list(near)
    by_slot: dict[int, list[Candidate]] = {}
    for start in range(0, len(slots), SIFTED_AT_ONCE):
        for chunk in manifest.slot_chunks(slots[start : start + SIFTED_AT_ONCE]):
            current = hashes is None or hashes[chunk.slot] == chunk.text_hash
            if current and (matches is None or matches(chunk.path)):
                candidate = Candidate(chunk.path, chunk.chunk_id, kind_of(chunk.path), 1.0 - near[chunk.slot])
                by_slot.setdefault(chunk.slot, []).append(candidate)
        if len(by_slot) >= SLOTS_ASKED:
            break
    passed = [slot for slot in slots if slot in by_slot][:SLOTS_ASKED]
    return [candidate for slot in passed for candidate in by_slot[slot]]
