"""Masks secrets in a text before anything of it is stored, embedded or logged."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from muniment.masking import catalogue, files, keys
from muniment.masking.catalogue import keep_compiled
from muniment.masking.catalogue import load as load_rules
from muniment.masking.spans import Span, disjoint, replace

__all__ = ["MASKING_VERSION", "Masked", "keep_compiled", "load_rules", "mask"]

MASKING_VERSION: Final = 1
"""Raised with every change of what is masked, the library's rules included: an index made with another is made anew."""

_ROUNDS: Final = 16  # a secret that another one hid shows in the next round; two rounds are the rule


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its secrets, and how many of which kind it had, e.g. `{"github pat": 1}`."""

    text: str
    found: Mapping[str, int]


def mask(path: str, text: str) -> Masked:
    """The text with `[masked:kind]` for each secret: every line keeps its number, and masking it again changes nothing.

    `path` only tells what kind of file it is. Raises for no text.
    """
    found: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        spans = _secrets(path, text)
        if not spans:
            break
        text = replace(text, spans, found)
    return Masked(text, dict(found))


def _secrets(path: str, text: str) -> list[Span]:
    return disjoint([*files.values(path, text), *keys.private_keys(text), *catalogue.secrets(path, text)])
