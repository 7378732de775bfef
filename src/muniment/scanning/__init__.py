"""Finds the files of a project's folders and reads them as text. The only reader of the sources.

Nothing here follows a symbolic link, raises for a bad file, or reads a byte of a file that its size rules out:
whatever cannot be indexed is a SkippedFile with a reason, whatever the ignore rules hide is counted.
"""

from muniment.scanning.defaults import ALWAYS_EXCLUDED, DEFAULT_EXCLUDES
from muniment.scanning.found import FAILURES, REASONS, UNSEEN, FileText, FoundFile, SkippedFile, SkipReason
from muniment.scanning.reading import read_text
from muniment.scanning.walking import IGNORE_FILES, Scanner

__all__ = [
    "ALWAYS_EXCLUDED",
    "DEFAULT_EXCLUDES",
    "FAILURES",
    "IGNORE_FILES",
    "REASONS",
    "UNSEEN",
    "FileText",
    "FoundFile",
    "Scanner",
    "SkipReason",
    "SkippedFile",
    "read_text",
]
