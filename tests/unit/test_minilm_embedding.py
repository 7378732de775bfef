import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from muniment.embedding import minilm
from muniment.embedding.minilm import MAX_WINDOWS, MiniLmEmbedder
from muniment.errors import ModelUnavailable


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


def test_rows_are_float32_of_unit_length(embedder):
    vectors = embedder.embed(["one", "a longer sentence, with punctuation.", "日本語 and ünïcödé 😀"])
    assert vectors.shape == (3, 384) == (3, embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_paraphrase_without_a_common_word_lies_nearest(embedder):
    question, *memories = embedder.embed(
        [
            "customers billed twice",
            "checkout double charge",
            "customers of the bakery like bread",
            "the scheduler skips tainted nodes",
        ]
    )
    assert int(np.argmax(np.stack(memories) @ question)) == 0


@pytest.mark.parametrize("text", ["", " \n", "\x00", "😀", "x" * 101])
def test_a_text_without_a_known_word_is_all_zero(text, embedder):
    assert not embedder.embed([text]).any()


def test_no_texts_give_no_rows(embedder):
    assert embedder.embed([]).shape == (0, 384)


def test_a_vector_does_not_depend_on_its_neighbours(embedder):
    texts = ["short", "a much longer text " * 20, "another"]
    np.testing.assert_array_equal(embedder.embed(texts), np.concatenate([embedder.embed([text]) for text in texts]))


def test_what_stands_after_the_first_window_counts(embedder):
    filler = "the weather was mild and nothing happened. " * 35
    plain, with_fact, fact = embedder.embed([filler, filler + "the lease expires. " * 60, "the lease expires."])
    assert with_fact @ fact > plain @ fact + 0.1


def test_what_stands_after_the_last_window_does_not_count(embedder):
    filler = "word " * (254 * MAX_WINDOWS)
    np.testing.assert_array_equal(embedder.embed([filler]), embedder.embed([filler + "and the lease expires"]))


def test_special_tokens_in_plain_text_are_plain_text(embedder):
    marked, plain = embedder.embed(["[SEP] hello [PAD]", "hello"])
    assert marked @ plain < 0.99


def test_a_lone_surrogate_is_read_as_a_question_mark(embedder):
    np.testing.assert_array_equal(embedder.embed(["why\ud800 not"]), embedder.embed(["why? not"]))


def test_threads_share_one_embedder_and_its_session_is_loaded_once(monkeypatch):
    loads = []
    load = minilm._load_session
    monkeypatch.setattr(minilm, "_load_session", lambda name: loads.append(name) or load(name))
    embedder = MiniLmEmbedder()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: embedder.embed(["the same text"]), range(8)))
    assert loads == [embedder.name]
    for vectors in answers:
        np.testing.assert_array_equal(vectors, answers[0])


def test_weights_other_than_the_tested_ones_are_refused(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(b"something else")
    monkeypatch.setattr(minilm, "files", lambda _: tmp_path)
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        MiniLmEmbedder().embed(["text"])


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(minilm, "files", lambda _: tmp_path)
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        MiniLmEmbedder().embed(["text"])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(minilm, "WEIGHTS_PACKAGE", "no_such_package")
    with pytest.raises(ModelUnavailable, match="no_such_package"):
        MiniLmEmbedder().embed(["text"])


def test_the_runtime_is_loaded_only_with_the_first_text():
    code = """
import sys
from muniment.embedding.minilm import MiniLmEmbedder
embedder = MiniLmEmbedder()
assert embedder.name and embedder.dimensions == 384
assert "onnxruntime" not in sys.modules
embedder.embed(["now"])
assert "onnxruntime" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_rows_made_floats_one_by_one_are_those_of_the_whole_table_bit_by_bit(embedder, monkeypatch):
    texts = ["one", "the lease expires. " * 60, "日本語 and ünïcödé 😀"]
    expected, left_whole = embedder.embed(texts), []
    monkeypatch.setattr(minilm, "rows_before_floats", lambda model: left_whole.append(True) or model)
    np.testing.assert_array_equal(expected, MiniLmEmbedder().embed(texts))
    assert left_whole


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_session_holds_the_table_of_words_as_bytes():
    """The weights are 23 MB of bytes; all but the table (12 MB) are kept as floats, 43 MB."""
    program = """
import onnxruntime
from muniment.embedding.minilm import MiniLmEmbedder
def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous"))
from muniment.process import keep_heap_small
keep_heap_small()
embedder = MiniLmEmbedder()
embedder._windows("loads the tokenizer")
before = anonymous()
embedder.embed(["loads the weights"])
print(anonymous() - before)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert int(ran.stdout) < 75_000
