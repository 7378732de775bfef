"""Which file answers best. Pure: scores and kinds in, an order out.

A file is judged by all its matching chunks, not by its best alone. The lists of words and of vectors are joined by
relative score: fusion by rank alone forgets by how much the first is better, and the weaker list then drags it down.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from muniment.languages import Kind, is_vendored

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Weights:
    """Every number that ranking depends on."""

    body: float = 1.0  # BM25 of a chunk's text: the measure of the other fields
    path: float = 0.7  # a word of the question in the file's path says what the file is about
    names: float = 0.7  # a name defined in the chunk counts more than its mere use
    decay: float = 0.45  # each further chunk of a file adds this share of what the one before added
    depth: int = 8  # further chunks add too little to be worth counting
    meaning: float = 0.3  # worth of the vectors' list beside the words' list, which counts 1


WEIGHTS: Final = Weights()

# What a file of a kind keeps of its score.
DEMOTIONS: Final[Mapping[str, float]] = {
    Kind.TEST: 0.3,  # repeats the words of what it tests, more often than the code does
    Kind.DOC: 0.3,  # tells about the code in the question's own words
    Kind.EXAMPLE: 0.3,  # uses much and decides nothing
    Kind.CONFIG: 0.5,  # names much and does little
    Kind.OTHER: 0.5,  # data and patches hold any word
}
VENDORED: Final = 0.6  # the same for other people's code, on top of its kind

# Not 1: a question that holds the word is oftener about the code ("the test client loses cookies").
ASKED: Final = 0.7  # what it keeps at least when the question asks for the kind
ASKS_FOR: Final[Mapping[str, frozenset[str]]] = {
    Kind.TEST: frozenset({"test", "tests", "testing", "unittest", "pytest", "fixture", "fixtures", "mock", "mocks"}),
    Kind.DOC: frozenset({"doc", "docs", "documentation", "readme", "changelog", "guide", "tutorial", "howto"}),
    Kind.EXAMPLE: frozenset({"example", "examples", "sample", "samples", "demo", "demos"}),
    Kind.CONFIG: frozenset({"config", "configuration", "manifest", "yaml", "toml", "json", "ini", "xml"}),
}
ASKS_FOR_VENDORED: Final = frozenset({"vendor", "vendored"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that may answer; scores compare within one list only."""

    path: str
    chunk_id: int
    kind: str
    score: float


def demotion(path: str, kind: str, question: Collection[str]) -> float:
    """The factor for a file; ``question`` is the question's tokens."""
    factor = DEMOTIONS.get(kind, 1.0)
    if not ASKS_FOR.get(kind, frozenset()).isdisjoint(question):
        factor = max(factor, ASKED)
    if is_vendored(path) and ASKS_FOR_VENDORED.isdisjoint(question):
        factor *= VENDORED
    return factor


def decayed(chunks: Iterable[tuple[Key, float]], weights: Weights = WEIGHTS) -> dict[Key, float]:
    """Scores of files from (file, score) of their chunks, best chunk first: s1 + s2 * decay + s3 * decay² ..."""
    totals: dict[Key, float] = {}
    seen: dict[Key, int] = {}
    for key, score in chunks:
        n = seen.get(key, 0)
        seen[key] = n + 1
        if n < weights.depth:
            totals[key] = totals.get(key, 0.0) + score * weights.decay**n
    return totals


def ordered(scores: Mapping[Key, float]) -> list[Key]:
    """Keys by falling score; equal scores keep their order."""
    return sorted(scores, key=lambda key: -scores[key])


def shares(candidates: Iterable[Candidate], question: Collection[str], floor: float | None = None) -> list[Candidate]:
    """Each file's best candidate, demoted by kind, its score brought to 0..1 between ``floor`` and the list's best.

    Without a floor the list's worst score is it: similarities are never near 0, so only their differences tell.
    """
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        score = max(0.0, candidate.score) * demotion(candidate.path, candidate.kind, question)
        if candidate.path not in best or score > best[candidate.path].score:
            best[candidate.path] = replace(candidate, score=score)
    scores = [candidate.score for candidate in best.values()]
    low = min(scores, default=0.0) if floor is None else floor
    span = max(scores, default=0.0) - low
    return [replace(found, score=(found.score - low) / span if span > 0 else 1.0) for found in best.values()]


def rank(
    words: Iterable[Candidate],
    meaning: Iterable[Candidate] | None,
    question: Collection[str],
    weights: Weights = WEIGHTS,
) -> list[tuple[int, float]]:
    """(chunk id, score 0..1) of each file's best chunk, best file first.

    ``words`` and ``meaning``: candidates of the lexical index and of the vectors; None: could not take part.
    ``question``: its tokens. A score of 1 means the best by words and by meaning.
    """
    lists = [(1.0, shares(words, question, floor=0.0))]
    if meaning is not None:
        lists.append((weights.meaning, shares(meaning, question)))
    most = sum(worth for worth, _ in lists)
    totals: dict[str, float] = {}
    chunks: dict[str, tuple[float, int]] = {}
    for worth, files in lists:
        for found in files:
            part = worth * found.score / most
            totals[found.path] = totals.get(found.path, 0.0) + part
            chunks[found.path] = max(chunks.get(found.path, (-1.0, 0)), (part, found.chunk_id))
    return [(chunks[path][1], totals[path]) for path in ordered(totals)]
