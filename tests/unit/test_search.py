"""One question, one ranked list; what is away makes the answer poorer, never an error."""

import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from search_tree import EMBEDDER, Tree, searching, text_hash

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, VectorsTooSlow
from muniment.search import MAX_QUESTION, VECTOR_QUERIES, Search, SearchHit
from muniment.testing import HashedWordsEmbedder
from muniment.vectors import VectorHit, VectorStore


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def search(tree: Tree) -> Iterator[Search]:
    search = searching(tree)
    yield search
    search.close()


def found(search: Search, tree: Tree, question: str, **options: object) -> list[str]:
    return [hit.path for hit in hits(search, tree, question, **options)]


def hits(search: Search, tree: Tree, question: str, **options: object) -> list[SearchHit]:
    outcome = search.search(tree.project, question, **options)  # type: ignore[arg-type]
    assert outcome.degraded == []
    return outcome.results


def test_a_project_without_an_index_answers_nothing(search: Search, tree: Tree) -> None:
    assert found(search, tree, "lease") == []


def test_the_first_index_is_found_by_a_search_that_asked_before(search: Search, tree: Tree) -> None:
    found(search, tree, "lease")
    tree.index({"lease.py": "take the lease"})
    assert found(search, tree, "lease") == ["lease.py"]


def test_a_hit_says_what_it_is(search: Search, tree: Tree) -> None:
    tree.index({"src/lease.py": "take the lease"})
    [hit] = hits(search, tree, "take lease")
    assert (hit.path, hit.text, hit.start_line, hit.end_line) == ("src/lease.py", "take the lease", 1, 1)
    assert (hit.language, hit.kind, hit.stale, hit.score) == ("python", "code", False, 1.0)


def test_words_alone_answer_while_vectors_are_still_to_come(search: Search, tree: Tree) -> None:
    tree.index({"lease.py": "take the lease"}, vectors=False)
    assert found(search, tree, "lease") == ["lease.py"]
    assert tree.vectors.queries == []


def test_meaning_finds_what_words_do_not(search: Search, tree: Tree) -> None:
    # "is" is a stop word of the lexical question, not of the embedder
    tree.index({"a.py": "is is is", "b.py": "take the lease"})
    assert found(search, tree, "lease is") == ["b.py", "a.py"]


def test_an_answer_goes_on_without_the_vector_store_and_says_so(search: Search, tree: Tree) -> None:
    tree.index({"lease.py": "take the lease"})
    tree.vectors.away = True
    outcome = search.search(tree.project, "lease")
    assert [hit.path for hit in outcome.results] == ["lease.py"]
    assert "vector store" in outcome.degraded[0]


def test_a_damaged_index_answers_nothing_and_says_so_until_it_is_rebuilt(search: Search, tree: Tree) -> None:
    tree.index({"lease.py": "take the lease"})
    lexical = tree.data.project(tree.project.id).lexical
    (lexical / "meta.json").write_text("{")
    outcome = search.search(tree.project, "lease")
    assert outcome.results == []
    assert "lexical index" in outcome.degraded[0]
    shutil.rmtree(lexical)
    tree.index({"lease.py": "take the lease"})
    assert found(search, tree, "lease") == ["lease.py"]


def test_a_project_that_was_removed_and_made_again_shows_only_the_new_index(search: Search, tree: Tree) -> None:
    tree.index({"old.py": "take the lease"})
    assert found(search, tree, "lease") == ["old.py"]
    shutil.rmtree(tree.data.project(tree.project.id).path)
    assert found(search, tree, "lease") == []
    tree.vectors.rows.clear()
    tree.index({"new.py": "take the lease"})
    assert found(search, tree, "lease") == ["new.py"]


def slot_of(tree: Tree, text: str) -> int:
    return next(slot for slot, (found_hash, _) in tree.vectors.rows.items() if found_hash == text_hash(text))


def freed_slot(tree: Tree, text: str) -> int:
    tree.index({"a.py": text, "b.py": f"{text} beta"})
    tree.index({"a.py": "another"})
    return slot_of(tree, text)


def test_a_text_that_took_over_a_slot_is_not_found_by_the_vector_that_still_lies_there(
    search: Search, tree: Tree
) -> None:
    slot = freed_slot(tree, "alpha")
    tree.index({"a.py": "gamma"}, vectors=False)
    assert "a.py" not in found(search, tree, "alpha")
    tree.index({})
    assert slot_of(tree, "gamma") == slot  # else nothing was shown


