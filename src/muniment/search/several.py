"""Joins the answers of several projects into one list. Pure.

A hit's score says how far it lies behind the best of its own project; neither that nor BM25 compares between projects,
because both come of what else a project holds. What compares is how much of the question a project answers at all: the
share of the question's words, each weighed by how rare it is in all of the projects together, that its best hits hold;
and the similarity of their vectors, where the same model made them everywhere. Each project's scores are multiplied by
that, so that the order within a project stays what its own ranking says.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from muniment.identifiers import tokens
from muniment.lexical import stems
from muniment.search.model import SearchHit

# Seven projects asked at once with the changes of one: NDCG@10 is 0.49 (0.61 where that project alone is asked), 0.31
# by the scores as they are, 0.22 by taking turns.
HITS_JUDGED: Final = 10  # of each project
HITS_COUNTED: Final = 3  # of those: a single one may hold the words by chance
MEANING_SHARE: Final = 0.2  # of a project's worth; the words have the rest
SHARPNESS: Final = 2.0
SIMILAR: Final = 0.8  # a cosine of a question and a text that answers it; higher ones say no more


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a project has for a question. ``frequencies``: chunks that hold each word (stems), of ``chunks`` in all."""

    hits: Sequence[SearchHit]
    frequencies: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 0
    model: str | None = None  # None: vectors had no part in the answer
    similarities: Mapping[str, float] = field(default_factory=dict)  # cosines by path


def joined(found: Sequence[Evidence], limit: int) -> list[SearchHit]:
    """The best ``limit`` hits of all, their scores scaled to the best of all."""
    answering = [one for one in found if one.hits]
    if not answering:
        return []
    rarities = _rarities(answering)
    one_model = len({one.model for one in answering}) == 1 and answering[0].model is not None
    scored = []
    for one in answering:
        worth = _worth(one, rarities, with_meaning=one_model)
        scored += [(hit.score * worth, hit) for hit in one.hits]
    most = max(score for score, _ in scored) or 1.0
    scored.sort(key=lambda pair: -pair[0])
    return [hit.model_copy(update={"score": round(score / most, 4)}) for score, hit in scored[:limit]]


def _rarities(found: Sequence[Evidence]) -> dict[str, float]:
    """Of each word how much it tells, over all projects as if they were one."""
    chunks = sum(one.chunks for one in found)
    totals: dict[str, int] = {}
    for one in found:
        for word, count in one.frequencies.items():
            totals[word] = totals.get(word, 0) + count
    # a word that nobody has tells nothing of who answers best
    return {word: math.log(1 + (chunks - n + 0.5) / (n + 0.5)) for word, n in totals.items() if n}


def _worth(one: Evidence, rarities: Mapping[str, float], *, with_meaning: bool) -> float:
    """0..1: how much of the question the project's best hits answer."""
    judged = one.hits[:HITS_JUDGED]
    everything = sum(rarities.values())
    best = sorted((_covered(hit, rarities) for hit in judged), reverse=True)[:HITS_COUNTED]
    # words that stand in paths alone: each project's own order is all there is
    worth = sum(best) / len(best) / everything if everything else 1.0
    if with_meaning:
        near = max(one.similarities.get(hit.path, 0.0) for hit in judged)
        worth = (1 - MEANING_SHARE) * worth + MEANING_SHARE * min(1.0, max(0.0, near) / SIMILAR)
    return float(worth**SHARPNESS)


def _covered(hit: SearchHit, rarities: Mapping[str, float]) -> float:
    held = set(stems(tokens(f"{hit.path} {hit.symbol or ''} {hit.text}")))
    return sum(rarity for word, rarity in rarities.items() if word in held)
