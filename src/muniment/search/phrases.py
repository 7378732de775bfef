"""Which files hold what a question quotes. The index keeps no positions, so texts that hold all the words are read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from muniment.lexical import LexicalReader
from muniment.ranking import Candidate
from muniment.search.asking import Asked
from muniment.search.questions import holds

PATIENCE: Final = 0.2  # seconds; a chunk takes 25 to 50 µs
FIRST_ROUND: Final = 200  # chunks: of rare words that is all
GROWTH: Final = 4  # each round reads again what those before it read
SPARE: Final = 5  # files beyond the limit: some may be gone


@dataclass(frozen=True, slots=True)
class Phrased:
    """``files``: by path the best chunk that holds every phrase, best file first; ``looked_at``: chunks that hold all
    the words; ``complete``: no file that belongs in the answer can have been missed."""

    files: dict[str, Candidate]
    looked_at: int
    complete: bool

    def notes(self, phrases: tuple[str, ...]) -> list[str]:
        quoted = " and ".join(f"“{phrase}”" for phrase in phrases)
        if self.complete:
            return [] if self.files else [f"Nothing indexed holds {quoted} as it stands: answered without the quotes."]
        bound = (
            f"Of what holds the words of {quoted}, only the best {self.looked_at:,} places could be looked at in time"
        )
        told = (
            "more files may hold it" if self.files else "none of them holds it as it stands, so the quotes are left out"
        )
        return [f"{bound}: {told}. A path filter or another word of the phrase makes them fewer."]


def with_phrases(lexical: LexicalReader, asked: Asked, clock: Callable[[], float]) -> Phrased:
    """Goes on until there are files enough, or no more chunks, or ``PATIENCE`` is over. ``clock`` tells seconds."""
    phrases, filters = asked.question.phrases, asked.filters
    began, most, read, looked_at = clock(), FIRST_ROUND, 0, 0
    files: dict[str, Candidate] = {}
    while True:
        found = lexical.with_all_words(
            " ".join(phrases), asked.words, most, filters.globs, filters.language, filters.kind
        )
        for chunk, score in found[looked_at:]:
            if chunk.path not in files and holds(chunk.text, phrases):
                files[chunk.path] = Candidate(chunk.path, chunk.chunk_id, chunk.kind, score)
        read, looked_at = read + most, len(found)
        if looked_at < most or len(files) >= asked.limit + SPARE:
            return Phrased(files, looked_at, complete=True)
        took = clock() - began
        reach = GROWTH * most if not took else min(GROWTH * most, round((PATIENCE - took) * read / took))
        if reach <= most:
            return Phrased(files, looked_at, complete=False)
        most = reach
