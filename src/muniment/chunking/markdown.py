"""Cuts Markdown at its headings: a chunk is a section, labelled by the headings above it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from muniment.chunking.chunk import Chunk
from muniment.chunking.lines import spans

MAX_LABEL_PART = 120
_FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)|\+\+\+[ \t]*\r?\n(?:.*\n)*?\+\+\+[ \t]*(?:\r?\n|\Z)"
)
# No expression may try a character twice: a line can be as long as the file.
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t](.*)|\r?)$")
# A list item may begin with a fence, and hold one at any indent.
_FENCE = re.compile(r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+(`{3,}+(?!.*`)|~{3,})")
_RAW = re.compile(r" {0,3}(?:<(?P<tag>pre|script|style|textarea)\b|(?P<comment><!--)|(?P<mdx>\{/\*))", re.IGNORECASE)
_MODULE = re.compile(r"(?:import|export)[ \t{*]")
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
    for heading in _headings(text, path.lower().endswith(".mdx")):
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


def _headings(text: str, mdx: bool) -> Iterator[_Heading]:
    """ATX and one-line setext headings outside of fences, front matter, raw HTML, and the code of MDX."""
    front = _FRONT_MATTER.match(text)
    at = front.end() if front else 0
    closing = ""  # what ends the block that the line is in
    above = before = ""  # the line above, and the one above that
    above_at = at
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end].rstrip("\n")
        if closing:
            closing = "" if _closes(line, closing) else closing
            line = ""
        elif closing := _opens(line, mdx):
            line = ""
        elif atx := _ATX.match(line):
            yield _Heading(at, len(atx[1]), _title(atx[2] or ""), end)
            line = ""
        elif (under := _UNDERLINE.match(line)) and not _NO_PARAGRAPH.match(above) and not before.strip():
            yield _Heading(above_at, 1 if under[1][0] == "=" else 2, above.strip(), end)
            line = ""
        before, above, above_at, at = above, line, at, end


def _title(rest: str) -> str:
    """An ATX heading's text without the marks that close it."""
    title = rest.rstrip(" \t\r")
    unmarked = title.rstrip("#")
    return (title if unmarked and unmarked[-1] not in " \t" else unmarked).strip()


def _opens(line: str, mdx: bool) -> str:
    """What will close the block that begins with the line, or nothing: a fence, a tag, ``\\n`` for a blank line."""
    if mark := _FENCE.match(line):
        return mark[1]
    if mdx and _MODULE.match(line):
        return "\n"
    raw = _RAW.match(line)
    if not raw or (raw["mdx"] and not mdx):
        return ""
    closing = f"</{raw['tag'].lower()}>" if raw["tag"] else "-->" if raw["comment"] else "*/}"
    return "" if _closes(line[raw.end() :], closing) else closing


def _closes(line: str, closing: str) -> bool:
    if closing == "\n":
        return not line.strip()
    if closing[0] in "`~":
        mark = line.strip()
        return mark.startswith(closing) and not mark.strip(closing[0])
    return closing in line.lower()
