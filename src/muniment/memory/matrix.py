"""The vectors of one project in memory, compared with a query all at once."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from muniment.embedding import Vectors

START_ROWS = 64
HEAD = 5 / 12  # of the dimensions: with fewer, many more rows would have to be looked at whole
FEW = 1 / 8  # of all rows: more are not gathered, but all compared
ROUNDING = 1e-4  # more than sums in float32 are wrong by
COLUMNS = ("_heads", "_tails", "_lengths", "_numbers", "_stored", "_hidden")
Scored = list[tuple[int, float]]
Span = tuple[int, int]  # from and to, both inclusive, in microseconds since 1970
EVER: Span = (-(2**63), 2**63 - 1)


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
        self._stored: npt.NDArray[np.int64] = np.zeros(START_ROWS, dtype=np.int64)
        self._hidden: npt.NDArray[np.bool_] = np.zeros(START_ROWS, dtype=np.bool_)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, numbers: Sequence[int], vectors: Vectors, stored: Sequence[int], hidden: Sequence[bool]) -> None:
        """``vectors``: (numbers, dimensions), rows of length 1; ``stored``: when, as in a ``Span``;
        ``hidden``: found only by those who ask for the hidden ones too."""
        rows = [self._row_of.setdefault(number, len(self._row_of)) for number in numbers]
        if len(self._row_of) > len(self._numbers):
            size = max(len(self._row_of), 2 * len(self._numbers))
            for name in COLUMNS:
                column = getattr(self, name)
                more = np.zeros((size - len(column), *column.shape[1:]), dtype=column.dtype)
                setattr(self, name, np.concatenate([column, more]))
        self._heads[rows], self._tails[rows] = vectors[:, : self._head], vectors[:, self._head :]
        self._lengths[rows] = np.linalg.norm(vectors[:, self._head :], axis=1)
        self._numbers[rows], self._stored[rows], self._hidden[rows] = numbers, stored, hidden

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
        stored: Span = EVER,
    ) -> Scored:
        """At most ``count`` numbers, best first, with cosine from 0 to 1; all the others filter first.

        Without ``among`` all take part. The hidden ones do if ``hidden``.
        """
        size = len(self._row_of)
        allowed = np.ones(size, dtype=np.bool_) if hidden else ~self._hidden[:size]
        if stored != EVER:
            allowed &= (self._stored[:size] >= stored[0]) & (self._stored[:size] <= stored[1])
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

    def scores(self, vector: Vectors, numbers: Collection[int], stored: Span = EVER) -> Scored:
        """Cosine from 0 to 1 of those of the numbers that are here and were stored in time, in their order."""
        rows, known = [], []
        for number in numbers:
            row = self._row_of.get(number)
            if row is not None and stored[0] <= self._stored[row] <= stored[1]:
                rows.append(row)
                known.append(number)
        if not known:
            return []
        scores = self._heads[rows] @ vector[: self._head] + self._tails[rows] @ vector[self._head :]
        return list(zip(known, map(float, np.clip(scores, 0.0, 1.0)), strict=True))
