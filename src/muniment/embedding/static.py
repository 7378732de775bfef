"""The static embedder for files: a text's vector is the sum of its tokens' vectors. Thousands of chunks a second.

The vectors are those of model2vec's own path (tokenizer over the whole text, mean, unit length), found faster: BERT's
rules cut a text into words whose tokens never depend on their neighbours, so a bounded cache knows each word's tokens.
"""

import hashlib
import json
import re
import string
import struct
from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from muniment.embedding import Vectors
from muniment.errors import ModelUnavailable

BUNDLED = Path(__file__).parent / "bundled" / "minilm-static-256"
MAX_CACHED_WORDS = 100_000  # some 20 MB; twice as many is slower, for they no longer fit into the processor's cache
BATCH_TEXTS = 4_000
LONGEST_CACHED_WORD = 48  # bytes; what is longer is a digest or a blob, and does not come twice

PUNCTUATION = string.punctuation.encode()
PUNCTUATION_CODES = np.frombuffer(PUNCTUATION, np.uint8)
FOLD = bytes.maketrans(
    string.ascii_uppercase.encode() + PUNCTUATION, string.ascii_lowercase.encode() + b" " * len(PUNCTUATION)
)
# BERT drops control characters without a gap, and str.split() would take some of them for spaces
CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")
SPACES = re.compile(r"[ \t\n\r]+")

MAX_HEADER_BYTES = 1_000_000
DTYPES = {"I8": np.int8, "F16": np.float16, "F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}


class StaticEmbedder:
    """Embeds with a model2vec folder (the bundled model if none is given). Any number of threads may share one.

    Raises ModelUnavailable if the folder does not hold a model.
    """

    def __init__(self, folder: Path | None = None, max_cached_words: int = MAX_CACHED_WORDS) -> None:
        self._source = None if folder is None else str(folder.absolute())
        folder = folder or BUNDLED
        try:
            definition = (folder / "tokenizer.json").read_text(encoding="utf-8")
            self._table = _read_table(folder / "model.safetensors")
            rules = json.loads(definition)
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise ModelUnavailable(str(folder), f"{type(error).__name__}: {error}") from error
        self._name = _model_name(folder, self._table.shape[1])
        tokenizer = bundled_tokenizer() if folder == BUNDLED else _tokenizer(definition)
        self._words = _WordTokens(tokenizer, max_cached_words)
        self._splits_like_bert = _splits_like_bert(rules)
        self._punctuation = np.stack([self._sum_rows(self._words.pack(mark)) for mark in string.punctuation])

    @property
    def name(self) -> str:
        return self._name

    @property
    def source(self) -> str | None:
        return self._source

    @property
    def batch_texts(self) -> int:
        return BATCH_TEXTS

    @property
    def dimensions(self) -> int:
        return int(self._table.shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), rows of unit length (all zero for a text without a known word)."""
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._sum_text(text)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _sum_text(self, text: str) -> Vectors:
        if not self._splits_like_bert:
            return self._sum_rows(self._words.pack(text))
        if text.isascii():
            ascii_part, foreign = text.encode(), []
        else:
            pieces = SPACES.split(_without_surrogates(text))
            ascii_part = " ".join(piece for piece in pieces if piece.isascii()).encode()
            foreign = [piece.encode() for piece in pieces if not piece.isascii()]
        words = ascii_part.translate(FOLD, CONTROLS).split() + foreign
        marks = np.bincount(np.frombuffer(ascii_part, np.uint8), minlength=128)[PUNCTUATION_CODES]
        packed = b"".join(map(self._words.__getitem__, words))
        return self._sum_rows(packed) + cast(Vectors, marks.astype(np.float32) @ self._punctuation)

    def _sum_rows(self, packed: bytes) -> Vectors:
        ids, counts = np.unique(np.frombuffer(packed, np.uintc), return_counts=True)
        rows = self._table.take(ids, axis=0).astype(np.float32)
        return cast(Vectors, counts.astype(np.float32) @ rows)


class _WordTokens(dict[bytes, bytes]):
    """Word (UTF-8; lower case and without punctuation if it is ASCII) → its token ids, packed as C unsigned ints.

    When it is full it starts anew: a new project's words matter more than those of the last.
    """

    def __init__(self, tokenizer: Tokenizer, limit: int) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._model = tokenizer.model
        self._limit = limit
        unknown = getattr(tokenizer.model, "unk_token", None)
        self._unknown = tokenizer.token_to_id(unknown) if unknown else None

    def __missing__(self, word: bytes) -> bytes:
        if word.isascii():  # folded already, so the model alone decides: a third of the time
            packed = self._pack([token.id for token in self._model.tokenize(word.decode())])
        else:
            packed = self.pack(word.decode())
        if len(word) <= LONGEST_CACHED_WORD:
            if len(self) >= self._limit:
                self.clear()
            self[word] = packed
        return packed

    def pack(self, text: str) -> bytes:
        """Token ids of any text, by the reference path."""
        return self._pack(self._tokenizer.encode(_without_surrogates(text), add_special_tokens=False).ids)

    def _pack(self, ids: Sequence[int]) -> bytes:
        return array("I", [number for number in ids if number != self._unknown]).tobytes()


@cache
def bundled_tokenizer() -> Tokenizer:
    """One for all in the process that use it; threads may share it."""
    return _tokenizer((BUNDLED / "tokenizer.json").read_text(encoding="utf-8"))


def _tokenizer(definition: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(definition)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _without_surrogates(text: str) -> str:
    """The tokenizer refuses lone surrogates, which undecodable bytes may have become."""
    return text.encode("utf-8", "replace").decode()


def _splits_like_bert(rules: Mapping[str, Any]) -> bool:
    """Whether the tokenizer's rules are those that the split into words above reproduces."""
    normalizer, pre_tokenizer = rules.get("normalizer") or {}, rules.get("pre_tokenizer") or {}
    return bool(
        normalizer.get("type") == "BertNormalizer"
        and normalizer.get("clean_text")
        and normalizer.get("lowercase")
        and pre_tokenizer.get("type") == "BertPreTokenizer"
    )


def _read_table(path: Path) -> NDArray[Any]:
    """One row per token id. The bundled table is mapped, so that all processes share its pages."""
    tensors = _map_tensors(path)
    table = tensors["embeddings"] if "embeddings" in tensors else tensors["embedding.weight"]
    if "mapping" in tensors:
        table = table[tensors["mapping"]]
    if "weights" in tensors:
        table = table.astype(np.float32) * tensors["weights"].astype(np.float32)[:, None]
    return table


def _map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"{path.name} is not a safetensors file")
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name: np.memmap(
            path, DTYPES[entry["dtype"]], "r", offset=8 + size + entry["data_offsets"][0], shape=tuple(entry["shape"])
        ).view(np.ndarray)
        for name, entry in header.items()
    }


def _model_name(folder: Path, dimensions: int) -> str:
    """Changes with the content, and may be part of a collection's name."""
    digest = hashlib.sha256()
    for part in ("model.safetensors", "tokenizer.json"):
        digest.update((folder / part).read_bytes())
    slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-").removesuffix(f"-{dimensions}")[:32]
    return f"{slug or 'static'}-{digest.hexdigest()[:8]}-{dimensions}"
