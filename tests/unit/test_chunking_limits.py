"""Whatever a file holds, chunking answers in time, loses nothing, and says why it fell back to lines."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.chunking import CHUNKER_VERSION, Chunk, chunk_by_lines, chunk_file, grammars
from muniment.chunking.code import chunk_code
from muniment.chunking.lines import MAX_CHARS
from muniment.chunking.parsing import parse
from muniment.languages import language_of

PYTHON = '''"""Tills."""

import os

LIMIT = 3


@dataclass
class Till(Base):
    """Keeps coins."""

    coins: int = 0

    # puts
    @checked
    async def put(self, coin: int) -> None:
        if coin < 0:
            raise ValueError("é\u2028\U0001f600")
        self.coins += coin


def work():
    return lambda: [x for x in range(LIMIT)]
'''
SOURCES = {
    "a.py": PYTHON,
    "a.js": "import a from 'a';\nexport class A { put() { return `x${1}`; } }\nconst f = (a) => {\n  a();\n};\n",
    "a.tsx": "enum E { A }\nexport const A: FC<P> = ({ a }) => <b c={a}>{a ? <i /> : 'x'}</b>;\ntype I = T\n",
    "a.go": "package a\n\nconst (\n\tA = iota\n)\n\n// Do does.\nfunc (r *R[T]) Do(a int) {\n\tfor {\n\t}\n}\n",
    "a.rs": "/// Keeps.\n#[derive(Debug)]\nstruct S<T>(T);\nimpl<T> D for S<T> {\n    fn f(&self) -> u8 { 1 }\n}\n",
    "A.java": "package a;\n/** A. */\n@B\nclass A<T> {\n    int x = 1;\n    void f() { for (;;) { x++; } }\n}\n",
    "a.h": "#ifndef A\n#define A(x) \\\n\t(x)\nstruct s {\n\tint a;\n};\n/* f */\nint f(void)\n{\n}\n#endif\n",
    "a.cc": 'namespace a::b {\ntemplate <class T>\nclass A : B<T> {\n  A() : x(1) {}\n};\n}\nint f() { R"(x)"; }\n',
    "a.cs": "namespace A;\n[B]\npublic class A<T> { int X { get; set; }\n#if D\n void F() => G();\n#endif\n}\n",
    "a.rb": "module A\n  # c\n  class B < C\n    def d?(e) = e\n    X = <<~S\n      x\n    S\n  end\nend\n",
    "a.php": "<b><?php\nnamespace A;\n/** B */\nclass B { const C = 1; function d() { <<<X\n a\n X; } }\n?>\n</b>\n",
    "a.sh": "#!/bin/sh\n# f\nf() {\n  cat <<EOF | wc\n$(a)\nEOF\n}\ncase $1 in a) f ;; esac\n",
    "a.json": '{\n  "a": {\n    "b": [\n      1,\n      {"c": "d"}\n    ]\n  },\n  "e": "f"\n}\n',
    "a.yaml": "# c\n---\nkind: Pod\nmetadata:\n  name: a\nspec:\n- b: |\n    c: d\n  e: f\n---\na: 1\n",
    "a.toml": '# c\na = 1\n[b.c]\nd = """\n[e]\n"""\n[[f]]\ng = [\n  1,\n]\n',
    "a.ini": "; c\n[a]\nb = c\n# d\n[e]\nf: g\n",
    "a.mdx": "---\na: b\n---\nimport A from 'a'\n\n# B\n\n- ```js\n  # c\n  ```\n\nD\n---\n\n<!--\n# e\n-->\n",
    "a.jsonl": '{"a": 1}\n{"b": 2}\n',
    "a.vue": "<template>\n  <b />\n</template>\n<script>\nexport default {}\n</script>\n",
}
NOISE = [*"\n\r\t (){}[]\"'`#\\:;\0\ufeff\ufffd\ud800é\U0001f600\u2028", "\r\n", "/*", "*/", "//", "<<EOF\n", "\n\n\n"]
NOISE += ["x" * 3_000, "(" * 50, "end\n"]
PATHS = st.sampled_from(sorted(SOURCES))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """A path, and several times its source with pieces taken out, doubled or put in."""
    path = draw(PATHS)
    text = SOURCES[path] * draw(st.integers(1, 30))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(st.sampled_from([*NOISE, "", text[start:end] * 2])) + text[end:]
    return path, text.replace("\n", "\r\n") if draw(st.booleans()) else text


def check(text: str, chunks: list[Chunk]) -> None:
    """What holds for every file: all of it is there, once, in pieces that are not too long, with its lines."""
    assert "".join(chunk.text for chunk in chunks) == (text if text.strip() else "")
    at = 0
    for chunk in chunks:
        end = at + len(chunk.text)
        assert chunk.start_line == text.count("\n", 0, at) + 1
        assert chunk.end_line == text.count("\n", 0, end - 1) + 1
        assert 0 < len(chunk.text.strip()) <= MAX_CHARS
        assert chunk.symbol is None or chunk.symbol.strip()
        assert all(chunk.defines)
        at = end


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutated())
def test_no_mutation_of_a_source_loses_text_or_raises(case: tuple[str, str]) -> None:
    path, text = case

    check(text, chunk_file(path, text).chunks)
    check(text, chunk_by_lines(path, text))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PATHS, st.text(st.characters(), max_size=200).map(lambda text: text * 30))
def test_no_text_at_all_loses_text_or_raises(path: str, text: str) -> None:
    check(text, chunk_file(path, text).chunks)


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_windows_line_endings_hide_nothing_and_are_not_parted(path: str) -> None:
    text = "\n".join(SOURCES[path].replace("A", f"A{number}") for number in range(60))

    unix, windows = chunk_file(path, text).chunks, chunk_file(path, text.replace("\n", "\r\n")).chunks

    assert {name for chunk in windows for name in chunk.defines} == {name for chunk in unix for name in chunk.defines}
    assert all(chunk.text.endswith("\r\n") for chunk in windows)


def test_definitions_are_found_behind_characters_of_several_bytes() -> None:
    text = "".join(
        f'# \U0001f600é\ud800\ufffd{"ß" * 300}\ndef work{number}():\n    return "ü"\n\n\n' for number in range(20)
    )

    chunks = chunk_file("a.py", text).chunks

    check(text, chunks)
    assert all(chunk.text.startswith("# \U0001f600") for chunk in chunks)
    assert [name for chunk in chunks for name in chunk.defines] == [f"work{number}" for number in range(20)]


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by ``seconds`` whenever it is asked."""
    ticks = iter(range(10**9))
    return lambda: next(ticks) * seconds


