"""What an agent reads of an answer about code when its client shows only text."""

from datetime import UTC, datetime
from typing import Any

from muniment.search import FilePlace, Place, SearchHit
from muniment.status import IndexHeader, IndexState
from muniment_api.gateway.search_text import LEFT_OUT_NAMED, related_text, search_text
from muniment_api.search_answers import ProjectIndex, RelatedAnswer, SearchAnswer

COMPLETE = IndexHeader(
    state=IndexState.IDLE,
    lexical_percent=100.0,
    vector_percent=100.0,
    as_of=datetime(2025, 6, 1, 12, tzinfo=UTC),
    commit=None,
    pending_changes=0,
)
EMPTY = COMPLETE.model_copy(update={"state": IndexState.EMPTY, "lexical_percent": 0.0, "as_of": None})


def hit(**fields: Any) -> SearchHit:
    plain: dict[str, Any] = {
        "project": "k8s", "path": "a.md", "start_line": 1, "end_line": 2, "symbol": None, "language": None,
        "kind": "doc", "score": 0.5, "text": "one\ntwo", "stale": False,
    }  # fmt: skip
    return SearchHit(**{**plain, **fields})


def place(**fields: Any) -> FilePlace:
    return FilePlace(**{"project": "k8s", "path": "b.py", "start_line": 3, "end_line": 9, "symbol": None, **fields})


def answer(*hits: SearchHit, index: IndexHeader = COMPLETE, **fields: Any) -> SearchAnswer:
    return SearchAnswer(results=list(hits), index=index, took_ms=1.0, **fields)


def test_nothing_found_in_a_part_is_told_from_nothing_found() -> None:
    assert search_text("k8s", answer()).endswith("\nNo results.")
    partial = COMPLETE.model_copy(update={"lexical_percent": 40.0})
    assert search_text("k8s", answer(index=partial)).endswith("\nNo results in what is indexed so far.")
    others = [ProjectIndex(project="lib", index=EMPTY)]
    assert search_text("k8s", answer(others=others)).endswith("\nNo results in what is indexed so far.")


def test_a_snippet_with_fences_of_its_own_stays_one_snippet() -> None:
    shown = search_text("k8s", answer(hit(text="see\n```go\nx\n```\n", language="markdown")))
    assert "````markdown\nsee\n```go\nx\n```\n````" in shown


def test_lines_that_are_left_out_and_further_places_stand_below_the_snippet() -> None:
    also = [Place(start_line=40, end_line=52, symbol="Foo.bar"), Place(start_line=60, end_line=61, symbol=None)]
    shown = search_text("k8s", answer(hit(cut_lines=7, also=also)))
    assert shown.endswith(
        "a.md:1-2 0.50\n```\none\ntwo\n```\n… 7 lines of it left out\nAlso in this file: 40-52 (Foo.bar), 60-61"
    )


def test_hits_of_several_projects_name_theirs_below_the_state_of_each() -> None:
    others = [ProjectIndex(project="lib", index=EMPTY)]
    head, *blocks = search_text("k8s", answer(hit(), hit(project="lib"), others=others)).split("\n\n")
    assert [line.split(":")[0] for line in head.split("\n")] == ["Index of 'k8s'", "Index of 'lib'"]
    assert "start_indexing" in head
    assert [block.split(" ")[0] for block in blocks] == ["[k8s]", "[lib]"]


def test_projects_of_whose_index_there_is_nothing_to_say_share_a_line() -> None:
    pending = COMPLETE.model_copy(update={"pending_changes": 2})
    others = [ProjectIndex(project=name, index=index) for name, index in
              (("a", COMPLETE), ("b", pending), ("c", COMPLETE), ("d", EMPTY))]  # fmt: skip
    head = search_text("k8s", answer(hit(), others=others)).split("\n\n")[0].split("\n")
    assert head[0].startswith("Index of 'k8s': 100.0%")
    assert head[1] == "Complete, no changes pending: a, c"
    assert [line.split(":")[0] for line in head[2:]] == ["Index of 'b'", "Index of 'd'"]


def test_an_answer_says_what_it_left_out_and_why() -> None:
    left_out = [place(path=f"{number}.py") for number in range(LEFT_OUT_NAMED + 2)]
    notes, degraded = ["taken as words"], ["no vectors"]
    shown = search_text("k8s", answer(hit(), left_out=left_out, gone=1, notes=notes, degraded=degraded)).split("\n")
    assert shown[1:4] == [
        "Note: taken as words",
        "Degraded: no vectors",
        "Left out: 1 file that matched but is gone by now.",
    ]
    assert shown[-1].startswith("No room for 8 more files: 0.py:3-9, 1.py:3-9, ")
    assert shown[-1].endswith("5.py:3-9 and 2 more. A larger max_tokens shows them.")


def test_files_with_long_names_that_have_no_room_take_none_for_their_names() -> None:
    left_out = [place(path="folder/" * 20 + f"{number}.py") for number in range(4)]
    last = search_text("k8s", answer(hit(), left_out=left_out)).split("\n")[-1]
    assert last.startswith("No room for 4 more files: folder/")
    assert last.endswith("/1.py:3-9 and 2 more. A larger max_tokens shows them.")
    alone = search_text("k8s", answer(hit(), left_out=[place(path="x" * 400)])).split("\n")[-1]
    assert alone == "No room for 1 more file. A larger max_tokens shows them."


def test_what_is_like_a_place_names_that_place() -> None:
    found = RelatedAnswer(of=place(symbol="pay"), results=[hit()], index=COMPLETE, took_ms=1.0)
    assert "\nLike b.py:3-9 (pay):\n\na.md:1-2 0.50\n" in related_text("k8s", found)
    alone = RelatedAnswer(of=place(), results=[], index=COMPLETE, took_ms=1.0)
    assert related_text("k8s", alone).endswith("\nNothing is like b.py:3-9.")


def test_the_place_is_named_however_much_else_there_is_to_say() -> None:
    warned = COMPLETE.model_copy(update={"warnings": ["w" * 900]})
    found = RelatedAnswer(of=place(symbol="pay"), results=[hit()], index=warned, took_ms=1.0)
    assert "a larger max_tokens shows it.)\nLike b.py:3-9 (pay):\n\na.md:1-2 0.50\n" in related_text("k8s", found, 800)
    deep = place(path="src/" + "folder/" * 200 + "b.py")
    shown = related_text("k8s", found.model_copy(update={"of": deep}), 800).split("\n\n")[0]
    assert len(shown) == 400
    last = shown.split("\n")[-1]
    assert last.startswith("Like src/folder/folder/")
    assert last.endswith("older/b.py:3-9:")
