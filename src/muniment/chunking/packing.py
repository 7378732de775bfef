"""Cuts a text along its outline: small neighbours together, long definitions at their statements. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from muniment.chunking.chunk import Chunk
from muniment.chunking.lines import MAX_CHARS, spans
from muniment.chunking.outline import Definition, Outline

TARGET_CHARS: Final = 1_300  # measured: questions find their files best at 1,200 to 1,300
DEPTH_COST: Final = 0.25  # a cut one level deeper is as bad as one that misses the target by a quarter
_DEPTH_COSTS: Final = [depth * DEPTH_COST for depth in range(5)]  # all that lies deeper is alike
COST_LIMIT: Final = 9.0  # above any cut's cost
CRUMB_CHARS: Final = 150  # less joins what has to be cut by lines anyway


def pack(text: str, outline: Outline) -> list[Chunk]:
    """Chunks of about TARGET_CHARS, at most MAX_CHARS (surrounding white space not counted)."""
    chunks: list[Chunk] = []
    definitions = outline.definitions
    around: list[Definition] = []  # what the chunk is in the middle of
    line, at = 1, 0
    for start, end in _without_blanks(text, _pieces(text, outline.cuts)):
        piece = text[start:end]
        breaks = piece.count("\n")
        first = at
        while at < len(definitions) and definitions[at].start < end:
            at += 1
        fresh = definitions[first:at]
        names = tuple(dict.fromkeys(d.name for d in fresh if d.name))
        symbol = _symbol(start, end, around, fresh)
        chunks.append(Chunk(piece, line, line + breaks - piece.endswith("\n"), symbol, names))
        around = [d for d in (*around, *fresh) if d.end > end]
        line += breaks
    return chunks


def _symbol(start: int, end: int, around: Sequence[Definition], fresh: Sequence[Definition]) -> str | None:
    """What most of the chunk belongs to: a definition that begins in it, or one that goes on in it. A function goes on
    behind the functions in it, unless the chunk begins with one; a class ends where its next member begins."""
    found = [definition for definition in fresh if not definition.minor]
    if around:
        innermost = around[-1]
        if not innermost.holds:
            own = start if found and found[0].start == start else innermost.end
        else:
            own = found[0].start if found else end
        found.insert(0, innermost._replace(end=min(own, innermost.end)))
    found = found or list(fresh)
    return max(found, key=lambda d: min(d.end, end) - max(d.start, start)).symbol if found else None


def _pieces(text: str, cuts: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    offsets = sorted(cuts)
    costs = [_DEPTH_COSTS[cuts[offset]] if cuts[offset] < 4 else _DEPTH_COSTS[4] for offset in offsets]
    offsets.append(len(text))
    costs.append(-DEPTH_COST)
    last = len(costs) - 1
    start = at = 0
    while start < len(text):
        while at < last and offsets[at] - start < CRUMB_CHARS and offsets[at + 1] - offsets[at] > MAX_CHARS:
            at += 1
        best, lowest, index = at, COST_LIMIT, at
        while index <= last and (size := offsets[index] - start) <= MAX_CHARS:
            cost = costs[index] + abs(size - TARGET_CHARS) / TARGET_CHARS
            if cost <= lowest:
                best, lowest = index, cost
            index += 1
        if index > at:
            yield start, offsets[best]
        else:
            yield from spans(text, start, offsets[best])
        start, at = offsets[best], best + 1


def _without_blanks(text: str, pieces: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """White space alone is no hit worth having: it joins a neighbour."""
    opened, closed, blank = 0, 0, True
    for start, end in pieces:
        empty = text[start:end].isspace()
        if not blank and not empty:
            yield opened, closed
            opened = start
        closed, blank = end, blank and empty
    yield opened, closed
