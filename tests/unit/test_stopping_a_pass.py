"""A pass that has to stop does so between two files and between two parts of a batch of vectors."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from muniment.errors import LeaseLost
from muniment.indexing.batches import BatchLimits, BatchReader
from muniment.indexing.vector_stage import STOPPABLE_TEXTS, VectorStage
from muniment.scanning import FoundFile
from muniment.testing import HashedWordsEmbedder


class After:
    """Asks to stop after so many looks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise LeaseLost("alpha")


def found(folder: Path, name: str) -> FoundFile:
    path = folder / name
    path.write_text("x = 1\n")
    return FoundFile(name, str(path), 6, 1)


def test_a_batch_that_is_read_without_helpers_stops_between_two_files(tmp_path: Path) -> None:
    taken: list[str] = []

    def files() -> Any:
        for number in range(10):
            taken.append(f"m{number}.py")
            yield found(tmp_path, taken[-1])

    reader = BatchReader(1000, 0, {}, After(3).check)
    with pytest.raises(LeaseLost):
        list(reader.batches(files(), iter([BatchLimits(100, 100, 60.0)] * 2)))
    assert taken == ["m0.py", "m1.py", "m2.py", "m3.py"]


class Store:
    def __init__(self) -> None:
        self.parts: list[int] = []

    def upsert(self, _name: str, slots: Sequence[int], _hashes: object, _vectors: object) -> None:
        self.parts.append(len(slots))


def stage(looks: int, store: Store, embedder: HashedWordsEmbedder) -> VectorStage:
    index = cast(Any, SimpleNamespace())
    return VectorStage(index, cast(Any, store), embedder, "alpha-x", 2000, cast(Any, After(looks)))


def test_a_batch_of_vectors_stops_between_two_parts() -> None:
    store, count = Store(), 3 * STOPPABLE_TEXTS
    vectors = np.zeros((count, 4), np.float32)
    with pytest.raises(LeaseLost):
        stage(2, store, HashedWordsEmbedder())._upsert(list(range(count)), [b""] * count, vectors)
    assert store.parts == [STOPPABLE_TEXTS] * 2


def test_texts_are_embedded_in_parts_as_they_would_be_at_once() -> None:
    texts = [f"word{number}" for number in range(STOPPABLE_TEXTS + 3)]
    embedder = HashedWordsEmbedder()
    with pytest.raises(LeaseLost):
        stage(1, Store(), embedder)._embedded(texts)
    assert [len(part) for part in embedder.calls] == [STOPPABLE_TEXTS]
    together = stage(9, Store(), embedder)._embedded(texts)
    assert np.array_equal(together, HashedWordsEmbedder().embed(texts))
    assert stage(0, Store(), embedder)._embedded([]).shape[0] == 0
