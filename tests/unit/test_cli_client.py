"""The command line's client: what is sent, and what becomes of each kind of answer."""

import json
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from muniment.cli.client import Answer, Gateway, Refused, connect, gateway_url, known_token, project_path
from muniment.errors import InvalidProjectName, InvalidValue, ServerUnavailable, UnexpectedAnswer, UnknownProject
from muniment.settings import Settings
from muniment.stack.state import StackState, write_state

URL = "http://gateway:7420"


class Named(BaseModel):
    name: str


def answering(response: httpx.Response) -> Gateway:
    return Gateway(URL, None, httpx.MockTransport(lambda _: response))


def failing(error: httpx.RequestError) -> Gateway:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return Gateway(URL, None, httpx.MockTransport(fail))


def test_an_answer_is_kept_byte_by_byte():
    content = b'{"name":  "alpha"}'
    answer = answering(httpx.Response(200, content=content)).get("/projects")

    assert answer.content == content
    assert answer.read(Named) == Named(name="alpha")


def test_parameters_that_are_not_given_are_not_sent_and_lists_repeat_their_name():
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"name": str(request.url)})

    answer = Gateway(f"{URL}/", None, httpx.MockTransport(echo)).get("/jobs", path=None, status=["queued", "running"])

    assert answer.read(Named).name == f"{URL}/api/v1/jobs?status=queued&status=running"


def test_the_token_is_carried():
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"name": request.headers.get("authorization", "none")})

    sent = [Gateway(URL, token, httpx.MockTransport(echo)).get("/projects").read(Named) for token in ("s3cret", None)]

    assert [one.name for one in sent] == ["Bearer s3cret", "none"]


def test_a_refusal_is_passed_on_in_the_gateway_s_own_words():
    body = UnknownProject("alpa", ["alpha"]).body()
    with pytest.raises(Refused) as caught:
        answering(httpx.Response(404, json=body.model_dump())).get("/projects/alpa")

    assert caught.value.body() == body
    assert str(caught.value) == str(UnknownProject("alpa", ["alpha"]))


def test_braces_in_a_refusal_are_no_template():
    body = {"code": "invalid_value", "message": "path is 'src/{a}'.", "remedy": "Close {it}."}
    with pytest.raises(Refused, match=r"path is 'src/\{a\}'\. Close \{it\}\."):
        answering(httpx.Response(422, json=body)).get("/jobs")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(502, text="<html>Bad gateway</html>"),
        httpx.Response(500, json=["odd"]),
        httpx.Response(307, headers={"location": "/elsewhere"}),
    ],
)
def test_an_answer_of_another_server_is_named_as_such(response: httpx.Response):
    with pytest.raises(
        UnexpectedAnswer, match=f"{URL} is no Muniment server: it answers GET .* {response.status_code}"
    ):
        answering(response).get("/projects")


def test_a_page_instead_of_json_is_no_answer():
    with pytest.raises(UnexpectedAnswer, match="its answer is no Named"):
        Answer(URL, b"<html>").read(Named)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("late")])
def test_a_gateway_that_is_away_is_said_to_be(error: httpx.RequestError):
    with pytest.raises(ServerUnavailable, match=URL):
        failing(error).get("/projects")


def test_a_body_that_cannot_be_decoded_comes_from_something_else():
    with pytest.raises(UnexpectedAnswer, match="odd gzip"):
        failing(httpx.DecodingError("odd gzip")).get("/projects")


def test_a_post_carries_json():
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(202, json={"name": f"{request.method} {json.loads(request.content)['kind']}"})

    answer = Gateway(URL, None, httpx.MockTransport(echo)).post("/projects/alpha/jobs", {"kind": "reindex"})

    assert answer.read(Named).name == "POST reindex"


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "http://[::1", "127.0.0.1:7420", "gateway", "ftp://gateway"])
def test_what_is_no_url_is_named_with_its_setting(url: str):
    with pytest.raises(InvalidValue, match="MUNIMENT_URL"):
        connect(None, url)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7999"),
        ("0.0.0.0", "http://127.0.0.1:7999"),
        ("::", "http://[::1]:7999"),
        ("::1", "http://[::1]:7999"),
    ],
)
def test_a_gateway_is_sought_where_this_host_reaches_it(tmp_path: Path, host: str, url: str):
    assert gateway_url(Settings(data_dir=tmp_path, host=host, port=7999)) == url


def test_a_data_folder_that_is_none_leads_to_the_default_gateway(tmp_path: Path):
    (tmp_path / "file").touch()
    assert gateway_url(Settings(data_dir=tmp_path / "file")) == "http://127.0.0.1:7420"


def test_the_token_is_the_given_one_or_the_one_in_the_file(tmp_path: Path):
    file = tmp_path / "token"
    assert known_token(Settings(token_file=file)) is None
    assert not file.exists(), "a client makes no token"
    file.write_text("from the file of tests\n", encoding="utf-8")
    assert known_token(Settings(token_file=file)) == "from the file of tests"
    assert known_token(Settings(token_file=file, token="given in the tests")) == "given in the tests"
    assert known_token(Settings()) is None


def test_the_gateway_is_the_option_s_else_the_environment_s_else_the_data_folder_s(tmp_path, monkeypatch):
    made: list[tuple[str, str | None]] = []
    monkeypatch.setattr("muniment.cli.client.Gateway", lambda url, token: made.append((url, token)))
    state = dict.fromkeys(("ops_url", "redis_url", "chroma_url"), "")
    connect(tmp_path, None)
    write_state(
        Settings(data_dir=tmp_path).folder.stack_state,
        StackState(pid=1, data_dir="", url="http://127.0.0.1:9", started_at="2026-01-01T00:00:00Z", **state),
    )
    connect(tmp_path, None)
    monkeypatch.setenv("MUNIMENT_URL", "http://team")
    monkeypatch.setenv("MUNIMENT_TOKEN", "sixteen-letters-")
    connect(tmp_path, None)
    connect(tmp_path, "http://given")

    assert made == [
        ("http://127.0.0.1:7420", None),
        ("http://127.0.0.1:9", None),
        ("http://team", "sixteen-letters-"),
        ("http://given", "sixteen-letters-"),
    ]


@pytest.mark.parametrize("name", ["a/b", "..", "", "a?b"])
def test_a_name_never_changes_the_route(name: str):
    with pytest.raises(InvalidProjectName):
        project_path(name)
