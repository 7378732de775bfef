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


class Clock:
    """``asked`` counts how often."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = threading.Semaphore(0)

    def __call__(self) -> float:
        self.asked.release()
        return self.now


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
    tree.index({f"three/b{number}.py": "was " * number for number in (1, 2, 3)})
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
    asking.go.set()
    assert first.result(LONG).held is not None


def test_what_takes_longer_than_one_call_may_is_fetched_by_several(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.passing.FETCHED_AT_ONCE", 1)
    clock = Clock()
    asking.passing = PassingVectors(clock)
    asking.go.set()

    def fetch(slots: Sequence[int]) -> Mapping[int, tuple[bytes, Vectors]]:
        clock.now += 0.1
        return asking.fetch(slots)

    for _ in range(2):
        with pytest.raises(VectorsTooSlow):
            asking.of(patience=0.05, glob="three/**", fetch=fetch)
    held = asking.of(patience=0.05, glob="three/**", fetch=fetch).held
    assert held is not None
    assert (len(held.slots), asking.fetched) == (3, 3)
    assert not asking.passing._begun


@pytest.mark.parametrize(("patience", "fetches"), [(0.05, 1), (0.15, 2), (0.25, 3)])
def test_all_fetches_of_one_call_together_have_its_patience(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, patience: float, fetches: int
) -> None:
    monkeypatch.setattr("muniment.search.passing.FETCHED_AT_ONCE", 1)
    clock, asked = Clock(), []
    asking.passing = PassingVectors(clock)

    def fetch(slots: Sequence[int]) -> Mapping[int, tuple[bytes, Vectors]]:
        asked.append(slots)
        clock.now += 0.1
        return {}

    if fetches < 3:
        with pytest.raises(VectorsTooSlow, match=f"{patience * 1000:.0f} ms"):
            asking.of(patience, glob="three/**", fetch=fetch)
    else:
        assert asking.of(patience, glob="three/**", fetch=fetch).held is not None
    assert len(asked) == fetches


def test_one_whose_patience_ended_while_it_waited_does_not_begin_to_look(
    asking: Asking, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, looked = Clock(), []
    count = LexicalReader.count_passing
    monkeypatch.setattr(LexicalReader, "count_passing", lambda *of: looked.append(of) or count(*of))
    asking.passing, asking.failures = PassingVectors(clock), 1
    first = threads.submit(asking.of)
    assert asking.began.acquire(timeout=LONG)
    while clock.asked.acquire(blocking=False):
        pass
    second = threads.submit(asking.of)
    assert clock.asked.acquire(timeout=LONG)
    assert clock.asked.acquire(timeout=LONG)  # it knows how long it may wait
    clock.now += LONG
    asking.go.set()
    with pytest.raises(ChromaUnavailable):
        first.result(LONG)
    with pytest.raises(VectorsTooSlow):
        second.result(LONG)
    assert (len(looked), asking.fetched) == (1, 1)
    assert asking.of().held is not None
