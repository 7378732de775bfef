"""Every error of the REST side in the one shape: code, message, remedy."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from muniment.errors import (
    BadRequest,
    ErrorBody,
    InternalError,
    InvalidValue,
    MunimentError,
    RequestTooLarge,
    UnknownRoute,
    WrongMethod,
)
from muniment.redis_client import REDIS_ERRORS

log = logging.getLogger(__name__)

MAX_BODY = 4 * 1024 * 1024  # bytes, as the MCP library has it
MAX_IMPORT = 256 * 1024 * 1024  # bytes, of memories that are imported
SHOWN = 100  # characters of a wrong value that an answer repeats
REASONS = {"missing": "it is required", "extra_forbidden": "there is no such field"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PLACES = {"body", "query", "path", "header"}
STATUSES = {
    400: "The request cannot be read.",
    401: "A token is asked for and the request carries none that is known.",
    403: "The Host or Origin is not known, or the path lies outside the roots.",
    404: "What the path names does not exist.",
    422: "A value is wrong; the message names it.",
    503: "A part of the system is away; try again.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description} for status, description in STATUSES.items()
}


def answer(error: MunimentError, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(error.body().model_dump(), status_code=error.http_status, headers=headers)


def install(app: FastAPI) -> None:
    """Makes the application answer with our errors, whatever was raised."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, MunimentError)
        if error.http_status >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        return answer(error)

    async def redis_away(request: Request, error: Exception) -> JSONResponse:
        return await known(request, request.app.state.services.connections.unavailable(error))

    app.add_exception_handler(MunimentError, known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(ClientDisconnect, _broken_off)
    app.add_exception_handler(Exception, _unexpected)
    for kind in REDIS_ERRORS:
        app.add_exception_handler(kind, redis_away)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        detail = f"it is not JSON ({first['ctx']['error']}, at character {first['loc'][-1]})"
        return answer(BadRequest(detail))
    return answer(invalid_value(first))


def invalid_value(first: Mapping[str, Any]) -> InvalidValue:
    """One of pydantic's errors as ours."""
    place, *inside = first["loc"]
    if place not in PLACES:
        inside = [place, *inside]
    # the members of a union stand in the location too
    names = [str(part) for part in inside if not str(part).startswith(("list[", "str"))]
    field = ".".join(names) or "body"
    value = None if first["type"] == "missing" else _shown(first["input"])
    reason = REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
    return InvalidValue(field, value, reason)


def _shown(value: Any) -> Any:
    text = repr(value)
    return value if len(text) <= SHOWN else text[:SHOWN] + "..."


async def _of_the_framework(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return answer(UnknownRoute(request.url.path), headers)
    if error.status_code == 405:
        headers["Allow"] = _allowed(request)
        return answer(WrongMethod(request.url.path, request.method, headers["Allow"]), headers)
    if error.status_code == 413:
        return answer(RequestTooLarge(request.scope.get(MAX_BODY_SIZE_SCOPE_KEY, MAX_BODY)), headers)
    return answer(BadRequest(str(error.detail)), headers)


def _allowed(request: Request) -> str:
    """Of all routes at this path: the framework names the methods of the first one only."""
    routes = request.app.routes
    return ", ".join(
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes)
    )


async def _broken_off(_: Request, __: Exception) -> JSONResponse:
    # for the log of requests: nobody is there to read it
    return answer(BadRequest("it broke off before all of it was here"))


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    # the server logs the exception itself; what is inside us is not the caller's business
    return answer(InternalError("an unexpected error, which is in the log"))
