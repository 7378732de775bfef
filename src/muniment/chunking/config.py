"""Cuts JSON, YAML, TOML and INI at keys and tables, told from the lines alone: no parse, so it is never slow. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from muniment.chunking.chunk import Chunk
from muniment.chunking.lines import REST_CHARS
from muniment.chunking.outline import Definition, Outline
from muniment.chunking.packing import pack

LABELLED_LEVELS: Final = 2  # `services.web` labels a chunk, `services.web.ports` does not
CUT_LEVELS: Final = 16
MAX_LABEL: Final = 80

# Each begins with a line break: the search then jumps from line to line. A run of comments is one match, and nothing
# can be matched in two ways: a hostile file must not cost more than its size.
_JSON: Final = re.compile(
    r"(?P<comments>(?:\n[ \t]*//[^\n]*)+)"
    r"|\n(?P<indent>[ \t]*)(?:(?P<key>\"(?:[^\"\\\n]|\\.)*\"|[A-Za-z_$][\w$]*)[ \t]*:|(?P<item>[{\[\"\d]))"
)
_YAML: Final = re.compile(
    r"(?P<comments>(?:\n[ \t]*#[^\n]*)+)"
    r"|\n(?P<document>---)(?=\s|\Z)"
    r"|\n(?P<indent> *)(?:(?P<item>-(?=[ \n]))"
    r"|(?P<key>\"[^\"\n]*\"|'[^'\n]*'|[^\s#:{\[\"'][^:\n]*):(?=\s|\Z)(?P<opaque>[ \t]+[|>][^\n]*)?)"
)
_TABLES: Final = re.compile(
    r"(?P<comments>(?:\n[ \t]*[#;][^\n]*)+)|\n(?P<table>\[\[?[^\n\[\]]+\]\]?)|\n(?P<key>[A-Za-z0-9_\"'][^=:\n]*)[=:]"
)
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {"json": _JSON, "yaml": _YAML, "toml": _TABLES, "ini": _TABLES}
_LONG_STRING: Final = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''", re.DOTALL)
_KIND: Final = re.compile(r"^kind:[ \t]*([\w.-]+)", re.MULTILINE)
_RESOURCE: Final = re.compile(r"^metadata:[ \t\r]*\n(?:[ \t][^\n]*\n){0,20}?[ \t]+name:[ \t]*[\"']?([^\s\"'#]+)", re.M)

CONFIG_LANGUAGES: Final = frozenset(_PATTERNS)


class _Entry(NamedTuple):
    start: int  # with the comments above
    rank: int  # what has a higher one is inside
    label: str | None = None  # None: an item of a list, a key of a table
    opaque: bool = False  # a block of text, in which nothing is a key


def chunk_config(text: str, language: str) -> list[Chunk]:
    """``language`` is one of CONFIG_LANGUAGES. A small file stays whole, labelled only if it describes a resource."""
    outline = Outline()
    for start, end, entries in _documents(text, language):
        scope = _resource(text, start, end) if language == "yaml" else None
        if scope:
            outline.definitions.append(Definition(start, end, scope, holds=True))
        if len(text) > REST_CHARS:
            if start:
                outline.cuts[start] = 0
            _nest(entries, end, scope, outline)
    outline.definitions.sort(key=lambda definition: (definition.start, -definition.end))
    return pack(text, outline)


def _documents(text: str, language: str) -> Iterator[tuple[int, int, list[_Entry]]]:
    """(start, end, entries) of each document of a file; only YAML has several."""
    start = 0
    entries: list[_Entry] = []
    for entry in _entries(text, language):
        if entry.rank >= 0:
            entries.append(entry)
            continue
        if entries:
            yield start, entry.start, entries
            start = entry.start
        entries = []
    yield start, len(text), entries


def _entries(text: str, language: str) -> Iterator[_Entry]:
    """Keys, items and tables in the order of the text; a document's begin has the rank -1."""
    strings = [found.span() for found in _LONG_STRING.finditer(text)] if language == "toml" else []
    strings.reverse()
    comments = (-1, -1)
    in_table = False
    for found in _PATTERNS[language].finditer("\n" + text):
        start, end = found.span()
        while strings and strings[-1][1] <= start:
            strings.pop()
        if strings and strings[-1][0] < start:
            continue
        parts = found.groupdict()
        if parts["comments"]:
            comments = start, end
            continue
        start = comments[0] if comments[1] == start else start
        if parts.get("document"):
            yield _Entry(start, -1)
        elif parts.get("table"):
            in_table = True
            yield _Entry(start, 0, parts["table"][:MAX_LABEL])
        elif parts.get("item"):
            if start == 0 and language == "json":
                continue  # the root: its keys are the file's own
            yield _Entry(start, 2 * len(parts["indent"]) + 1)
        else:
            label = None if in_table else parts["key"].strip().strip("\"'")[:MAX_LABEL]
            yield _Entry(start, 2 * len(parts.get("indent") or "") + in_table, label, bool(parts.get("opaque")))


def _nest(entries: Sequence[_Entry], end: int, scope: str | None, outline: Outline) -> None:
    """Notes where the entries of one document may be parted, and the names of those that label chunks."""
    opened: list[tuple[_Entry, str, int]] = []  # with the label so far, and of how many parts

    def close(rank: int, at: int) -> bool:
        count = len(opened)
        while opened and opened[-1][0].rank >= rank:
            entry, symbol, labels = opened.pop()
            if entry.label and labels <= LABELLED_LEVELS:
                outline.definitions.append(Definition(entry.start, at, symbol, holds=True))
        return len(opened) < count

    for entry in entries:
        follows = close(entry.rank, entry.start)
        if opened and opened[-1][0].opaque:
            continue
        if follows and entry.start and len(opened) < CUT_LEVELS:
            outline.cuts.setdefault(entry.start, len(opened) + 1)
        _, symbol, labels = opened[-1] if opened else (None, scope or "", 0)
        if entry.label:
            symbol, labels = f"{symbol}.{entry.label}" if symbol else entry.label, labels + 1
        else:
            labels = LABELLED_LEVELS  # the keys of a list's items are all alike
        opened.append((entry, symbol, labels))
    close(0, end)


def _resource(text: str, start: int, end: int) -> str | None:
    """``Kind/name`` of a document that describes a Kubernetes resource."""
    kind, name = _KIND.search(text, start, end), _RESOURCE.search(text, start, end)
    return f"{kind[1]}/{name[1]}"[:MAX_LABEL] if kind and name else None
