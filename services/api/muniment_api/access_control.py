"""Who may call: known Host and Origin on every route, the token wherever one is set; and how much they may send."""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from muniment.access import is_loopback
from muniment.errors import ForbiddenOrigin, MunimentError, RequestTooLarge, Unauthorized
from muniment.settings import Settings
from muniment_api.errors import MAX_BODY, MAX_IMPORT, answer

WITHOUT_TOKEN = frozenset({"/healthz", "/readyz"})
IMPORT = re.compile(r"/api/v1/projects/[^/]+/memories/import")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "muniment_session"
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})


def host_name(netloc: str) -> str | None:
    """The name in a Host header or an origin, in lower case, without port and brackets; None when it is malformed."""
    if any(character in netloc for character in "/?#@\\, \t"):
        return None
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


def known_names(settings: Settings) -> frozenset[str]:
    """The names besides loopback by which this server may be called: the allowed ones, and where it listens."""
    given = [*settings.allowed_hosts, *({settings.host} - ANY_ADDRESS)]
    return frozenset(name.strip("[]").lower() if name.count(":") > 1 else host_name(name) or "" for name in given)


def session_of(token: str) -> str:
    """What the cookie holds: a browser sends cookies to every port of a host, so never the token itself."""
    return hmac.new(token.encode(), b"muniment dashboard", sha256).hexdigest()


class AccessControl:
    def __init__(self, app: ASGIApp, token: str | None, names: Iterable[str]) -> None:
        self._app = app
        self._token = token
        self._session = session_of(token) if token is not None else None
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self._response(HTTPConnection(scope))
            await (refused or self._app)(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    def _response(self, request: HTTPConnection) -> Response | None:
        """What to answer instead of the application."""
        if error := self._foreign(request.headers):
            return answer(error)
        # the framework stops a body without a length itself
        longest = MAX_IMPORT if IMPORT.fullmatch(request.scope["path"]) else MAX_BODY
        if int(request.headers.get("content-length", 0)) > longest:
            return answer(RequestTooLarge(longest), {"Connection": "close"})
        if self._token is None or request.scope["path"] in WITHOUT_TOKEN:
            return None
        if request.scope["path"] == "/" and request.scope["method"] == "GET" and "token" in request.query_params:
            return self._signed_in(request)
        if self._has_token(request.headers) or self._has_session(request):
            return None
        return answer(Unauthorized(), {"WWW-Authenticate": "Bearer"})

    def _foreign(self, headers: Headers) -> MunimentError | None:
        # a page of another site that had its name resolve to this host shows itself here
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_known(hosts[0]):
            return ForbiddenOrigin("Host", ", ".join(hosts))
        for origin in headers.getlist("origin"):
            scheme, _, netloc = origin.partition("://")
            if scheme not in ("http", "https") or not self._is_known(netloc):
                return ForbiddenOrigin("Origin", origin)
        return None

    def _is_known(self, netloc: str) -> bool:
        name = host_name(netloc)
        return name is not None and (is_loopback(name) or name in self._names)

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _same(given.strip(), self._token)

    def _has_session(self, request: HTTPConnection) -> bool:
        if not _same(request.cookies.get(COOKIE, ""), self._session):
            return False
        # SameSite does not tell ports apart: to change something, a page must be of this very origin
        origin = request.headers.get("origin", "").partition("://")[2]
        return request.scope["method"] in SAFE_METHODS or origin == request.headers["host"]

    def _signed_in(self, request: HTTPConnection) -> Response:
        """Turns the token in the address into a cookie, and takes it out of the address."""
        if not _same(request.query_params["token"], self._token):
            return answer(Unauthorized(), {"WWW-Authenticate": "Bearer"})
        rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
        response = RedirectResponse("/" + ("?" + urlencode(rest) if rest else ""), status_code=303)
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        response.set_cookie(
            COOKIE, self._session or "", httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return response


def _same(given: str, expected: str | None) -> bool:
    return expected is not None and hmac.compare_digest(given.encode(), expected.encode())
