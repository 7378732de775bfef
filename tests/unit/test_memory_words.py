from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from muniment.embedding import Vectors
from muniment.memory import Draft, MemoryStore
from muniment.memory.words import IDENTIFIER, TIE, coverage, identifiers, lift
from muniment.project import Project
from muniment.testing import ManualClock


class Planned:
    """Gives each text the cosine to every query that the test has planned for it."""

    name = "planned"
    dimensions = 128

    def __init__(self, cosines: dict[str, float]) -> None:
        self.cosines = cosines

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            cosine = self.cosines.get(text, 1.0)
            axis = 1 + list(self.cosines).index(text) if text in self.cosines else 1
            vectors[row, 0], vectors[row, axis] = cosine, np.sqrt(1 - cosine**2)
        return vectors


def order(tmp_path: Path, query: str, cosines: dict[str, float]) -> list[str]:
    clock = ManualClock()
    project = Project(id="alpha-222222", name="alpha", watch_paths=["/src"], created_at=clock(), updated_at=clock())
    store = MemoryStore(tmp_path / "memories.sqlite", Planned(cosines), clock)
    assert all(stored.created for stored in store.store_batch(project, [Draft(content=text) for text in cosines]))
    return [hit.content for hit in store.search(project.id, query)]


def test_shared_words_decide_a_near_tie(tmp_path: Path) -> None:
    cosines = {"refund policy": 0.500, "customers billed again": 0.496}
    assert order(tmp_path, "customers billed twice", cosines) == ["customers billed again", "refund policy"]


def test_shared_words_never_push_a_clearly_nearer_memory_down(tmp_path: Path) -> None:
    cosines = {"customers billed twice the list": 0.48, "checkout double charge": 0.50}
    assert order(tmp_path, "customers billed twice", cosines)[0] == "checkout double charge"


def test_an_exact_identifier_lifts_the_memory_that_has_it(tmp_path: Path) -> None:
    cosines = {"payments fail at night": 0.50, "see ORD-1234 in the archive": 0.42}
    assert order(tmp_path, "what was ord-1234 about", cosines)[0] == "see ORD-1234 in the archive"
    assert lift("ORD-1234", "ORD-12345") <= TIE


def test_an_identifier_brings_in_a_memory_that_a_hundred_others_are_nearer_than(tmp_path: Path) -> None:
    cosines = {f"payments fail at night {number}": 0.50 for number in range(100)}
    cosines |= {"see ORD-1234 in the archive": 0.45, "see ORD-9876 in the archive": 0.45}
    assert order(tmp_path, "what was ord-1234 about", cosines)[0] == "see ORD-1234 in the archive"


def test_an_update_is_found_by_the_identifiers_of_its_new_text_alone(tmp_path: Path) -> None:
    cosines = {f"payments fail at night {number}": 0.50 for number in range(100)}
    cosines |= {"see ORD-1234 in the archive": 0.45, "see ORD-9876 in the archive": 0.45}
    planned = Planned(cosines)
    clock = ManualClock()
    project = Project(id="alpha-222222", name="alpha", watch_paths=["/src"], created_at=clock(), updated_at=clock())
    store = MemoryStore(tmp_path / "memories.sqlite", planned, clock)
    store.store_batch(project, [Draft(content=text) for text in list(cosines)[:-2]])
    changed = store.store(project, "see ORD-1234 in the archive").id
    store.update(project.id, changed, content="see ORD-9876 in the archive")
    assert store.search(project.id, "what was ORD-9876 about", limit=1)[0].id == changed
    assert store.search(project.id, "what was ORD-1234 about", limit=1)[0].id != changed


def test_of_equal_memories_the_latest_comes_first(tmp_path: Path) -> None:
    clock = ManualClock()
    project = Project(id="alpha-222222", name="alpha", watch_paths=["/src"], created_at=clock(), updated_at=clock())
    texts = ["one", "two", "three", "four", "five"]
    store = MemoryStore(tmp_path / "memories.sqlite", Planned(dict.fromkeys(texts, 0.5)), clock)
    for text in texts:
        store.store(project, text)
        clock.advance(1)
    assert [hit.content for hit in store.search(project.id, "query")] == texts[::-1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("raise max_retries in getUserById", {"max_retries", "getuserbyid"}),
        ("ORD-1234 and src/app2/main.py", {"ord-1234", "src/app2/main.py"}),
        ("the API of k8s on 2024-01-05 is well-known", set()),
        ("__ ____ Berlin", set()),
        ("restart deploy.yaml, e.g. today. Then wait", {"deploy.yaml"}),
    ],
)
def test_identifiers_are_told_from_words(text: str, found: set[str]) -> None:
    assert identifiers(text) == found


def test_a_file_is_found_by_the_end_of_its_path() -> None:
    said = "rounding happens in src/checkout/cart_totals.py:40-52"
    for query in ("cart_totals.py", "checkout/cart_totals.py", "src/checkout/cart_totals.py"):
        assert lift(query, said) >= IDENTIFIER
    assert lift("totals.py", said) < IDENTIFIER


def test_the_lift_is_bounded() -> None:
    assert lift("set max_retries", "set max_retries") == pytest.approx(TIE + IDENTIFIER)
    assert lift("?!", "?!") == 0.0
    assert coverage("Ships on a Friday", "it ships on a friday evening") == 1.0
