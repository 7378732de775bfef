"""What is indexed of a file, and the words that it is found by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

from muniment.identifiers import WordCache, index_text


@dataclass(frozen=True, slots=True)
class ChunkWords:
    """What is searched of a chunk, as stemmed tokens joined by spaces. Costs more than all the rest of adding it."""

    body: str
    names: str


@dataclass(frozen=True, slots=True)
class LexicalChunk:
    """Lines ``start_line``..``end_line`` (1-based, inclusive) of a file; ``chunk_id`` is unique in the project."""

    chunk_id: int
    path: str
    text: str
    start_line: int
    end_line: int
    symbol: str | None = None
    defines: tuple[str, ...] = ()
    language: str | None = None
    kind: str = "code"
    words: ChunkWords | None = None  # made beforehand, else made of text and ``defines`` when it is added


stem: Final = TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.stemmer("english")).build().analyze
# stemmed once per distinct word: tantivy's own filter would stem every occurrence, for 60% more time in all
WORDS: Final = WordCache(lambda tokens: " ".join(stem(tokens)))


def stems(tokens: Iterable[str]) -> list[str]:
    """Tokens as the index holds them."""
    return [term for token in tokens for term in stem(token)]


def chunk_words(text: str, defines: Sequence[str]) -> ChunkWords:
    return ChunkWords(index_text(text, WORDS), index_text(" ".join(defines), WORDS) if defines else "")


def file_key(path: str) -> int:
    return int.from_bytes(blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
