"""The vectors of one project in memory, compared with a query all at once."""

from collections.abc import Iterable

import numpy as np

from muniment.embedding import Vectors

START_ROWS = 64


class VectorMatrix:
    """Unit vectors by memory id. Not locked: its owner is.

    ``sequence`` is the last change taken over from the store; ``foreign`` holds the ids whose stored vector is of
    another model, so that it cannot be compared.
    """

    def __init__(self, dimensions: int) -> None:
        self.sequence = 0
        self.foreign: set[str] = set()
        self._rows: Vectors = np.zeros((START_ROWS, dimensions), dtype=np.float32)
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, memory_id: str, vector: Vectors) -> None:
        row = self._row_of.get(memory_id)
        if row is None:
            row = self._row_of[memory_id] = len(self._ids)
            self._ids.append(memory_id)
            if row == len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[row] = vector

    def drop(self, memory_id: str) -> None:
        """The last row moves into the gap, so that rows stay contiguous."""
        row = self._row_of.pop(memory_id, None)
        if row is None:
            return
        last = self._ids.pop()
        if last != memory_id:
            self._ids[row] = last
            self._row_of[last] = row
            self._rows[row] = self._rows[len(self._ids)]

    def nearest(
        self, vector: Vectors, count: int, *, among: Iterable[str] | None = None, min_score: float = 0.0
    ) -> list[tuple[str, float]]:
        """At most ``count`` ids, best first, with cosine from 0 to 1; ``among`` and ``min_score`` filter first."""
        rows = np.arange(len(self._ids))
        if among is not None:
            rows = np.array([self._row_of[one] for one in among if one in self._row_of], dtype=rows.dtype)
        vectors = self._rows[: len(self._ids)] if among is None else self._rows[rows]
        scores = vectors @ vector
        np.clip(scores, 0.0, 1.0, out=scores)
        if min_score > 0.0:
            rows, scores = rows[scores >= min_score], scores[scores >= min_score]
        if len(rows) > count:
            top = np.argpartition(scores, len(scores) - count)[-count:]
            rows, scores = rows[top], scores[top]
        best = np.argsort(-scores, kind="stable")
        return [(self._ids[rows[place]], float(scores[place])) for place in best]
