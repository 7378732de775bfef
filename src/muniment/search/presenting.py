"""From chunks to hits: what is still there, the lines around it, and what else of the file matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.lexical import LexicalChunk, LexicalReader
from muniment.project import Project
from muniment.search.freshness import Freshness, FreshnessCheck
from muniment.search.model import Place, SearchHit
from muniment.search.passages import Passage, widened

SPARE: Final = 5  # chunks read beyond the limit: a commit in between may have replaced some, and files may be gone
ALSO_SHOWN: Final = 3  # further places of a file
ALSO_WORTH: Final = 0.5  # of the score by words that the file's best place has
ALSO_LOOKED_AT: Final = 12  # chunks for each file


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
    gone = 0
    for start in range(0, len(chosen), limit + SPARE):
        part = chosen[start : start + limit + SPARE]
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
    lexical: LexicalReader, project: Project, shown: Sequence[Shown], words: str, context: int = 0
) -> list[SearchHit]:
    """``words``: of the question, for further places in each file; none are looked for without."""
    further = _further(lexical, words, shown)
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
                    Place(start_line=other.start_line, end_line=other.end_line, symbol=other.symbol)
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


def _further(lexical: LexicalReader, words: str, shown: Sequence[Shown]) -> Mapping[str, list[LexicalChunk]]:
    """By path the chunks, besides the one that is shown, that match nearly as well by words."""
    found = lexical.best_within(words, [one.chunk.path for one in shown], ALSO_LOOKED_AT * len(shown))
    taken = {one.chunk.chunk_id for one in shown}
    best: dict[str, float] = {}
    wanted: dict[str, list[int]] = {}
    for match in found:
        best.setdefault(match.path, match.score)
        ids = wanted.setdefault(match.path, [])
        good = match.score >= ALSO_WORTH * best[match.path]
        if good and match.chunk_id not in taken and len(ids) < ALSO_SHOWN:
            ids.append(match.chunk_id)
    chunks = lexical.chunks([chunk_id for ids in wanted.values() for chunk_id in ids])
    return {path: [chunks[chunk_id] for chunk_id in ids if chunk_id in chunks] for path, ids in wanted.items()}
