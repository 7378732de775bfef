"""Chunks a second of both embedders over a real tree, and how near they are to their reference paths.

python benchmarks/embedding.py [TREE] [--chunks 5000]
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from muniment.embedding import Embedder, Vectors
from muniment.embedding.minilm import MiniLmEmbedder
from muniment.embedding.static import BUNDLED, StaticEmbedder

CHUNK_CHARS = 1500
BATCH = 500


def chunks(tree: Path) -> Iterator[str]:
    """Text files below ``tree``, in order of their paths, cut at lines."""
    for folder, folders, names in os.walk(tree):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            raw = Path(folder, name).read_bytes() if Path(folder, name).is_file() else b""
            if b"\0" in raw or len(raw) > 1_000_000:
                continue
            chunk = ""
            for line in raw.decode(errors="replace").splitlines(keepends=True):
                if chunk and len(chunk) + len(line) > CHUNK_CHARS:
                    yield chunk
                    chunk = ""
                chunk += line
            if chunk.strip():
                yield chunk


def timed(embedder: Embedder, texts: list[str]) -> tuple[Vectors, list[str]]:
    """Vectors, and texts a second by the wall and by the processor: on a busy machine only the second means much."""
    wall, processor = time.perf_counter(), time.process_time()
    vectors = np.concatenate([embedder.embed(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)])
    spent = time.perf_counter() - wall, time.process_time() - processor
    return vectors, [f"{len(texts) / seconds:,.0f}" for seconds in spent]


class ReferenceEmbedder:
    """The tokenizer over whole chunks, then the sum of rows: what the word cache replaces."""

    name = "static, tokenizer over whole chunks"
    dimensions = 256

    def __init__(self) -> None:
        self._tokenizer = Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))
        raw = (BUNDLED / "model.safetensors").read_bytes()
        header = int.from_bytes(raw[:8], "little")
        self._table = np.frombuffer(raw, np.int8, offset=8 + header).reshape(-1, self.dimensions)

    def embed(self, texts: Sequence[str]) -> Vectors:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        sums = np.stack([self._table[encoding.ids].sum(axis=0, dtype=np.float32) for encoding in encodings])
        return cast(Vectors, sums / (np.linalg.norm(sums, axis=1, keepdims=True) + np.float32(1e-32)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--chunks", type=int, default=5000)
    arguments = parser.parse_args()
    texts = list(islice(chunks(arguments.tree), arguments.chunks))
    static, minilm = StaticEmbedder(), MiniLmEmbedder()
    expected, reference_rate = timed(ReferenceEmbedder(), texts)
    vectors, cold = timed(static, texts)
    _, warm = timed(static, texts)
    minilm.embed(["load"])
    _, minilm_chunks = timed(minilm, texts[:20])
    _, minilm_sentences = timed(minilm, [text[:80] for text in texts[:100]])
    known = np.linalg.norm(expected, axis=1) > 0
    title = f"{len(texts)} chunks, {np.mean([*map(len, texts)]):.0f} characters each"
    table = Table("embedder", "input", "texts/s", "texts/processor second", title=title)
    table.add_row(ReferenceEmbedder.name, "chunks", *reference_rate)
    table.add_row(static.name, "chunks, empty word cache", *cold)
    table.add_row(static.name, "chunks, warm word cache", *warm)
    table.add_row(minilm.name, "chunks", *minilm_chunks)
    table.add_row(minilm.name, "80 characters", *minilm_sentences)
    Console().print(table)
    print(f"Least cosine of a static vector to its reference: {(vectors * expected).sum(axis=1)[known].min():.7f}")


if __name__ == "__main__":
    main()
