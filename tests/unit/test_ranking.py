"""Which file answers best."""

import pytest

from muniment.languages import Kind
from muniment.ranking import ASKED, DEMOTIONS, VENDORED, Candidate, Weights, decayed, demotion, ordered, rank, shares


def code(path: str, chunk_id: int, score: float) -> Candidate:
    return Candidate(path, chunk_id, Kind.CODE, score)


def test_further_chunks_of_a_file_count_less_and_less() -> None:
    chunks = [("a", 4.0), ("b", 3.0), ("a", 2.0), ("a", 2.0)]
    assert decayed(chunks, Weights(decay=0.5)) == {"a": 4 + 2 / 2 + 2 / 4, "b": 3.0}


def test_chunks_beyond_the_depth_do_not_count() -> None:
    assert decayed([("a", 1.0)] * 5, Weights(decay=1.0, depth=3)) == {"a": 3.0}


def test_a_file_with_several_good_chunks_beats_one_with_a_single_slightly_better_one() -> None:
    assert ordered(decayed([("single", 5.0), ("several", 4.5), ("several", 4.0)])) == ["several", "single"]


def test_equal_scores_keep_their_order() -> None:
    assert ordered({"b": 1.0, "a": 1.0, "c": 2.0}) == ["c", "b", "a"]


@pytest.mark.parametrize("kind", sorted(DEMOTIONS))
def test_a_demoted_kind_loses(kind: str) -> None:
    assert demotion("x", kind, ["kubelet"]) == DEMOTIONS[kind] < demotion("x", Kind.CODE, ["kubelet"]) == 1.0


def test_tests_rise_when_the_question_asks_for_tests() -> None:
    assert demotion("a_test.go", Kind.TEST, ["eviction", "tests"]) == ASKED > DEMOTIONS[Kind.TEST]


def test_vendored_files_lose_unless_asked_for() -> None:
    assert demotion("vendor/x/y.go", Kind.CODE, ["yaml"]) == VENDORED < 1
    assert demotion("vendor/x/y.go", Kind.CODE, ["vendor", "yaml"]) == 1.0


def test_shares_run_from_the_floor_to_the_best() -> None:
    found = shares([code("a", 1, 8.0), code("b", 2, 2.0)], [], floor=0.0)
    assert [(share.path, share.score) for share in found] == [("a", 1.0), ("b", 0.25)]
    assert [share.score for share in shares([code("a", 1, 0.6), code("b", 2, 0.5)], [])] == [1.0, 0.0]


def test_one_share_per_file_its_best_chunk() -> None:
    assert [share.chunk_id for share in shares([code("a", 1, 2.0), code("a", 2, 3.0)], [])] == [2]


def test_a_file_good_by_words_and_by_meaning_is_first_with_score_one() -> None:
    ranked = rank([code("a", 1, 9.0), code("b", 2, 8.0)], [code("a", 1, 0.7), code("c", 3, 0.6)], [])
    assert ranked[0] == (1, pytest.approx(1.0))
    assert [chunk_id for chunk_id, _ in ranked] == [1, 2, 3]
    assert all(0 <= score <= 1 for _, score in ranked)


def test_meaning_breaks_a_tie_of_words() -> None:
    words = [code("a", 1, 5.0), code("b", 2, 5.0)]
    assert rank(words, [code("b", 20, 0.7), code("c", 30, 0.2)], [])[0][0] == 2


def test_a_file_that_only_meaning_finds_is_found() -> None:
    assert [chunk_id for chunk_id, _ in rank([], [code("a", 7, 0.6)], [])] == [7]


def test_the_chunk_shown_is_of_the_list_that_gave_the_file_its_place() -> None:
    words = [code("a", 1, 10.0), code("b", 2, 0.5)]
    meaning = [code("b", 20, 0.8), code("a", 10, 0.2)]
    assert {chunk_id for chunk_id, _ in rank(words, meaning, [])} == {1, 20}


def test_without_vectors_the_best_by_words_scores_one() -> None:
    assert rank([code("a", 1, 3.0)], None, []) == [(1, 1.0)]


def test_nothing_found_ranks_nothing() -> None:
    assert rank([], None, []) == rank([], [], []) == []


def test_a_dissimilar_test_is_not_lifted_by_its_demotion() -> None:
    ranked = rank([], [Candidate("t", 1, Kind.TEST, -0.5), code("a", 2, 0.1)], [])
    assert [chunk_id for chunk_id, _ in ranked] == [2, 1]
