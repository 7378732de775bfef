import json
import re
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer

from muniment.embedding.static import BUNDLED, StaticEmbedder
from muniment.errors import ModelUnavailable

TRICKY = {
    "code": 'func (m *managerImpl) Start(provider DiskInfoProvider) error {\n\treturn fmt.Errorf("%v", err)\n}\n',
    "snake and camel case": "get_job_status getJobStatus HTTPServer2 __init__ a.b.c->d::e",
    "accents": "Crème brûlée, naïve façade, Ångström, ÉCOLE, Straße, İstanbul",
    "decomposed accents": "Cre\u0300me bru\u0302le\u0301e e \u0301 x",
    "CJK": "日本語のテキスト and 中文mixed混合words 한국어",
    "other scripts": "Привет, мир! שלום עולם مرحبا Ελληνικά Σίσυφος ไทย हिन्दी",
    "symbols": "a→b ≠ c … “quoted” — dash ©2024 €5 ½ x² 😀👍🏽 foo™bar",
    "spaces": "a\u00a0b\u2003c\u3000d\u2028e\u200bf\ufeffg\x85h",
    "control characters": "a\x00b c\x0bd e\x0cf g\x1ch\x7fi \ufffd \x1b[31mred\x1b[0m",
    "line ends": "one\r\ntwo\rthree\n\n\tfour  five",
    "a very long word": "x" * 101 + " " + "word" * 300 + " short " + "é" * 150,
    "a long word with punctuation": "/".join(["usr", "lib", "python3"] * 80),
    "special tokens in plain text": "[CLS] hello [SEP] [PAD] [MASK] [UNK] [unused1] ##ing",
    "only punctuation": "{}()[];:,.<>/?!@#$%^&*-_=+|\\~`'\"",
    "digests": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 0xDEADBEEF",
    "a mix of all": "if (größe >= 10) { // 検査: prüfe «alles» \x0c naïveté\n}",
}


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))


