"""How well ranked lists of files answer questions whose answers are known."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

TOP = 10


class Score(NamedTuple):
    """NDCG@10 with binary gain, recall@10 and MRR@10, each 0..1."""

    ndcg: float
    recall: float
    mrr: float

    @classmethod
    def of(cls, ranked: Sequence[str], files: Sequence[str]) -> "Score":
        """``ranked``: distinct files, best first; ``files``: those that are the answer."""
        places = [place for place, path in enumerate(ranked[:TOP], start=1) if path in files]
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(TOP, len(files)) + 1))
        gain = sum(1 / math.log2(place + 1) for place in places)
        return cls(gain / ideal, len(places) / len(files), 1 / places[0] if places else 0.0)

    @classmethod
    def mean(cls, scores: Sequence["Score"]) -> "Score":
        return cls(*(fmean(column) for column in zip(*scores, strict=True)))
