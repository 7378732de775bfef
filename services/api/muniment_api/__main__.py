"""`muniment-api`: the gateway as a process."""

import contextlib
import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from muniment import logs
from muniment.access import resolve_token
from muniment.errors import MunimentError, PortTaken
from muniment.process import keep_heap_small
from muniment.settings import Settings, load
from muniment_api.app import create_app
from muniment_api.deps import build_services
from muniment_api.request_notes import RequestNotes

GRACE_SECONDS = 3  # requests that still run then are cancelled

log = logging.getLogger("muniment_api")


def main() -> None:
    """Serves until SIGTERM or SIGINT; exit status 1 and a line on stderr when it cannot start."""
    keep_heap_small()
    try:
        serve(load())
    except MunimentError as error:
        logs.end(error)
    except KeyboardInterrupt:  # uvicorn raises the signal again once all is closed
        sys.exit(130)


def serve(settings: Settings) -> None:
    """Raises TokenRequired, NotConfigured, PortTaken, InvalidValue."""
    logs.configure("api", settings.log_level, settings.log_format)
    token = resolve_token(settings)  # before anything is bound: without a token there is nothing to listen for
    with listen(settings.host, settings.port) as listening:
        app = create_app(build_services(settings))
        config = uvicorn.Config(
            RequestNotes(app),
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
        Server(config, app.state.mcp.end_streams).run(sockets=[listening])


class Server(uvicorn.Server):
    """Calls ``end_streams`` before it waits for open requests: those that only listen would never end."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


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


if __name__ == "__main__":
    main()
