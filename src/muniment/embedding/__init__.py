"""Embedders turn texts into vectors: a static model for files, MiniLM for memories."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """``name`` identifies the model and its version; vectors of different names are never mixed."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), rows of unit length (all zero for a text without a known word)."""
        ...