def test_a_text_that_takes_over_a_slot_while_its_vector_is_asked_for_is_not_found_by_the_old_one(
    search: Search, tree: Tree
) -> None:
    slot = freed_slot(tree, "alpha")
    tree.vectors.meanwhile = lambda: tree.index({"a.py": "gamma"})
    meanwhile = search.search(tree.project, "alpha").results
    assert slot_of(tree, "gamma") == slot
    assert meanwhile == search.search(tree.project, "alpha").results


def test_a_first_build_does_not_ask_twice_for_vectors_while_it_commits(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "alpha", "b.py": "alpha beta"})
    found(search, tree, "alpha")
    tree.vectors.queries.clear()
    tree.vectors.meanwhile = lambda: tree.index({"c.py": "alpha gamma"})
    found(search, tree, "alpha")
    assert len(tree.vectors.queries) == 1


def test_vectors_of_a_collection_that_another_takes_the_place_of_are_asked_for_with_their_texts(
    search: Search, tree: Tree
) -> None:
    tree.index({"a.py": "alpha", "b.py": "beta"})
    tree.vectors.meanwhile = lambda: tree.set_meta(collection=f"{tree.project.id}-another")
    tree.vectors.queries.clear()
    search.search(tree.project, "alpha")
    assert len(tree.vectors.queries) == 2


def test_identical_texts_in_two_files_are_both_found_by_meaning(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "is same", "b.py": "is same", "c.py": "other"})
    assert set(found(search, tree, "is")) >= {"a.py", "b.py"}


def test_filters_hold_for_words_and_for_meaning(search: Search, tree: Tree) -> None:
    tree.index({"src/a.py": "lease", "src/b.go": "lease", "tests/test_a.py": "lease", "docs/a.md": "lease"})
    assert set(found(search, tree, "lease", path_glob="src/**")) == {"src/a.py", "src/b.go"}
    assert set(found(search, tree, "lease", language="python")) == {"src/a.py", "tests/test_a.py"}
    assert found(search, tree, "lease", kind="test") == ["tests/test_a.py"]
    assert found(search, tree, "lease", path_glob="src/**", language="go", kind="code") == ["src/b.go"]
    assert found(search, tree, "lease", language="rust") == []


def test_code_stands_before_its_tests_and_documents(search: Search, tree: Tree) -> None:
    tree.index({"tests/test_a.py": "lease lease", "docs/a.md": "lease lease", "src/a.py": "the lease is kept in redis"})
    assert found(search, tree, "lease")[0] == "src/a.py"


def test_one_hit_per_file_and_never_more_than_the_limit(search: Search, tree: Tree) -> None:
    tree.index({f"f{number}.py": f"lease number{number}" for number in range(30)})
    listed = found(search, tree, "lease", limit=7)
    assert len(listed) == len(set(listed)) == 7
    assert len(found(search, tree, "lease", limit=100)) == 30


def test_scores_fall_from_at_most_one(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "lease lease", "b.py": "lease and many other words here", "c.py": "nothing"})
    scores = [hit.score for hit in hits(search, tree, "lease")]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_a_changed_file_is_shown_as_indexed_and_marked_stale(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "take the lease", "b.py": "take the lease too"})
    (tree.sources / "a.py").write_text("something else altogether")
    assert {hit.path: (hit.stale, "lease" in hit.text) for hit in hits(search, tree, "lease")} == {
        "a.py": (True, True),
        "b.py": (False, True),
    }


