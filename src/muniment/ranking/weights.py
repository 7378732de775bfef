"""Every number that ranking depends on, and the rules that they belong to.

The numbers are round on purpose: a third digit would tell of the questions that they were chosen by, not of code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from muniment.languages import Kind


@dataclass(frozen=True, slots=True)
class Weights:
    # by words
    body: float = 1.0  # BM25 of a chunk's text: the measure of the other fields
    path: float = 0.7  # a word of the question in the file's path says what the file is about
    names: float = 0.7  # a name defined in the chunk counts more than its mere use
    symbol: float = 1.0  # on top of that, for an identifier that the question writes out
    phrase: float = 1.0  # on top of its score, for a file that holds what the question quotes beside other words
    task: float = 0.5  # a word that says what is to be done ("fix", "add") tells less of where
    decay: float = 0.3  # each further chunk of a file adds this share of what the one before added
    depth: int = 8  # further chunks add too little to be worth counting
    # by meaning
    meaning: float = 0.25  # worth of the vectors' list beside the words' list, which counts 1
    exact: float = 0.4  # of that, for a symbol, a path or an error message: those are found by their letters
    # on a file's score
    test: float = 0.3  # kept by a test: it repeats the words of what it tests, more often than the code does
    doc: float = 0.3  # by a document: it tells about the code in the question's own words
    example: float = 0.3  # uses much and decides nothing
    config: float = 0.5  # names much and does little
    other: float = 0.5  # data and patches hold any word
    stub: float = 0.5  # on top of the kind: declares what others do
    vendored: float = 0.6  # on top of the kind: other people's code
    # Not 1: a question that holds the word is oftener about the code ("the test client loses cookies").
    asked: float = 0.4  # kept at least by a kind that the question has a word for
    unwanted: float = 0.5  # kept by every other kind when the question plainly asks for one, which keeps all
    mention: float = 0.5  # added for a file that the question names
    # on the score of a file that is like a place in another: the power to which the kind's share is raised. A test that
    # is like the code is oftenest the test of it: behind the code that is as like, not behind all code.
    alike: float = 0.25

    def of_kind(self, kind: str) -> float:
        """What a file of this kind keeps of its score."""
        kept: float = getattr(self, kind) if kind != Kind.CODE else 1.0
        return kept


WEIGHTS: Final = Weights()


@dataclass(frozen=True, slots=True)
class Rule:
    """``off``: the weights with which ranking does as if there were no such rule."""

    name: str
    says: str
    off: Mapping[str, float]


_EVERY_KIND_ALIKE: Final = dict.fromkeys(("test", "doc", "example", "config", "other"), 1.0)
RULES: Final = (
    Rule("path", "a word in the file's path counts", {"path": 0.0}),
    Rule("definition", "a name that the chunk defines counts more than its use", {"names": 0.0, "symbol": 0.0}),
    Rule("symbol", "most of all an identifier that the question writes out", {"symbol": 0.0}),
    Rule("task words", "what is to be done counts half", {"task": 1.0}),
    Rule("coherence", "several good chunks lift their file", {"decay": 0.0}),
    Rule("exact questions", "meaning counts less for symbols, paths and error messages", {"exact": 1.0}),
    Rule("kind", "tests, documents, examples, configuration and data stand behind code", _EVERY_KIND_ALIKE),
    Rule("stubs", "declarations stand behind what they declare", {"stub": 1.0}),
    Rule("vendored", "other people's code stands behind the project's", {"vendored": 1.0}),
    Rule("word for a kind", "a little less so when the question has a word for that kind", {"asked": 0.0}),
    Rule("kind asked for", "not at all when it plainly asks for it, and then the others do", {"unwanted": 1.0}),
    Rule("mention", "a file that the question names comes first", {"mention": 0.0}),
)


def without(rule: Rule, weights: Weights = WEIGHTS) -> Weights:
    return replace(weights, **rule.off)  # type: ignore[arg-type]


PLAIN: Final = replace(WEIGHTS, **{name: off for rule in RULES for name, off in rule.off.items()})  # type: ignore[arg-type]
