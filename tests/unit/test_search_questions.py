"""What a question asks for besides its words."""

import time

import pytest

from muniment.errors import InvalidValue
from muniment.search.questions import MAX_PLACES, MAX_QUESTION, NamedPlace, holds, place_of, read_question, tails


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("src/x.py:42", "src/x.py", 42),
        ("x.py:42", "x.py", 42),
        ("why does ./src/x.py:42:7 fail", "src/x.py", 42),
        ("see src/x.py#L42.", "src/x.py", 42),
        ('File "/app/src/x.py", line 42, in run', "app/src/x.py", 42),
        ("at run (C:\\app\\src\\x.ts:42:7)", "app/src/x.ts", 42),
        ("docker/Makefile:3", "docker/Makefile", 3),
    ],
)
def test_a_line_of_a_file_is_a_place(text: str, path: str, line: int) -> None:
    question = read_question(text)
    assert question.places == (NamedPlace(path, line),)
    assert str(line) not in question.words


@pytest.mark.parametrize(
    "text",
    ["error: 42", "localhost:7420", "127.0.0.1:8080", "the ratio is 3:2", "key:1", "src/x.py", "x.py:v2", "12:30"],
)
def test_other_numbers_behind_colons_are_no_places(text: str) -> None:
    question = read_question(text)
    assert question.places == ()
    assert question.words == text


def test_each_frame_of_a_trace_is_a_place_once() -> None:
    frame = '  File "/srv/app/src/pay.py", line 42, in charge\n    raise Refused("no such card")\n'
    other = '  File "/usr/lib/python3/site-packages/lib.py", line 7, in call\n'
    question = read_question("Traceback (most recent call last):\n" + frame * 2 + other)
    assert question.places == (
        NamedPlace("srv/app/src/pay.py", 42),
        NamedPlace("usr/lib/python3/site-packages/lib.py", 7),
    )
    assert question.phrases == ()


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ('"lease was lost"', ("lease was lost",)),
        ('who says "lease was lost", and when', ("lease was lost",)),
        ("who says “lease was lost”?", ("lease was lost",)),
        ('"one thing" and ("another one")', ("one thing", "another one")),
        ('print("hello")', ()),
        ('{"key": "value"}', ()),
        ('"->"', ()),
        ('"unclosed', ()),
        ("what's 'this'", ()),
    ],
)
def test_double_quotes_around_words_ask_for_them_as_they_stand(text: str, phrases: tuple[str, ...]) -> None:
    assert read_question(text).phrases == phrases


def test_quotes_in_pasted_code_ask_for_nothing() -> None:
    assert read_question('x = "some words here"\ny = 1').phrases == ()
    assert read_question('"some words here" ' + "and more words " * 40).phrases == ()


def test_a_phrase_may_be_broken_over_lines_and_written_in_other_case() -> None:
    assert holds("The Lease\n    was lost: sorry", ("lease was LOST",))
    assert holds("f(a.b)\u00a0* [c]", ("F(A.B) * [C]",))
    assert not holds("the lease is lost", ("lease was lost",))
    assert not holds("leasewas lost", ("lease was lost",))
    assert not holds("axb", ("a.b",))
    assert not holds("the lease was lost", ("lease was lost", "sorry"))


def test_a_path_is_looked_for_without_its_first_folders_but_never_by_a_name_that_was_not_alone() -> None:
    assert tails("app/src/x.py") == ["app/src/x.py", "src/x.py"]
    assert tails("x.py") == ["x.py"]


def test_of_a_long_trace_the_first_and_the_last_frames_are_places() -> None:
    frames = [f'  File "/lib/f{number}.py", line {number}, in call\n' for number in range(1, 101)]
    lines = [place.line for place in read_question("".join(frames)).places]
    assert (lines[0], lines[-1]) == (1, 100)
    assert len(lines) == MAX_PLACES


def test_only_a_place_and_nothing_else_is_one() -> None:
    assert place_of(" src/x.py:42 ") == NamedPlace("src/x.py", 42)
    assert place_of("see src/x.py:42") is None


@pytest.mark.parametrize("text", ["", " \n\t", "x" * (MAX_QUESTION + 1)])
def test_an_empty_or_endless_question_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="query"):
        read_question(text)


def test_a_trace_as_long_as_may_be_is_read_at_once() -> None:
    text = ("/" * 40 + "a.b:" + "1" * 9 + ' "') * 300
    assert read_question(text[:MAX_QUESTION]).phrases == ()


@pytest.mark.parametrize("text", ["-" * 10_000, "+" * 10_000, "a+" * 5_000, "a.b+" * 2_500, "a/" * 4_990 + "x.py:1"])
def test_no_question_takes_long_to_read(text: str) -> None:
    began = time.process_time()
    for _ in range(10):
        assert read_question(text).words  # took seconds each
    assert time.process_time() - began < 2


def test_the_path_of_a_traceback_is_no_phrase() -> None:
    asked = read_question('File "src/x.py", line 42, in pay raised "no such order"')
    assert asked.phrases == ("no such order",)
    assert [(place.path, place.line) for place in asked.places] == [("src/x.py", 42)]
    assert "42" not in asked.words
