"""What is known of a text before it is cut: where that may be, and what is defined where. Pure."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

_CONTINUATION_BYTES: Final = bytes(range(0x80, 0xC0))


class Definition(NamedTuple):
    """``start``..``end`` with its comments; ``symbol`` is the name in its scope, ``name`` what it introduces."""

    start: int
    end: int
    symbol: str
    name: str | None = None
    minor: bool = False  # labels a chunk only where nothing better begins in it
    holds: bool = False  # a class or a table, whose members label the chunks that begin with them


@dataclass(slots=True)
class Outline:
    """``cuts``: offset of a line's begin -> how many definitions and statements a cut there would part. Definitions in
    the order of the text, the outer before the inner."""

    cuts: dict[int, int] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)

    def in_characters(self, source: bytes) -> "Outline":
        """The same, of byte offsets in UTF-8 made offsets of characters."""
        offsets = {*self.cuts}
        for definition in self.definitions:
            offsets.update(definition[:2])
        at: dict[int, int] = {}
        count = before = 0
        for offset in sorted(offsets):
            count += len(source[before:offset].translate(None, _CONTINUATION_BYTES))
            at[offset] = count
            before = offset
        return Outline(
            {at[offset]: depth for offset, depth in self.cuts.items()},
            [d._replace(start=at[d.start], end=at[d.end]) for d in self.definitions],
        )