def test_a_parse_that_takes_too_long_falls_back_to_lines() -> None:
    text = PYTHON * 200

    slow = chunk_code(text, "python", "python", ticking(0.2))
    quick = chunk_code(text, "python", "python", ticking(0.0001))

    check(text, slow.chunks)
    assert (slow.by_lines, quick.by_lines) == ("slow", None)
    assert {chunk.symbol for chunk in slow.chunks} <= {"Till", "put", "work", "LIMIT", None}


def test_a_parser_that_was_stopped_does_not_spoil_the_next_file() -> None:
    assert chunk_code(PYTHON * 200, "python", "python", ticking(0.2)).by_lines == "slow"

    [chunk] = chunk_file("a.py", "def fresh(): ...\n").chunks

    assert chunk.symbol == "fresh"


@pytest.mark.parametrize(
    ("path", "opening", "closing"),
    [
        ("a.py", "x = " + "(\n" * 10_000, ")" * 10_000),
        ("a.js", "x = " + "[\n" * 10_000, "]" * 10_000),
        ("a.go", "package a\nvar x = " + "(\n" * 10_000 + "1", ")" * 10_000),
        ("a.sh", "x=" + "$(echo \n" * 3_000, ")" * 3_000),
    ],
)
def test_nesting_without_end_falls_back_to_lines(path: str, opening: str, closing: str) -> None:
    text = opening + closing + "\n"

    chunked = chunk_file(path, text)

    check(text, chunked.chunks)
    assert chunked.by_lines == "deep"


