"""Cutting Markdown: a section is a chunk and says under which headings it stands."""

from muniment.chunking import chunk_file
from muniment.chunking.lines import MAX_CHARS


def sections(text: str) -> list[tuple[str | None, str]]:
    return [(chunk.symbol, chunk.text) for chunk in chunk_file("docs/guide.md", text).chunks]


def labels(text: str) -> list[str | None]:
    return [symbol for symbol, _ in sections(text)]


def test_a_section_is_labelled_by_the_headings_above_it() -> None:
    text = "Intro\n# One\na\n## Two\nb\n#### Four\nc\n## Other\nd\n# Last\ne\n"

    assert sections(text) == [
        ("guide.md", "Intro\n"),
        ("guide.md > One", "# One\na\n"),
        ("guide.md > One > Two", "## Two\nb\n"),
        ("guide.md > One > Two > Four", "#### Four\nc\n"),
        ("guide.md > One > Other", "## Other\nd\n"),
        ("guide.md > Last", "# Last\ne\n"),
    ]


def test_lines_of_sections_are_counted() -> None:
    chunks = chunk_file("a.md", "# One\r\n\r\na\r\n## Two\r\nb").chunks

    assert [(chunk.start_line, chunk.end_line) for chunk in chunks] == [(1, 3), (4, 5)]


def test_a_heading_without_text_opens_the_section_below_it() -> None:
    assert sections("# One\n\n## Two\n\n### Three\nc\n## Four\n") == [
        ("guide.md > One > Two > Three", "# One\n\n## Two\n\n### Three\nc\n"),
        ("guide.md > One > Four", "## Four\n"),
    ]


def test_headings_in_fences_are_code() -> None:
    text = "# One\n```sh\n# a comment\n~~~\n# still\n```\n~~~~\n~~~\n# inside\n~~~~\n## Two\nx\n"

    assert labels(text) == ["guide.md > One", "guide.md > One > Two"]


def test_a_fence_closes_only_with_as_many_marks_and_nothing_behind() -> None:
    assert labels("# A\n````\n```\n# no\n```` py\n# no\n`````\n# B\nx\n") == ["guide.md > A", "guide.md > B"]


def test_an_open_fence_reaches_the_end() -> None:
    assert labels("# A\n```\n# no\n") == ["guide.md > A"]


def test_what_only_looks_like_a_heading_is_none() -> None:
    assert labels("# A\n#tag\n    # code\n####### seven\n\\# escaped\ntext # tail\n") == ["guide.md > A"]


def test_closing_marks_and_deep_indents_are_not_part_of_a_title() -> None:
    assert labels("   ## A title ##  \nx\n## C#\ny\n") == ["guide.md > A title", "guide.md > C#"]


def test_underlined_headings_count() -> None:
    assert labels("Title\n=====\na\n\nPart\n---\nb\n") == ["guide.md > Title", "guide.md > Title > Part"]


def test_rules_lists_and_tables_are_no_underlined_headings() -> None:
    assert labels("# A\n\n---\n\n- item\n---\n\n| a | b |\n---\n\ntext\nmore text\n---\n") == ["guide.md > A"]


def test_front_matter_holds_no_headings() -> None:
    text = "---\n# comment\ntitle: x\n---\n# A\nb\n"

    assert sections(text) == [("guide.md", "---\n# comment\ntitle: x\n---\n"), ("guide.md > A", "# A\nb\n")]


def test_a_long_section_is_cut_and_keeps_its_label() -> None:
    chunks = chunk_file("docs/guide.md", "# A\n" + "A paragraph of some length.\n\n" * 300 + "# B\nx\n").chunks

    assert len(chunks) > 4
    assert {chunk.symbol for chunk in chunks[:-1]} == {"guide.md > A"}
    assert all(len(chunk.text) <= MAX_CHARS for chunk in chunks)
    assert chunks[-1].symbol == "guide.md > B"


def test_a_list_may_hold_fences() -> None:
    text = "# A\n- ```sh\n  # no\n  ```\n1. text\n\n    ```\n    a\n   # no\n    ```\n\n# B\nx\n"

    assert labels(text) == ["guide.md > A", "guide.md > B"]


def test_front_matter_may_be_toml() -> None:
    assert labels("+++\n# comment\ntitle = 'x'\n+++\n# A\nb\n") == ["guide.md", "guide.md > A"]


def test_a_rule_at_the_top_is_no_front_matter() -> None:
    assert labels("---\n# A\nb\n# B\nc\n") == ["guide.md", "guide.md > A", "guide.md > B"]


def test_raw_html_and_comments_hold_no_headings() -> None:
    text = "# A\n<!--\n# no\n-->\n<pre>\n# no\n</pre>\n<!-- one line -->\n## B\nx\n<SCRIPT>\n# no\n</script>\n## C\ny\n"

    assert labels(text) == ["guide.md > A", "guide.md > A > B", "guide.md > A > C"]


def test_the_code_of_mdx_holds_no_headings() -> None:
    text = (
        "import A from 'a'\nexport const text = `\n# no\n`\n\n# A\n{/*\n# no\n*/}\n<Tabs>\n\n## B\nx\n\n</Tabs>\n\n"
        "export const meta = 1\n---\n\n# C\ny\n"
    )
    chunks = chunk_file("guide.mdx", text).chunks

    assert [chunk.symbol for chunk in chunks] == ["guide.mdx", "guide.mdx > A", "guide.mdx > A > B", "guide.mdx > C"]


def test_words_of_mdx_are_text_in_markdown() -> None:
    assert labels("export what you need\n# A\nx\n") == ["guide.md", "guide.md > A"]
