"""What is like a place in a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_tree import Tree, searching, text_hash

from muniment.errors import FileNotIndexed, InvalidValue, ManifestDamaged, VectorsPending
from muniment.search import RelatedOutcome, Search

FILES: dict[str, str | list[str]] = {
    "src/pay.py": [
        "import money\n",
        "def charge(card):\n    gateway retry card amount\n",
        "def refund(card):\n    x\n",
    ],
    "src/refund.py": "gateway retry card amount refund",
    "src/unlike.py": "colour of the sky",
    "tests/test_pay.py": "gateway retry card",
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def search(tree: Tree) -> Iterator[Search]:
    search = searching(tree)
    yield search
    search.close()


def paths(outcome: RelatedOutcome) -> list[str]:
    return [hit.path for hit in outcome.results]


def test_what_is_near_a_line_is_found_without_that_place_itself(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    outcome = search.related(tree.project, "src/pay.py", line=3)
    assert paths(outcome)[:2] == ["src/refund.py", "tests/test_pay.py"]
    assert (outcome.of.path, outcome.of.start_line, outcome.of.end_line) == ("src/pay.py", 2, 3)
    assert outcome.of.symbol == "charge"
    assert all((hit.path, hit.start_line) != ("src/pay.py", 2) for hit in outcome.results)
    scores = [hit.score for hit in outcome.results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_a_place_is_named_by_its_line_in_the_path_or_by_its_symbol(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    by_line = search.related(tree.project, "src/pay.py", line=2)
    assert search.related(tree.project, "src/pay.py:2") == by_line
    assert search.related(tree.project, "src/pay.py", symbol="charge") == by_line


def test_a_method_is_found_by_its_last_name(search: Search, tree: Tree) -> None:
    tree.index({"a.py": ["def Pay.charge(card):\n    gateway\n"], "b.py": "gateway"})
    assert search.related(tree.project, "a.py", symbol="charge").of.symbol == "Pay.charge"


def test_without_line_or_symbol_the_whole_file_is_meant(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    outcome = search.related(tree.project, "src/pay.py")
    assert (outcome.of.start_line, outcome.of.end_line, outcome.of.symbol) == (1, 5, None)
    assert "src/pay.py" not in paths(outcome)
    assert paths(outcome)[0] == "src/refund.py"


LIKE = {
    path: f"gateway retry card amount {word} {word}"
    for path, word in {
        "docs/pay.md": "one",
        "docs/refund.md": "two",
        "tests/test_pay.py": "three",
        "tests/test_refund.py": "four",
        "src/pay.py": "five",
        "src/refund.py": "six",
    }.items()
}


@pytest.mark.parametrize(
    ("place", "first"),
    [
        ("src/pay.py", ["code"]),
        ("tests/test_pay.py", ["code", "code", "test"]),
        ("docs/pay.md", ["code", "code", "doc"]),
    ],
)
def test_of_what_is_equally_like_a_place_code_and_the_same_kind_come_first(
    search: Search, tree: Tree, place: str, first: list[str]
) -> None:
    tree.index(LIKE)
    kinds = [hit.kind for hit in search.related(tree.project, place, line=1).results]
    assert sorted(kinds[: len(first)]) == first
    assert len(kinds) == 5


def test_the_test_that_is_most_like_code_comes_before_code_that_is_hardly_like_it(search: Search, tree: Tree) -> None:
    tree.index({**LIKE, "src/far.py": "card of another colour"})
    kinds = [(hit.path, hit.kind) for hit in search.related(tree.project, "src/pay.py", line=1).results]
    assert kinds[0] == ("src/refund.py", "code")
    assert kinds[-1] == ("src/far.py", "code")


def test_never_more_than_the_limit(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    assert len(search.related(tree.project, "src/pay.py", line=2, limit=1).results) == 1
    with pytest.raises(InvalidValue, match="limit"):
        search.related(tree.project, "src/pay.py", line=2, limit=0)


def test_a_file_that_is_gone_is_not_like_anything(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    (tree.sources / "src/refund.py").unlink()
    outcome = search.related(tree.project, "src/pay.py", line=2)
    assert "src/refund.py" not in paths(outcome)
    assert outcome.gone == 1


@pytest.mark.parametrize(
    ("path", "place", "says"),
    [
        ("src/pay.py", {"line": 6}, "'src/pay.py' is indexed with lines 1 to 5"),
        ("src/pay.py", {"symbol": "pay"}, "'src/pay.py' has charge, refund"),
        ("src/unlike.py", {"symbol": "pay"}, "'src/unlike.py' has none"),
    ],
)
def test_a_place_that_is_not_there_says_what_is(
    search: Search, tree: Tree, path: str, place: dict[str, object], says: str
) -> None:
    tree.index(FILES)
    with pytest.raises(InvalidValue, match=says):
        search.related(tree.project, path, **place)  # type: ignore[arg-type]


def test_an_unknown_file_is_told_with_those_that_may_be_meant(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    with pytest.raises(FileNotIndexed, match=r"Perhaps 'src/pay\.py' is meant"):
        search.related(tree.project, "pay.py", line=1)
    with pytest.raises(FileNotIndexed, match=r"no file 'src/%y.py'\. Give"):
        search.related(tree.project, "src/%y.py")


def test_before_there_is_an_index_no_file_is_known(search: Search, tree: Tree) -> None:
    with pytest.raises(FileNotIndexed, match=r"src/pay\.py"):
        search.related(tree.project, "src/pay.py")


def test_a_place_without_its_vector_is_not_made_up(search: Search, tree: Tree) -> None:
    tree.index(FILES, vectors=False)
    with pytest.raises(VectorsPending, match=r"src/pay\.py"):
        search.related(tree.project, "src/pay.py", line=2)


def test_the_vector_of_a_text_that_left_its_slot_is_not_taken_for_it(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    for slot, (_, row) in list(tree.vectors.rows.items()):
        tree.vectors.rows[slot] = (text_hash("gone"), row)
    with pytest.raises(VectorsPending):
        search.related(tree.project, "src/pay.py", line=2)


def test_without_the_vector_store_shared_names_answer_and_that_is_said(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    tree.vectors.away = True
    outcome = search.related(tree.project, "src/pay.py", line=2)
    assert paths(outcome)[0] == "src/refund.py"
    assert "vector store" in outcome.degraded[0]


def test_a_damaged_manifest_is_named(search: Search, tree: Tree) -> None:
    tree.index(FILES)
    manifest = tree.data.project(tree.project.id).manifest
    search.related(tree.project, "src/pay.py", line=2)
    manifest.with_name("damaged").write_bytes(b"no database" * 500)
    manifest.with_name("damaged").replace(manifest)
    with pytest.raises(ManifestDamaged, match="manifest"):
        search.related(tree.project, "src/pay.py", line=2)
