"""Where the gateway is, and its REST as the command line calls it."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent, SSEError, connect_sse
from pydantic import BaseModel, ValidationError

from muniment.access import is_loopback, read_token
from muniment.cli.options import settings_from
from muniment.errors import ErrorBody, InvalidValue, MunimentError, ServerUnavailable, UnexpectedAnswer
from muniment.project import check_name
from muniment.settings import Settings
from muniment.stack.children import base_url
from muniment.stack.state import read_state

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
PATIENT = httpx.Timeout(600.0, connect=5.0)
UNHURRIED = httpx.Timeout(None, connect=5.0)  # for what takes the longer the more is sent
SILENCE_SECONDS = 10.0  # the comments that keep a stream open come more seldom: what they stand for is never seen here

Model = TypeVar("Model", bound=BaseModel)


def gateway_url(settings: Settings) -> str:
    """MUNIMENT_URL, else where the stack of the data folder last ran, else where it would."""
    if settings.url is not None:
        return settings.url
    state = read_state(settings.folder.stack_state)
    return state.url if state is not None else base_url(settings.host, settings.port)


def known_token(settings: Settings) -> str | None:
    """The token to send. A client makes none: without its file there is none. Raises InvalidValue."""
    if settings.token is not None or settings.token_file is None:
        return settings.token
    try:
        return read_token(settings.token_file.expanduser())
    except FileNotFoundError:
        return None


def http_options(url: str, token: str | None) -> dict[str, Any]:
    """What each HTTP client of the gateway is made with. Raises InvalidValue when the URL is none."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidValue("MUNIMENT_URL", url, f"it is no URL ({error})") from error
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise InvalidValue("MUNIMENT_URL", url, "it does not begin with http:// or https:// and a host")
    return {
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "trust_env": not is_loopback(parts.host),  # a proxy does not know this host's loopback
    }


class Refused(MunimentError):
    """An error in the gateway's own words: of a request, or of a job that failed."""

    message = "{message}"
    remedy = "{remedy}"

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(message=body.message, remedy=body.remedy)
        self._body = body

    def body(self) -> ErrorBody:
        return self._body


@dataclass(frozen=True)
class Answer:
    """``content`` is what the gateway sent, byte by byte."""

    url: str
    content: bytes

    def read(self, model: type[Model]) -> Model:
        """Raises UnexpectedAnswer when it is none."""
        try:
            return model.model_validate_json(self.content)
        except ValidationError as error:
            raise UnexpectedAnswer(self.url, f"its answer is no {model.__name__}") from error


class Gateway:
    """A context manager. Every call raises ServerUnavailable, UnexpectedAnswer, or Refused."""

    def __init__(self, url: str, token: str | None, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self._url}/api/v1", timeout=TIMEOUT, transport=transport, **http_options(url, token)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, route: str, /, **params: Any) -> Answer:
        """``params`` that are None are left out; a list repeats its name."""
        given = {name: value for name, value in params.items() if value is not None}
        return self._call("GET", route, params=given)

    def get_patiently(self, route: str) -> Answer:
        """For an answer that takes the longer the larger the index is."""
        return self._call("GET", route, timeout=PATIENT)

    def post(self, route: str, body: object) -> Answer:
        return self._call("POST", route, json=body)

    def patch(self, route: str, body: object) -> Answer:
        return self._call("PATCH", route, json=body)

    def put_text(self, route: str, text: bytes) -> Answer:
        return self._call("PUT", route, content=text, headers={"Content-Type": "text/plain; charset=utf-8"})

    def post_lines(self, route: str, pieces: Iterable[bytes], **params: Any) -> Answer:
        """Sends the pieces of a text as they come; the answer takes as long as it takes."""
        headers = {"Content-Type": "application/x-ndjson"}
        return self._call("POST", route, content=iter(pieces), params=params, headers=headers, timeout=UNHURRIED)

    def delete(self, route: str, **params: Any) -> Answer:
        return self._call("DELETE", route, params=params)

    def pieces(self, route: str) -> Generator[bytes]:
        """An answer as it comes. Raises UnexpectedAnswer when it breaks off."""
        began = False
        try:
            with self._client.stream("GET", route, timeout=UNHURRIED) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                for piece in response.iter_bytes():
                    began = True
                    yield piece
        except httpx.TransportError as error:
            if began:
                raise UnexpectedAnswer(self._url, f"its answer broke off ({error})") from error
            raise ServerUnavailable(self._url) from error

    def events(self, project: str | None) -> Generator[ServerSentEvent]:
        """What happens from now on, in one project or in all; the first one has no data and says that the gateway
        listens. Ends when the gateway does, and raises ServerUnavailable after SILENCE_SECONDS without a word.
        """
        only = {"project": project} if project else {}
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=5.0)
        try:
            with connect_sse(self._client, "GET", "/events", params=only, timeout=timeout) as source:
                if not source.response.is_success:
                    source.response.read()
                    raise self._refusal(source.response)
                yield from source.iter_sse()
        except SSEError as error:
            raise UnexpectedAnswer(self._url, str(error)) from error
        except httpx.TransportError as error:
            raise ServerUnavailable(self._url) from error
        except httpx.RequestError as error:
            raise UnexpectedAnswer(self._url, str(error)) from error

    def _call(self, method: str, route: str, **options: Any) -> Answer:
        try:
            response = self._client.request(method, route, **options)
        except httpx.TransportError as error:
            raise ServerUnavailable(self._url) from error
        except httpx.RequestError as error:
            raise UnexpectedAnswer(self._url, str(error)) from error
        if response.is_success:
            return Answer(self._url, response.content)
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> MunimentError:
        try:
            return Refused(ErrorBody.model_validate_json(response.content))
        except ValidationError:
            request = response.request
            detail = f"it answers {request.method} {response.url.path} with status {response.status_code}"
            return UnexpectedAnswer(self._url, detail)


def connect(data_dir: Path | None, url: str | None) -> Gateway:
    """The gateway that the options, the environment or the data folder name. Connects nothing yet."""
    settings = settings_from(data_dir, url=url)
    return Gateway(gateway_url(settings), known_token(settings))


def job_path(job_id: str, rest: str = "") -> str:
    return f"/jobs/{quote(job_id, safe='')}{rest}"


def project_path(name: str, rest: str = "") -> str:
    """The route of a project, by name or id. Raises InvalidProjectName: other names would change the route."""
    return f"/projects/{check_name(name)}{rest}"
