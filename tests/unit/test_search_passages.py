"""Which lines are shown, and how an answer is made to fit: their numbers stay true."""

from typing import Any

import pytest

from muniment.lexical import LexicalChunk
from muniment.search import SearchHit
from muniment.search.fitting import CHARACTERS_A_TOKEN, HEADING_LENGTH, SHORTEST_TEXT, fit
from muniment.search.passages import Passage, narrowed, widened

LINES = [f"line {number}" for number in range(1, 31)]


def chunk(start: int, end: int) -> LexicalChunk:
    text = "".join(f"{line}\n" for line in LINES[start - 1 : end])
    return LexicalChunk(start, "a.py", text, start, end)


THREE = [chunk(1, 10), chunk(11, 20), chunk(21, 30)]


@pytest.mark.parametrize(("lines", "start", "end"), [(1, 10, 21), (3, 8, 23), (10, 1, 30), (20, 1, 30)])
def test_lines_around_a_chunk_come_from_its_neighbours(lines: int, start: int, end: int) -> None:
    passage = widened(THREE[1], THREE, lines)
    assert (passage.start_line, passage.end_line) == (start, end)
    assert passage.text.split("\n") == LINES[start - 1 : end]


def test_a_chunk_without_neighbours_is_shown_alone() -> None:
    assert widened(THREE[1], [THREE[1]], 5) == Passage("\n".join(LINES[10:20]), 11, 20)


def test_a_line_that_several_chunks_share_is_shown_whole() -> None:
    pieces = [
        LexicalChunk(1, "a.js", "first\nvar a;", 1, 2),
        LexicalChunk(2, "a.js", "var b;", 2, 2),
        LexicalChunk(3, "a.js", "var c;\nlast", 2, 3),
    ]
    assert widened(pieces[1], pieces, 1) == Passage("first\nvar a;var b;var c;\nlast", 1, 3)


def test_of_a_long_passage_the_lines_with_most_of_the_words_are_shown() -> None:
    text = "\n".join([*LINES[:20], "the lease is renewed", "by its owner", *LINES[22:]])
    shown = narrowed(Passage(text, 101, 130), {"lease", "owner"}, 50)
    assert (shown.start_line, shown.end_line) == (119, 122)
    assert shown.text.split("\n")[-2:] == ["the lease is renewed", "by its owner"]
    assert len(shown.text) <= 50


def test_of_lines_with_the_same_words_those_that_stand_close_together_are_shown() -> None:
    text = "lease\n" + "licence\n" * 8 + "lease\nlease taken\nlease\n"
    assert narrowed(Passage(text, 1, 12), {"lease"}, 25) == Passage("lease\nlease taken\nlease", 10, 12)


def test_without_any_of_the_words_a_long_passage_is_shown_from_its_beginning() -> None:
    shown = narrowed(Passage("\n".join(LINES) + "\n", 1, 30), {"nowhere"}, 19)
    assert shown == Passage("line 1\nline 2", 1, 2)


def test_the_last_lines_can_be_the_best_and_a_final_line_break_is_no_line() -> None:
    shown = narrowed(Passage("\n".join(LINES) + "\n", 1, 30), {"30"}, 20)
    assert (shown.text, shown.start_line, shown.end_line) == ("line 29\nline 30", 29, 30)


def test_a_line_longer_than_the_room_is_cut_and_says_so() -> None:
    shown = narrowed(Passage("short\n" + "lease " * 100, 1, 2), {"lease"}, 40)
    assert (shown.start_line, shown.end_line, len(shown.text)) == (2, 2, 40)
    assert shown.text.endswith(" …")


def hit(number: int, text: str, **fields: Any) -> SearchHit:
    lines = text.count("\n") + 1
    plain: dict[str, Any] = {
        "project": "demo", "path": f"{number}.py", "start_line": 1, "end_line": lines, "symbol": None,
        "language": None, "kind": "code", "score": 0.5, "text": text, "stale": False,
    }  # fmt: skip
    return SearchHit(**{**plain, **fields})


LONG = "\n".join(f"{line} of a text that is long" for line in LINES * 4)


def size(hits: list[SearchHit]) -> int:
    return sum(HEADING_LENGTH + len(one.path) + len(one.text) for one in hits)


def test_what_fits_is_left_as_it_is() -> None:
    hits = [hit(1, "a\nb"), hit(2, LONG)]
    assert fit(hits, {"line"}, 2_000) == (hits, [])


@pytest.mark.parametrize("tokens", [200, 500, 1_000, 2_000, 5_000])
def test_an_answer_never_comes_to_more_than_its_tokens(tokens: int) -> None:
    hits = [hit(number, LONG if number % 3 else "short") for number in range(20)]
    shown, left_out = fit(hits, {"30"}, tokens, taken=100)
    assert size(shown) <= tokens * CHARACTERS_A_TOKEN - 100
    assert len(shown) + len(left_out) == 20
    assert [place.path for place in left_out] == [f"{number}.py" for number in range(len(shown), 20)]


def test_the_room_that_short_texts_leave_goes_to_long_ones() -> None:
    shown, left_out = fit([hit(1, "short"), hit(2, LONG), hit(3, LONG)], {"30"}, 1_000)
    assert left_out == []
    assert shown[0].text == "short"
    assert all(len(one.text) > 1_500 for one in shown[1:])


def test_a_hit_that_is_shown_shows_something_useful_and_how_much_of_it_is_missing() -> None:
    hits = [hit(number, LONG) for number in range(10)]
    shown, left_out = fit(hits, {"30"}, 800)
    assert left_out
    for one in shown:
        assert len(one.text) > SHORTEST_TEXT - 40
        assert "line 30" in one.text
        assert one.end_line - one.start_line + 1 == one.text.count("\n") + 1
        assert one.cut_lines == 120 - (one.end_line - one.start_line + 1)


def test_the_best_hit_is_shown_however_little_room_there_is() -> None:
    shown, left_out = fit([hit(1, LONG), hit(2, LONG)], {"30"}, 200, taken=700)
    assert [one.path for one in shown] == ["1.py"]
    assert [one.path for one in left_out] == ["2.py"]
