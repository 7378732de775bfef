"""Cuts a file's text into chunks: code at definitions, Markdown at headings, configuration at keys, anything else by
lines. Pure.

Every character of the text is in exactly one chunk and the chunks stand in the order of the text, so their texts
joined are the text. A text of white space alone has no chunks. No text makes it raise.
"""

from typing import Final, NamedTuple

from muniment.chunking.chunk import Chunk, Chunked
from muniment.chunking.code import chunk_code, outlined
from muniment.chunking.config import CONFIG_LANGUAGES, chunk_config
from muniment.chunking.grammars import grammar_of
from muniment.chunking.lines import chunk_lines
from muniment.chunking.markdown import chunk_markdown
from muniment.chunking.parsing import Unparsed
from muniment.languages import language_of

__all__ = ["CHUNKER_VERSION", "Chunk", "Chunked", "Defined", "chunk_by_lines", "chunk_file", "defined_in"]

# Raised with every change of what chunk_file returns: an index made with another is made anew, file by file.
CHUNKER_VERSION: Final = 2

_LINE_BY_LINE: Final = (".jsonl", ".ndjson")


def chunk_file(path: str, text: str) -> Chunked:
    """The chunks of a file; ``path`` decides how it is cut and what counts as a definition."""
    if not text or text.isspace():
        return Chunked([])
    language = language_of(path)
    if language == "markdown":
        return Chunked(chunk_markdown(path, text))
    if language in CONFIG_LANGUAGES and not path.lower().endswith(_LINE_BY_LINE):
        return Chunked(chunk_config(text, language))
    if grammar := grammar_of(path, language, text):
        return chunk_code(text, language or grammar, grammar)
    return Chunked(chunk_lines(text, language))


class Defined(NamedTuple):
    """A definition in its scope (``Class.method``) or a heading path, on lines ``start_line``..``end_line``."""

    symbol: str
    start_line: int
    end_line: int


def defined_in(path: str, text: str) -> list[Defined]:
    """What a file defines, each on its own lines, where a chunk may hold several; in the order of the text."""
    grammar = grammar_of(path, language_of(path), text)
    outline = outlined(text, grammar) if grammar else Unparsed.UNAVAILABLE
    if isinstance(outline, Unparsed):
        chunks = chunk_file(path, text).chunks
        return [Defined(chunk.symbol, chunk.start_line, chunk.end_line) for chunk in chunks if chunk.symbol]
    found, line, at = [], 1, 0
    for one in outline.definitions:
        own = text[one.start : one.end]
        start = one.start + len(own) - len(own.lstrip())
        line += text.count("\n", at, start) if start >= at else -text.count("\n", start, at)
        at = start
        found.append(Defined(one.symbol, line, line + own.strip().count("\n")))
    return found


def chunk_by_lines(path: str, text: str) -> list[Chunk]:
    """The same by lines alone, without a parser: for a file that has killed the process that parsed it."""
    return chunk_lines(text, language_of(path)) if text and not text.isspace() else []
