"""An embedder behind a URL: any server that speaks OpenAI's ``POST /v1/embeddings``.

Texts are sent whole; whether the server truncates what its model cannot read is the server's to say. A request that
it refuses as one too long, or of too many texts, is sent again in halves, down to the halves of a single text: then the
text's vector is the mean of theirs, by length, so that nothing of it goes unread.
"""

import json
import math
import re
import threading
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from muniment.embedding import Vectors
from muniment.errors import EmbedderRefused, EmbedderUnavailable

BATCH_TEXTS = 32  # as many as one common server takes unless told otherwise; the others take more
BATCH_CHARACTERS = 64_000
SHORTEST_HALVED = 200  # characters; a text as short as that was not refused for its length
CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 10.0  # for the first byte of an answer about few texts
TEXTS_PER_PATIENCE = 8  # so many more may take as long again: a small model without a GPU

PERHAPS_TOO_LONG = {400, 413, 422}
TRY_AGAIN = {408, 425, 429}
LONGEST_DETAIL = 300


class _Item(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    data: list[_Item]


class RemoteEmbedder:
    """Connects with the first text, never before (so not before a fork); threads may share one embedder.

    ``embed`` raises EmbedderUnavailable when the server is away, overloaded or too slow, and EmbedderRefused when it
    says no or answers nonsense; neither ever shows the key.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        dimensions: int | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """``url``: the base, as http://host:8080/v1. ``dimensions``: asked for when given. Raises ValueError when
        the URL is none.
        """
        self._url = url.rstrip("/")
        self._model = model
        self._key = key
        self._asked_dimensions = self._dimensions = dimensions
        self._patience = patience
        self._name = _model_name(self._url, model, dimensions)
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    @classmethod
    def from_source(cls, source: str, *, key: str | None = None) -> Self:
        """The embedder of a recorded ``source``. Raises ValueError when it is none."""
        url, _, fragment = source.partition("#")
        given = parse_qs(fragment)
        if "model" not in given:
            raise ValueError(f"{source} names no model")
        dimensions = given.get("dimensions")
        return cls(url, given["model"][0], key=key, dimensions=int(dimensions[0]) if dimensions else None)

    @property
    def name(self) -> str:
        return self._name

    @property
    def source(self) -> str | None:
        """The URL, with model and dimensions as its fragment."""
        given = {"model": self._model, "dimensions": self._asked_dimensions}
        return f"{self._url}#{urlencode({name: value for name, value in given.items() if value is not None})}"

    @property
    def batch_texts(self) -> int:
        return BATCH_TEXTS

    @property
    def dimensions(self) -> int:
        """Asks the server if neither the settings nor an earlier answer said it."""
        if self._dimensions is None:
            self._embed_batch(["dimensions"])
        assert self._dimensions is not None
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), rows of unit length (all zero for a blank text, which is not sent)."""
        sent = [row for row, text in enumerate(texts) if text.strip()]
        # JSON cannot hold a lone surrogate
        clean = [texts[row].encode("utf-8", "replace").decode() for row in sent]
        parts = [self._embed_batch(batch) for batch in _batches(clean)]
        vectors = np.zeros((len(texts), self.dimensions if texts else self._dimensions or 0), np.float32)
        if parts:
            vectors[sent] = np.concatenate(parts)
        return vectors

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _embed_batch(self, texts: list[str]) -> Vectors:
        response = self._post(texts)
        halves = _halves(texts) if response.status_code in PERHAPS_TOO_LONG else []
        if not halves:
            return self._read(response, len(texts))
        parts = [self._embed_batch(half) for half in halves]
        if len(texts) > 1:
            return np.concatenate(parts)
        total = sum(np.float64(len(half[0])) * part for half, part in zip(halves, parts, strict=True))
        return _unit(np.asarray(total, np.float64))

    def _post(self, texts: list[str]) -> httpx.Response:
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        if self._asked_dimensions is not None:
            body["dimensions"] = self._asked_dimensions
        seconds = self._patience * (1 + len(texts) / TEXTS_PER_PATIENCE)
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            return self._connected().post(f"{self._url}/embeddings", json=body, timeout=timeout)
        except httpx.TimeoutException as error:
            raise EmbedderUnavailable(self._url, f"no answer within {seconds:.3g} s") from error
        except httpx.HTTPError as error:
            raise EmbedderUnavailable(self._url, self._without_key(str(error) or type(error).__name__)) from error
        except httpx.InvalidURL as error:
            raise self._refused(f"the URL cannot be used: {error}") from error

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
                self._client = httpx.Client(headers=headers)
            return self._client

    def _read(self, response: httpx.Response, count: int) -> Vectors:
        """Shape (count, dimensions), in the order of the texts."""
        status = response.status_code
        if status in TRY_AGAIN or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise EmbedderUnavailable(self._url, self._said(response), _retry_after(response))
        if not response.is_success:
            raise self._refused(self._said(response))
        try:
            items = sorted(_Answer.model_validate_json(response.content).data, key=lambda item: item.index)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            raise self._refused(f"its answer is no list of embeddings ({where}: {first['msg']})") from error
        if [item.index for item in items] != list(range(count)):
            raise self._refused(f"for {count} texts it answered {len(items)} embeddings, or other indexes than theirs")
        return self._checked([item.embedding for item in items])

    def _checked(self, rows: list[list[float]]) -> Vectors:
        lengths = {len(row) for row in rows}
        with self._lock:
            expected = self._dimensions or len(rows[0])
            if lengths != {expected} or not expected:
                found = ", ".join(map(str, sorted(lengths)))
                raise self._refused(f"its vectors have {found} dimensions where {expected or 'some'} were expected")
            self._dimensions = expected
        vectors = np.array(rows, np.float64)
        if not np.isfinite(vectors).all():
            raise self._refused("its vectors hold values that are no finite numbers")
        return _unit(vectors)

    def _refused(self, detail: str) -> EmbedderRefused:
        return EmbedderRefused(self._url, self._model, self._without_key(detail))

    def _said(self, response: httpx.Response) -> str:
        """The status and what the server says about it, in one line and without the key: some servers repeat it."""
        said = self._without_key(" ".join(_message(response).split()))
        if len(said) > LONGEST_DETAIL:
            said = said[:LONGEST_DETAIL] + "…"
        return f"HTTP {response.status_code}{': ' if said else ''}{said}"

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Consecutive texts, at most BATCH_TEXTS and (unless it is a single one) BATCH_CHARACTERS."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == BATCH_TEXTS or size + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _halves(texts: list[str]) -> list[list[str]]:
    """Of the texts, or of the text if it is only one; none if that is short already."""
    if len(texts) > 1:
        middle = len(texts) // 2
        return [texts[:middle], texts[middle:]]
    text = texts[0].strip()
    middle = len(text) // 2
    return [[part] for part in (text[:middle], text[middle:])] if len(text) > SHORTEST_HALVED else []


def _unit(vectors: NDArray[np.float64]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1.0
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit


def _message(response: httpx.Response) -> str:
    """Of OpenAI's error shape, of its relatives, or the bare text."""
    try:
        body = response.json()
    except ValueError:
        return response.text
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and name in body:
            body = body[name]
    return body if isinstance(body, str) else json.dumps(body)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds; a date, which servers of this kind do not send, counts as unsaid."""
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _model_name(url: str, model: str, dimensions: int | None) -> str:
    """Changes with the place, the model and the dimensions asked for; known before any answer."""
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port}{parts.path}"
    digest = blake2b(json.dumps([place, model, dimensions]).encode(), digest_size=4).hexdigest()
    return "-".join(
        filter(None, ["remote", _slug(model, 40), _slug(parts.hostname or "", 24), digest, str(dimensions or "")])
    )


def _slug(text: str, longest: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")
