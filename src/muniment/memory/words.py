"""What the words of a text may add to its meaning: they break ties and lift exact identifiers, no more. Pure.

Fusing meaning with word ranks as equals was measured to push right answers down when the question paraphrases.
"""

import re

WORD = re.compile(r"\w+")
# joined parts count as one token: ORD-1234, config.toml, src/app
TOKEN = re.compile(r"\w+(?:[-./:]\w+)*")
TIE = 0.01  # most that common words add to a cosine
IDENTIFIER = 0.1  # most that identifiers add
MIN_IDENTIFIER = 4  # characters: k8s and s3 are words


def lift(query: str, content: str) -> float:
    """What to add to the cosine when ordering: 0 to TIE + IDENTIFIER."""
    return TIE * coverage(query, content) + IDENTIFIER * _share(identifiers(query), _tokens(content))


def coverage(text: str, other: str) -> float:
    """The share of the distinct words of ``text`` that ``other`` has too, 0 to 1."""
    return _share(_words(text), _words(other))


def identifiers(text: str) -> set[str]:
    """Tokens that name one thing exactly: with a digit, an underscore or a capital within; in lower case."""
    return {token.lower() for token in TOKEN.findall(text) if len(token) >= MIN_IDENTIFIER and _is_identifier(token)}


def _is_identifier(token: str) -> bool:
    has_letter = any(character.isalpha() for character in token)
    has_digit = any(character.isdigit() for character in token)
    return has_letter and (has_digit or "_" in token.strip("_") or re.search(r"[a-z][A-Z]", token) is not None)


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))


def _tokens(text: str) -> set[str]:
    return set(TOKEN.findall(text.lower())) | _words(text)


def _share(wanted: set[str], present: set[str]) -> float:
    return len(wanted & present) / len(wanted) if wanted else 0.0
