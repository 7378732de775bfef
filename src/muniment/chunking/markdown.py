"""Cuts Markdown at its headings: a chunk is a section, labelled by the headings above it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from muniment.chunking.chunk import Chunk
from muniment.chunking.lines import spans

MAX_LABEL_PART = 120
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t\r]*$")
_FENCE = re.compile(r" {0,3}(`{3,}(?!.*`)|~{3,})")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t\r]*$")
_NO_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:[>|#<]|[-*+][ \t]|\d+[.)][ \t]|[-*_=](?:[ \t]*[-*_=])+\s*$)")


@dataclass(frozen=True, slots=True)
class _Heading:
    start: int
    level: int
    title: str
    body: int  # where the text behind the heading begins


def chunk_markdown(path: str, text: str) -> list[Chunk]:
    """One chunk a section (several if it is long), with the symbol ``file > heading > heading``."""
    chunks: list[Chunk] = []
    line = 1
    for start, end, symbol in _sections(path, text):
        for begin, stop in spans(text, start, end):
            piece = text[begin:stop]
            breaks = piece.count("\n")
            chunks.append(Chunk(piece, line, line + breaks - piece.endswith("\n"), symbol))
            line += breaks
    return chunks


def _sections(path: str, text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, label). A heading without text of its own opens the section of the deeper one that follows."""
    above: list[_Heading] = []
    start = 0
    body = 0
    for heading in _headings(text):
        bare = not text[body : heading.start].strip()
        deeper = not above or heading.level > above[-1].level
        if heading.start > start and not (bare and deeper):
            yield start, heading.start, _label(path, above)
            start = heading.start
        above = [*(h for h in above if h.level < heading.level), heading]
        body = heading.body
    yield start, len(text), _label(path, above)


def _label(path: str, above: list[_Heading]) -> str:
    return " > ".join([PurePosixPath(path).name, *(heading.title[:MAX_LABEL_PART] for heading in above)])


def _headings(text: str) -> Iterator[_Heading]:
    """ATX and one-line setext headings outside of fences and front matter."""
    front = _FRONT_MATTER.match(text)
    at = front.end() if front else 0
    fence = ""
    above = before = ""  # the line above, and the one above that
    above_at = at
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end].rstrip("\n")
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            line = ""
        elif mark:
            fence, line = mark[1], ""
        elif atx := _ATX.match(line):
            yield _Heading(at, len(atx[1]), (atx[2] or "").strip(), end)
            line = ""
        elif (under := _UNDERLINE.match(line)) and not _NO_PARAGRAPH.match(above) and not before.strip():
            yield _Heading(above_at, 1 if under[1][0] == "=" else 2, above.strip(), end)
            line = ""
        before, above, above_at, at = above, line, at, end
