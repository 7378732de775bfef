"""`muniment-ops`: rq-dashboard for the operator, in a process of its own, for looking only.

rq-dashboard has no authentication, acts on some GETs and asks no Host: here only its known pages are let through.
"""

import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from a2wsgi import WSGIMiddleware
from flask import Flask
from redis import Redis
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker
from rq_dashboard import web
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from muniment import logs
from muniment.access import is_loopback
from muniment.errors import ForbiddenOrigin, MunimentError, NotConfigured, OpsExposed, OpsReadOnly
from muniment.settings import Settings, load

log = logging.getLogger(__name__)

READABLE = re.compile(r"/($|\d+/|static/|favicon\.ico$)")
SAFE_METHODS = {"GET", "HEAD"}


class JsonWorker(Worker):
    """A worker that is listed with the serializer that its jobs were written with."""

    @classmethod
    def all(cls, connection: "Redis | None" = None, **options: Any) -> list[BaseWorker]:  # type: ignore[override]
        return super().all(connection=connection, **{**options, "serializer": JSONSerializer})


class JsonJob(Job):
    """A job that is read with our serializer, whatever rq-dashboard leaves out."""

    @classmethod
    def fetch(cls, id: str, connection: "Redis | None" = None, serializer: Any = None) -> Job:
        return super().fetch(id, connection=connection, serializer=serializer or JSONSerializer)


class LookingOnly:
    """Lets GETs of rq-dashboard's own pages through, from the names that this server is known by."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed_hosts = {name.lower() for name in allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refusal(scope)):
            headers = {"Allow": ", ".join(sorted(SAFE_METHODS))} if error.http_status == 405 else None
            response = JSONResponse(error.body().model_dump(), status_code=error.http_status, headers=headers)
            await response(scope, receive, send)
        elif scope["type"] == "http":
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> MunimentError | None:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if not self._known(host):
            return ForbiddenOrigin("Host", host)
        if scope["method"] not in SAFE_METHODS or not READABLE.match(scope["path"]):
            return OpsReadOnly(scope["method"], scope["path"])
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._allowed_hosts


def create_app(redis_url: str, allowed_hosts: Collection[str] = ()) -> ASGIApp:
    """rq-dashboard over the Redis of that URL (redis://, rediss:// or unix://), behind LookingOnly."""
    web.Worker, web.Job = JsonWorker, JsonJob
    web.config.serializer = JSONSerializer
    static = Path(web.__file__).parent / "static"  # its pages ask for it under the application's own name
    flask = Flask("muniment_ops", static_folder=static, static_url_path="/static")
    flask.config.update(RQ_DASHBOARD_REDIS_URL=redis_url, RQ_DASHBOARD_DISABLE_DELETE=True)
    flask.register_blueprint(web.blueprint, url_prefix="")
    web.setup_rq_connection(flask)
    wsgi: Any = flask
    asgi: Any = WSGIMiddleware(wsgi)
    return LookingOnly(asgi, allowed_hosts)


def serve(settings: Settings) -> None:
    """Runs until SIGTERM. Raises NotConfigured without a Redis."""
    if settings.redis_url is None:
        raise NotConfigured("MUNIMENT_REDIS_URL", "muniment-ops")
    if not is_loopback(settings.ops_host) and not settings.ops_open:
        raise OpsExposed(settings.ops_host)
    app = create_app(settings.redis_url, settings.allowed_hosts)
    log.info("listening on %s port %d", settings.ops_host, settings.ops_port)
    uvicorn.run(
        app,
        host=settings.ops_host,
        port=settings.ops_port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )


def main() -> None:
    try:
        settings = load()
        logs.configure("ops", settings.log_level, settings.log_format)
        serve(settings)
    except MunimentError as error:
        logs.end(error)


if __name__ == "__main__":
    main()