@pytest.mark.parametrize("text", ["(" * 10_000, "{" * 10_000, "[\n" * 10_000, "if x:\n" * 10_000, "<a>" * 10_000])
@pytest.mark.parametrize("path", sorted(SOURCES))
def test_brackets_that_are_never_closed_do_no_harm(path: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from muniment.chunking import code, parsing

    monkeypatch.setattr(code, "parse", partial(parsing.parse, seconds=0.2))

    check(text, chunk_file(path, text).chunks)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.md", "# a" + " " * 200_000 + "x"),
        ("a.md", "#" + " #" * 100_000 + " x"),
        ("a.md", "`" * 200_000 + "x`"),
        ("a.go", "package a\nfunc (t *" + "T" * 200_000 + " x) m() {}"),
        ("a.go", "package a\nfunc (t" + " " * 200_000 + "*T x) m() {}"),
        ("a.cpp", "class A " + "x" * 200_000),
        ("a.m", "struct " + "x" * 200_000),
        ("a.c", "int f" + "(" * 100_000 + "\n" + "static int " + "a " * 100_000),
    ],
)
def test_a_line_as_long_as_its_file_costs_no_more_than_its_length(path: str, text: str) -> None:
    """The square of it would take minutes, and hold the lock that the lease's own thread needs."""
    began = time.process_time()
    check(text, chunk_file(path, text).chunks)
    assert time.process_time() - began < 5


def test_a_text_that_is_not_what_its_name_says_is_broken() -> None:
    text = "\t.macro save\n\tstp x0, x1, [sp, #16]!\n\t.endm\n" * 50

    chunked = chunk_file("assembler.h", text)

    assert chunked.by_lines == "broken"
    assert chunked.chunks == chunk_by_lines("assembler.h", text)


def test_a_macro_here_and_there_does_not_break_a_c_file() -> None:
    text = "".join(
        f"SYSCALL_DEFINE2(call{n}, int, a, int, b)\n{{\n\treturn a;\n}}\n\nDECLARE(x{n}) EXPORT\n\n"
        f"static int __init __cold go{n}(void)\n{{\n\tlist_for_each_entry(a, b, c) {{\n\t\twork(a);\n\t}}\n"
        f"\tfor_each(x) work(x);\n\treturn {n};\n}}\n\n"
        for n in range(50)
    )

    chunked = chunk_file("a.c", text)

    assert chunked.by_lines is None
    assert {f"go{n}" for n in range(50)} <= {name for chunk in chunked.chunks for name in chunk.defines}


@pytest.fixture
def no_grammars(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    grammars.load.cache_clear()
    monkeypatch.setattr(grammars, "import_module", missing)
    yield
    grammars.load.cache_clear()


@pytest.mark.usefixtures("no_grammars")
def test_a_missing_grammar_falls_back_to_lines() -> None:
    chunked = chunk_file("a.py", PYTHON)

    assert chunked.by_lines == "unavailable"
    assert chunked.chunks == chunk_by_lines("a.py", PYTHON)
    assert chunk_file("a.md", "# A\n").by_lines is None


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_the_samples_themselves_need_no_fallback(path: str) -> None:
    assert chunk_file(path, SOURCES[path] * 20).by_lines is None
    assert language_of(path)


@pytest.mark.parametrize(
    ("text", "grammar"),
    [
        ("int f(void);\n/* a class of things:: see below */\n", "c"),
        ("#pragma once\nnamespace a {\nint f();\n}\n", "cpp"),
        ("#pragma once\nstd::string f();\n", "cpp"),
        ("#pragma once\nclass A : public B {\n};\n", "cpp"),
        ('struct class_device;\n#ifdef __cplusplus\nextern "C" {\n#endif\n', "c"),
    ],
)
def test_the_text_of_a_header_says_whether_it_is_c(text: str, grammar: str) -> None:
    assert grammars.grammar_of("include/a.h", "c", text) == grammar
    assert grammars.grammar_of("a.c", "c", text) == "c"


def test_the_chunker_has_a_version() -> None:
    assert CHUNKER_VERSION == 2


def test_a_text_that_was_parsed_is_let_go_of() -> None:
    loaded = grammars.load("python")
    assert loaded is not None
    source = (PYTHON * 200).encode()
    tracemalloc.start()
    try:
        for _ in range(10):
            parse(loaded, source, time.process_time)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < len(source)
