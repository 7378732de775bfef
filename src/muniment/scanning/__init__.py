"""Finds the files of a project's folders and reads them as text. The only reader of the sources.

Nothing here follows a symbolic link, raises for a bad file, or reads a byte of a file that its size rules out:
whatever cannot be indexed is a SkippedFile with a reason, whatever the ignore rules hide is counted.
"""

from muniment.scanning.defaults import ALWAYS_EXCLUDED, DEFAULT_EXCLUDES
from muniment.scanning.found import (
    BROUGHT_BACK,
    FAILURES,
    REASONS,
    UNSEEN,
    FileText,
    FoundFile,
    SkippedFile,
    SkipReason,
    modified_ns,
)
from muniment.scanning.machine_made import GENERATED_BEGINNINGS, GENERATED_ENDINGS, LOCKFILES, is_generated
from muniment.scanning.reading import read_text
from muniment.scanning.tally import Culprit, RootSeen, WalkTally, all_skipped, away, scan_warnings
from muniment.scanning.walking import IGNORE_FILES, Scanner

__all__ = [
    "ALWAYS_EXCLUDED",
    "BROUGHT_BACK",
    "DEFAULT_EXCLUDES",
    "FAILURES",
    "GENERATED_BEGINNINGS",
    "GENERATED_ENDINGS",
    "IGNORE_FILES",
    "LOCKFILES",
    "REASONS",
    "UNSEEN",
    "Culprit",
    "FileText",
    "FoundFile",
    "RootSeen",
    "Scanner",
    "SkipReason",
    "SkippedFile",
    "WalkTally",
    "all_skipped",
    "away",
    "is_generated",
    "modified_ns",
    "read_text",
    "scan_warnings",
]
