"""Vectors of chunks in a Chroma server: one per slot, its id the slot number, its only metadata the text's hash.

No documents: Chroma's full-text trigrams would cost four times the time and seven times the disk.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import httpx
import numpy as np
from chromadb import HttpClient
from chromadb.api import ClientAPI
from chromadb.api.collection_configuration import CreateHNSWConfiguration
from chromadb.api.models.Collection import Collection
from chromadb.api.types import Include, Metadata, QueryResult
from chromadb.config import Settings as ChromaSettings
from chromadb.errors import ChromaError, NotFoundError
from numpy.typing import NDArray

from muniment.errors import ChromaUnavailable, DiskFull, VectorsMissing

MAX_BATCH = 500  # a query waits while a batch is written: four short waits instead of a long one
# While upserting and querying at once, the default buffer (100) and threshold (1,000) cost a third of the rate.
# Building the graph with 64 candidates instead of 100 saves a fifth of the work and costs 0.4% of recall.
HNSW: Final[CreateHNSWConfiguration] = {"space": "cosine", "batch_size": 2000, "ef_construction": 64}
# Until a synchronisation Chroma keeps everything written in a log besides: a collection of 4,000 vectors would come to
# four times its size. A query may have to wait for one, so a large collection has few of them.
SYNC_SHARE: Final = 10  # of what a collection is expected to hold
FEWEST_SYNCED: Final = 2_000
MOST_SYNCED: Final = 20_000
FULL_SIGNS: Final = ("disk is full", "No space left", "os error 28")
REQUEST_SECONDS: Final = 60.0  # the longest upsert seen took 4 s
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VectorHit:
    slot: int
    text_hash: bytes
    distance: float  # cosine distance, 0..2


class VectorStore:
    """One Chroma server. Connects at first use; safe for threads. Every call may raise ChromaUnavailable."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._client: ClientAPI | None = None
        self._collections: dict[str, Collection] = {}

    def _connect(self) -> ClientAPI:
        with self._lock:
            if self._client is None:
                parts = urlsplit(self.url)
                client = HttpClient(
                    host=parts.hostname or "127.0.0.1",
                    port=parts.port or 8000,
                    ssl=parts.scheme == "https",
                    settings=ChromaSettings(anonymized_telemetry=False),
                )
                # the client would wait for ever, and it has no setting of its own for that
                client._server._session.timeout = httpx.Timeout(REQUEST_SECONDS)  # type: ignore[attr-defined]
                self._client = client
            return self._client

    def _call(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except NotFoundError:
            raise
        except (ChromaError, httpx.HTTPError, ValueError, OSError) as error:
            # chromadb wraps a refused connection into ValueError
            with self._lock:
                self._client = None
                self._collections.clear()
            raise ChromaUnavailable(self.url, str(error) or type(error).__name__) from error

    def _collection(self, name: str) -> Collection:
        known = self._collections.get(name)
        if known is None:
            known = self._connect().get_collection(name, embedding_function=None)
            self._collections[name] = known
        return known

    def heartbeat(self) -> None:
        self._call(lambda: self._connect().heartbeat())

    def ensure(self, name: str, expected: int = 0) -> bool:
        """Makes the collection if it is missing, for about so many vectors; True when it was made."""
        threshold = min(MOST_SYNCED, max(FEWEST_SYNCED, expected // SYNC_SHARE))
        hnsw: CreateHNSWConfiguration = {**HNSW, "sync_threshold": threshold}

        def make() -> bool:
            client = self._connect()
            try:
                self._collections[name] = client.get_collection(name, embedding_function=None)
                return False
            except NotFoundError:
                self._collections[name] = client.create_collection(
                    name, configuration={"hnsw": hnsw}, embedding_function=None, get_or_create=True
                )
                return True

        return self._call(make)

    def upsert(self, name: str, slots: Sequence[int], hashes: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """``vectors``: shape (len(slots), dimensions). Larger batches are sent in parts. Raises VectorsMissing
        and DiskFull."""
        for start in range(0, len(slots), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            ids = [str(slot) for slot in slots[part]]
            metadatas: list[Metadata] = [{"hash": text_hash.hex()} for text_hash in hashes[part]]
            self._change(name, partial(self._upsert, name, ids, vectors[part], metadatas))

    def _upsert(self, name: str, ids: list[str], vectors: NDArray[np.float32], metadatas: list[Metadata]) -> None:
        self._collection(name).upsert(ids, embeddings=vectors, metadatas=metadatas)

    def _change(self, name: str, action: Callable[[], None]) -> None:
        try:
            self._call(action)
        except ChromaUnavailable as refused:
            if any(sign in refused.text for sign in FULL_SIGNS):
                raise DiskFull(self.url) from refused
            raise
        except NotFoundError:
            self._collections.pop(name, None)
            raise VectorsMissing(name) from None

    def query(
        self, name: str, vector: NDArray[np.float32], limit: int, among: Sequence[int] | None = None
    ) -> list[VectorHit]:
        """The nearest slots, best first, of all or ``among`` these. Raises VectorsMissing when there is no such
        collection."""
        found = self._found(name, vector, limit, among, ["metadatas", "distances"])
        metadatas = cast(list[dict[str, Any]], (found["metadatas"] or [[]])[0])
        distances = (found["distances"] or [[]])[0]
        return [
            VectorHit(int(slot), bytes.fromhex(metadata["hash"]), float(distance))
            for slot, metadata, distance in zip(found["ids"][0], metadatas, distances, strict=True)
        ]

    def _found(
        self, name: str, vector: NDArray[np.float32], limit: int, among: Sequence[int] | None, include: Include
    ) -> QueryResult:
        ids = [str(slot) for slot in among] if among is not None else None
        try:
            return self._call(
                lambda: self._collection(name).query(
                    query_embeddings=vector.reshape(1, -1), ids=ids, n_results=limit, include=include
                )
            )
        except NotFoundError:
            self._collections.pop(name, None)
            raise VectorsMissing(name) from None

    def nearest(
        self, name: str, vector: NDArray[np.float32], limit: int, among: Sequence[int] | None = None
    ) -> dict[int, float]:
        """As ``query``, but cosine distances by slot, without the hashes: they cost a third of its time, and most of it
        when much is asked for."""
        found = self._found(name, vector, limit, among, ["distances"])
        distances = (found["distances"] or [[]])[0]
        return {int(slot): float(distance) for slot, distance in zip(found["ids"][0], distances, strict=True)}

    def slots(self, name: str) -> set[int]:
        """Every slot that has a vector."""
        try:
            return {int(slot) for slot in self._call(lambda: self._collection(name).get(include=[])["ids"])}
        except NotFoundError:
            self._collections.pop(name, None)
            return set()

    def hashes(self, name: str, slots: Sequence[int]) -> dict[int, bytes]:
        """Of which text each of these slots holds the vector; slots without one are left out."""
        ids = [str(slot) for slot in slots]
        try:
            found = self._call(lambda: self._collection(name).get(ids, include=["metadatas"])) if ids else None
        except NotFoundError:
            self._collections.pop(name, None)
            found = None
        if found is None:
            return {}
        metadatas = cast(list[dict[str, Any] | None], found["metadatas"] or [])
        return {
            int(slot): bytes.fromhex((metadata or {}).get("hash", ""))
            for slot, metadata in zip(found["ids"], metadatas, strict=True)
        }

    def vectors(self, name: str, slots: Sequence[int]) -> dict[int, tuple[bytes, NDArray[np.float32]]]:
        """Text hash and vector of each of these slots that has one. Raises VectorsMissing."""
        ids = [str(slot) for slot in slots]
        if not ids:
            return {}
        try:
            found = self._call(lambda: self._collection(name).get(ids, include=["metadatas", "embeddings"]))
        except NotFoundError:
            self._collections.pop(name, None)
            raise VectorsMissing(name) from None
        metadatas = cast(list[dict[str, Any]], found["metadatas"] or [])
        rows = np.asarray(found["embeddings"], dtype=np.float32)
        return {
            int(slot): (bytes.fromhex(metadata["hash"]), row)
            for slot, metadata, row in zip(found["ids"], metadatas, rows, strict=True)
        }

    def remove(self, name: str, slots: Iterable[int]) -> None:
        """Not for routine: Chroma never gives the space back. Raises VectorsMissing."""
        ids = [str(slot) for slot in slots]
        for start in range(0, len(ids), MAX_BATCH):
            self._change(name, partial(self._remove, name, ids[start : start + MAX_BATCH]))

    def _remove(self, name: str, ids: list[str]) -> None:
        self._collection(name).delete(ids)

    def count(self, name: str) -> int:
        try:
            return self._call(lambda: self._collection(name).count())
        except NotFoundError:
            self._collections.pop(name, None)
            return 0

    def drop(self, name: str) -> None:
        def delete() -> None:
            with contextlib.suppress(NotFoundError):
                self._connect().delete_collection(name)
            self._collections.pop(name, None)

        self._call(delete)
