"""An answer as text never comes to more than its reader asked for, and says what it left out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.search import CHARACTERS_A_TOKEN, LEAST_TOKENS, FilePlace, Place, SearchHit, fit, shorter
from muniment.status import IndexHeader, IndexState
from muniment_api.gateway.search_text import fitted_related, fitted_search, related_text, search_text
from muniment_api.search_answers import ProjectIndex, RelatedAnswer, SearchAnswer

TEXT = st.text(st.sampled_from("ab c_.\n`…/é"), max_size=2_000)
LINE = st.text(st.sampled_from("ab c_.`é"), max_size=700)
NAME = st.text(st.sampled_from("abc/_."), min_size=1, max_size=900)
NUMBER = st.integers(1, 9_999_999)
SYMBOL = st.none() | NAME
ROOM = st.integers(LEAST_TOKENS, 3_000).map(lambda tokens: tokens * CHARACTERS_A_TOKEN)


@st.composite
def hits(draw: st.DrawFn) -> SearchHit:
    text, start = draw(TEXT), draw(NUMBER)
    return SearchHit(
        project=draw(NAME),
        path=draw(NAME),
        start_line=start,
        end_line=start + text.count("\n"),
        symbol=draw(SYMBOL),
        language=draw(st.none() | st.just("markdown")),
        kind="code",
        score=draw(st.floats(0, 1)),
        text=text,
        stale=draw(st.booleans()),
        also=draw(st.lists(st.builds(Place, start_line=NUMBER, end_line=NUMBER, symbol=SYMBOL), max_size=3)),
    )


INDEXES = st.builds(
    IndexHeader,
    state=st.sampled_from(IndexState),
    lexical_percent=st.sampled_from([0.0, 40.0, 100.0]),
    vector_percent=st.sampled_from([0.0, 100.0]),
    as_of=st.none() | st.just(datetime(2025, 6, 1, 12, tzinfo=UTC)),
    commit=st.none() | st.just("9a69852b8e2f" * 3),
    pending_changes=NUMBER | st.just(0),
    warnings=st.lists(LINE, max_size=3),
)
PLACES = st.builds(FilePlace, path=NAME, project=NAME, start_line=NUMBER, end_line=NUMBER, symbol=SYMBOL)
SAID = st.lists(LINE, max_size=3)
SEARCHES = st.builds(
    SearchAnswer,
    results=st.lists(hits(), max_size=12),
    index=INDEXES,
    others=st.lists(st.builds(ProjectIndex, project=NAME, index=INDEXES), max_size=3),
    took_ms=st.just(1.0),
    left_out=st.lists(PLACES, max_size=8),
    gone=st.integers(0, 3),
    notes=SAID,
    degraded=SAID,
)
RELATED = st.builds(
    RelatedAnswer, of=PLACES, results=st.lists(hits(), max_size=8), index=INDEXES, took_ms=st.just(1.0), degraded=SAID
)
MANY = settings(max_examples=150, deadline=None)


def lines(place: Place | SearchHit) -> tuple[int, int]:
    return place.start_line, place.end_line


@MANY
@given(answer=SEARCHES, room=ROOM, project=NAME)
def test_no_answer_is_longer_than_its_room_and_none_hides_what_it_leaves_out(
    answer: SearchAnswer, room: int, project: str
) -> None:
    text, shown = fitted_search(project, answer, "a b_c", room)
    assert len(text) <= room
    assert text == search_text(project, shown, room)
    assert len(shown.results) + len(shown.left_out) == len(answer.results) + len(answer.left_out)
    assert [hit.path for hit in (*shown.results, *shown.left_out)] == [
        hit.path for hit in (*answer.results, *answer.left_out)
    ]
    assert [lines(place) for place in shown.left_out] == [
        lines(place) for place in (*answer.results, *answer.left_out)[len(shown.results) :]
    ]
    if shown.left_out:
        assert f"No room for {len(shown.left_out)} " in text
    for one, whole in zip(shown.results, answer.results, strict=False):
        assert one.cut_lines + one.end_line - one.start_line == whole.cut_lines + whole.end_line - whole.start_line


@MANY
@given(answer=RELATED, room=ROOM, project=NAME)
def test_nor_is_one_about_what_is_like_a_place(answer: RelatedAnswer, room: int, project: str) -> None:
    text, shown = fitted_related(project, answer, "", room)
    assert len(text) <= room
    assert text == related_text(project, shown, room)
    assert len(shown.results) + len(shown.left_out) == len(answer.results) + len(answer.left_out)
    assert f"\n{'Like' if answer.results else 'Nothing is like'} " in text
    if answer.of.symbol is None:
        assert f":{answer.of.start_line}-{answer.of.end_line}" in text


COMPLETE = IndexHeader(
    state=IndexState.IDLE,
    lexical_percent=100.0,
    vector_percent=100.0,
    as_of=datetime(2025, 6, 1, 12, tzinfo=UTC),
    commit=None,
    pending_changes=0,
)
LEAST = LEAST_TOKENS * CHARACTERS_A_TOKEN


def answer(**fields: Any) -> SearchAnswer:
    return SearchAnswer(**{"results": [], "index": COMPLETE, "took_ms": 1.0, **fields})


def hit(path: str, text: str) -> SearchHit:
    return SearchHit(
        project="k8s", path=path, start_line=1, end_line=text.count("\n") + 1, symbol=None, language=None, kind="code",
        score=0.5, text=text, stale=False,
    )  # fmt: skip


@pytest.mark.parametrize("length", [20, 60, 90, 200, 700])
def test_with_the_least_room_and_long_paths_something_is_shown_or_named(length: int) -> None:
    long = [hit(f"{'p' * length}/{number}.py", "some line of code\n" * 40) for number in range(10)]
    results, left_out = fit(long, {"line"}, LEAST_TOKENS, taken=250)
    text, shown = fitted_search("k8s", answer(results=results, left_out=left_out), "line", LEAST)
    assert len(text) <= LEAST
    assert bool(shown.results) == (length < 700)
    assert f"No room for {len(shown.left_out)} {'more ' if shown.results else ''}files" in text
    assert (": ppp" in text) == (length < 90)
    assert text.endswith("A larger max_tokens shows them.")


def test_a_hit_that_is_first_cut_and_then_left_out_is_named_with_all_its_lines() -> None:
    long = hit("a.py", "\n".join(f"line {number} of some code" for number in range(1, 201)))
    (cut,), _ = fit([long], {"150"}, LEAST_TOKENS)
    assert 1 < cut.start_line <= 150 <= cut.end_line < 200
    again, place = shorter([cut], {"150"}, 200)
    assert place is None
    rest, place = shorter(again, {"150"}, 10_000)
    assert place is not None
    assert (rest, lines(place)) == ([], (1, 200))


def test_a_long_story_about_the_index_leaves_room_for_a_hit_and_says_that_it_was_cut() -> None:
    told = answer(results=[hit("a.py", "take the lease\n")], notes=["n" * 300, "m" * 300], degraded=["d" * 300])
    text, shown = fitted_search("k8s", told, "lease", LEAST)
    assert len(text) <= LEAST
    assert text.startswith("Index of 'k8s': 100.0%")
    assert "(There is more to say of the index: a larger max_tokens shows it.)" in text
    assert "take the lease" in text
    assert shown.results == told.results
    whole, _ = fitted_search("k8s", told, "lease", 4_000)
    assert "more to say" not in whole
