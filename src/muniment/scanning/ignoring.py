"""Ignore rules as git reads them: one file's lines become Rules, which give a verdict on a name and a path. Pure.

Git matches bytes, not characters (``?`` does not match ``é``), so every text here is bytes seen as Latin-1.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from muniment.scanning.globbing import SPECIAL, translate

NO_RULE = -1


def bytewise(text: str) -> str:
    """A name or pattern in the form that the rules compare: one character a byte."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


@dataclass(frozen=True, slots=True)
class _Rule:
    rank: int  # position in the file x 2, + 1 when it ignores: the greatest rank among the matches decides
    glob: str
    folders_only: bool
    text: str
    by_name: bool  # no slash: compared with the last segment at any depth, else with the path from the file's folder


class _RankOf:
    """The greatest rank among rules of one kind that match a text, or NO_RULE."""

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._literals: dict[str, int] = {}
        self._ranks: list[int] = [NO_RULE]
        alternatives: list[str] = []
        for rule in sorted(rules, key=lambda rule: rule.rank, reverse=True):
            if not SPECIAL.search(rule.glob):
                self._literals.setdefault(rule.glob, rule.rank)
            elif (regex := translate(rule.glob)) is not None:
                alternatives.append(rf"({regex}\Z)")
                self._ranks.append(rule.rank)
        # The first alternative that matches is the last rule of the file: lastindex names it.
        self._match: Callable[[str], re.Match[str] | None] | None = (
            re.compile("|".join(alternatives), re.DOTALL).match if alternatives else None
        )

    def __bool__(self) -> bool:
        return bool(self._literals or self._match)

    def __call__(self, text: str) -> int:
        rank = self._literals.get(text, NO_RULE)
        if self._match is not None and (found := self._match(text)):
            return max(rank, self._ranks[found.lastindex or 0])
        return rank


class Rules:
    """The rules of one ignore file. The last rule that matches decides; without one there is no verdict."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules = [rule for number, line in enumerate(lines) if (rule := _parse(line, number)) is not None]

    def __bool__(self) -> bool:
        return bool(self._rules)

    @cached_property
    def _files(self) -> tuple[_RankOf, _RankOf]:
        return self._matchers([rule for rule in self._rules if not rule.folders_only])

    @cached_property
    def _folders(self) -> tuple[_RankOf, _RankOf]:
        return self._matchers(self._rules)

    @staticmethod
    def _matchers(rules: list[_Rule]) -> tuple[_RankOf, _RankOf]:
        return _RankOf(rule for rule in rules if rule.by_name), _RankOf(rule for rule in rules if not rule.by_name)

    def rank(self, name: str, path: str, is_dir: bool) -> int:
        """Of the rule that decides: odd when it ignores, even when it is a negation, NO_RULE when none matches.
        ``path`` is relative to the folder of the ignore file and ends with ``name``; both bytewise."""
        by_name, by_path = self._folders if is_dir else self._files
        rank = by_name(name)
        return max(rank, by_path(path)) if by_path else rank

    def verdict(self, name: str, path: str, is_dir: bool) -> bool | None:
        """The rank as True: ignored, False: kept by a negation, None: no rule matches."""
        rank = self.rank(name, path, is_dir)
        return None if rank == NO_RULE else ignores(rank)

    def line(self, rank: int) -> tuple[int, str]:
        """The number of a rule's line, from 1, and its text."""
        return (rank >> 1) + 1, self._texts[rank]

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {rule.rank: rule.text.encode("latin-1").decode("utf-8", "replace") for rule in self._rules}


def ignores(rank: int) -> bool:
    return bool(rank & 1)


def _parse(line: str, number: int) -> _Rule | None:
    if line.startswith("#"):
        return None
    negated = line.startswith("!")
    rank = number * 2 + (not negated)
    glob = line[1:] if negated else line
    folders_only = glob.endswith("/")
    glob = glob[:-1] if folders_only else glob
    by_name = "/" not in glob
    glob = glob if by_name else glob.removeprefix("/")
    return _Rule(rank, glob, folders_only, line, by_name) if glob else None


def _trimmed(line: str) -> str:
    """Without trailing spaces, except one behind a backslash."""
    kept = line.rstrip(" ")
    if kept == line:
        return line
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if backslashes % 2 else kept


@lru_cache(maxsize=1024)
def parse_ignore_file(content: bytes) -> Rules:
    """The rules of an ignore file's raw bytes. Cached: equal files share their compiled rules."""
    lines = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
    return Rules(_trimmed(line.removesuffix("\r")) for line in lines)


def parse_globs(globs: Iterable[str]) -> Rules:
    """The rules of a list of gitignore-style globs, as project settings carry them."""
    return Rules(_trimmed(bytewise(glob)) for glob in globs)
