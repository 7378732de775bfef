"""What a question is about: a symbol, a path, an error message, or what a sentence tells. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from muniment.identifiers import STOP_WORDS, TASK_WORDS, question_tokens
from muniment.languages import Kind, language_of


class QuestionType(StrEnum):
    SYMBOL = "symbol"
    PATH = "path"
    ERROR = "error"
    SENTENCE = "sentence"


Segments = tuple[str, ...]

ASKS_FOR: Final[Mapping[str, frozenset[str]]] = {
    Kind.TEST: frozenset({"test", "tests", "testing", "unittest", "pytest", "fixture", "fixtures", "mock", "mocks"}),
    Kind.DOC: frozenset({"doc", "docs", "documentation", "readme", "changelog", "guide", "tutorial", "howto"}),
    Kind.EXAMPLE: frozenset({"example", "examples", "sample", "samples", "demo", "demos"}),
    Kind.CONFIG: frozenset({"config", "configuration", "manifest", "yaml", "toml", "json", "ini", "xml"}),
}
# "tests of the parser", "which docs tell about it"; but not "where the test client is made", nor "test for equality".
# Of configuration questions speak like this about the code.
_PLAINLY: Final[Mapping[str, re.Pattern[str]]] = {
    kind: re.compile(
        rf"\b(?:{nouns})\s+(?:of|for|about|to|on|that|which|with|covering)\b"
        rf"|\b(?:which|what|any|show|find|where)\b.{{0,200}}\b(?:{nouns})\b|\b{one}\b",
        re.IGNORECASE,
    )
    for kind, nouns, one in (
        (Kind.TEST, "tests|fixtures|mocks", "(?:unit|integration) tests?|test of"),
        (Kind.DOC, "docs|documentation|readme|changelog|howto|tutorial|user guide", "guide (?:to|for)"),
        (Kind.EXAMPLE, "examples?|samples|demos", "(?:sample|demo) of"),
    )
}

LONGEST: Final = 2_000  # characters that are looked at; longer questions are pasted logs, and name too much
MOST_PATHS: Final = 12
MOST_SYMBOLS: Final = 12

_RUN = re.compile(r"[^\s'\"`,;<>|*?()\[\]{}]+")
_LINE_NUMBER = re.compile(r"(?::\d{1,9}){1,2}:?$|[.:]$")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){2,}")
_SYMBOL = re.compile(
    r"(?<!\w)(?:"
    r"\w*[a-z0-9][A-Z]\w*|[A-Z]{2,}[a-z]\w*"  # mixedCase, CamelCase, HTTPServer
    r"|\w*[A-Za-z0-9]_\w+|_+[A-Za-z]\w*"  # snake_case, _private
    r"|[A-Za-z_]\w*(?=\(\))"  # called()
    r"|(?<=`)[A-Za-z_]\w*(?=`)"
    r"|(?:(?<=class )|(?<=def )|(?<=func )|(?<=struct )|(?<=function )|(?<=method ))[A-Za-z_]\w*"
    r")"
)
_ERROR = re.compile(
    r"\w(?:Error|Exception|Warning|Failure)\b:|\bTraceback\b|\b(?:[Ee]rror|panic|[Ff]atal|[Ee]xception): "
    r"|^[\w.]{0,200}[a-z][A-Z]\w{0,100}: \S"
)
# Words that ask where or what, and tell nothing of it.
_ASKING: Final = frozenset(
    re.findall(
        r"\w+",
        """class constant declaration declared def defined definition file find func function implementation implemented
        line located method module show struct type variable""",
    )
)
_NAMED_AFTER_THEIR_FOLDER: Final = frozenset({"__init__", "__main__", "index", "lib", "main", "mod"})


@dataclass(frozen=True, slots=True)
class Subject:
    """``paths``: of the files that the question names, in lower-case segments; ``symbols``: the identifiers that it
    writes out; ``mentions``: kinds of files that it has a word for; ``wants``: those that it plainly asks for."""

    tokens: tuple[str, ...] = ()
    type: QuestionType = QuestionType.SENTENCE
    paths: tuple[Segments, ...] = ()
    symbols: tuple[str, ...] = ()
    mentions: frozenset[str] = frozenset()
    wants: frozenset[str] = frozenset()

    @classmethod
    def of(cls, question: str) -> "Subject":
        """Any text is a question."""
        text = question[:LONGEST]
        paths, rest = _paths(text)
        symbols = tuple(dict.fromkeys(match.group() for match in islice(_SYMBOL.finditer(text), MOST_SYMBOLS)))
        words = [word for word in question_tokens(rest) if word not in _ASKING | STOP_WORDS]
        if len(words) == 1 and not symbols and not paths:
            symbols = (words[0],)
        told = set(words).difference(question_tokens(" ".join(symbols)))
        tokens = question_tokens(question)
        mentions = frozenset(kind for kind, asking in ASKS_FOR.items() if not asking.isdisjoint(tokens))
        asked = _type(text, paths, symbols, told)
        return cls(tuple(tokens), asked, paths, symbols, mentions, _wants(text, tokens, mentions))

    def names_file(self, path: str) -> bool:
        """Whether the question names this file by its path, by the end of it, or by a longer path that ends so."""
        return bool(self.paths) and any(_same_end(named, form) for form in _forms(path) for named in self.paths)


def _type(text: str, paths: tuple[Segments, ...], symbols: tuple[str, ...], told: set[str]) -> QuestionType:
    """``told``: the words that are neither."""
    if _ERROR.search(text):
        return QuestionType.ERROR
    if told:
        return QuestionType.SENTENCE
    if paths:
        return QuestionType.PATH
    return QuestionType.SYMBOL if symbols else QuestionType.SENTENCE


def _wants(text: str, tokens: Collection[str], mentions: frozenset[str]) -> frozenset[str]:
    # who says what is to be done speaks of the code: "add tests for the parser" tells of a change to it
    if not TASK_WORDS.isdisjoint(tokens):
        return frozenset()
    return frozenset(kind for kind in mentions & _PLAINLY.keys() if _PLAINLY[kind].search(text))


def _paths(text: str) -> tuple[tuple[Segments, ...], str]:
    """The paths that a text names, and the text without them."""
    found: list[Segments] = []
    rest: list[str] = []
    for match in _RUN.finditer(text):
        segments = list(_segments(_LINE_NUMBER.sub("", match.group())))
        found += segments
        if not segments:
            rest.append(match.group())
    return tuple(dict.fromkeys(found))[:MOST_PATHS], " ".join(rest)


def _segments(run: str) -> Iterator[Segments]:
    """Of what may be a path, or a module with at most two names in it; nothing of a URL."""
    if "://" in run:
        return
    parts = tuple(part for part in re.split(r"[/\\]", run.lower()) if part not in ("", ".", ".."))
    if len(parts) > 1 or (parts and "." in parts[0][1:] and language_of(parts[0]) is not None):
        yield parts
    elif _MODULE.fullmatch(run):
        names = tuple(run.lower().split("."))
        yield from (names[:end] for end in range(len(names), 1, -1)[:3])


def _forms(path: str) -> Iterator[Segments]:
    """The path with its extension and without, and its folder's if it is named after that."""
    *folders, name = path.lower().split("/")
    bare = name.partition(".")[0] if not name.startswith(".") else name
    yield (*folders, name)
    yield (*folders, bare)
    if bare in _NAMED_AFTER_THEIR_FOLDER and folders:
        yield tuple(folders)


def _same_end(named: Segments, path: Segments) -> bool:
    shorter = min(len(named), len(path))
    return named[-shorter:] == path[-shorter:] and (shorter == len(named) or shorter > 1)
