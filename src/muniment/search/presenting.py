"""From chunks to hits: what is still there, the lines around it, and what else of the file matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.lexical import LexicalChunk, LexicalReader
from muniment.manifest import ManifestReader
from muniment.project import Project
from muniment.search.freshness import Freshness, FreshnessCheck
from muniment.search.model import Place, SearchHit
from muniment.search.passages import Passage, widened

SPARE: Final = 5  # chunks read beyond those that are missing, when a commit replaced some or files are gone
ALSO_SHOWN: Final = 3  # further places of a file


@dataclass(frozen=True, slots=True)
class Shown:
    chunk: LexicalChunk
    score: float
    stale: bool


def still_there(
    lexical: LexicalReader, check: FreshnessCheck, chosen: Sequence[tuple[int, float]], limit: int
) -> tuple[list[Shown], int]:
    """The best ``limit`` whose file is there, and how many files were passed over because they are gone."""
    shown: list[Shown] = []
    gone = start = 0
    while start < len(chosen):
        part = chosen[start : start + limit - len(shown) + (SPARE if start else 0)]
        start += len(part)
        chunks = lexical.chunks([chunk_id for chunk_id, _ in part])
        fates = check.of([chunk.path for chunk in chunks.values()])
        for chunk_id, score in part:
            chunk = chunks.get(chunk_id)
            if chunk is None:
                continue
            if fates[chunk.path] is Freshness.GONE:
                gone += 1
                continue
            shown.append(Shown(chunk, score, fates[chunk.path] is Freshness.STALE))
            if len(shown) == limit:
                return shown, gone
    return shown, gone


def made_hits(
    lexical: LexicalReader,
    manifest: ManifestReader | None,
    project: Project,
    shown: Sequence[Shown],
    matching: Mapping[str, Sequence[int]],
    context: int = 0,
) -> list[SearchHit]:
    """``matching``: by path the chunks that answer best, for further places of each file."""
    further = _further(manifest, matching, shown)
    hits = []
    for one in shown:
        chunk = one.chunk
        passage = _passage(lexical, chunk, context)
        hits.append(
            SearchHit(
                project=project.name,
                path=chunk.path,
                start_line=passage.start_line,
                end_line=passage.end_line,
                symbol=chunk.symbol,
                language=chunk.language,
                kind=chunk.kind,
                score=round(min(1.0, one.score), 4),
                text=passage.text,
                stale=one.stale,
                also=[
                    other
                    for other in further.get(chunk.path, ())
                    if other.end_line > passage.end_line or other.start_line < passage.start_line
                ],
            )
        )
    return hits


def _passage(lexical: LexicalReader, chunk: LexicalChunk, context: int) -> Passage:
    if not context:
        return Passage(chunk.text, chunk.start_line, chunk.end_line)
    return widened(chunk, lexical.with_neighbours(chunk, context), context)


def _further(
    manifest: ManifestReader | None, matching: Mapping[str, Sequence[int]], shown: Sequence[Shown]
) -> Mapping[str, list[Place]]:
    """By path where else a file matches, besides the chunk that is shown."""
    if manifest is None:
        return {}
    ids = {
        one.chunk.path: [chunk_id for chunk_id in matching.get(one.chunk.path, ()) if chunk_id != one.chunk.chunk_id]
        for one in shown
    }
    places = manifest.places(chunk_id for wanted in ids.values() for chunk_id in wanted[:ALSO_SHOWN])
    return {
        path: [Place.model_validate(places[chunk_id]._asdict()) for chunk_id in wanted if chunk_id in places]
        for path, wanted in ids.items()
    }
