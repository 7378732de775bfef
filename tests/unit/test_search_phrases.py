"""What stands in quotes is found however many texts hold its words, or the answer says how far it looked."""

from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from search_tree import Tree, searching

from muniment.lexical import LexicalReader, LexicalWriter
from muniment.search import FILES_RANKED, Filters, SearchOutcome
from muniment.search.asking import asked
from muniment.search.phrases import FIRST_ROUND, PATIENCE, SPARE, Phrased, with_phrases

PHRASE = "lease was lost"
CROWD = {f"src/f{number}.py": f"lost lost was was lease lease {number}" for number in range(3 * FIRST_ROUND)}
NEAR = "lost lease, was " * 4
ALL = Filters()
LONG = 30.0  # seconds; nothing takes them
FAR = "so it is told here: the lease was lost lease, " + " ".join(f"and{number}" for number in range(60))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Six hundred short files with the words, that match better than the one with the phrase; and one like them."""
    tree = Tree(tmp_path_factory.mktemp("phrases"))
    tree.index({**CROWD, "lib/far.py": FAR, "lib/near.py": NEAR})
    return tree


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The phrase in more tests than the first round reads, and in the code, whose text matches a little worse."""
    tree = Tree(tmp_path_factory.mktemp("tested"))
    tests = {f"tests/test_f{number}.py": f"the {PHRASE} {number}" for number in range(FIRST_ROUND + 30)}
    tree.index({**tests, "src/core.py": f"the {PHRASE} here and some more besides it"})
    return tree


def opened(tree: Tree) -> LexicalReader:
    lexical = LexicalReader.open(tree.data.project(tree.project.id).lexical)
    assert lexical is not None
    return lexical


def look(tree: Tree, question: str, clock: Callable[[], float] = lambda: 0.0, filters: Filters = ALL) -> Phrased:
    return with_phrases(opened(tree), asked(question, 10, filters), FILES_RANKED, clock)


def asked_to_the_end(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> SearchOutcome:
    monkeypatch.setattr("muniment.search.phrases.PATIENCE", LONG)
    with closing(searching(tree)) as search:
        return search.search(tree.project, f'"{PHRASE}"')


def told(found: Phrased, question: str, filters: Filters = ALL) -> list[str]:
    return found.notes(asked(question, 10, filters))


def test_a_phrase_is_found_behind_any_number_of_better_matches(tree: Tree) -> None:
    found = look(tree, f'"{PHRASE}"')
    assert (list(found.files), found.looked_at, found.complete) == (["lib/far.py"], len(CROWD) + 2, True)
    assert told(found, f'"{PHRASE}"') == []


def test_reading_on_repeats_nothing_and_misses_nothing_among_equal_scores(tree: Tree) -> None:
    read = opened(tree).with_all_words(PHRASE, PHRASE, None, None, None)
    parts = [chunk.chunk_id for skip in range(0, 700, 70) for chunk, _ in read(skip, 70)]
    assert parts == [chunk.chunk_id for chunk, _ in read(0, 1000)]
    assert len(set(parts)) == len(parts) == len(CROWD) + 2


@pytest.mark.parametrize(
    ("question", "filters", "note"),
    [
        ('"was lease lost"', Filters(), "No indexed passage holds the words “was lease lost” as they stand"),
        ('"ease was los"', Filters(), "No indexed passage holds the words “ease was los” as they stand"),
        (
            f'"{PHRASE}"', Filters("src/**"),
            f"No indexed passage that passes the filters holds the words “{PHRASE}” as they stand",
        ),
        (
            f'"{PHRASE}" "lost lost"', Filters(),
            f"No indexed passage holds the words “{PHRASE}” and “lost lost” together as they stand",
        ),
    ],
)  # fmt: skip
def test_when_all_were_looked_at_the_note_says_no_more_than_that(
    tree: Tree, question: str, filters: Filters, note: str
) -> None:
    found = look(tree, question, filters=filters)
    assert (found.files, found.complete) == ({}, True)
    assert told(found, question, filters) == [f"{note}: answered without the quotes."]


def test_when_time_is_over_the_answer_says_how_far_it_looked_and_not_that_there_is_nothing(tree: Tree) -> None:
    found = look(tree, f'"{PHRASE}"', count(0, PATIENCE).__next__)
    assert (found.files, found.looked_at, found.complete) == ({}, FIRST_ROUND, False)
    (note,) = told(found, f'"{PHRASE}"')
    assert "the best 200 places" in note
    assert "No indexed" not in note


def test_a_round_reads_no_more_than_the_time_left_allows(tree: Tree) -> None:
    half = count(0, PATIENCE / 2.5).__next__
    found = look(tree, f'"{PHRASE}"', half)
    assert found.looked_at == 2.5 * FIRST_ROUND
    assert not found.complete


def test_some_found_when_time_is_over_are_not_said_to_be_all(tree: Tree) -> None:
    found = look(tree, '"lost lease"', count(0, PATIENCE).__next__)
    assert (list(found.files), found.complete) == (["lib/near.py"], False)
    assert "more files may hold it" in told(found, '"lost lease"')[0]
    assert sorted(look(tree, '"lost lease"').files) == ["lib/far.py", "lib/near.py"]


def test_files_enough_end_the_search(tree: Tree) -> None:
    found = look(tree, '"lost was"')
    assert len(found.files) >= FILES_RANKED + SPARE
    assert (found.looked_at, found.complete) == (FIRST_ROUND, True)


def test_files_that_ranking_puts_behind_others_are_not_enough(tested: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = asked_to_the_end(tested, monkeypatch)
    assert outcome.results[0].path == "src/core.py"
    assert (len(outcome.results), outcome.notes) == (10, [])


def test_they_are_when_nothing_else_passes_the_filter(tested: Tree) -> None:
    found = look(tested, f'"{PHRASE}"', filters=Filters(kind="test"))
    assert (found.looked_at, found.complete) == (FIRST_ROUND, True)


def test_a_file_that_a_commit_moves_forward_meanwhile_is_not_passed_over(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.index({**CROWD, "lib/far.py": FAR})
    calls = count()

    def clock() -> float:
        if next(calls) == 1:  # after the first round
            tree.index({"lib/far.py": f"{PHRASE} " * 9})
        return 0.0

    found = look(tree, f'"{PHRASE}"', clock)
    assert next(calls) == 2
    assert list(found.files) == ["lib/far.py"]


def test_a_chunk_that_is_there_twice_does_not_end_the_search(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.index({**CROWD, "lib/far.py": FAR, "lib/near.py": NEAR})
    ((chunk, _),) = opened(tree).with_all_words(PHRASE, PHRASE, None, None, None)(0, 1)
    with LexicalWriter(tree.data.project(tree.project.id).lexical) as writer:
        writer.add([chunk])
        writer.commit()
    found = look(tree, f'"{PHRASE}"')
    assert (list(found.files), found.looked_at, found.complete) == (["lib/far.py"], len(CROWD) + 3, True)


def test_a_search_finds_the_only_file_with_a_phrase_of_common_words(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = asked_to_the_end(tree, monkeypatch)
    assert [hit.path for hit in outcome.results] == ["lib/far.py"]
    assert outcome.notes == []
