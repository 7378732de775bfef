"""Many that ask with the same new filter at once: one looks for what passes it, and its failure is its own."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from search_tree import Tree

from muniment.embedding import Vectors
from muniment.errors import ChromaUnavailable, VectorsTooSlow
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader
from muniment.search import Filters
from muniment.search.passing import Fetch, Passing, PassingVectors

ASKING = 8
LONG = 30.0  # seconds; nothing waits for it


class Asking:
    """``fetch`` waits until ``go`` is set, and then fails as often as ``failures`` says."""

    def __init__(self, tree: Tree) -> None:
        folder = tree.data.project(tree.project.id)
        lexical, manifest = LexicalReader.open(folder.lexical), ManifestReader.open(folder.manifest)
        assert lexical is not None
        assert manifest is not None
        self._lexical, self.manifest, self._tree = lexical, manifest, tree
        self.passing = PassingVectors()
        self.began, self.go = threading.Semaphore(0), threading.Event()
        self.fetched = self.failures = 0

    def fetch(self, slots: Sequence[int]) -> Mapping[int, tuple[bytes, Vectors]]:
        self.fetched += 1
        self.began.release()
        assert self.go.wait(LONG)
        if self.failures:
            self.failures -= 1
            raise ChromaUnavailable("http://chroma", "refused")
        return self._tree.vectors.vectors(self._tree.collection, slots)

    def of(self, patience: float = LONG, glob: str = "src/**", fetch: Fetch | None = None) -> Passing:
        return self.passing.of(
            self._lexical, self.manifest, self._tree.collection, Filters(glob), 100, fetch or self.fetch, patience
        )


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    monkeypatch.setattr("muniment.search.passing.MOST_ASKED", 0)
    tree = Tree(tmp_path)
    tree.index({f"{folder}/a{number}.py": "is " * number for folder in ("src", "lib") for number in (1, 2)})
    asking = Asking(tree)
    yield asking
    asking.go.set()
    asking.manifest.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=ASKING) as threads:
        yield threads


def asked_by_all(asking: Asking, threads: ThreadPoolExecutor) -> list[Future[Passing]]:
    """All but the first wait, or are about to."""
    first = threads.submit(asking.of)
    assert asking.began.acquire(timeout=LONG)
    return [first, *(threads.submit(asking.of) for _ in range(ASKING - 1))]


def test_one_fetches_for_all(asking: Asking, threads: ThreadPoolExecutor) -> None:
    calls = asked_by_all(asking, threads)
    asking.go.set()
    results = [call.result(LONG) for call in calls]
    assert asking.fetched == 1
    assert all(result is results[0] for result in results)
    assert results[0].held is not None
    assert len(results[0].held.slots) == 2


def test_a_failure_is_told_to_the_one_that_looked_and_another_looks_again(
    asking: Asking, threads: ThreadPoolExecutor
) -> None:
    asking.failures = 1
    calls = asked_by_all(asking, threads)
    asking.go.set()
    with pytest.raises(ChromaUnavailable):
        calls[0].result(LONG)
    assert all(call.result(LONG).held is not None for call in calls[1:])
    assert asking.fetched == 2


def test_when_every_try_fails_each_is_told_and_nothing_is_remembered(
    asking: Asking, threads: ThreadPoolExecutor
) -> None:
    asking.failures = ASKING
    calls = asked_by_all(asking, threads)
    asking.go.set()
    assert all(isinstance(call.exception(LONG), ChromaUnavailable) for call in calls)
    assert asking.of().held is not None


def test_nobody_waits_longer_than_its_patience(asking: Asking, threads: ThreadPoolExecutor) -> None:
    first = threads.submit(asking.of)
    assert asking.began.acquire(timeout=LONG)
    with pytest.raises(VectorsTooSlow, match="10 ms"):
        asking.of(patience=0.01)
    assert not first.done()
    asking.go.set()
    assert first.result(LONG).held is not None


def test_another_filter_does_not_wait(asking: Asking, threads: ThreadPoolExecutor) -> None:
    first = threads.submit(asking.of)
    assert asking.began.acquire(timeout=LONG)
    assert asking.of(glob="lib/**", fetch=lambda _slots: {}).held is not None
    assert not first.done()
