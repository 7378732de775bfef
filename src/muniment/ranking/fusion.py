"""From chunks to files, and from two lists to one. Pure."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from muniment.ranking.demotion import demotion
from muniment.ranking.subject import QuestionType, Subject
from muniment.ranking.weights import WEIGHTS, Weights

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that may answer; scores compare within one list only."""

    path: str
    chunk_id: int
    kind: str
    score: float


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


def shares(
    candidates: Iterable[Candidate], subject: Subject, floor: float | None = None, weights: Weights = WEIGHTS
) -> dict[str, tuple[float, int]]:
    """(share, chunk id) of each file's best candidate, by path: its score, demoted for what the file is, brought to
    0..1 between ``floor`` and the list's best.

    Without a floor the list's worst score is it: similarities are never near 0, so only their differences tell.
    """
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.path)
        if known is None or candidate.score > known.score:
            best[candidate.path] = candidate
    scores = {
        path: max(0.0, found.score) * demotion(path, found.kind, subject, weights) for path, found in best.items()
    }
    low = min(scores.values(), default=0.0) if floor is None else floor
    span = max(scores.values(), default=0.0) - low
    return {path: ((score - low) / span if span > 0 else 1.0, best[path].chunk_id) for path, score in scores.items()}


def lifted(words: Iterable[Candidate], holding: Mapping[str, Candidate], weights: Weights = WEIGHTS) -> list[Candidate]:
    """Files that hold what the question quotes, shown at the chunk that holds it: ``holding`` by path."""
    rest = dict(holding)
    found = []
    for candidate in words:
        held = rest.pop(candidate.path, None)
        found.append(
            candidate
            if held is None
            else replace(candidate, chunk_id=held.chunk_id, score=candidate.score * (1 + weights.phrase))
        )
    return found + [replace(held, score=held.score * (1 + weights.phrase)) for held in rest.values()]


def rank(
    words: Iterable[Candidate],
    meaning: Iterable[Candidate] | None,
    subject: Subject,
    weights: Weights = WEIGHTS,
) -> list[tuple[int, float]]:
    """(chunk id, score 0..1) of each file's best chunk, best file first.

    ``words`` and ``meaning``: candidates of the lexical index and of the vectors; None: could not take part.
    A score of 1 means the best by words and by meaning, and named by the question if any is.
    """
    lists = [(1.0, shares(words, subject, 0.0, weights))]
    if meaning is not None:
        worth = weights.meaning * (1.0 if subject.type is QuestionType.SENTENCE else weights.exact)
        lists.append((worth, shares(meaning, subject, None, weights)))
    totals: dict[str, float] = {}
    chunks: dict[str, tuple[float, int]] = {}
    for worth, files in lists:
        for path, (share, chunk_id) in files.items():
            part = worth * share
            totals[path] = totals.get(path, 0.0) + part
            chunks[path] = max(chunks.get(path, (-1.0, 0)), (part, chunk_id))
    named = [path for path in totals if subject.names_file(path)]
    for path in named:
        totals[path] += weights.mention
    most = sum(worth for worth, _ in lists) + (weights.mention if named else 0.0)
    return [(chunks[path][1], totals[path] / most) for path in ordered(totals)]
