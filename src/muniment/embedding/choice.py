"""Which embedder embeds files, in every process: the settings name it, and an index names the one that made it."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from muniment.embedding import Embedder
from muniment.embedding.cache import CachedEmbedder
from muniment.embedding.minilm import MiniLmEmbedder
from muniment.embedding.remote import RemoteEmbedder
from muniment.embedding.static import StaticEmbedder
from muniment.errors import ModelUnavailable
from muniment.settings import Settings


@dataclass(frozen=True)
class EmbedderChoice:
    """The settings that decide, as values."""

    cache_folder: Path
    kind: str = "static"  # static, minilm or url
    static_model: Path | None = None
    url: str | None = None
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    dimensions: int | None = None
    cache_bytes: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            cache_folder=settings.folder.vector_cache,
            kind=settings.file_embedder,
            static_model=settings.static_model,
            url=settings.embedding_url,
            model=settings.embedding_model,
            key=settings.embedding_key,
            dimensions=settings.embedding_dimensions,
            cache_bytes=settings.vector_cache_bytes,
        )


def file_embedder(choice: EmbedderChoice) -> Embedder:
    """A static model is loaded at once; any other, and the cache, with the first text: so that a fork may lie between.

    Raises ModelUnavailable if ``static_model`` holds none.
    """
    if choice.kind == "minilm":
        return _cached(MiniLmEmbedder(max_windows=None), choice)
    if choice.kind == "url":
        assert choice.url is not None
        assert choice.model is not None  # the settings see to both
        remote = RemoteEmbedder(choice.url, choice.model, key=choice.key, dimensions=choice.dimensions)
        return _cached(remote, choice)
    return StaticEmbedder(choice.static_model)


class FileEmbedders:
    """The configured embedder, and those of indexes that another one made and that still answer. Safe for threads."""

    def __init__(self, choice: EmbedderChoice, configured: Embedder | None = None) -> None:
        """``configured``: another than the chosen one, for tests. Raises ModelUnavailable."""
        self._choice = choice
        self.configured = configured or file_embedder(choice)
        self._lock = threading.Lock()
        self._others: dict[tuple[str, str | None], Embedder | None] = {}

    def for_model(self, name: str, source: str | None) -> Embedder | None:
        """The embedder that has this name, if it can be had here: None when its folder is gone or holds another model.

        ``source`` as that embedder told it. A server is asked nothing here; ``embed`` tells whether it is still there.
        """
        if name == self.configured.name:
            return self.configured
        with self._lock:
            try:
                if (name, source) not in self._others:
                    self._others[name, source] = self._load(name, source)
                return self._others[name, source]
            except (ModelUnavailable, ValueError):
                return None  # not remembered: a folder may come back

    def _load(self, name: str, source: str | None) -> Embedder | None:
        minilm = MiniLmEmbedder(max_windows=None)
        if name == minilm.name:
            return _cached(minilm, self._choice)
        if source is not None and source.startswith(("http://", "https://")):
            remote = RemoteEmbedder.from_source(source, key=self._key_for(source))
            return _cached(remote, self._choice) if remote.name == name else None
        static = StaticEmbedder(Path(source) if source is not None else None)
        return static if static.name == name else None

    def _key_for(self, source: str) -> str | None:
        """The key is told to the server that it is for and to no other."""
        recorded, configured = urlsplit(source), urlsplit(self._choice.url or "")
        same = (recorded.scheme, recorded.netloc) == (configured.scheme, configured.netloc)
        return self._choice.key if same else None


def _cached(embedder: Embedder, choice: EmbedderChoice) -> Embedder:
    return CachedEmbedder(embedder, choice.cache_folder, choice.cache_bytes) if choice.cache_bytes else embedder
