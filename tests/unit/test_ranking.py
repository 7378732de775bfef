"""Which file answers best."""

from dataclasses import replace
from pathlib import Path

import pytest

from muniment.languages import Kind, kind_of
from muniment.ranking import (
    PLAIN,
    RULES,
    WEIGHTS,
    Candidate,
    Rule,
    Subject,
    Weights,
    decayed,
    demotion,
    lifted,
    likeness,
    ordered,
    rank,
    shares,
    without,
)

SOME = Subject.of("how the kubelet evicts pods")
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
DEMOTED = sorted(kind for kind in Kind if kind is not Kind.CODE)


def code(path: str, chunk_id: int, score: float) -> Candidate:
    return Candidate(path, chunk_id, Kind.CODE, score)


def first(words: list[Candidate], question: str, weights: Weights = WEIGHTS) -> str:
    """The path of the best file."""
    paths = {candidate.chunk_id: candidate.path for candidate in words}
    return paths[rank(words, None, Subject.of(question), weights)[0][0]]


def test_further_chunks_of_a_file_count_less_and_less() -> None:
    chunks = [("a", 4.0), ("b", 3.0), ("a", 2.0), ("a", 2.0)]
    assert decayed(chunks, Weights(decay=0.5)) == {"a": 4 + 2 / 2 + 2 / 4, "b": 3.0}


def test_chunks_beyond_the_depth_do_not_count() -> None:
    assert decayed([("a", 1.0)] * 5, Weights(decay=1.0, depth=3)) == {"a": 3.0}


def test_a_file_with_several_good_chunks_beats_one_with_a_single_slightly_better_one() -> None:
    chunks = [("single", 5.0), ("several", 4.5), ("several", 4.0)]
    assert ordered(decayed(chunks)) == ["several", "single"]
    assert ordered(decayed(chunks, replace(WEIGHTS, decay=0.0))) == ["single", "several"]


def test_equal_scores_keep_their_order() -> None:
    assert ordered({"b": 1.0, "a": 1.0, "c": 2.0}) == ["c", "b", "a"]


@pytest.mark.parametrize("kind", DEMOTED)
def test_a_kind_that_is_not_code_stands_behind_code(kind: str) -> None:
    assert demotion("x", kind, SOME) == WEIGHTS.of_kind(kind) < demotion("x", Kind.CODE, SOME) == 1.0


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        (Kind.TEST, "the test client loses cookies"),
        (Kind.DOC, "wrong link in docs"),
        (Kind.EXAMPLE, "demo crashes"),
        (Kind.CONFIG, "eviction yaml"),
    ],
)
def test_a_kind_that_the_question_has_a_word_for_rises_a_little(kind: str, question: str) -> None:
    found = demotion("x", kind, Subject.of(question))
    assert demotion("x", kind, SOME) <= found == max(WEIGHTS.asked, WEIGHTS.of_kind(kind)) < 1
    assert demotion("x", Kind.CODE, Subject.of(question)) == 1


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        (Kind.TEST, "tests of the parser"),
        (Kind.TEST, "how is the parser tested, which tests are there"),
        (Kind.DOC, "guide to routing"),
        (Kind.EXAMPLE, "show an example with two workers"),
    ],
)
def test_a_kind_that_the_question_plainly_asks_for_stands_before_the_others(kind: str, question: str) -> None:
    assert demotion("x", kind, Subject.of(question)) == 1
    assert demotion("x", Kind.CODE, Subject.of(question)) == WEIGHTS.unwanted < 1


def test_who_tells_of_a_change_to_tests_asks_for_the_code() -> None:
    assert demotion("x", Kind.CODE, Subject.of("add tests for the height of a sparkline")) == 1


def test_vendored_files_lose_unless_asked_for() -> None:
    assert demotion("vendor/x/y.go", Kind.CODE, SOME) == WEIGHTS.vendored < 1
    assert demotion("vendor/x/y.go", Kind.CODE, Subject.of("vendored yaml")) == 1.0


def test_a_stub_stands_behind_what_it_declares() -> None:
    assert demotion("op.pyi", Kind.CODE, SOME) == WEIGHTS.stub < 1
    assert demotion("op.pyi", Kind.CODE, Subject.of("stubs of op")) == 1.0


def test_beside_a_place_its_own_sort_and_code_keep_all_and_the_rest_something() -> None:
    assert likeness("a.py", "b.py") == likeness("a.py", "test_a.py") == 1.0
    assert likeness("tests/test_b.py", "tests/test_a.py") == 1.0
    for path in ("tests/test_a.py", "docs/a.md", "a.yaml", "a.pyi", "vendor/x/a.go"):
        kept = likeness(path, "b.py")
        assert demotion(path, kind_of(path), SOME) < kept < 1
        assert likeness(path, path) == 1.0
    assert likeness("docs/a.md", "tests/test_a.py") == likeness("docs/a.md", "b.py")
    assert likeness("vendor/x/b.go", "vendor/x/a.go") == 1.0
    assert first([code("op.pyi", 1, 5.0), code("op.py", 2, 4.0)], "alter a column") == "op.py"


