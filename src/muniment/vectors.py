"""Vectors of chunks in a Chroma server: one per slot, its id the slot number, its only metadata the text's hash.

No documents: Chroma's full-text trigrams would cost four times the time and seven times the disk.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
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
from chromadb.api.types import Metadata
from chromadb.config import Settings as ChromaSettings
from chromadb.errors import ChromaError, NotFoundError
from numpy.typing import NDArray

from muniment.errors import ChromaUnavailable, VectorsMissing

MAX_BATCH = 500  # a query waits while a batch is written: four short waits instead of a long one
# While upserting and querying at once, the default buffer (100) and threshold (1,000) cost a third of the rate.
HNSW: Final[CreateHNSWConfiguration] = {"space": "cosine", "batch_size": 2000, "sync_threshold": 20_000}
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

    def ensure(self, name: str) -> bool:
        """Makes the collection if it is missing; True when it was made."""

        def make() -> bool:
            client = self._connect()
            try:
                self._collections[name] = client.get_collection(name, embedding_function=None)
                return False
            except NotFoundError:
                self._collections[name] = client.create_collection(
                    name, configuration={"hnsw": HNSW}, embedding_function=None, get_or_create=True
                )
                return True

        return self._call(make)

    def upsert(self, name: str, slots: Sequence[int], hashes: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """``vectors``: shape (len(slots), dimensions). Larger batches are sent in parts."""
        for start in range(0, len(slots), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            ids = [str(slot) for slot in slots[part]]
            metadatas: list[Metadata] = [{"hash": text_hash.hex()} for text_hash in hashes[part]]
            self._call(partial(self._upsert, name, ids, vectors[part], metadatas))

    def _upsert(self, name: str, ids: list[str], vectors: NDArray[np.float32], metadatas: list[Metadata]) -> None:
        self._collection(name).upsert(ids, embeddings=vectors, metadatas=metadatas)

    def query(self, name: str, vector: NDArray[np.float32], limit: int) -> list[VectorHit]:
        """The nearest slots, best first. Raises VectorsMissing when there is no such collection."""
        try:
            found = self._call(
                lambda: self._collection(name).query(
                    query_embeddings=vector.reshape(1, -1), n_results=limit, include=["metadatas", "distances"]
                )
            )
        except NotFoundError:
            self._collections.pop(name, None)
            raise VectorsMissing(name) from None
        metadatas = cast(list[dict[str, Any]], (found["metadatas"] or [[]])[0])
        distances = (found["distances"] or [[]])[0]
        return [
            VectorHit(int(slot), bytes.fromhex(metadata["hash"]), float(distance))
            for slot, metadata, distance in zip(found["ids"][0], metadatas, distances, strict=True)
        ]

    def slots(self, name: str) -> set[int]:
        """Every slot that has a vector."""
        try:
            return {int(slot) for slot in self._call(lambda: self._collection(name).get(include=[])["ids"])}
        except NotFoundError:
            self._collections.pop(name, None)
            return set()

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
