"""A project on disk and its index, written as a pass would, with vectors that are compared exactly."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from muniment.datafolder import DataFolder
from muniment.errors import ChromaUnavailable
from muniment.languages import kind_of, language_of
from muniment.lexical import LexicalChunk, LexicalWriter
from muniment.manifest import FileUpdate, ManifestWriter, NewChunk
from muniment.planning import FileStamp
from muniment.project import Project
from muniment.search import Search
from muniment.testing import HashedWordsEmbedder
from muniment.vectors import VectorHit, VectorStore

NOW = datetime(2025, 1, 1, tzinfo=UTC)
EMBEDDER = HashedWordsEmbedder()


class ExactVectors:
    """A vector store in memory. ``away`` makes every query fail as a store that does not answer; ``meanwhile`` happens
    once, before the caller hears of what was nearest."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[int, tuple[bytes, NDArray[np.float32]]]] = {}
        self.away = False
        self.meanwhile: Callable[[], None] | None = None
        self.queries: list[Sequence[int] | None] = []

    @property
    def rows(self) -> dict[int, tuple[bytes, NDArray[np.float32]]]:
        """Of the only collection."""
        (rows,) = self.collections.values()
        return rows

    def query(
        self, name: str, vector: NDArray[np.float32], limit: int, among: Sequence[int] | None = None
    ) -> list[VectorHit]:
        self.queries.append(among)
        if self.away:
            raise ChromaUnavailable("http://chroma", "refused")
        hits = [
            VectorHit(slot, text_hash, 1 - float(row @ vector) / (float(np.linalg.norm(vector)) or 1.0))
            for slot, (text_hash, row) in self.collections.get(name, {}).items()
            if among is None or slot in among
        ]
        return sorted(hits, key=lambda hit: hit.distance)[:limit]

    def nearest(
        self, name: str, vector: NDArray[np.float32], limit: int, among: Sequence[int] | None = None
    ) -> dict[int, float]:
        hits = self.query(name, vector, limit, among)
        if self.meanwhile is not None:
            action, self.meanwhile = self.meanwhile, None
            action()
        return {hit.slot: hit.distance for hit in hits}

    def hashes(self, name: str, slots: Sequence[int]) -> dict[int, bytes]:
        return {slot: text_hash for slot, (text_hash, _) in self.vectors(name, slots).items()}

    def vectors(self, name: str, slots: Sequence[int]) -> dict[int, tuple[bytes, NDArray[np.float32]]]:
        if self.away:
            raise ChromaUnavailable("http://chroma", "refused")
        rows = self.collections.get(name, {})
        return {slot: rows[slot] for slot in slots if slot in rows}


def text_hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def make_project(sources: Path, name: str = "demo") -> Project:
    return Project(id=f"{name}-abc123", name=name, watch_paths=[str(sources)], created_at=NOW, updated_at=NOW)


class Tree:
    """``index`` takes files as their text, or as the texts of their chunks."""

    def __init__(
        self, folder: Path, name: str = "demo", vectors: ExactVectors | None = None, project: Project | None = None
    ) -> None:
        """Below ``folder``, which holds the data folder ``data``."""
        self.sources = Path(project.watch_paths[0]) if project else folder / f"sources-{name}"
        self.sources.mkdir(exist_ok=True)
        self.data = DataFolder(folder / "data")
        self.project = project or make_project(self.sources, name)
        self.collection = f"{self.project.id}-{EMBEDDER.name}"
        self.vectors = vectors or ExactVectors()
        self.vectors.collections.setdefault(self.collection, {})

    def index(self, files: Mapping[str, str | list[str]], *, vectors: bool = True) -> None:
        folder = self.data.project(self.project.id)
        folder.path.mkdir(parents=True, exist_ok=True)
        manifest = ManifestWriter(folder.manifest, self.project.id)
        texts = {path: [text] if isinstance(text, str) else text for path, text in files.items()}
        number = manifest.begin_batch(texts, sum(map(len, texts.values())))
        chunks, updates = [], []
        for path, parts in texts.items():
            file = self.sources / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(parts))
            stat = file.stat()
            new, line = [], 1
            for part in parts:
                end = max(line, line + part.count("\n") - part.endswith("\n"))
                symbol = part.split("(")[0].removeprefix("def ") if part.startswith("def ") else None
                chunks.append(
                    LexicalChunk(number, path, part, line, end, symbol, language=language_of(path), kind=kind_of(path))
                )
                new.append(NewChunk(number, line, end, symbol, text_hash(part)))
                number, line = number + 1, line + part.count("\n")
            stamp = FileStamp(stat.st_size, stat.st_mtime_ns, text_hash("".join(parts)))
            updates.append(FileUpdate(path, stamp, new))
        with LexicalWriter(folder.lexical) as writer:
            writer.delete_paths(texts)
            writer.add(chunks)
            writer.commit()
        manifest.commit_batch(updates)
        if vectors:
            self._embed(manifest)
        manifest.close(clean=True)

    def set_meta(self, **values: str) -> None:
        manifest = ManifestWriter(self.data.project(self.project.id).manifest, self.project.id)
        manifest.set_meta(**values)
        manifest.close(clean=True)

    def _embed(self, manifest: ManifestWriter) -> None:
        folder = self.data.project(self.project.id)
        pending = manifest.vectors.pending(1000)
        with LexicalWriter(folder.lexical) as writer:
            texts = writer.texts([slot.chunk_id for slot in pending])
        rows = self.vectors.collections[self.collection]
        for slot in pending:
            rows[slot.slot] = (slot.text_hash, EMBEDDER.embed([texts[slot.chunk_id]])[0])
        manifest.vectors.mark_embedded(pending)
        manifest.set_meta(collection=self.collection)


def searching(tree: Tree) -> Search:
    return Search(tree.data, cast(VectorStore, tree.vectors), EMBEDDER, patience=10.0)
