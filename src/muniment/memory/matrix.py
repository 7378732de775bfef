"""The vectors of one project in memory, compared with a query all at once."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from muniment.embedding import Vectors

START_ROWS = 64
HEAD = 5 / 12  # of the dimensions: with fewer, many more rows would have to be looked at whole
FEW = 1 / 8  # of all rows: more are not gathered, but all compared
ROUNDING = 1e-4  # more than sums in float32 are wrong by
COLUMNS = ("_heads", "_tails", "_lengths", "_numbers", "_hidden")
Scored = list[tuple[int, float]]


class VectorMatrix:
    """Unit vectors by a memory's number. Not locked: its owner is.

    Each lies in two parts, so that those that cannot reach a score are known by the first alone: the rest of a product
    is at most that of the lengths (Cauchy and Schwarz). What is compared is bound by memory, not by arithmetic.

    ``sequence`` is the last change taken over from the store; ``foreign`` holds the numbers whose stored vector is of
    another model, so that it cannot be compared.
    """

    def __init__(self, dimensions: int) -> None:
        self.sequence = 0
        self.foreign: set[int] = set()
        self._head = round(dimensions * HEAD)
        self._heads: Vectors = np.zeros((START_ROWS, self._head), dtype=np.float32)
        self._tails: Vectors = np.zeros((START_ROWS, dimensions - self._head), dtype=np.float32)
        self._lengths: Vectors = np.zeros(START_ROWS, dtype=np.float32)  # of the tails
        self._numbers: npt.NDArray[np.int64] = np.zeros(START_ROWS, dtype=np.int64)
        self._hidden: npt.NDArray[np.bool_] = np.zeros(START_ROWS, dtype=np.bool_)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, number: int, vector: Vectors, *, hidden: bool = False) -> None:
        """``hidden``: found only by those who ask for such."""
        row = self._row_of.get(number)
        if row is None:
            row = self._row_of[number] = len(self._row_of)
            if row == len(self._numbers):
                for name in COLUMNS:
                    column = getattr(self, name)
                    setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
        self._heads[row], self._tails[row] = vector[: self._head], vector[self._head :]
        self._lengths[row], self._numbers[row], self._hidden[row] = np.linalg.norm(self._tails[row]), number, hidden

    def drop(self, number: int) -> None:
        """The last row moves into the gap, so that rows stay contiguous."""
        row = self._row_of.pop(number, None)
        if row is None:
            return
        last = len(self._row_of)
        if last != row:
            for name in COLUMNS:
                column = getattr(self, name)
                column[row] = column[last]
            self._row_of[int(self._numbers[row])] = row

    def nearest(
        self,
        vector: Vectors,
        count: int,
        *,
        among: Collection[int] | None = None,
        min_score: float = 0.0,
        hidden: bool = False,
    ) -> Scored:
        """At most ``count`` numbers, best first, with cosine from 0 to 1; ``among`` and ``min_score`` filter first.

        Without ``among`` all take part. The hidden ones do if ``hidden``.
        """
        size = len(self._row_of)
        allowed = np.ones(size, dtype=np.bool_) if hidden else ~self._hidden[:size]
        if among is not None:
            allowed &= np.isin(self._numbers[:size], np.fromiter(among, np.int64, len(among)))
        head, tail = vector[: self._head], vector[self._head :]
        scores = self._heads[:size] @ head
        if min_score > 0.0:
            allowed &= scores + self._lengths[:size] * np.linalg.norm(tail) >= min_score - ROUNDING
        rows = np.flatnonzero(allowed)
        if len(rows) < FEW * size:
            scores = scores[rows] + self._tails[rows] @ tail
        else:
            scores = (scores + self._tails[:size] @ tail)[rows]
        np.clip(scores, 0.0, 1.0, out=scores)
        if min_score > 0.0:
            rows, scores = rows[scores >= min_score], scores[scores >= min_score]
        if len(rows) > count:
            top = np.argpartition(scores, len(scores) - count)[-count:]
            rows, scores = rows[top], scores[top]
        best = np.argsort(-scores, kind="stable")
        return [(int(self._numbers[rows[place]]), float(scores[place])) for place in best]

    def scores(self, vector: Vectors, numbers: Collection[int]) -> Scored:
        """Cosine from 0 to 1 of those of the numbers that are here, in their order."""
        known = [number for number in numbers if number in self._row_of]
        if not known:
            return []
        rows = [self._row_of[number] for number in known]
        scores = self._heads[rows] @ vector[: self._head] + self._tails[rows] @ vector[self._head :]
        return list(zip(known, map(float, np.clip(scores, 0.0, 1.0)), strict=True))
