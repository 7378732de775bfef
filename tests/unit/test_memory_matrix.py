import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.embedding import Vectors
from muniment.memory.matrix import VectorMatrix


def vector(seed: int) -> Vectors:
    made = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
    unit: Vectors = made / np.linalg.norm(made)
    return unit


def put(matrix: VectorMatrix, number: int, made: Vectors, *, hidden: bool = False, stored: int = 0) -> None:
    matrix.put([number], made.reshape(1, -1), [stored], [hidden])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 5)), max_size=300))
def test_any_puts_and_drops_leave_what_a_dictionary_would_hold(steps: list[tuple[bool, int, int]]) -> None:
    matrix, truth = VectorMatrix(8), dict[int, Vectors]()
    for number in range(80):  # past the first allocation
        put(matrix, number, vector(number))
        truth[number] = vector(number)
    for putting, number, variant in steps:
        if putting:
            put(matrix, number, vector(number + 1000 * variant))
            truth[number] = vector(number + 1000 * variant)
        else:
            matrix.drop(number)
            truth.pop(number, None)
    query = vector(-1 % 2**32)
    expected = {memory_id: max(0.0, float(each @ query)) for memory_id, each in truth.items()}
    found = matrix.nearest(query, 200)
    assert len(matrix) == len(truth)
    assert dict(found) == pytest.approx(expected, abs=1e-6)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_the_nearest_are_taken_among_the_allowed() -> None:
    matrix = VectorMatrix(8)
    for number in range(200):
        put(matrix, number, vector(number))
    allowed = range(0, 200, 3)
    found = matrix.nearest(vector(0), 5, among=[*allowed, 12345], min_score=0.1)
    everything = [(memory_id, score) for memory_id, score in matrix.nearest(vector(0), 200) if memory_id in allowed]
    assert found == everything[:5]
    assert matrix.nearest(vector(0), 5, among=[]) == []


def test_an_empty_matrix_has_nothing_near() -> None:
    assert VectorMatrix(8).nearest(vector(0), 5) == []


def test_what_is_hidden_is_found_only_by_those_who_ask_for_it() -> None:
    matrix = VectorMatrix(8)
    for number in range(100):
        put(matrix, number, vector(number), hidden=number % 2 == 0)
    assert {number % 2 for number, _ in matrix.nearest(vector(0), 100)} == {1}
    assert [number for number, _ in matrix.nearest(vector(0), 1, among=[0, 1])] == [1]
    assert [number for number, _ in matrix.nearest(vector(0), 1, among=[0, 1], hidden=True)] == [0]
    matrix.drop(1)  # the hidden state moves with the row that fills the gap
    assert {number % 2 for number, _ in matrix.nearest(vector(0), 100)} == {1}
    put(matrix, 0, vector(0))
    assert matrix.nearest(vector(0), 1)[0][0] == 0


def test_only_those_stored_in_time_are_near_both_ends_included() -> None:
    matrix = VectorMatrix(8)
    numbers = range(200)
    vectors = np.stack([vector(number) for number in numbers])
    matrix.put(numbers, vectors, [1_000 * number for number in numbers], [False] * 200)
    matrix.drop(7)
    found = matrix.nearest(vector(0), 200, stored=(5_000, 9_000))
    assert sorted(number for number, _ in found) == [5, 6, 8, 9]
    assert [number for number, _ in matrix.scores(vector(0), [4, 5, 7, 9, 10], (5_000, 9_000))] == [5, 9]
    assert len(matrix.nearest(vector(0), 200, stored=(5_001, 2**62))) == 193


def test_many_at_once_are_put_as_one_after_the_other() -> None:
    one, other = VectorMatrix(8), VectorMatrix(8)
    numbers = [3, 1, 2, *range(10, 400), 1]  # the last one again, with another vector
    vectors = np.stack([vector(place) for place in range(len(numbers))])
    one.put(numbers, vectors, [0] * len(numbers), [False] * len(numbers))
    for place, number in enumerate(numbers):
        put(other, number, vectors[place])
    assert dict(one.nearest(vector(1), 400)) == pytest.approx(dict(other.nearest(vector(1), 400)))
    assert len(one) == len(other) == 393


def test_the_scores_of_named_ones_leave_out_the_unknown() -> None:
    matrix = VectorMatrix(8)
    put(matrix, 7, vector(7))
    assert matrix.scores(vector(7), [3, 7]) == [(7, pytest.approx(1.0))]
    assert matrix.scores(vector(7), []) == []


@given(st.integers(0, 10_000), st.floats(0.01, 0.99), st.integers(1, 60))
def test_a_least_score_leaves_out_those_below_it_and_nothing_else(seed: int, least: float, count: int) -> None:
    random = np.random.default_rng(seed)
    matrix, query = VectorMatrix(24), random.standard_normal(24).astype(np.float32)
    query /= np.linalg.norm(query)
    for number in range(150):
        near = query * random.uniform(-1, 1) + random.standard_normal(24) * random.uniform(0, 0.3)
        put(matrix, number, (near / np.linalg.norm(near)).astype(np.float32))
    expected = [(number, score) for number, score in matrix.nearest(query, 150) if score >= least]
    found = matrix.nearest(query, count, min_score=least)
    assert [number for number, _ in found] == [number for number, _ in expected[:count]]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected[:count]], abs=1e-6)
