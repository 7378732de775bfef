"""Which files answer a question, best first: by words, by meaning, by a phrase they must hold, by being named."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from muniment.lexical import LexicalHit, LexicalReader
from muniment.manifest import ManifestReader
from muniment.ranking import Candidate, Subject, lifted, rank
from muniment.search.asking import Asked
from muniment.search.meaning import Near
from muniment.search.named import chunk_at, files_named
from muniment.search.phrases import with_phrases

FILES_RANKED: Final = 60  # at least so many files of each list are fused: demotion must be able to move files up
NO_WORDS: Final = "The question holds no word, and signs alone are not indexed."


@dataclass(slots=True)
class Ranked:
    """``chosen``: (chunk id, score 0..1) of each file's best chunk, best file first. ``matching``: by path the chunks
    that match best by words."""

    chosen: list[tuple[int, float]]
    notes: list[str] = field(default_factory=list)
    matching: Mapping[str, Sequence[int]] = field(default_factory=dict)


def ranked(
    lexical: LexicalReader,
    manifest: ManifestReader | None,
    asked: Asked,
    near: Callable[[], Near | None],
    clock: Callable[[], float] = time.monotonic,
) -> Ranked:
    """``near`` waits for the vectors: asked when the words are there; None where they have no part."""
    if not asked.tokens:
        return Ranked([], [NO_WORDS])
    phrased: dict[str, Candidate] = {}
    notes: list[str] = []
    if asked.question.phrases:
        holding = with_phrases(lexical, asked, _wanted(asked), clock)
        phrased, notes = holding.files, holding.notes(asked)
    only_phrases = bool(phrased) and asked.question.is_phrases
    by_words = [] if only_phrases else _by_words(lexical, asked)
    words = list(phrased.values()) if only_phrases else lifted(map(_candidate, by_words), phrased)
    around = near()
    meaning = around.candidates if around is not None else None
    if only_phrases and meaning is not None:
        meaning = [found for found in meaning if found.path in phrased]
    if phrased and meaning is not None:
        # whatever else of the file lies near, the chunk with the phrase is the one to show
        meaning = [
            replace(found, chunk_id=phrased[found.path].chunk_id) if found.path in phrased else found
            for found in meaning
        ]
    chosen = rank(words, meaning, Subject.of(asked.question.text))
    if asked.question.places and manifest is not None:
        chosen = _named_first(manifest, asked, chosen, [*words, *(meaning or ())])
    return Ranked(chosen, notes, {hit.path: (hit.chunk_id, *hit.others) for hit in by_words})


def _wanted(asked: Asked) -> int:
    """Files of each list."""
    return max(FILES_RANKED, 2 * asked.limit)


def _by_words(lexical: LexicalReader, asked: Asked) -> list[LexicalHit]:
    filters = asked.filters
    return lexical.search(
        asked.words,
        _wanted(asked),
        path_glob=filters.globs,
        language=filters.language,
        kind=filters.kind,
    )


def _candidate(hit: LexicalHit) -> Candidate:
    return Candidate(hit.path, hit.chunk_id, hit.kind, hit.score)


def _named_first(
    manifest: ManifestReader, asked: Asked, chosen: list[tuple[int, float]], candidates: Iterable[Candidate]
) -> list[tuple[int, float]]:
    """Files that the question names by a line come first, with that line, in the order that they have anyway."""
    matches = asked.filters.matcher()
    meant = files_named(manifest, asked.question.places)
    named = {path: line for path, line in meant.items() if matches is None or matches(path)}
    if not named:
        return chosen
    path_of = {candidate.chunk_id: candidate.path for candidate in candidates}
    scores = {path_of[chunk_id]: (chunk_id, score / 2) for chunk_id, score in chosen}
    for path, line in named.items():
        chunk_id, half = scores.get(path, (None, 0.0))
        chunk = chunk_at(manifest.chunks_of(path), line)
        shown = chunk.chunk_id if chunk is not None else chunk_id
        if shown is not None:
            scores[path] = (shown, half + 0.5)
    return sorted(scores.values(), key=lambda found: -found[1])
