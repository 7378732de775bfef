"""What stands in quotes is found however many texts hold its words, or the answer says how far it looked."""

from collections.abc import Callable
from itertools import count

import pytest
from search_tree import Tree, searching

from muniment.lexical import LexicalReader
from muniment.search import Filters
from muniment.search.asking import asked
from muniment.search.phrases import FIRST_ROUND, PATIENCE, SPARE, Phrased, with_phrases

PHRASE = "lease was lost"
CROWD = {f"src/f{number}.py": f"lost lost was was lease lease {number}" for number in range(3 * FIRST_ROUND)}
FAR = "so it is told here: the lease was lost lease, " + " ".join(f"and{number}" for number in range(60))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Six hundred short files with the words, that match better than the one with the phrase; and one like them."""
    tree = Tree(tmp_path_factory.mktemp("phrases"))
    tree.index({**CROWD, "lib/far.py": FAR, "lib/near.py": "lost lease, was " * 4})
    return tree


def look(tree: Tree, question: str, clock: Callable[[], float] = lambda: 0.0, limit: int = 10) -> Phrased:
    lexical = LexicalReader.open(tree.data.project(tree.project.id).lexical)
    assert lexical is not None
    return with_phrases(lexical, asked(question, limit, Filters()), clock)


def test_a_phrase_is_found_behind_any_number_of_better_matches(tree: Tree) -> None:
    found = look(tree, f'"{PHRASE}"')
    assert (list(found.files), found.looked_at, found.complete) == (["lib/far.py"], len(CROWD) + 2, True)
    assert found.notes((PHRASE,)) == []


def test_when_all_were_looked_at_a_missing_phrase_is_said_to_be_nowhere(tree: Tree) -> None:
    found = look(tree, '"was lease lost"')
    assert (found.files, found.complete) == ({}, True)
    assert found.notes(("was lease lost",)) == [
        "Nothing indexed holds “was lease lost” as it stands: answered without the quotes."
    ]


def test_when_time_is_over_the_answer_says_how_far_it_looked_and_not_that_there_is_nothing(tree: Tree) -> None:
    found = look(tree, f'"{PHRASE}"', count(0, PATIENCE).__next__)
    assert (found.files, found.looked_at, found.complete) == ({}, FIRST_ROUND, False)
    (note,) = found.notes((PHRASE,))
    assert "the best 200 places" in note
    assert "Nothing" not in note


def test_a_round_reads_no_more_than_the_time_left_allows(tree: Tree) -> None:
    half = count(0, PATIENCE / 2.5).__next__
    found = look(tree, f'"{PHRASE}"', half)
    assert FIRST_ROUND < found.looked_at < 2 * FIRST_ROUND
    assert not found.complete


def test_some_found_when_time_is_over_are_not_said_to_be_all(tree: Tree) -> None:
    found = look(tree, '"lost lease"', count(0, PATIENCE).__next__)
    assert (list(found.files), found.complete) == (["lib/near.py"], False)
    assert "more files may hold it" in found.notes(("lost lease",))[0]
    assert sorted(look(tree, '"lost lease"').files) == ["lib/far.py", "lib/near.py"]


def test_files_enough_end_the_search(tree: Tree) -> None:
    found = look(tree, '"lost was"')
    assert len(found.files) >= 10 + SPARE
    assert (found.looked_at, found.complete) == (FIRST_ROUND, True)


def test_a_search_finds_the_only_file_with_a_phrase_of_common_words(tree: Tree) -> None:
    search = searching(tree)
    try:
        outcome = search.search(tree.project, f'"{PHRASE}"')
    finally:
        search.close()
    assert [hit.path for hit in outcome.results] == ["lib/far.py"]
    assert outcome.notes == []
