"""Places in a text that hold a secret, and the markers that stand for them. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MARKER: Final = re.compile(r"\[masked:[a-z0-9-]+\]")

_LINE_BREAK: Final = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of a text are a secret of this kind, e.g. `github-pat`."""

    start: int
    end: int
    kind: str


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """The spans in order of the text; of those that overlap, the one that begins first and reaches furthest."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start < span.end and (not kept or kept[-1].end <= span.start):
            kept.append(span)
    return kept


def replace(text: str, spans: Sequence[Span], found: Counter[str]) -> str:
    """The text with a marker for each of these disjoint spans, its line breaks kept; counts them by kind."""
    pieces, after = [], 0
    for span in spans:
        breaks = "".join(_LINE_BREAK.findall(text, span.start, span.end))
        pieces += [text[after : span.start], f"[masked:{span.kind}]", breaks]
        after = span.end
        found[span.kind.replace("-", " ")] += 1
    return "".join([*pieces, text[after:]])
