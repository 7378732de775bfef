"""Which files hold what a question quotes. The index keeps no positions, so texts that hold all the words are read."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from muniment.lexical import LexicalReader
from muniment.ranking import Candidate, Subject, demotion
from muniment.search.asking import Asked
from muniment.search.questions import holds

PATIENCE: Final = 0.2  # seconds; a chunk takes 25 to 50 µs
FIRST_ROUND: Final = 200  # chunks: of rare words that is all
GROWTH: Final = 4
SPARE: Final = 5  # files beyond those that are wanted: some may be gone


@dataclass(frozen=True, slots=True)
class Phrased:
    """``files``: by path the best chunk that holds every phrase, best file first; ``looked_at``: chunks that hold all
    the words; ``complete``: either that is all of them, or no other can come before as many files as were wanted, by
    the score of its words and whatever its kind."""

    files: dict[str, Candidate]
    looked_at: int
    complete: bool

    def notes(self, asked: Asked) -> list[str]:
        phrases = asked.question.phrases
        quoted = " and ".join(f"“{phrase}”" for phrase in phrases)
        if self.complete:
            together = " together" if len(phrases) > 1 else ""
            passing = " that passes the filters" if asked.filters else ""
            missing = f"No indexed passage{passing} holds the words {quoted}{together} as they stand"
            return [] if self.files else [f"{missing}: answered without the quotes."]
        bound = (
            f"Of what holds the words of {quoted}, only the best {self.looked_at:,} places could be looked at in time"
        )
        told = (
            "more files may hold it" if self.files else "none of them holds it as it stands, so the quotes are left out"
        )
        return [f"{bound}: {told}. A path filter or another word of the phrase makes them fewer."]


def with_phrases(lexical: LexicalReader, asked: Asked, wanted: int, clock: Callable[[], float]) -> Phrased:
    """Goes on until no other file can come before the ``wanted`` best, or there are no more chunks, or ``PATIENCE`` is
    over. ``clock`` tells seconds."""
    phrases, filters = asked.question.phrases, asked.filters
    began, most, looked_at = clock(), FIRST_ROUND, 0
    files: dict[str, Candidate] = {}
    read = lexical.with_all_words(" ".join(phrases), asked.words, filters.globs, filters.language, filters.kind)
    while True:
        found = read(looked_at, most)
        for chunk, score in found:
            if chunk.path not in files and holds(chunk.text, phrases):
                files[chunk.path] = Candidate(chunk.path, chunk.chunk_id, chunk.kind, score)
        looked_at += len(found)
        if len(found) < most or _ahead(files.values(), found[-1][1], asked) >= wanted + SPARE:
            return Phrased(files, looked_at, complete=True)
        took = clock() - began
        most = GROWTH * most if not took else min(GROWTH * most, round((PATIENCE - took) * looked_at / took))
        if most < FIRST_ROUND:
            return Phrased(files, looked_at, complete=False)


def _ahead(files: Collection[Candidate], score: float, asked: Asked) -> int:
    """How many stay before every file whose words score no better than ``score``: ranking demotes kinds afterwards."""
    subject = Subject.of(asked.question.text)
    score *= demotion("", asked.filters.kind, subject) if asked.filters.kind else 1.0
    return sum(file.score * demotion(file.path, file.kind, subject) >= score for file in files)
