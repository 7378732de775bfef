"""Reads one found file as text, or says why it is none."""

import errno
import os
import re
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from muniment.scanning.found import FileText, FoundFile, SkippedFile, SkipReason, modified_ns
from muniment.scanning.machine_made import is_generated

HASH_BYTES = 16
SNIFFED_BYTES = 8_000
CONTROL_SHARE = 0.1
CONTROL_SHARE_UNDECODED = 0.02
REPLACED_SHARE = 0.01

_NOT_CONTROL = bytes({*range(32, 256), *b"\t\n\r\f\b\x1b"})
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# Prose keeps a paragraph on a line and data a record: there, a line of any length is legitimate.
_LONG_LINES = frozenset(
    {".adoc", ".csv", ".ipynb", ".jsonl", ".markdown", ".md", ".mdx", ".ndjson"}
    | {".org", ".po", ".rst", ".sql", ".tex", ".tsv", ".txt"}
)
_WEB = frozenset({".cjs", ".css", ".htm", ".html", ".js", ".map", ".mjs"})
_WEB_MEAN, _WEB_LONGEST = 500, re.compile(rb"[^\n]{5001}")
_OTHER_MEAN, _OTHER_LONGEST = 5_000, re.compile(rb"[^\n]{20001}")

_OPEN_ERRORS: Mapping[int, SkipReason] = {
    errno.ENOENT: SkipReason.VANISHED,
    errno.ENOTDIR: SkipReason.VANISHED,
    errno.ELOOP: SkipReason.SYMLINK,
    errno.ENXIO: SkipReason.SPECIAL,  # a socket
}


def read_text(file: FoundFile, max_file_bytes: int) -> FileText | SkippedFile:
    """The text of a found file, a byte order mark removed. Never raises for the file's sake."""
    read = _read(file.absolute, max_file_bytes)
    if isinstance(read, SkipReason):
        return SkippedFile(file.path, read)
    content, status = read
    text = decode(content, file.path, file.wanted)
    if isinstance(text, SkipReason):
        return SkippedFile(file.path, text)
    digest = blake2b(content, digest_size=HASH_BYTES).digest()
    return FileText(text, digest, status.st_size, modified_ns(status))


def _read(absolute: str, limit: int) -> tuple[bytes, os.stat_result] | SkipReason:
    try:
        descriptor = os.open(absolute, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _OPEN_ERRORS.get(error.errno or 0, SkipReason.UNREADABLE)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return SkipReason.SPECIAL
        # O_NOFOLLOW guards the last segment only: a folder above may have become a link since the walk.
        if _path_of(descriptor, absolute) != absolute:
            return SkipReason.VANISHED
        if status.st_size > limit:
            return SkipReason.OVERSIZED
        content = _read_all(descriptor, limit)
    except OSError:
        return SkipReason.UNREADABLE
    finally:
        os.close(descriptor)
    return SkipReason.OVERSIZED if len(content) > limit else (content, status)


def _path_of(descriptor: int, absolute: str) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except FileNotFoundError:  # no procfs (macOS)
        return os.path.realpath(absolute)


def _read_all(descriptor: int, limit: int) -> bytes:
    """At most one byte more than ``limit``."""
    parts = []
    left = limit + 1
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def decode(content: bytes, path: str, wanted: bool = False) -> str | SkipReason:
    """A file's raw bytes as text, or why they are none; ``path`` tells how long its lines may be, and its language. A
    ``wanted`` file may be of a machine's making. Pure."""
    text = _decode(content, path, wanted)
    if isinstance(text, str) and not wanted and is_generated(path, text):
        return SkipReason.GENERATED
    return text


def _decode(content: bytes, path: str, wanted: bool) -> str | SkipReason:
    if content.startswith(_UTF16_MARKS):
        return _decode_utf16(content)
    head = content[:SNIFFED_BYTES]
    controls = len(head.translate(None, _NOT_CONTROL)) / max(1, len(head))
    if b"\0" in head or controls > CONTROL_SHARE:
        return SkipReason.BINARY
    if not wanted and _is_minified(content, PurePosixPath(path).suffix.lower()):
        return SkipReason.MINIFIED
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("utf-8-sig", "replace")
    replaced = text.count("\ufffd") - content.count("\ufffd".encode())
    if replaced < REPLACED_SHARE * len(text):
        return text
    # encrypted bytes hold a tenth of control characters, text in an old encoding none
    return SkipReason.BINARY if controls > CONTROL_SHARE_UNDECODED else SkipReason.UNDECODABLE


def _decode_utf16(content: bytes) -> str | SkipReason:
    try:
        text = content.decode("utf-16")
    except UnicodeDecodeError:
        return SkipReason.UNDECODABLE
    return SkipReason.BINARY if "\0" in text else text


def _is_minified(content: bytes, suffix: str) -> bool:
    if suffix in _LONG_LINES:
        return False
    mean, longest = (_WEB_MEAN, _WEB_LONGEST) if suffix in _WEB else (_OTHER_MEAN, _OTHER_LONGEST)
    return len(content) > mean * (content.count(b"\n") + 1) and longest.search(content) is not None
