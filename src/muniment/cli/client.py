"""Where the gateway is, and its REST as the command line calls it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
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

    def put_text(self, route: str, text: bytes) -> Answer:
        return self._call("PUT", route, content=text, headers={"Content-Type": "text/plain; charset=utf-8"})

    def delete(self, route: str, **params: Any) -> Answer:
        return self._call("DELETE", route, params=params)

    def _call(self, method: str, route: str, **options: Any) -> Answer:
        try:
            response = self._client.request(method, route, **options)
        except httpx.TransportError as error:
            raise ServerUnavailable(self._url) from error
        except httpx.RequestError as error:
            raise UnexpectedAnswer(self._url, str(error)) from error
        if response.is_success:
            return Answer(self._url, response.content)
        try:
            body = ErrorBody.model_validate_json(response.content)
        except ValidationError as error:
            detail = f"it answers {method} {response.url.path} with status {response.status_code}"
            raise UnexpectedAnswer(self._url, detail) from error
        raise Refused(body)


def connect(data_dir: Path | None, url: str | None) -> Gateway:
    """The gateway that the options, the environment or the data folder name. Connects nothing yet."""
    settings = settings_from(data_dir, url=url)
    return Gateway(gateway_url(settings), known_token(settings))


def project_path(name: str, rest: str = "") -> str:
    """The route of a project, by name or id. Raises InvalidProjectName: other names would change the route."""
    return f"/projects/{check_name(name)}{rest}"
