"""Words as programmers write them. Pure: the index and the questions both go through here, so they always agree.

A compound word counts whole and in parts: ``HTTPServer`` is httpserver, http and server.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

MAX_WORD: Final = 64  # longer runs are hashes and encoded data: nobody asks for them, and they swell the dictionary
MAX_CACHED_WORDS: Final = 200_000  # about 40 MB; a large tree has half a million distinct words, most of them once

_WORD = re.compile(r"\w+")
_ASCII_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SHAPE_PART = re.compile(r"U+(?!l)|U?l+|d+|o+")
# One character to one character, so that str.translate keeps its fast path for ASCII text.
_ASCII_WORDS: Final = "".join(chr(i) if chr(i).isalnum() or chr(i) == "_" else " " for i in range(128))

STOP_WORDS: Final = frozenset(
    _WORD.findall(
        """a about all also an and any are as at be been but by can cannot could did do does doing for from get gets had
        has have how i if in instead into is it its just let like make makes me more my need needs no not now of on only
        or our out over should so some such than that the their them then there these they this those to too up us use
        used uses using via want was we were what when where which while who why will with without would you your"""
    )
)

# What is to be done, or was: questions for a change hold one, whatever part of the code they are about.
TASK_WORDS: Final = frozenset(
    _WORD.findall(
        """add added adding adds allow allows better bug bugfix bugs change changed changes changing clean cleanup
        correct correctly create creates drop dropped ensure fix fixed fixes fixing handle handling implement
        implemented implements improve improved improves improving introduce issue issues merge minor missing move moved
        moving possible proper properly refactor refactored refactoring remove removed removes removing rename renamed
        support supports update updated updates updating"""
    )
)


def _shape(character: str) -> str:
    if character.isupper():
        return "U"
    if character.islower():
        return "l"
    if character.isdigit():
        return "d"
    return "o" if character.isalpha() else "_"


def _unicode_parts(word: str) -> Iterator[str]:
    for match in _SHAPE_PART.finditer("".join(map(_shape, word))):
        part = word[match.start() : match.end()]
        if match.group()[0] != "o" or len(part) < 3:
            yield part
        else:
            # scripts without case or spaces: every two neighbours are a word
            yield from (part[i : i + 2] for i in range(len(part) - 1))


def _split(word: str) -> list[str]:
    """The lower-cased word, then its parts if they say anything more than the whole does."""
    if len(word) > MAX_WORD:
        return []
    whole = word.lower()
    found = _ASCII_PART.findall(word) if word.isascii() else _unicode_parts(word)
    return [whole, *(part for part in map(str.lower, found) if len(part) > 1 and part != whole)]


class WordCache(dict[str, str]):
    """word -> its tokens joined by spaces, in a form that ``finish`` may still change (a stemmer does).

    ``__missing__`` keeps the hot path inside the interpreter's own code. Bounded; safe for threads.
    """

    def __init__(self, finish: Callable[[str], str] = str) -> None:
        super().__init__()
        self._finish = finish

    def __missing__(self, word: str) -> str:
        if len(self) >= MAX_CACHED_WORDS:
            self.clear()
        joined = self[word] = self._finish(" ".join(_split(word)))
        return joined


_PLAIN = WordCache()


def index_text(text: str, words: WordCache = _PLAIN) -> str:
    """The text's tokens in order, joined by spaces, for a tokenizer that splits at white space."""
    found = text.translate(_ASCII_WORDS).split() if text.isascii() else _WORD.findall(text)
    return " ".join(map(words.__getitem__, found))


def tokens(text: str) -> list[str]:
    """Lower-cased words of the text, in order; compound words whole and then in parts."""
    return index_text(text).split()


def question_tokens(question: str) -> list[str]:
    """Distinct tokens of a question in order, without stop words unless it has nothing else."""
    distinct = list(dict.fromkeys(tokens(question)))
    return [token for token in distinct if token not in STOP_WORDS] or distinct
