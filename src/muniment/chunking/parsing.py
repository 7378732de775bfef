"""Parses a source text within limits. Pure but for the clock it is given.

A parser that has been stopped goes on with the old text unless it is reset, so every text has a parser of its own.
"""

from collections.abc import Callable
from enum import StrEnum
from itertools import count
from typing import Final

from tree_sitter import Node, Parser, Tree

from muniment.chunking.grammars import Loaded

PARSE_SECONDS: Final = 1.0
MAX_BROKEN_SHARE: Final = 0.3
_READ_BYTES: Final = 65_536
_CLOCK_EVERY: Final = 16  # the parser asks every few microseconds
_MAX_NODES_LOOKED_AT: Final = 50_000


class Unparsed(StrEnum):
    """Why a text has no tree that could be used."""

    SLOW = "slow"
    DEEP = "deep"
    BROKEN = "broken"
    UNAVAILABLE = "unavailable"


def parse(loaded: Loaded, source: bytes, clock: Callable[[], float], seconds: float = PARSE_SECONDS) -> Tree | Unparsed:
    """The tree of ``source`` (UTF-8), or SLOW or BROKEN."""
    deadline = clock() + seconds
    asked = count()
    pieces: list[bytearray] = []

    def read(offset: int, _point: object) -> bytes | bytearray:
        if offset >= len(source):
            return b""
        pieces.append(bytearray(source[offset : offset + _READ_BYTES]))
        return pieces[-1]

    def late(_offset: int, _error: bool) -> bool:
        return next(asked) % _CLOCK_EVERY == 0 and clock() > deadline

    try:
        tree = Parser(loaded.language).parse(read, progress_callback=late)
    except ValueError:  # what a stopped parse raises
        return Unparsed.SLOW
    finally:
        for piece in pieces:  # the library never lets go of what it was given: what stays of it is empty
            piece.clear()
    root = tree.root_node
    if root.has_error and _broken_bytes(root, len(source)) > MAX_BROKEN_SHARE * len(source):
        return Unparsed.BROKEN
    return tree


def _broken_bytes(root: Node, size: int) -> int:
    """How much lies in ERROR nodes without belonging to anything that was understood inside of them."""
    broken = looked_at = 0
    pending = [root]
    while pending:
        node = pending.pop()
        children = node.children
        looked_at += len(children)
        if looked_at > _MAX_NODES_LOOKED_AT:
            return size
        if node.is_error:
            broken += node.end_byte - node.start_byte
            broken -= sum(c.end_byte - c.start_byte for c in children if c.child_count or c.is_extra)
        pending += [child for child in children if child.has_error]
    return broken