def test_many_projects_share_a_bounded_number_of_open_readers(
    search: Search, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.open_indexes.MAX_OPEN_PROJECTS", 1)
    tree.index({"a.py": "take the lease"})
    other = tree.project.model_copy(update={"id": "other-abc123"})
    assert found(search, tree, "lease") == ["a.py"]
    assert search.search(other, "lease").results == []
    assert found(search, tree, "lease") == ["a.py"]
    assert len(search._indexes._open) == 1


def test_asking_how_far_an_index_is_neither_opens_it_nor_keeps_it_open(
    search: Search, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.open_indexes.MAX_OPEN_PROJECTS", 2)
    tree.index({"a.py": "take the lease"})
    assert search.counted(tree.project.id) is None
    second, third = (tree.project.model_copy(update={"id": f"{name}-abc123"}) for name in ("second", "third"))
    for project in (tree.project, second):
        search.search(project, "lease")
    counters, meta = search.counted(tree.project.id) or (None, None)
    assert counters is not None
    assert meta is not None
    assert (counters.files_lexical, meta.collection) == (1, tree.collection)
    search.search(third, "lease")
    assert search.counted(tree.project.id) is None  # the one that was searched longest ago was closed


@pytest.mark.parametrize("question", ["", " \n", "x" * (MAX_QUESTION + 1)])
def test_an_empty_or_endless_question_is_refused(search: Search, tree: Tree, question: str) -> None:
    with pytest.raises(InvalidValue, match="query"):
        search.search(tree.project, question)


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_is_refused(search: Search, tree: Tree, limit: int) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        search.search(tree.project, "lease", limit)


@pytest.mark.parametrize("wrong", [{"path_glob": "[z-a]"}, {"language": "klingon"}, {"kind": "tests"}])
def test_a_filter_that_cannot_match_is_refused_by_name(search: Search, tree: Tree, wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        search.search(tree.project, "lease", **wrong)  # type: ignore[arg-type]


def test_vectors_that_take_too_long_leave_an_answer_by_words_that_says_so(tree: Tree) -> None:
    tree.index({"lease.py": "take the lease"})
    answered = threading.Event()
    query = tree.vectors.query

    def stuck(*arguments: Any) -> list[VectorHit]:
        answered.wait(10)
        return query(*arguments)

    tree.vectors.query = stuck  # type: ignore[method-assign]
    search = Search(tree.data, cast(VectorStore, tree.vectors), EMBEDDER, patience=0.01)
    outcome = search.search(tree.project, "lease")
    answered.set()
    search.close()
    assert [hit.path for hit in outcome.results] == ["lease.py"]
    assert len(outcome.degraded) == 1
    assert "10 ms" in outcome.degraded[0]


def asking_with(tree: Tree, embedder: HashedWordsEmbedder, **models: HashedWordsEmbedder) -> Search:
    known = {model.name: model for model in models.values()}
    store = cast(VectorStore, tree.vectors)
    return Search(tree.data, store, embedder, patience=10.0, for_model=lambda name, _source: known.get(name))


def test_an_index_of_another_model_is_asked_with_that_model(tree: Tree) -> None:
    tree.index({"lease.py": "take the lease", "queue.py": "ring the bell"})
    search = asking_with(tree, HashedWordsEmbedder(name="newer"), old=EMBEDDER)
    outcome = search.search(tree.project, "lease")
    search.close()
    assert (outcome.degraded, len(tree.vectors.queries)) == ([], 1)


def test_an_index_of_a_model_that_is_gone_answers_by_words_and_says_so(tree: Tree) -> None:
    tree.index({"lease.py": "take the lease"})
    search = asking_with(tree, HashedWordsEmbedder(name="newer"))
    outcome = search.search(tree.project, "lease")
    search.close()
    assert [hit.path for hit in outcome.results] == ["lease.py"]
    assert EMBEDDER.name in outcome.degraded[0]
    assert tree.vectors.queries == []


def test_a_server_that_makes_no_vector_in_time_leaves_an_answer_by_words(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.index({"lease.py": "take the lease"})
    released = threading.Event()

    class Slow(HashedWordsEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            released.wait(30)
            return super().embed(texts)

    slow = Slow()
    slow.source = "http://embedder:8080/v1"
    monkeypatch.setattr("muniment.search.meaning.SERVER_PATIENCE", 0.01)
    search = asking_with(tree, slow)
    outcome = search.search(tree.project, "lease")
    released.set()
    search.close()
    assert [hit.path for hit in outcome.results] == ["lease.py"]
    assert outcome.degraded


@pytest.mark.parametrize("opened_before", [True, False])
def test_a_damaged_manifest_leaves_the_words_and_is_named(search: Search, tree: Tree, opened_before: bool) -> None:
    tree.index({"lease.py": "take the lease"})
    if opened_before:
        assert found(search, tree, "lease") == ["lease.py"]
    manifest = tree.data.project(tree.project.id).manifest
    manifest.with_name("damaged").write_bytes(b"no database" * 500)
    manifest.with_name("damaged").replace(manifest)
    outcome = search.search(tree.project, "lease")
    assert [hit.path for hit in outcome.results] == ["lease.py"]
    assert str(manifest) in outcome.degraded[0]


def test_a_server_that_hangs_keeps_no_project_waiting_whose_model_is_here(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.meaning.SERVER_PATIENCE", 0.01)
    tree.index({"lease.py": "take the lease"})
    answers = threading.Event()

    class Hangs(HashedWordsEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            answers.wait(10)
            return super().embed(texts)

    server = Hangs(name="server-1")
    server.source = "http://server/v1"
    search = Search(tree.data, cast(VectorStore, tree.vectors), server, 10.0, lambda _name, _source: EMBEDDER)
    try:
        for _ in range(2 * VECTOR_QUERIES):
            with pytest.raises(VectorsTooSlow):
                search._meaning.embedded(server, "of another project")
        assert search.search(tree.project, "lease").degraded == []
    finally:
        answers.set()
        search.close()
