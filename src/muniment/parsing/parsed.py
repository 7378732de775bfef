"""What one file becomes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muniment.chunking import CHUNKER_VERSION, Chunk, Chunked, chunk_by_lines, chunk_file
from muniment.languages import KINDS_VERSION
from muniment.lexical import ChunkWords, chunk_words
from muniment.masking import MASKING_VERSION, mask
from muniment.pushed import PushedFiles
from muniment.scanning import FileText, FoundFile, SkippedFile, SkipReason, read_text

CONTENT_VERSION = f"chunker {CHUNKER_VERSION}, kinds {KINDS_VERSION}, masking {MASKING_VERSION}"
HASH_BYTES = 16
CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """``known_hash``: what the content is when nothing has to be done. ``by_lines``: no parser may touch it."""

    file: FoundFile
    known_hash: bytes | None = None
    by_lines: bool = False


@dataclass(frozen=True, slots=True)
class ParsedChunk:
    chunk: Chunk
    text_hash: bytes
    words: ChunkWords


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """``left_out``: why there is no content. ``chunks`` None: the content is the known one. ``content_hash`` is that
    of the file's bytes, the chunks are those of its masked text."""

    path: str
    size: int
    mtime_ns: int
    content_hash: bytes | None = None
    left_out: SkipReason | None = None
    chunks: list[ParsedChunk] | None = None
    by_lines: str | None = None
    masked: Mapping[str, int] = field(default_factory=dict)
    pushed: bool = False


def parse_file(request: ReadRequest, max_file_bytes: int) -> ParsedFile:
    """Never raises for the file's sake."""
    file = request.file
    content = _content(file, max_file_bytes)
    if isinstance(content, SkippedFile):
        return ParsedFile(file.path, file.size, file.mtime_ns, left_out=content.reason, pushed=file.pushed)
    if request.known_hash == content.content_hash:
        return ParsedFile(file.path, content.size, content.mtime_ns, content.content_hash, pushed=file.pushed)
    masked = mask(file.path, content.text)
    cut = (
        Chunked(chunk_by_lines(file.path, masked.text), CRASHED)
        if request.by_lines
        else chunk_file(file.path, masked.text)
    )
    return ParsedFile(
        file.path,
        content.size,
        content.mtime_ns,
        content.content_hash,
        chunks=[
            ParsedChunk(chunk, text_hash(chunk.text), chunk_words(chunk.text, chunk.defines)) for chunk in cut.chunks
        ],
        by_lines=cut.by_lines,
        masked=masked.found,
        pushed=file.pushed,
    )


def _content(file: FoundFile, max_file_bytes: int) -> FileText | SkippedFile:
    if file.pushed:
        return PushedFiles(Path(file.absolute).parent).read(file)
    return read_text(file, max_file_bytes)


def text_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
