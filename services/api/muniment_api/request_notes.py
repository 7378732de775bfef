"""Every request gets an id: its lines in the log carry it, and so does its answer.

Around the application, not inside: the framework answers what nobody expected outside of all that is added to it.
"""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muniment import logs

HEADER = "X-Request-Id"
FROM_A_PROXY = re.compile(r"[\w.:/+=-]{1,64}", re.ASCII)
OF_A_PROJECT = re.compile(r"/api/v1/projects/([^/]+)")


class RequestNotes:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request = given if FROM_A_PROXY.fullmatch(given) else secrets.token_hex(8)
        found = OF_A_PROJECT.match(scope["path"])
        logs.note(request=request, project=found[1] if found else None)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request
            await send(message)

        await self._app(scope, receive, answer)
