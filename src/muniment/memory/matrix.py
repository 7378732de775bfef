"""The vectors of one project in memory, compared with a query all at once."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from muniment.embedding import Vectors

START_ROWS = 64
Scored = list[tuple[int, float]]


class VectorMatrix:
    """Unit vectors by a memory's number. Not locked: its owner is.

    ``sequence`` is the last change taken over from the store; ``foreign`` holds the numbers whose stored vector is of
    another model, so that it cannot be compared.
    """

    def __init__(self, dimensions: int) -> None:
        self.sequence = 0
        self.foreign: set[int] = set()
        self._rows: Vectors = np.zeros((START_ROWS, dimensions), dtype=np.float32)
        self._numbers: npt.NDArray[np.int64] = np.zeros(START_ROWS, dtype=np.int64)
        self._hidden: npt.NDArray[np.bool_] = np.zeros(START_ROWS, dtype=np.bool_)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, number: int, vector: Vectors, *, hidden: bool = False) -> None:
        """``hidden``: found only by those who name it in ``among``."""
        row = self._row_of.get(number)
        if row is None:
            row = self._row_of[number] = len(self._row_of)
            if row == len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
                self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
                self._hidden = np.concatenate([self._hidden, np.zeros_like(self._hidden)])
        self._rows[row], self._numbers[row], self._hidden[row] = vector, number, hidden

    def drop(self, number: int) -> None:
        """The last row moves into the gap, so that rows stay contiguous."""
        row = self._row_of.pop(number, None)
        if row is None:
            return
        last = len(self._row_of)
        if last != row:
            moved = int(self._numbers[last])
            self._rows[row], self._numbers[row], self._hidden[row] = self._rows[last], moved, self._hidden[last]
            self._row_of[moved] = row

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

        Without ``among`` all take part, the hidden ones if ``hidden``.
        """
        size = len(self._row_of)
        scores = self._rows[:size] @ vector
        np.clip(scores, 0.0, 1.0, out=scores)
        allowed = np.ones(size, dtype=np.bool_) if hidden else ~self._hidden[:size]
        if among is not None:
            allowed = np.isin(self._numbers[:size], np.fromiter(among, np.int64, len(among)))
        if min_score > 0.0:
            allowed &= scores >= min_score
        rows = np.flatnonzero(allowed)
        scores = scores[rows]
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
        scores = np.clip(self._rows[[self._row_of[number] for number in known]] @ vector, 0.0, 1.0)
        return list(zip(known, map(float, scores), strict=True))