def test_a_file_that_the_question_names_comes_first_whatever_its_kind() -> None:
    words = [code("app/base.py", 1, 9.0), Candidate("tests/test_app.py", 2, Kind.TEST, 6.0)]
    assert first(words, "tests/test_app.py") == "tests/test_app.py"
    assert first(words, "how the app is made") == "app/base.py"
    assert first(words, "tests/test_app.py", replace(WEIGHTS, mention=0.0)) == "app/base.py"


@pytest.mark.parametrize("question", ["RevokedTasks", "worker/state.py", "ValueError: no such task"])
def test_meaning_counts_less_where_letters_tell(question: str) -> None:
    words = [code("holds.py", 1, 5.0), code("like.py", 2, 4.2)]
    meaning = [code("like.py", 20, 0.9), code("far.py", 30, 0.1)]
    assert rank(words, meaning, Subject.of("revoke the tasks of a worker"))[0][0] == 2
    assert rank(words, meaning, Subject.of(question))[0][0] == 1


def test_shares_run_from_the_floor_to_the_best() -> None:
    assert shares([code("a", 1, 8.0), code("b", 2, 2.0)], SOME, floor=0.0) == {"a": (1.0, 1), "b": (0.25, 2)}
    assert shares([code("a", 1, 0.6), code("b", 2, 0.5)], SOME) == {"a": (1.0, 1), "b": (0.0, 2)}


def test_one_share_per_file_its_best_chunk() -> None:
    assert shares([code("a", 1, 2.0), code("a", 2, 3.0)], SOME) == {"a": (1.0, 2)}


def test_a_file_good_by_words_and_by_meaning_is_first_with_score_one() -> None:
    ranked = rank([code("a", 1, 9.0), code("b", 2, 8.0)], [code("a", 1, 0.7), code("c", 3, 0.6)], SOME)
    assert ranked[0] == (1, pytest.approx(1.0))
    assert [chunk_id for chunk_id, _ in ranked] == [1, 2, 3]
    assert all(0 <= score <= 1 for _, score in ranked)


def test_a_file_that_is_best_and_named_scores_one_and_the_others_less() -> None:
    ranked = rank([code("a.py", 1, 9.0), code("b.py", 2, 8.0)], [code("a.py", 1, 0.7)], Subject.of("a.py"))
    assert ranked[0] == (1, pytest.approx(1.0))
    assert 0 < ranked[1][1] < 1


def test_meaning_breaks_a_tie_of_words() -> None:
    words = [code("a", 1, 5.0), code("b", 2, 5.0)]
    assert rank(words, [code("b", 20, 0.7), code("c", 30, 0.2)], SOME)[0][0] == 2


def test_a_file_that_only_meaning_finds_is_found() -> None:
    assert [chunk_id for chunk_id, _ in rank([], [code("a", 7, 0.6)], SOME)] == [7]


def test_the_chunk_shown_is_of_the_list_that_gave_the_file_its_place() -> None:
    words = [code("a", 1, 10.0), code("b", 2, 0.5)]
    meaning = [code("b", 20, 0.8), code("a", 10, 0.2)]
    assert {chunk_id for chunk_id, _ in rank(words, meaning, SOME)} == {1, 20}


def test_without_vectors_the_best_by_words_scores_one() -> None:
    assert rank([code("a", 1, 3.0)], None, SOME) == [(1, 1.0)]


def test_nothing_found_ranks_nothing() -> None:
    assert rank([], None, SOME) == rank([], [], SOME) == []


def test_a_dissimilar_test_is_not_lifted_by_its_demotion() -> None:
    ranked = rank([], [Candidate("t", 1, Kind.TEST, -0.5), code("a", 2, 0.1)], SOME)
    assert [chunk_id for chunk_id, _ in ranked] == [2, 1]


def test_files_that_hold_what_is_quoted_are_lifted_and_shown_where_they_hold_it() -> None:
    words = [code("a", 1, 5.0), code("b", 2, 4.0)]
    found = lifted(words, {"b": code("b", 20, 3.0), "c": code("c", 30, 1.0)}, replace(WEIGHTS, phrase=1.0))
    assert [(each.chunk_id, each.score) for each in found] == [(1, 5.0), (20, 8.0), (30, 2.0)]
    assert lifted(words, {}) == words


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_can_be_left_out_alone(rule: Rule) -> None:
    assert without(rule) != WEIGHTS
    assert all(getattr(PLAIN, name) == off for name, off in rule.off.items())


def test_ranking_without_rules_goes_by_the_scores_alone() -> None:
    words = [Candidate("tests/test_app.py", 1, Kind.TEST, 5.0), code("app.pyi", 2, 4.0), code("app.py", 3, 3.0)]
    assert [chunk_id for chunk_id, _ in rank(words, None, Subject.of("app.py"), PLAIN)] == [1, 2, 3]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_told_in_the_docs(rule: Rule) -> None:
    assert f"| {rule.name} | " in ARCHITECTURE.read_text(encoding="utf-8")