@pytest.fixture(scope="module")
def table() -> NDArray[np.float32]:
    raw = (BUNDLED / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    shape = json.loads(raw[8 : 8 + size])["embeddings"]["shape"]
    return np.frombuffer(raw, np.int8, offset=8 + size).reshape(shape).astype(np.float32)


def reference(text: str, tokenizer: Tokenizer, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """The textbook way: the tokenizer over the whole text, the sum of its tokens' rows, unit length."""
    total = table[tokenizer.encode(text, add_special_tokens=False).ids].sum(axis=0)
    length = np.linalg.norm(total)
    return total / length if length else total


@pytest.mark.parametrize("text", TRICKY.values(), ids=TRICKY.keys())
def test_a_vector_is_the_one_of_the_tokenizer_over_the_whole_text(text, embedder, tokenizer, table):
    expected = reference(text, tokenizer, table)
    assert np.linalg.norm(expected) > 0.99
    assert embedder.embed([text])[0] @ expected > 0.9999


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aB1 \t\n\x0b\x85_.é中"))))
def test_any_text_has_the_vector_of_the_whole_tokenizer(embedder, tokenizer, table, text):
    np.testing.assert_allclose(embedder.embed([text])[0], reference(text, tokenizer, table), atol=1e-5)


def test_rows_are_float32_of_unit_length(embedder):
    vectors = embedder.embed(list(TRICKY.values()))
    assert vectors.shape == (len(TRICKY), embedder.dimensions) == (len(TRICKY), 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x1f", "x" * 101])
def test_a_text_without_a_known_word_is_all_zero(text, embedder):
    assert not embedder.embed([text]).any()


def test_no_texts_give_no_rows(embedder):
    assert embedder.embed([]).shape == (0, 256)


def test_a_lone_surrogate_is_read_as_a_question_mark(embedder):
    np.testing.assert_array_equal(embedder.embed(["why\ud800 not"]), embedder.embed(["why? not"]))


def test_a_vector_does_not_depend_on_its_neighbours_or_on_what_came_before(embedder):
    texts = list(TRICKY.values())
    fresh = np.concatenate([StaticEmbedder().embed([text]) for text in texts[:4]])
    np.testing.assert_array_equal(embedder.embed(texts)[:4], fresh)


def test_a_full_word_cache_starts_anew_and_changes_no_vector(embedder):
    small = StaticEmbedder(max_cached_words=3)
    texts = list(TRICKY.values())
    np.testing.assert_array_equal(small.embed(texts), embedder.embed(texts))
    assert len(small._words) <= 3


def test_long_words_do_not_fill_the_cache():
    embedder = StaticEmbedder()
    embedder.embed(["a" * 90 + " " + "b" * 5000])
    assert not embedder._words


def test_threads_share_one_embedder(embedder):
    shared = StaticEmbedder(max_cached_words=5)
    texts = list(TRICKY.values())
    expected = embedder.embed(texts)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(shared.embed, [texts] * 20):
            np.testing.assert_array_equal(vectors, expected)


def test_related_texts_lie_closer_than_unrelated_ones(embedder):
    question, answer, other = embedder.embed(
        [
            "how are pods evicted under memory pressure",
            "func (m *managerImpl) synchronize() { // kubelet eviction manager: reclaim node memory, evict a pod }",
            "render the html button with a blue border",
        ]
    )
    assert question @ answer > question @ other + 0.2


def test_the_name_holds_model_content_and_dimensions_and_fits_a_collection(embedder):
    assert re.fullmatch(r"minilm-static-[0-9a-f]{8}-256", embedder.name)
    assert len(embedder.name) < 40


def model_folder(path: Path, tensors: dict[str, NDArray[np.generic]], rules: dict[str, object]) -> Path:
    """A model2vec folder with the given tensors and tokenizer."""
    path.mkdir(parents=True)
    kinds = {"int8": "I8", "float16": "F16", "float32": "F32", "int64": "I64"}
    header, data = {}, b""
    for name, tensor in tensors.items():
        end = len(data) + tensor.nbytes
        header[name] = {"dtype": kinds[tensor.dtype.name], "shape": tensor.shape, "data_offsets": [len(data), end]}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (path / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")
    return path


def word_level_rules(words: list[str]) -> dict[str, object]:
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "?"},
    }


def test_another_content_has_another_name(tmp_path, embedder):
    copy = tmp_path / "Mini LM_static-256"
    shutil.copytree(BUNDLED, copy)
    changed = bytearray((copy / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (copy / "model.safetensors").write_bytes(changed)
    name = StaticEmbedder(copy).name
    assert re.fullmatch(r"mini-lm-static-[0-9a-f]{8}-256", name)
    assert name[-12:] != embedder.name[-12:]


def test_a_folder_with_another_kind_of_tokenizer_is_read_by_its_own_rules(tmp_path):
    rows = np.array([[0, 0], [1, 0], [0, 1]], np.float16)
    embedder = StaticEmbedder(
        model_folder(tmp_path / "words", {"embeddings": rows}, word_level_rules(["?", "A.b", "c"]))
    )
    np.testing.assert_array_equal(embedder.embed(["A.b unknown", "c", "a.b"]), [[1, 0], [0, 1], [0, 0]])


def test_unknown_words_are_left_out_even_if_their_row_is_not_zero(tmp_path):
    rows = np.array([[5, 5], [1, 0]], np.float32)
    embedder = StaticEmbedder(model_folder(tmp_path / "words", {"embeddings": rows}, word_level_rules(["?", "known"])))
    np.testing.assert_array_equal(embedder.embed(["known stranger", "stranger"]), [[1, 0], [0, 0]])


def test_a_quantised_vocabulary_with_weights_is_unfolded(tmp_path):
    tensors = {
        "embeddings": np.array([[1, 0], [0, 1]], np.int8),
        "mapping": np.array([0, 0, 1], np.int64),
        "weights": np.array([1, 3, 4], np.float32),
    }
    embedder = StaticEmbedder(model_folder(tmp_path / "words", tensors, word_level_rules(["?", "left", "right"])))
    np.testing.assert_allclose(embedder.embed(["left right"]), [[0.6, 0.8]], atol=1e-6)


@pytest.mark.parametrize("damage", ["missing", "truncated", "not safetensors", "tokenizer is not JSON"])
def test_a_folder_without_a_sound_model_says_so(tmp_path, damage):
    folder = tmp_path / "model"
    if damage != "missing":
        shutil.copytree(BUNDLED, folder)
    if damage == "truncated":
        (folder / "model.safetensors").write_bytes((BUNDLED / "model.safetensors").read_bytes()[:5000])
    if damage == "not safetensors":
        (folder / "model.safetensors").write_bytes(b"<!DOCTYPE html>")
    if damage == "tokenizer is not JSON":
        (folder / "tokenizer.json").write_text("version https://git-lfs")
    with pytest.raises(ModelUnavailable, match=str(folder)):
        StaticEmbedder(folder)
