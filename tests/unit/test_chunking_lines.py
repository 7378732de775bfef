"""Cutting by lines: nothing lost, nothing twice, line numbers right, cuts where a reader would make them."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.chunking import Chunk, chunk_by_lines, chunk_file, code
from muniment.chunking.lines import MAX_CHARS, MIN_CHARS, REST_CHARS
from muniment.chunking.parsing import parse

BREAKS = ["\n", "\n\n", "\r\n", "\r\n\r\n", "\r", " ", "\t", "    ", " " * 500, "é\u2028\x85\x0c"]
LINES = ["word ", "def f():\n", "class A {\n", "}\n", "x" * 90 + "\n", "y" * 400]
MARKS = ["# H\n", "## H\n", "```\n", "~~~\n", "---\n", "===\n", "> q\n", "- l\n"]
PIECES = st.sampled_from([*BREAKS, *LINES, *MARKS])
TEXTS = st.lists(PIECES, max_size=120).map("".join)
PATHS = st.sampled_from(["a.py", "a.go", "a.c", "a.java", "a.ts", "a.md", "a.txt", "a", "a.yaml"])


@settings(max_examples=300, deadline=None)
@given(PATHS, TEXTS)
def test_chunks_joined_are_the_text_and_know_their_lines(path: str, text: str) -> None:
    chunks = chunk_file(path, text).chunks

    if not text.strip():
        assert chunks == []
        return
    assert "".join(chunk.text for chunk in chunks) == text
    at = 0
    for chunk in chunks:
        end = at + len(chunk.text)
        assert chunk.start_line == text.count("\n", 0, at) + 1
        assert chunk.end_line == text.count("\n", 0, end - 1) + 1
        assert chunk.text.strip()
        assert len(chunk.text.strip()) <= MAX_CHARS
        at = end


@pytest.mark.parametrize("path", ["a.py", "a.md", "a"])
@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\t\r\n" * 5_000])
def test_white_space_alone_has_no_chunks(path: str, text: str) -> None:
    assert chunk_file(path, text).chunks == []


def test_a_short_text_is_one_chunk() -> None:
    assert chunk_file("a.txt", "one\ntwo").chunks == [Chunk("one\ntwo", 1, 2)]
    assert chunk_file("a.txt", "one\ntwo\n").chunks == [Chunk("one\ntwo\n", 1, 2)]


def test_a_cut_falls_between_functions() -> None:
    function = "def f{}():\n" + "    x = 1\n\n" * 110 + "    return x\n\n\n"
    text = "".join(function.format(number) for number in range(10))

    chunks = chunk_file("a.py", text).chunks

    assert [chunk.defines for chunk in chunks] == [(f"f{number}",) for number in range(10)]
    assert all(chunk.text.startswith(f"def {chunk.symbol}()") for chunk in chunks)


def test_without_blank_lines_a_cut_falls_before_a_line_that_is_not_indented() -> None:
    text = "".join(f"key{number}:\n" + "  - value\n" * 15 for number in range(40))

    assert all(chunk.text.startswith("key") for chunk in chunk_file("a.yaml", text).chunks)


def test_blank_lines_of_windows_files_count() -> None:
    text = ("x" * 60 + "\r\n") * 18 + "\r\n" + ("y" * 60 + "\r\n") * 40

    first, *_ = chunk_file("a.txt", text).chunks

    assert first.text.endswith("x\r\n\r\n")
    assert (first.start_line, first.end_line) == (1, 19)


def test_a_line_without_end_is_cut_hard_and_shared() -> None:
    chunks = chunk_file("a.txt", "a\n" + "z" * 10_000).chunks

    assert len(chunks) > 3
    assert {(chunk.start_line, chunk.end_line) for chunk in chunks[1:]} == {(2, 2)}


def test_a_hard_cut_does_not_part_a_line_ending() -> None:
    text = "z" * (MAX_CHARS - 1) + "\r\n" + "z" * 3_000

    assert not any(chunk.text.endswith("\r") for chunk in chunk_file("a.txt", text).chunks)


def test_windows_have_a_sensible_size() -> None:
    sizes = [len(chunk.text) for chunk in chunk_file("a.txt", "some words on a line\n" * 5_000).chunks]

    assert all(MIN_CHARS <= size <= REST_CHARS for size in sizes[:-1])
    assert 1_300 < sum(sizes) / len(sizes) < 1_700


def test_a_gap_longer_than_a_window_joins_its_neighbour() -> None:
    text = "a\n" + "\n" * 10_000 + "b\n"

    assert [chunk.text.strip() for chunk in chunk_file("a.txt", text).chunks] == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        (
            "a.py",
            "MAX = 3\nclass A(B):\n    async def run(self): ...\n    if x == 3:\n        y = 1\n",
            ["MAX", "A", "run"],
        ),
        ("a.go", "func (r *Recv) Do(a int) {\n}\ntype Foo struct {\n}\nfunc New[T any]() {}\n", ["Do", "Foo", "New"]),
        ("a.rs", "pub(crate) fn a() {}\nimpl X {\n    pub async fn b() {}\n}\nconst M: u8 = 3;\n", ["a", "b", "M"]),
        (
            "a.ts",
            "export default class A {\n}\nexport const f = (a) => {\n  const y = 1\n}\ninterface I {}\n",
            ["A", "f", "I"],
        ),
        (
            "a.c",
            "#define F(x) 1\nstatic int __init go(struct a *b,\n\tint c)\n{\n\treturn other(x);\n}\n"
            "int declared(void);\nstruct s {\n};\nstruct s x = {\n};\n",
            ["F", "go", "s"],
        ),
        ("a.cc", "class EXPORT Q : public P {\n};\nvoid Q::run() const {\n}\n", ["Q", "run"]),
        (
            "A.java",
            "public class A<T> extends B {\n    public static void main(String[] a) throws X {\n        if (x) {\n"
            "        return new C() {\n    private Map<String, X> get(int a) {\n",
            ["A", "main", "get"],
        ),
        ("a.sh", "go() {\n}\nfunction stop {\n}\n", ["go", "stop"]),
        ("a.rb", "class A\n  def b?\n  end\nend\n", ["A", "b"]),
        ("a.yaml", "def: x\n", []),
        ("a.txt", "class A\n", []),
    ],
)
def test_a_chunk_cut_by_lines_names_what_it_seems_to_define(path: str, text: str, names: list[str]) -> None:
    [chunk] = chunk_by_lines(path, text)

    assert list(chunk.defines) == names
    assert chunk.symbol == (names[0] if names else None)


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises when the block burns more processor time than any honest input could ask for."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


HOSTILE = ["\nstatic ", "static ", "a ", "\na b(", "\na<> ", "\nclass ", "```\n", "---\n", "# a #", "\t"]
HOSTILE += ["\n# a", "- ", "\na : ", "\n ", '"a" ', "\n- a:", "\n[a]", "+++\n", "<!--\n"]


@pytest.mark.parametrize("ext", ["py", "ts", "c", "java", "rb", "md", "mdx", "json", "yaml", "toml"])
@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hostile_text_does_not_hang(ext: str, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "parse", partial(parse, seconds=0.1))
    text = "x" + unit * (300_000 // len(unit))

    with bounded(5):
        chunks = chunk_file(f"a.{ext}", text).chunks

    assert "".join(chunk.text for chunk in chunks) == text
