"""The embedder behind a URL against a real HTTP server whose every answer the test decides."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from muniment.embedding.cache import CachedEmbedder
from muniment.embedding.remote import BATCH_CHARACTERS, BATCH_TEXTS, RemoteEmbedder
from muniment.errors import EmbedderRefused, EmbedderUnavailable
from muniment.testing import HashedWordsEmbedder

KEY = "sk-a-secret-that-nobody-may-see"
MODEL = "lab/tiny-model"
WORDS = HashedWordsEmbedder(dimensions=8)


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Say = Callable[[dict[str, Any]], Answer]


def embeddings(texts: list[str], length: float = 3.0) -> list[dict[str, Any]]:
    """As OpenAI's, but of any length and in no order."""
    rows = [
        {"object": "embedding", "index": index, "embedding": (row * length).astype(float).tolist()}
        for index, row in enumerate(WORDS.embed(texts))
    ]
    return rows[::-1]


def honest(request: dict[str, Any]) -> Answer:
    return Answer(body={"object": "list", "data": embeddings(request["input"]), "model": request["model"]})


class FakeServer(ThreadingHTTPServer):
    """``say`` decides the answer; ``requests`` holds what came, ``headers`` with what."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.say: Say = honest
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/embeddings"
        self.server.requests.append(request)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        answer = self.server.say(request)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeServer() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.released.set()
        serving.shutdown()
        thread.join()


@pytest.fixture
def embedder(server: FakeServer) -> Iterator[RemoteEmbedder]:
    made = RemoteEmbedder(server.url, MODEL, key=KEY)
    yield made
    made.close()


def refusing(status: int, body: Any = None, **headers: str) -> Say:
    return lambda _: Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def test_vectors_come_in_the_order_of_the_texts_with_unit_length(embedder: RemoteEmbedder) -> None:
    texts = ["alpha beta", "gamma", "delta alpha"]
    vectors = embedder.embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, WORDS.embed(texts), atol=1e-6)
    assert embedder.dimensions == 8


def test_the_server_is_told_the_model_and_the_key_and_only_the_dimensions_that_were_set(server: FakeServer) -> None:
    RemoteEmbedder(server.url, MODEL, key=KEY).embed(["text"])
    RemoteEmbedder(server.url, MODEL, dimensions=8).embed(["text"])
    assert server.requests[0] == {"model": MODEL, "input": ["text"], "encoding_format": "float"}
    assert server.requests[1]["dimensions"] == 8
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in server.headers[1]


def test_many_texts_go_in_batches_bounded_in_number_and_characters(
    server: FakeServer, embedder: RemoteEmbedder
) -> None:
    texts = [f"text number {number}" for number in range(2 * BATCH_TEXTS + 1)]
    np.testing.assert_allclose(embedder.embed(texts), WORDS.embed(texts), atol=1e-6)
    assert [len(request["input"]) for request in server.requests] == [BATCH_TEXTS, BATCH_TEXTS, 1]
    server.requests.clear()
    embedder.embed(["long " * (BATCH_CHARACTERS // 12)] * 3)
    assert [len(request["input"]) for request in server.requests] == [2, 1]


def test_a_blank_text_is_all_zero_and_not_sent(server: FakeServer, embedder: RemoteEmbedder) -> None:
    vectors = embedder.embed(["", "word", " \n"])
    assert [row.any() for row in vectors] == [False, True, False]
    assert server.requests[0]["input"] == ["word"]
    assert embedder.embed([" "]).shape == (1, 8)
    assert embedder.embed([]).shape == (0, 8)
    assert len(server.requests) == 1


def test_the_dimensions_are_asked_for_once_if_nothing_was_embedded_yet(
    server: FakeServer, embedder: RemoteEmbedder
) -> None:
    assert (embedder.dimensions, embedder.dimensions) == (8, 8)
    assert len(server.requests) == 1


def test_a_lone_surrogate_is_sent_as_a_question_mark(server: FakeServer, embedder: RemoteEmbedder) -> None:
    embedder.embed(["why\ud800 not"])
    assert server.requests[0]["input"] == ["why? not"]


def test_an_overloaded_server_is_unavailable_until_it_has_said_and_then_answers(
    server: FakeServer, embedder: RemoteEmbedder
) -> None:
    server.say = refusing(429, {"error": {"message": "slow down."}}, Retry_After="7")
    with pytest.raises(EmbedderUnavailable, match="HTTP 429: slow down") as away:
        embedder.embed(["text"])
    assert away.value.retryable
    assert away.value.retry_after == 7
    assert server.url in str(away.value)
    server.say = honest
    assert embedder.embed(["text"]).any()


@pytest.mark.parametrize("status", [408, 500, 502, 503])
def test_a_server_in_trouble_is_unavailable(server: FakeServer, embedder: RemoteEmbedder, status: int) -> None:
    server.say = refusing(status, b"<html>oh no</html>", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    with pytest.raises(EmbedderUnavailable, match=f"HTTP {status}: <html>oh no") as away:
        embedder.embed(["text"])
    assert away.value.retry_after is None


@pytest.mark.parametrize("seconds", ["-1", "inf", "nan", ""])
def test_a_senseless_wish_to_be_left_alone_is_none(server: FakeServer, embedder: RemoteEmbedder, seconds: str) -> None:
    server.say = refusing(503, None, Retry_After=seconds)
    with pytest.raises(EmbedderUnavailable) as away:
        embedder.embed(["text"])
    assert away.value.retry_after is None


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_server_that_says_no_is_not_asked_again_and_its_words_are_shown(
    server: FakeServer, embedder: RemoteEmbedder, status: int
) -> None:
    server.say = refusing(status, {"error": {"message": "not for you"}}, Location="http://127.0.0.1:1/v1/embeddings")
    with pytest.raises(EmbedderRefused, match=f"HTTP {status}: not for you") as no:
        embedder.embed(["one", "two"])
    assert not no.value.retryable
    assert MODEL in str(no.value)
    assert len(server.requests) == 1


def test_the_key_is_never_shown_even_if_the_server_repeats_it(
    server: FakeServer, embedder: RemoteEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for status, kind in ((401, EmbedderRefused), (500, EmbedderUnavailable)):
        server.say = refusing(status, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
        with pytest.raises(kind, match=r"provided: \*\*\*") as error:
            embedder.embed(["text"])
        assert KEY not in f"{error.value!r} {error.value.body()}"
    assert KEY not in caplog.text
    assert KEY not in f"{embedder!r} {embedder.name} {embedder.source}"


def test_long_words_of_a_server_are_cut(server: FakeServer, embedder: RemoteEmbedder) -> None:
    server.say = refusing(403, "no " * 10_000)
    with pytest.raises(EmbedderRefused) as no:
        embedder.embed(["text"])
    assert len(str(no.value)) < 1_000


def test_a_server_that_hangs_is_unavailable(server: FakeServer) -> None:
    def hang(_: dict[str, Any]) -> Answer:
        server.released.wait(30)
        return Answer()

    server.say = hang
    with pytest.raises(EmbedderUnavailable, match=r"no answer within 0\.1") as away:
        RemoteEmbedder(server.url, MODEL, patience=0.1).embed(["text"])
    assert away.value.retryable


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with FakeServer() as gone:
        url = gone.url
    with pytest.raises(EmbedderUnavailable, match="refused"):
        RemoteEmbedder(url, MODEL).embed(["text"])


def test_a_url_that_cannot_be_asked_is_refused() -> None:
    with pytest.raises(EmbedderRefused, match="the URL cannot be used"):
        RemoteEmbedder("http://exa\x7fmple/v1", MODEL).embed(["text"])


ROW = {"index": 0, "embedding": [1.0, 0.0]}
NONSENSE = {
    "no JSON": b"<html>login</html>",
    "another shape": {"embeddings": [[1, 2]]},
    "a vector that is none": {"data": [{"index": 0, "embedding": "AAAA"}]},
    "too few vectors": {"data": [ROW]},
    "one index twice": {"data": [ROW, ROW]},
    "indexes of no text": {"data": [ROW, {**ROW, "index": 2}]},
    "vectors of two lengths": {"data": [ROW, {"index": 1, "embedding": [1.0]}]},
    "empty vectors": {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]},
    "not a number": b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1.0]}]}',
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused_and_nothing_is_learnt_from_it(
    server: FakeServer, embedder: RemoteEmbedder, body: Any
) -> None:
    server.say = lambda _: Answer(body=body)
    with pytest.raises(EmbedderRefused):
        embedder.embed(["one", "two"])


def test_vectors_of_another_length_than_before_are_refused(server: FakeServer, embedder: RemoteEmbedder) -> None:
    embedder.embed(["text"])
    server.say = lambda _: Answer(body={"data": [{"index": 0, "embedding": [1.0, 0.0, 0.0]}]})
    with pytest.raises(EmbedderRefused, match="3 dimensions where 8"):
        embedder.embed(["text"])


def test_vectors_of_another_length_than_asked_for_are_refused(server: FakeServer) -> None:
    with pytest.raises(EmbedderRefused, match="8 dimensions where 4"):
        RemoteEmbedder(server.url, MODEL, dimensions=4).embed(["text"])


def test_a_server_that_takes_fewer_texts_gets_fewer(server: FakeServer, embedder: RemoteEmbedder) -> None:
    server.say = lambda request: honest(request) if len(request["input"]) <= 3 else Answer(422, {"detail": "batch"})
    texts = [f"text number {number}" for number in range(10)]
    np.testing.assert_allclose(embedder.embed(texts), WORDS.embed(texts), atol=1e-6)


def test_a_text_longer_than_the_server_takes_is_read_in_parts_and_nothing_goes_unread(
    server: FakeServer, embedder: RemoteEmbedder
) -> None:
    def strict(request: dict[str, Any]) -> Answer:
        fits = all(len(text) <= 300 for text in request["input"])
        return honest(request) if fits else Answer(400, {"error": "maximum context length"})

    server.say = strict
    first, last = "alpha " * 50, "omega " * 50
    long, short = embedder.embed([first + last, "short"])
    np.testing.assert_allclose(np.linalg.norm(long), 1, atol=1e-6)
    for word in ("alpha", "omega"):
        assert long @ WORDS.embed([word])[0] > 0.4
    np.testing.assert_allclose(short, WORDS.embed(["short"])[0], atol=1e-6)


def test_a_text_refused_at_any_length_is_refused_after_a_few_requests(
    server: FakeServer, embedder: RemoteEmbedder
) -> None:
    server.say = refusing(400, {"error": {"message": "unknown model"}})
    with pytest.raises(EmbedderRefused, match="HTTP 400: unknown model"):
        embedder.embed(["word " * 480] * BATCH_TEXTS)
    assert len(server.requests) <= 12


def test_an_answer_of_zeros_stays_zero(server: FakeServer, embedder: RemoteEmbedder) -> None:
    server.say = lambda _: Answer(body={"data": [{"index": 0, "embedding": [0.0, 0.0]}]})
    assert not embedder.embed(["text"]).any()


def test_threads_share_one_embedder(server: FakeServer, embedder: RemoteEmbedder) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(embedder.embed(["alpha"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert len(server.requests) == 4


def test_what_was_answered_before_a_failure_is_cached_and_not_asked_for_again(
    server: FakeServer, embedder: RemoteEmbedder, tmp_path: Any
) -> None:
    cached = CachedEmbedder(embedder, tmp_path, 10_000_000)
    texts = [f"text number {number}" for number in range(2 * BATCH_TEXTS)]
    server.say = lambda request: honest(request) if len(server.requests) == 1 else Answer(503)
    with pytest.raises(EmbedderUnavailable):
        cached.embed(texts)
    server.say = honest
    server.requests.clear()
    np.testing.assert_allclose(cached.embed(texts), WORDS.embed(texts), atol=1e-6)
    assert [request["input"] for request in server.requests] == [texts[BATCH_TEXTS:]]
    server.say = refusing(503)
    np.testing.assert_allclose(cached.embed(texts), WORDS.embed(texts), atol=1e-6)
    cached.close()
