"""Cuts source code at its definitions, long ones at their statements. Pure but for the clock it is given."""

import time
from collections.abc import Callable

from muniment.chunking.chunk import Chunked
from muniment.chunking.grammars import load
from muniment.chunking.lines import chunk_lines
from muniment.chunking.outline import Outline
from muniment.chunking.packing import pack
from muniment.chunking.parsing import Unparsed, parse
from muniment.chunking.walking import TreeWalk


def chunk_code(text: str, language: str, grammar: str, clock: Callable[[], float] = time.process_time) -> Chunked:
    """``grammar`` is a key of GRAMMARS, ``language`` what the text is cut as by lines should that fail. The clock is
    the process's own: a busy machine must not change what is found."""
    outline = outlined(text, grammar, clock)
    if isinstance(outline, Unparsed):
        return Chunked(chunk_lines(text, language), outline.value)
    return Chunked(pack(text, outline))


def outlined(text: str, grammar: str, clock: Callable[[], float] = time.process_time) -> Outline | Unparsed:
    """What the text defines and where it may be cut, in offsets of characters; or why that cannot be told."""
    loaded = load(grammar)
    if loaded is None:
        return Unparsed.UNAVAILABLE
    source = text.encode("utf-8", "replace")  # a lone surrogate becomes one byte: still one character
    tree = parse(loaded, source, clock)
    if isinstance(tree, Unparsed):
        return tree
    outline = TreeWalk(source, loaded.roles).outline(tree.root_node)
    if outline is None:
        return Unparsed.DEEP
    return outline if len(source) == len(text) else outline.in_characters(source)
