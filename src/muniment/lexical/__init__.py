"""The lexical index of one project: every chunk's text, searchable by words. The only user of tantivy.

One process writes (under the project's ``writer.lock``), any number read. A commit replaces a file's chunks at once:
a reader sees all of the old ones or all of the new ones. Texts are stored here and nowhere else.
"""

from muniment.lexical.chunk import ChunkWords, LexicalChunk, chunk_words, stems
from muniment.lexical.globs import glob_matcher, glob_pattern, glob_patterns
from muniment.lexical.reader import LexicalHit, LexicalReader
from muniment.lexical.writer import LexicalWriter

__all__ = [
    "ChunkWords",
    "LexicalChunk",
    "LexicalHit",
    "LexicalReader",
    "LexicalWriter",
    "chunk_words",
    "glob_matcher",
    "glob_pattern",
    "glob_patterns",
    "stems",
]
