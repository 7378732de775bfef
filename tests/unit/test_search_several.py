"""Several projects asked at once: one list, comparable scores, each hit with its project."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_tree import ExactVectors, Tree, searching

from muniment.search import Search, SearchHit
from muniment.search.several import Evidence, joined


def hit(project: str, score: float, text: str, path: str = "a.py") -> SearchHit:
    return SearchHit(
        project=project, path=path, start_line=1, end_line=1, symbol=None, language=None, kind="code", score=score,
        text=text, stale=False,
    )  # fmt: skip


def evidence(*hits: SearchHit, **fields: Any) -> Evidence:
    frequencies = {"leas": 3, "renew": 2, "file": 500}
    return Evidence(hits, **{"frequencies": frequencies, "chunks": 1_000, **fields})


def listed(*found: Evidence, limit: int = 10) -> list[tuple[str, float]]:
    return [(one.project, one.score) for one in joined(found, limit)]


def test_the_project_that_answers_more_of_the_question_comes_first() -> None:
    common = evidence(hit("big", 1.0, "a file"), hit("big", 0.9, "another file", "b.py"))
    telling = evidence(hit("small", 1.0, "renew the lease of a file"), hit("small", 0.5, "lease", "b.py"))
    assert [project for project, _ in listed(common, telling)] == ["small", "small", "big", "big"]


def test_within_a_project_the_order_stays_and_the_best_of_all_has_the_score_1() -> None:
    one = evidence(hit("a", 1.0, "lease"), hit("a", 0.6, "renew the lease of the file", "b.py"))
    ordered = joined([one], 10)
    assert [found.path for found in ordered] == ["a.py", "b.py"]
    assert [found.score for found in ordered] == [1.0, 0.6]


def test_equally_good_projects_interleave_by_their_scores() -> None:
    one = evidence(hit("a", 1.0, "lease"), hit("a", 0.2, "lease", "b.py"))
    two = evidence(hit("b", 1.0, "lease"), hit("b", 0.5, "lease", "b.py"))
    assert listed(one, two) == [("a", 1.0), ("b", 1.0), ("b", 0.5), ("a", 0.2)]
    assert len(listed(one, two, limit=3)) == 3


def test_vectors_compare_only_where_one_model_made_them_all() -> None:
    near = {"model": "m", "similarities": {"a.py": 0.8}}
    far = {"model": "m", "similarities": {"a.py": 0.1}}
    assert listed(evidence(hit("a", 1.0, "lease"), **far), evidence(hit("b", 1.0, "lease"), **near))[0][0] == "b"
    other = {"model": "n", "similarities": {"a.py": 0.8}}
    without: dict[str, Any] = {}
    for found in (other, without):
        assert listed(evidence(hit("a", 1.0, "lease"), **far), evidence(hit("b", 1.0, "lease"), **found)) == [
            ("a", 1.0),
            ("b", 1.0),
        ]


def test_projects_without_hits_add_nothing() -> None:
    assert listed(evidence(), evidence(hit("b", 1.0, "lease"))) == [("b", 1.0)]
    assert listed(evidence()) == []
    assert listed(Evidence([hit("b", 1.0, "lease")])) == [("b", 1.0)]


# --- over real indexes ------------------------------------------------------------------------------------------


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Tree, Tree]:
    vectors = ExactVectors()
    return Tree(tmp_path, "one", vectors), Tree(tmp_path, "two", vectors)


@pytest.fixture
def search(trees: tuple[Tree, Tree]) -> Iterator[Search]:
    search = searching(trees[0])
    yield search
    search.close()


def test_the_best_of_all_projects_are_ranked_together(search: Search, trees: tuple[Tree, Tree]) -> None:
    one, two = trees
    # the word of the question that both have is rare in one and common in the other
    one.index({"lease.py": "renew the lease", "other.py": "nothing"})
    two.index({f"f{number}.py": f"lease agreement {number}" for number in range(20)})
    outcome = search.search_several([two.project, one.project], "renew lease", limit=5)
    assert [hit.project for hit in outcome.results] == ["one", *["two"] * 4]
    scores = [hit.score for hit in outcome.results]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1.0


def test_an_empty_project_among_others_takes_nothing_away(search: Search, trees: tuple[Tree, Tree]) -> None:
    one, two = trees
    one.index({"lease.py": "renew the lease"})
    outcome = search.search_several([two.project, one.project], "lease")
    assert [hit.path for hit in outcome.results] == ["lease.py"]


def test_what_could_not_take_part_names_its_projects_unless_it_holds_for_all(
    search: Search, trees: tuple[Tree, Tree]
) -> None:
    one, two = trees
    one.index({"lease.py": "renew the lease"})
    two.index({"lease.py": "renew the lease"}, vectors=False)
    one.vectors.away = True
    (reason,) = search.search_several([one.project, two.project], "lease").degraded
    assert reason.startswith("[one] The vector store")
    two.index({"lease.py": "renew the lease"})
    (reason,) = search.search_several([one.project, two.project], "lease").degraded
    assert reason.startswith("The vector store")


def test_files_that_are_gone_are_counted_over_all(search: Search, trees: tuple[Tree, Tree]) -> None:
    for tree in trees:
        tree.index({"lease.py": "renew the lease"})
        (tree.sources / "lease.py").unlink()
    outcome = search.search_several([tree.project for tree in trees], "lease")
    assert (outcome.results, outcome.gone) == ([], 2)


def test_filters_hold_in_every_project(search: Search, trees: tuple[Tree, Tree]) -> None:
    for tree in trees:
        tree.index({"src/a.py": "lease", "docs/a.md": "lease"})
    outcome = search.search_several([tree.project for tree in trees], "lease", path_glob="docs/**")
    assert [(hit.project, hit.path) for hit in outcome.results] == [("one", "docs/a.md"), ("two", "docs/a.md")]
