"""Cuts a file's text into chunks: Markdown at headings, everything else by lines. Pure.

Every character of the text is in exactly one chunk and the chunks stand in the order of the text, so their texts
joined are the text. A text of white space alone has no chunks.
"""

from muniment.chunking.chunk import Chunk
from muniment.chunking.lines import chunk_lines
from muniment.chunking.markdown import chunk_markdown
from muniment.languages import language_of

__all__ = ["Chunk", "chunk_file"]


def chunk_file(path: str, text: str) -> list[Chunk]:
    """The chunks of a file; ``path`` decides how it is cut and what counts as a definition."""
    language = language_of(path)
    if not text or text.isspace():
        return []
    if language == "markdown":
        return chunk_markdown(path, text)
    return chunk_lines(text, language)
