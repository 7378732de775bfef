"""`muniment-api`: the gateway as a process."""

import contextlib
import logging
import socket
import sys

import uvicorn
from pydantic import ValidationError

from muniment.access import resolve_token
from muniment.errors import InvalidValue, MunimentError, PortTaken
from muniment.settings import Settings, load
from muniment_api.app import create_app
from muniment_api.deps import build_services

GRACE_SECONDS = 3  # requests that still run then are cancelled
CHATTY = ("httpx", "httpcore", "mcp", "sse_starlette", "uvicorn.error")

log = logging.getLogger("muniment_api")


def main() -> None:
    """Serves until SIGTERM or SIGINT; exit status 1 and a line on stderr when it cannot start."""
    try:
        serve(_settings())
    except MunimentError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # uvicorn raises the signal again once all is closed
        sys.exit(130)


def serve(settings: Settings) -> None:
    """Raises TokenRequired, NotConfigured, PortTaken, InvalidValue."""
    _log_at(settings.log_level)
    token = resolve_token(settings)  # before anything is bound: without a token there is nothing to listen for
    with listen(settings.host, settings.port) as listening:
        config = uvicorn.Config(
            create_app(build_services(settings)),
            log_config=None,
            access_log=False,  # the dashboard's first address holds the token
            server_header=False,
            lifespan="on",  # a failure there must end the process, not be passed over
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        host, port = listening.getsockname()[:2]
        log.info("listening on %s port %d", host, port)
        if token is not None:
            log.info("requests must carry the token %s", _place_of_token(settings))
        uvicorn.Server(config).run(sockets=[listening])


def _place_of_token(settings: Settings) -> str:
    """Where an operator finds the token; never the token itself, which has no place in a log."""
    if settings.token is not None or settings.token_file is None:
        return "of MUNIMENT_TOKEN"
    return f"in {settings.token_file} (in containers: docker compose exec api cat {settings.token_file})"


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to that address. Raises PortTaken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as on_error:
            bound = on_error.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            on_error.pop_all()
    except OSError as error:
        raise PortTaken("the gateway", host, port, "MUNIMENT_PORT") from error
    return bound


def _settings() -> Settings:
    try:
        return load()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = "MUNIMENT_" + "_".join(map(str, first["loc"])).upper()
        raise InvalidValue(field, first["input"], first["msg"]) from error


def _log_at(level: str) -> None:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise InvalidValue("MUNIMENT_LOG_LEVEL", level, f"it is none of {', '.join(known)}")
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, known[level.upper()]))


if __name__ == "__main__":
    main()
