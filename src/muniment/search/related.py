"""What else is like a place in a file: near to it by its vector, and by the rare names that both use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from muniment.embedding import Vectors
from muniment.errors import FileNotIndexed, InvalidValue, VectorsPending
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader, SlotChunk
from muniment.project import Project
from muniment.ranking import likeness
from muniment.search.meaning import VECTORS_AWAY, Meaning
from muniment.search.model import FilePlace
from muniment.search.named import chunk_at
from muniment.search.questions import place_of

LONGEST_PATH: Final = 4_096  # characters
NAMES_SHARE: Final = 0.4  # of a score; the vectors have the rest
FILES_BY_NAMES: Final = 60
CHUNKS_OF_A_FILE: Final = 50  # stand for a whole file
PATIENCE: Final = 1.0  # seconds that the vectors may take: without them there is not much of an answer
SUGGESTED: Final = 3


@dataclass(frozen=True, slots=True)
class Related:
    """``of``: the chunks that were asked about; ``chosen``: as ``Ranked.chosen``."""

    of: Sequence[SlotChunk]
    chosen: list[tuple[int, float]]
    degraded: list[str]

    def place(self, project: Project) -> FilePlace:
        first, last = self.of[0], self.of[-1]
        symbol = first.symbol if first is last else None
        return FilePlace(
            project=project.name,
            path=first.path,
            start_line=first.start_line,
            end_line=last.end_line,
            symbol=symbol,
        )


def related(
    lexical: LexicalReader,
    manifest: ManifestReader,
    meaning: Meaning,
    project: Project,
    path: str,
    line: int | None,
    symbol: str | None,
) -> Related:
    """Raises FileNotIndexed, InvalidValue and VectorsPending."""
    of = _asked_about(manifest, project, path, line, symbol)
    degraded = []
    near: dict[str, tuple[int, float]] = {}
    try:
        near = _near(manifest, meaning, project, of)
    except VECTORS_AWAY as error:
        degraded.append(str(error))
    return Related(of, _joined(near, _sharing_names(lexical, of), of[0].path), degraded)


def _asked_about(
    manifest: ManifestReader, project: Project, path: str, line: int | None, symbol: str | None
) -> list[SlotChunk]:
    if len(path) > LONGEST_PATH:
        raise InvalidValue("path", path[:60] + "…", f"it is longer than {LONGEST_PATH:,} characters")
    path = path.strip().removeprefix("./")
    chunks = manifest.chunks_of(path)
    place = place_of(path) if not chunks else None
    if place is not None:
        path, line = place.path, line or place.line
        chunks = manifest.chunks_of(path)
    if not chunks:
        raise FileNotIndexed(path, project.name, manifest.paths_ending(path.strip("/"), SUGGESTED))
    if line is not None:
        chunk = chunk_at(chunks, line)
        if chunk is None:
            reason = f"'{path}' is indexed with lines {chunks[0].start_line} to {chunks[-1].end_line}"
            raise InvalidValue("line", line, reason)
        return [chunk]
    if symbol is not None:
        chunk = _defining(chunks, symbol)
        if chunk is None:
            symbols = dict.fromkeys(each.symbol for each in chunks if each.symbol)
            known = f"has {', '.join(list(symbols)[:20])}" if symbols else "has none"
            raise InvalidValue("symbol", symbol, f"'{path}' {known}")
        return [chunk]
    return chunks[:CHUNKS_OF_A_FILE]


def _defining(chunks: Sequence[SlotChunk], symbol: str) -> SlotChunk | None:
    """By the whole symbol as it is shown, else by its last part."""
    exact = (chunk for chunk in chunks if chunk.symbol == symbol)
    last = (chunk for chunk in chunks if chunk.symbol and chunk.symbol.rpartition(".")[2] == symbol)
    return next(exact, None) or next(last, None)


def _near(
    manifest: ManifestReader, meaning: Meaning, project: Project, of: Sequence[SlotChunk]
) -> dict[str, tuple[int, float]]:
    """By path the nearest chunk and its cosine."""
    collection = manifest.meta().collection
    if collection is None:
        raise VectorsPending(of[0].path, project.name)
    known = meaning.vectors_of(collection, [chunk.slot for chunk in of], PATIENCE)
    rows = [known[chunk.slot][1] for chunk in of if chunk.slot in known and known[chunk.slot][0] == chunk.text_hash]
    if not rows:
        raise VectorsPending(of[0].path, project.name)
    itself = {chunk.chunk_id for chunk in of}
    near: dict[str, tuple[int, float]] = {}
    for candidate in meaning.around(manifest, collection, _middle(rows), PATIENCE):
        if candidate.chunk_id not in itself:
            near.setdefault(candidate.path, (candidate.chunk_id, max(0.0, candidate.score)))
    return near


def _middle(rows: Sequence[Vectors]) -> Vectors:
    middle: Vectors = np.mean(rows, axis=0, dtype=np.float32)
    return middle


def _sharing_names(lexical: LexicalReader, of: Sequence[SlotChunk]) -> dict[str, tuple[int, float]]:
    """By path of another file the chunk that shares most of the rare words, and its BM25 score."""
    texts = lexical.texts([chunk.chunk_id for chunk in of])
    found = lexical.search("\n".join(texts.values()), FILES_BY_NAMES)
    return {hit.path: (hit.chunk_id, hit.score) for hit in found if hit.path != of[0].path}


def _joined(
    near: dict[str, tuple[int, float]], sharing: dict[str, tuple[int, float]], place: str
) -> list[tuple[int, float]]:
    """Each file's chunk and score 0..1, best first: the chunk that lies near, else the one that shares names."""
    nearest = max((cosine for _, cosine in near.values()), default=0.0) or 1.0
    most = max((score for _, score in sharing.values()), default=0.0) or 1.0
    scores = {}
    for path in {**near, **sharing}:
        chunk_id = (near.get(path) or sharing[path])[0]
        by_vector = near[path][1] / nearest if path in near else 0.0
        by_names = sharing[path][1] / most if path in sharing else 0.0
        share = NAMES_SHARE if near else 1.0
        scores[path] = (chunk_id, ((1 - share) * by_vector + share * by_names) * likeness(path, place))
    return sorted(scores.values(), key=lambda found: -found[1])
