"""What a file keeps of its score for being what it is. Pure."""

from typing import Final

from muniment.languages import is_stub, is_vendored, kind_of
from muniment.ranking.subject import Subject
from muniment.ranking.weights import WEIGHTS, Weights

ASKS_FOR_VENDORED: Final = frozenset({"vendor", "vendored"})
ASKS_FOR_STUBS: Final = frozenset({"pyi", "stub", "stubs"})


def demotion(path: str, kind: str, subject: Subject, weights: Weights = WEIGHTS) -> float:
    """The factor for a file, 1 for one that the question names."""
    if weights.mention and subject.names_file(path):
        return 1.0
    factor = weights.of_kind(kind)
    if kind in subject.mentions:
        factor = max(factor, weights.asked)
    if subject.wants and weights.unwanted < 1.0:
        factor = 1.0 if kind in subject.wants else factor * weights.unwanted
    if is_vendored(path) and ASKS_FOR_VENDORED.isdisjoint(subject.tokens):
        factor *= weights.vendored
    if is_stub(path) and ASKS_FOR_STUBS.isdisjoint(subject.tokens):
        factor *= weights.stub
    return factor


def likeness(path: str, place: str, weights: Weights = WEIGHTS) -> float:
    """The factor for a file that is like a place in another, 1 for code and for whatever the place itself is."""
    kind = kind_of(path)
    factor = weights.of_kind(kind) if kind != kind_of(place) else 1.0
    if is_vendored(path) and not is_vendored(place):
        factor *= weights.vendored
    if is_stub(path) and not is_stub(place):
        factor *= weights.stub
    return float(factor**weights.alike)
