"""What a question asks for besides its words: a place in a file, an exact phrase. Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from muniment.errors import InvalidValue
from muniment.identifiers import STOP_WORDS, tokens

MAX_QUESTION: Final = 10_000
MAX_PHRASES: Final = 3
LONGEST_PHRASED: Final = 500  # characters; longer questions are pasted code or logs, whose quotes mean something else

# src/x.py:42, src/x.py:42:7, src/x.py#L42, File "src/x.py", line 42: the number first, and the path before it, because
# a search that begins at the path tries every character of a long line of dashes
_LINE = re.compile(r'(?::|#L|", line )(\d{1,7})(?::\d+)?(?!\w|\.\w)')
_PATH_BEFORE = re.compile(r"(?<![\w/\\.@+\-])([\w@.+\-]*(?:[/\\][\w@.+\-]+)+|[\w@+\-][\w@.+\-]*\.[A-Za-z]\w{0,9})\Z")
MAX_PLACES: Final = 20
LONGEST_PATH: Final = 300  # characters
MAX_FOLDERS: Final = 40
_PHRASE = re.compile(r'(?:^|(?<=\s)|(?<=\s\())["“]([^"“”]{2,200})["”](?=$|[\s),.;:?!])')


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A line of a file, as somebody wrote it down: its path may begin further up, or further down, than ours."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    phrases: tuple[str, ...] = ()  # meant letter for letter but for case and white space
    places: tuple[NamedPlace, ...] = ()

    @property
    def is_phrases(self) -> bool:
        """Whether it holds nothing else, so that every answer must hold them. Beside other words quotes often name what
        is no longer, or not yet, in the code."""
        return bool(self.phrases) and STOP_WORDS.issuperset(tokens(_PHRASE.sub(" ", self.text)))

    @property
    def words(self) -> str:
        """Without the numbers of lines: they are no words of any file."""
        words = self.text
        for found in reversed(_found_places(self.text) if self.places else []):
            words = f"{words[: found.path_end]} {words[found.end :]}"
        return words


def read_question(text: str) -> Question:
    """Raises InvalidValue for one that is empty or endless."""
    if not text.strip():
        raise InvalidValue("query", text, "it is empty")
    if len(text) > MAX_QUESTION:
        raise InvalidValue("query", text[:40] + "…", f"it is longer than {MAX_QUESTION} characters")
    found = _found_places(text)
    quoted = _PHRASE.finditer(text) if len(text) <= LONGEST_PHRASED and "\n" not in text else ()
    # the quotes of a traceback's path are no phrase
    phrases = [one[1] for one in quoted if not any(one.start() < at.end and at.start < one.end() for at in found)]
    places = dict.fromkeys(at.place for at in found)
    return Question(text, tuple(filter(tokens, phrases))[:MAX_PHRASES], tuple(places))


class _Found(NamedTuple):
    """Where a place stands in a question: its path ends at ``path_end``, its number at ``end``."""

    start: int
    path_end: int
    end: int
    place: NamedPlace


def _found_places(text: str) -> list[_Found]:
    lines = list(_LINE.finditer(text))
    if len(lines) > MAX_PLACES:  # the frame that failed stands last in one language's traces, first in another's
        lines = [*lines[: MAX_PLACES // 2], *lines[-MAX_PLACES // 2 :]]
    found = []
    for line in lines:
        begins = max(0, line.start() - LONGEST_PATH)
        path = _PATH_BEFORE.search(text[begins : line.start()])
        if path is not None:
            place = NamedPlace(_plain(path[1]), int(line[1]))
            found.append(_Found(begins + path.start(), line.start(), line.end(), place))
    return found


def holds(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether every phrase occurs, whatever its case and white space."""
    low = text.lower()
    return all(_spaced(phrase).search(low) for phrase in phrases)


def tails(path: str) -> list[str]:
    """The path and what is left of it without its first folders, longest first; the bare name only if it is all."""
    parts = path.split("/")[-MAX_FOLDERS:]
    return ["/".join(parts[at:]) for at in range(max(1, len(parts) - 1))]


def place_of(text: str) -> NamedPlace | None:
    """``a/b.py:42``, if that is all of it."""
    text = text.strip()
    found = _found_places(text)
    return found[0].place if found and (found[0].start, found[0].end) == (0, len(text)) else None


def _plain(path: str) -> str:
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in {"", "."})


@lru_cache(maxsize=64)
def _spaced(phrase: str) -> re.Pattern[str]:
    return re.compile(r"\s++".join(map(re.escape, phrase.lower().split())))
