"""Private keys in their armour: PEM, OpenSSH, SSH2 and PGP. Pure.

The library's own rule reaches to the next `KEY-----` wherever that stands: a key without an end, or one masked already,
would take the text between two keys with it. Here a key reaches as far as its lines look like one.
"""

import re
from collections.abc import Iterator
from typing import Final

from muniment.masking.spans import Span

# Every quantifier that repeats is possessive: no character is tried twice.
_BEGIN: Final = re.compile(r"-{4,5} ?BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_GAP: Final = r"(?:\\[nrt]|[\s\\\"'`+,;#*|>().$&])"  # a key in source code stands in string literals or comments
_HEADER: Final = r"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|Subject|MessageID): ?[^\r\n\\\"]{0,200}+"
_TO_ITS_END: Final = re.compile(rf"(?:{_HEADER}|[A-Za-z0-9/=_]++|{_GAP})++(?=-{{4,5}} ?END )")
_WITHOUT_END: Final = re.compile(rf"(?:{_HEADER}|[A-Za-z0-9+/]{{30,}}+={{0,2}}+|{_GAP})++")
_LEADING_GAP: Final = re.compile(rf"{_GAP}*+")
_WORD: Final = re.compile(r"[A-Za-z0-9+/]{16,}+")
_SHORTEST: Final = 40  # characters of Base64; an Ed25519 key has 64


def without_opening_lines(text: str, filler: str) -> str:
    """The text with the filler character over every `-----BEGIN … PRIVATE KEY-----`."""
    if "PRIVATE KEY" not in text:
        return text
    return _BEGIN.sub(lambda begin: filler * len(begin[0]), text)


def private_keys(text: str) -> Iterator[Span]:
    """What stands between the opening and the closing line of each private key."""
    if "PRIVATE KEY" not in text:
        return
    for begin in _BEGIN.finditer(text):
        end = begin.end()
        body = _TO_ITS_END.match(text, end) or _WITHOUT_END.match(text, end)
        if body is None or sum(map(len, _WORD.findall(body[0]))) < _SHORTEST:
            continue
        lead = _LEADING_GAP.match(text, end, body.end())
        yield Span(lead.end() if lead else end, _without_trailing_gap(text, body.end()), "private-key")


def _without_trailing_gap(text: str, end: int) -> int:
    while text[end - 1] in " \t\r\n\"'`+,;\\" or text[end - 2 : end] in ("\\n", "\\r"):
        end -= 2 if text[end - 2 : end] in ("\\n", "\\r") else 1
    return end
