"""Which lines of a file are shown: a chunk, lines around it, or the best of them where there is no room. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from muniment.identifiers import tokens
from muniment.lexical import LexicalChunk

CUT = " …"  # ends a line of which not all is shown


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines ``start_line``..``end_line``, 1-based and inclusive."""

    text: str
    start_line: int
    end_line: int


def widened(chunk: LexicalChunk, neighbours: Sequence[LexicalChunk], lines: int) -> Passage:
    """The chunk with so many lines before and after it. ``neighbours``: the chunks around it and itself, in order."""
    first = neighbours[0].start_line
    every = "".join(each.text for each in neighbours).split("\n")
    start = max(first, chunk.start_line - lines)
    end = min(neighbours[-1].end_line, chunk.end_line + lines)
    return Passage("\n".join(every[start - first : end - first + 1]), start, end)


def narrowed(passage: Passage, words: Collection[str], room: int) -> Passage:
    """Those lines, as many as fit in ``room`` characters, that hold the most of a question's ``words`` (its tokens)."""
    if len(passage.text) <= room:
        return passage
    lines = passage.text.removesuffix("\n").split("\n")
    first, last = _best_window(lines, set(words), room)
    text = "\n".join(lines[first : last + 1])
    if len(text) > room:
        text = _around_a_word(text, words, room)
    return Passage(text, passage.start_line + first, passage.start_line + last)


def _around_a_word(line: str, words: Collection[str], room: int) -> str:
    """So much of a long line that it shows the first of the words in it, if there is one."""
    low = line.lower()
    places = [place for word in words if (place := low.find(word)) >= 0]
    start = max(0, min(places, default=0) - room // 3)
    if start == 0:
        return line[: max(0, room - len(CUT))] + CUT
    return f"{CUT.strip()} {line[start : start + max(0, room - 2 * len(CUT))]}" + (
        CUT if start + room < len(line) else ""
    )


def _best_window(lines: Sequence[str], words: set[str], room: int) -> tuple[int, int]:
    """The first and the last line of the best window: most words, then most lines that hold one, then the first.

    At least one line, however long.
    """
    held = [words & set(tokens(line)) for line in lines]
    best, most = (0, 0), (-1, 0)
    last, length = -1, 0
    for first in range(len(lines)):
        if last < first:
            last, length = first, len(lines[first]) + 1
        while last + 1 < len(lines) and length + len(lines[last + 1]) <= room:
            last += 1
            length += len(lines[last]) + 1
        seen = held[first : last + 1]
        worth = len(set().union(*seen)), sum(map(bool, seen))
        if worth > most:
            best, most = (first, last), worth
        if last + 1 == len(lines):
            break
        length -= len(lines[first]) + 1
    return best
