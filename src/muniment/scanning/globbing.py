"""Git's glob language (wildmatch with path names) as Python regular expressions. Pure."""

import re
import string
from dataclasses import dataclass
from itertools import pairwise

SPECIAL = re.compile(r"[*?\[\\]")

_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, [*range(32), 127])),
    "digit": string.digits,
    "graph": "".join(map(chr, range(33, 127))),
    "lower": string.ascii_lowercase,
    "print": "".join(map(chr, range(32, 127))),
    "punct": string.punctuation,
    "space": " \t\n\r",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}

_SLASH, _STAR, _FOLDERS, _ANYTHING = "/", "[^/]*", "(?:.*/)?", ".*"
_LAZY = {_FOLDERS: "(?:.*?/)??", _ANYTHING: ".*?"}


class _NeverMatches(Exception):
    """An unclosed bracket, an unknown class or a lone backslash at the end: git lets such a glob match nothing."""


def literal(text: str) -> str:
    return re.escape(text)


def translate(glob: str) -> str | None:
    """The regular expression of a glob without its leading '!' and '/', or None when it can never match.

    Behind a star, the first fit of what lies before the next star of its kind is always right. So every star but the
    last is closed to backtracking, which would take exponential time on a glob like *a*a*a*a*b.
    """
    try:
        tokens = _tokens(glob)
    except _NeverMatches:
        return None
    starts = [position for position, token in enumerate(tokens) if token in _LAZY]
    regex = _segments(tokens[: starts[0]] if starts else tokens)
    for start, end in pairwise(starts):
        regex += f"(?>{_LAZY[tokens[start]]}{_segments(tokens[start + 1 : end])})"
    if starts:
        regex += tokens[starts[-1]] + _segments(tokens[starts[-1] + 1 :])
    return regex


def _segments(tokens: list[str]) -> str:
    return _SLASH.join(_segment(segment) for segment in _split(tokens, _SLASH))


def _segment(tokens: list[str]) -> str:
    first, *others = ("".join(part) for part in _split(tokens, _STAR))
    if not others:
        return first
    return first + "".join(f"(?>[^/]*?{part})" for part in others[:-1]) + _STAR + others[-1]


def _split(tokens: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _tokens(glob: str) -> list[str]:
    tokens: list[str] = []
    special = SPECIAL.search(glob)
    # Git compares the part before the first special character literally and globs the rest on its own, so that
    # `**` right behind it counts as if it began a segment.
    prefix = special.start() if special else len(glob)
    at = 0
    while at < len(glob):
        char = glob[at]
        if char == "*":
            end = at
            while glob[end : end + 1] == "*":
                end += 1
            starts_segment = at == prefix or glob[at - 1] == "/"
            if end - at > 1 and starts_segment and glob[end : end + 1] == "/":
                tokens.append(_FOLDERS)
                end += 1
            elif end - at > 1 and starts_segment and (end == len(glob) or glob[end : end + 2] == "\\/"):
                tokens.append(_ANYTHING)
            else:
                tokens.append(_STAR)
            at = end
        elif char == "?":
            tokens.append("[^/]")
            at += 1
        elif char == "[":
            bracket = _Bracket(glob, at + 1)
            tokens.append(bracket.regex())
            at = bracket.at
        elif char == "\\":
            if at + 1 == len(glob):
                raise _NeverMatches
            tokens.append(_SLASH if glob[at + 1] == "/" else literal(glob[at + 1]))
            at += 2
        else:
            tokens.append(_SLASH if char == "/" else literal(char))
            at += 1
    return tokens


@dataclass
class _Bracket:
    """Reads a bracket expression of ``glob`` from ``at``, just behind its '['; leaves ``at`` behind its ']'."""

    glob: str
    at: int

    def regex(self) -> str:
        negated = self._peek() in ("!", "^")
        self.at += negated
        items: list[str] = []
        slash = False
        previous = ""
        first = True
        while first or self._peek() != "]":
            first = False
            char = self._next()
            if char == "-" and previous and self._peek() not in ("", "]"):
                end = self._next_literal()
                if previous <= end:
                    items.append(f"{literal(previous)}-{literal(end)}")
                    slash = slash or previous <= "/" <= end
                previous = ""
            elif char == "[" and self._peek() == ":" and (name := self._class_name()) is not None:
                items.append(literal(_CLASSES[name]))
                slash = slash or "/" in _CLASSES[name]
                previous = ""
            else:
                previous = self._escaped(char)
                items.append(literal(previous))
                slash = slash or previous == "/"
        self.at += 1
        if negated:
            return f"[^/{''.join(items)}]"
        return f"{'(?!/)' if slash else ''}[{''.join(items)}]"

    def _peek(self) -> str:
        return self.glob[self.at : self.at + 1]

    def _next(self) -> str:
        if self.at == len(self.glob):
            raise _NeverMatches
        self.at += 1
        return self.glob[self.at - 1]

    def _escaped(self, char: str) -> str:
        return self._next() if char == "\\" else char

    def _next_literal(self) -> str:
        return self._escaped(self._next())

    def _class_name(self) -> str | None:
        """The name in [:name:], consumed; None when there is no ':]', then '[' stands for itself."""
        end = self.glob.find("]", self.at + 1)
        if end < 0:
            raise _NeverMatches
        if self.glob[end - 1] != ":" or end - 1 == self.at:
            return None
        name = self.glob[self.at + 1 : end - 1]
        if name not in _CLASSES:
            raise _NeverMatches
        self.at = end + 1
        return name
