"""What a scan yields: files to index, files skipped with their reason, and texts."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LATEST_NS = 2**63 - 1  # in 2262


class SkipReason(StrEnum):
    """Why a file is not in the index. Each has its sentence in REASONS."""

    BINARY = "binary"
    MINIFIED = "minified"
    GENERATED = "generated"
    LOCKFILE = "lockfile"
    OVERSIZED = "oversized"
    SYMLINK = "symlink"
    SPECIAL = "special"
    BAD_NAME = "bad_name"
    UNREADABLE = "unreadable"
    UNDECODABLE = "undecodable"
    VANISHED = "vanished"
    ROOT_AWAY = "root_away"


REASONS: Mapping[SkipReason, str] = {
    SkipReason.BINARY: "Its first 8,000 bytes hold a NUL or many control characters.",
    SkipReason.MINIFIED: "Its lines are so long that a machine must have written them.",
    SkipReason.GENERATED: "Its name or its first comment says that a program wrote it.",
    SkipReason.LOCKFILE: "It is a lock file of a package manager.",
    SkipReason.OVERSIZED: "It is larger than MUNIMENT_MAX_FILE_BYTES.",
    SkipReason.SYMLINK: "It is a symbolic link, or was reached through one; links are never followed.",
    SkipReason.SPECIAL: "It is a pipe, socket or device.",
    SkipReason.BAD_NAME: "Its name is not UTF-8.",
    SkipReason.UNREADABLE: "The system refused to open or read it.",
    SkipReason.UNDECODABLE: "It is neither UTF-8 nor UTF-16 with a byte order mark.",
    SkipReason.VANISHED: "It disappeared or moved between being found and being read.",
    SkipReason.ROOT_AWAY: "It is a folder of the project's whose volume seems to be unmounted: empty, and another one "
    "than at the last scan.",
}

# These make a job complete `with errors` and are tried again at the next pass; the others are as intended.
FAILURES: frozenset[SkipReason] = frozenset(
    {SkipReason.UNREADABLE, SkipReason.UNDECODABLE, SkipReason.VANISHED, SkipReason.ROOT_AWAY}
)

# These say nothing of whether the file is still there: what is indexed of it goes on answering.
UNSEEN: frozenset[SkipReason] = frozenset({SkipReason.UNREADABLE, SkipReason.ROOT_AWAY})

# From these a negated rule that names the file brings it back (FoundFile.wanted).
BROUGHT_BACK: frozenset[SkipReason] = frozenset({SkipReason.MINIFIED, SkipReason.GENERATED, SkipReason.LOCKFILE})


def modified_ns(status: os.stat_result) -> int:
    """When a file was changed, within what a store can hold: file systems know times far beyond that."""
    return max(-LATEST_NS, min(LATEST_NS, status.st_mtime_ns))


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file to index. ``path`` is the indexed path (see project.root_labels), ``size`` in bytes. ``wanted``:
    a rule brings it back by name, so that it is indexed although a machine wrote it. ``pushed``: its text came by the
    API and lies in no folder of the project."""

    path: str
    absolute: str
    size: int
    mtime_ns: int
    wanted: bool = False
    pushed: bool = False


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is not indexed; with ``folder``, a folder whose content stays unknown: nothing can be said of the
    files below it, least of all that they are gone. ``path`` of a root without label is ''. ``pushed``: it is a text
    that came by the API."""

    path: str
    reason: SkipReason
    folder: bool = False
    pushed: bool = False


@dataclass(frozen=True, slots=True)
class FileText:
    """A file's text. ``content_hash`` is BLAKE2b (16 bytes) over the raw bytes; ``size`` and ``mtime_ns`` are those
    of the moment before reading, so that a change while reading shows at the next comparison."""

    text: str
    content_hash: bytes
    size: int
    mtime_ns: int
