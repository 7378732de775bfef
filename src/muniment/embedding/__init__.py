"""Embedders turn texts into vectors: a static model for files (or MiniLM, or a server's), MiniLM for memories."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """``name`` identifies the model and its version; vectors of different names are never mixed.

    Making one and asking for its name loads nothing from the network. What ``embed`` may raise: ModelUnavailable,
    EmbedderUnavailable (try again later), EmbedderRefused.
    """

    @property
    def name(self) -> str:
        """Valid in the name of a Chroma collection and of a file."""
        ...

    @property
    def source(self) -> str | None:
        """Where the model comes from (a folder, a URL); None for one that comes with the packages."""
        ...

    @property
    def batch_texts(self) -> int:
        """The most texts that are worth embedding at once: a second or two of work."""
        ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), rows of unit length (all zero for a text without a known word)."""
        ...
