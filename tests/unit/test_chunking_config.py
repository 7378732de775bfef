"""Cutting configuration: at top-level keys and tables, whole when small, labelled by what it sets."""

import pytest

from muniment.chunking import Chunk, chunk_file
from muniment.chunking.lines import MAX_CHARS

LONG = "value " * 12


def chunks_of(path: str, text: str) -> list[Chunk]:
    chunked = chunk_file(path, text)
    assert chunked.by_lines is None
    assert "".join(chunk.text for chunk in chunked.chunks) == text
    assert all(len(chunk.text.strip()) <= MAX_CHARS for chunk in chunked.chunks)
    return chunked.chunks


def openings(path: str, text: str) -> list[tuple[str | None, str]]:
    return [(chunk.symbol, chunk.text.lstrip("\n").splitlines()[0]) for chunk in chunks_of(path, text)]


def entries(count: int, line: str) -> str:
    return "".join(line.format(number=number, long=LONG) + "\n" for number in range(count))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("package.json", '{\n  "name": "x",\n  "scripts": {\n    "a": "b"\n  }\n}\n'),
        ("a.yaml", "a: 1\nb:\n- c\n"),
        ("a.toml", "a = 1\n[b]\nc = 2\n"),
        ("a.ini", "[a]\nb = c\n[d]\n"),
    ],
)
def test_a_small_file_stays_whole_and_is_called_by_no_single_key(path: str, text: str) -> None:
    assert openings(path, text) == [(None, text.splitlines()[0])]


def test_json_is_cut_at_its_top_level_keys() -> None:
    part = entries(15, '    "k{number}": "{long}",')
    text = '{\n  "scripts": {\n' + part + '    "z": 1\n  },\n  "dependencies": {\n' + part + '    "z": 1\n  }\n}\n'

    assert openings("package.json", text) == [("scripts", "{"), ("dependencies", '  "dependencies": {')]


def test_json_lists_are_cut_between_their_items() -> None:
    item = f'  {{\n    "id": 1,\n    "text": "{LONG}{LONG}"\n  }},\n'

    first, *others = openings("a.json", "[\n" + item * 30 + "  {}\n]\n")

    assert first == (None, "[")
    assert len(others) >= 3
    assert set(others) == {(None, "  {")}


def test_json_on_one_line_is_cut_all_the_same() -> None:
    assert len(chunks_of("a.json", '{"a": [' + "1, " * 5_000 + "1]}")) > 5


def test_lines_of_json_are_no_keys() -> None:
    text = entries(100, '{{"id": {number}, "text": "{long}"}}')

    assert {chunk.symbol for path in ("a.jsonl", "a.ndjson") for chunk in chunks_of(path, text)} == {None}


def test_yaml_is_cut_at_its_keys_with_the_comments_above_them() -> None:
    text = "# What runs.\nservices:\n" + entries(20, "  a{number}: {long}")
    text += "\n# What is kept.\n# For ever.\nvolumes:\n" + entries(20, "  b{number}: {long}")

    assert openings("compose.yaml", text) == [("services", "# What runs."), ("volumes", "# What is kept.")]


def test_a_long_key_of_yaml_is_cut_at_the_keys_below_it() -> None:
    text = "services:\n" + "".join(f"  s{n}:\n" + entries(18, "    a{number}: {long}") for n in range(3))

    assert openings("compose.yaml", text) == [
        ("services", "services:"),
        ("services.s1", "  s1:"),
        ("services.s2", "  s2:"),
    ]


def test_a_list_of_yaml_below_a_key_of_the_same_indent_belongs_to_it() -> None:
    text = "steps:\n" + "".join(f"- run: {LONG}\n  name: s{n}\n" for n in range(60)) + "last: 1\n"

    symbols = [chunk.symbol for chunk in chunks_of("a.yaml", text)]

    assert len(symbols) > 2
    assert {str(symbol).partition(".")[0] for symbol in symbols} == {"steps"}


def test_a_block_of_text_in_yaml_holds_no_keys() -> None:
    text = "script: |\n" + entries(60, "  key{number}: {long}") + "after: 1\n"

    assert {chunk.symbol for chunk in chunks_of("a.yaml", text)} <= {"script", "after"}


def resource(kind: str, name: str, lines: int) -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata:\n  labels:\n    a: b\n  name: {name}\nspec:\n" + entries(
        lines, "  k{number}: {long}"
    )


def test_documents_of_yaml_are_called_by_kind_and_name() -> None:
    text = "# Generated.\n---\n" + resource("Service", "web", 14) + "---\n" + resource("Deployment", '"web"', 40)

    symbols = [chunk.symbol for chunk in chunks_of("a.yaml", text)]

    assert symbols[:2] == ["Service/web", "Deployment/web"]
    assert {str(symbol).partition(".")[0] for symbol in symbols[2:]} == {"Deployment/web"}


def test_a_small_resource_is_called_by_kind_and_name() -> None:
    assert openings("a.yaml", resource("Pod", "web", 2)) == [("Pod/web", "apiVersion: v1")]


def test_toml_is_cut_at_its_tables() -> None:
    table = entries(15, 'k{number} = "{long}"')
    text = f"# top\n{table}\n# lints\n[tool.ruff]\n{table}\n[[tool.x]]\n{table}"

    assert openings("pyproject.toml", text)[1:] == [("[tool.ruff]", "# lints"), ("[[tool.x]]", "[[tool.x]]")]


def test_what_stands_in_a_string_of_toml_is_no_table() -> None:
    text = f'a = """\n[inside]\n{entries(30, "{long}")}"""\n[outside]\n' + entries(20, 'k{number} = "{long}"')

    assert {chunk.symbol for chunk in chunks_of("a.toml", text)} == {"a", "[outside]"}


def test_ini_is_cut_at_its_sections() -> None:
    section = entries(16, "k{number} = {long}")
    text = f"[alembic]\n{section}\n; logs\n[logger_root]\n{section}"

    assert openings("alembic.ini", text) == [("[alembic]", "[alembic]"), ("[logger_root]", "; logs")]


def test_a_long_section_keeps_its_name() -> None:
    text = "[a]\n" + entries(100, "k{number} = {long}")

    assert {chunk.symbol for chunk in chunks_of("a.cfg", text)} == {"[a]"}
