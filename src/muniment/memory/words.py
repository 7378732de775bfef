"""What the words of a text may add to its meaning: they break ties and lift exact identifiers, no more. Pure.

Fusing meaning with word ranks as equals was measured to push right answers down when the question paraphrases.
"""

import re
from collections.abc import Collection, Set
from functools import lru_cache

WORD = re.compile(r"\w+")
# joined parts count as one token: ORD-1234, config.toml, src/app
TOKEN = re.compile(r"\w+(?:[-./:]\w+)*")
INNER = re.compile(r"[a-z][A-Z]|\w\.\w{2,}")  # innerCapital, deploy.yaml; not e.g.
TIE = 0.01  # most that common words add to a cosine
# Most that identifiers add. Measured: more than 0.2 makes no difference; paraphrases, which hold none, keep theirs.
IDENTIFIER = 0.2
MAX_PARTS = 8  # of a path: a text of slashes must not become a thousand times as long
MIN_IDENTIFIER = 4  # characters: k8s and s3 are words


def lift(query: str, content: str, telling: Collection[str] = ()) -> float:
    """What to add to the cosine when ordering: 0 to TIE + IDENTIFIER.

    ``telling``: the identifiers of the query that tell memories apart; when there are none, all of them count.
    """
    return TIE * coverage(query, content) + IDENTIFIER * _share(set(telling) or identifiers(query), held(content))


def coverage(text: str, other: str) -> float:
    """The share of the distinct words of ``text`` that ``other`` has too, 0 to 1."""
    return _share(_words(text), _words(other))


def foreign_signs(text: str) -> str:
    """All that is not ASCII, in its order: a model that knows no such word or sign takes any of them for any other."""
    return "".join(sign for sign in text.casefold() if not sign.isascii())


@lru_cache(maxsize=64)  # of one query: it is compared with each candidate
def identifiers(text: str) -> frozenset[str]:
    """Tokens that name one thing exactly, in lower case: with a digit, an underscore or a capital within, and files."""
    tokens = TOKEN.findall(text)
    return frozenset(token.lower() for token in tokens if len(token) >= MIN_IDENTIFIER and _is_identifier(token))


def _is_identifier(token: str) -> bool:
    has_letter = any(character.isalpha() for character in token)
    has_digit = any(character.isdigit() for character in token)
    return has_letter and (has_digit or "_" in token.strip("_") or INNER.search(token) is not None)


@lru_cache(maxsize=64)
def _words(text: str) -> frozenset[str]:
    return frozenset(WORD.findall(text.lower()))


def held(text: str) -> set[str]:
    """What an identifier may be the same as: words, joined words, and what a path ends in.

    ``src/app/main.py:12`` holds app/main.py and main.py too.
    """
    joined = set(TOKEN.findall(text.lower()))
    for token in [token for token in joined if "/" in token or ":" in token]:
        parts = token.partition(":")[0].split("/")[-MAX_PARTS:]
        joined.update("/".join(parts[start:]) for start in range(len(parts)))
    return joined | _words(text)


def _share(wanted: Set[str], present: Set[str]) -> float:
    return len(wanted & present) / len(wanted) if wanted else 0.0
