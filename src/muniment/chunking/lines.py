"""Cuts any text by lines, preferably at a blank line before something that is not indented. Pure.

Works with str.find and str.count only: a loop over the lines would cost more than all the rest of a pass.
"""

from collections.abc import Iterator

from muniment.chunking.chunk import Chunk
from muniment.chunking.definitions import definitions

MIN_CHARS = 700
TARGET_CHARS = 1_500
MAX_CHARS = 2_400
SLACK_CHARS = 300  # how far behind the target the best cut, a blank line, may lie
REST_CHARS = 2_000  # a rest up to this size is not worth another cut


def chunk_lines(text: str, language: str | None) -> list[Chunk]:
    """Windows of about TARGET_CHARS, at most MAX_CHARS (surrounding white space not counted)."""
    chunks = []
    line = 1
    found = definitions(text, language)
    first = 0
    for start, end in spans(text, 0, len(text)):
        piece = text[start:end]
        breaks = piece.count("\n")
        names: tuple[str, ...] = ()
        last = first
        while last < len(found) and found[last][0] < end:
            last += 1
        if last > first:
            names = tuple(dict.fromkeys(name for _, name in found[first:last]))
            first = last
        last_line = line + breaks - piece.endswith("\n")
        chunks.append(Chunk(piece, line, last_line, names[0] if names else None, names))
        line += breaks
    return chunks


def spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where text[start:end] (not empty) is cut. White space alone is no hit worth having: it joins a neighbour."""
    opened, closed, blank = start, start, True
    for begin, stop in _windows(text, start, end):
        empty = text[begin:stop].isspace()
        if not blank and not empty:
            yield opened, closed
            opened = begin
        closed, blank = stop, blank and empty
    yield opened, closed


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    gap = "\n\r\n" if text.find("\r\n", start, min(end, start + 4_096)) >= 0 else "\n\n"
    while end - start > REST_CHARS:
        cut = _cut(text, start, end, gap)
        yield start, cut
        start = cut
    if start < end:
        yield start, end


def _cut(text: str, start: int, end: int, gap: str) -> int:
    """Where the window that begins at ``start`` ends; text[start:end] is longer than a window."""
    low, ideal, high = start + MIN_CHARS, start + TARGET_CHARS, min(start + MAX_CHARS, end)
    found, top = _last(text, gap, low, ideal + SLACK_CHARS)
    if not top and found < 0:
        found = text.find(gap, ideal, high)
    if found >= 0:
        return found + len(gap)
    found, _ = _last(text, "\n", low, ideal)
    if found < 0:
        found = text.find("\n", ideal, high)
    if found >= 0:
        return found + 1
    return high - 1 if text[high - 1 : high + 1] == "\r\n" else high


def _last(text: str, gap: str, low: int, high: int) -> tuple[int, bool]:
    """The last ``gap`` before a line that is not indented (and closes nothing), else the last gap or -1."""
    last = found = text.rfind(gap, low, high)
    while found >= 0:
        if text[found + len(gap) : found + len(gap) + 1] not in " \t\r\n})]":
            return found, True
        found = text.rfind(gap, low, found + len(gap) - 1)
    return last, False
