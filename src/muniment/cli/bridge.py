"""`muniment mcp`: lets clients that only speak MCP over stdio use the gateway.

Each message from stdin becomes one POST to ``/mcp``, each JSON-RPC message of its answer one line on stdout. Nothing is
interpreted but what HTTP needs to know, so both generations of the protocol pass, and those to come may. The gateway
keeps no session: when it is away its requests fail, when it is back they work again.
"""

import asyncio
import base64
import json
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any, BinaryIO

import httpx
import typer

from muniment.cli.client import Refused, gateway_url, http_options, known_token
from muniment.cli.options import DataDir, settings_from
from muniment.errors import ErrorBody, MunimentError, ServerUnavailable, UnexpectedAnswer

Message = dict[str, Any]
RequestId = str | int

# The gateway sends a sign of life every 15 s while a request runs.
TIMEOUT = httpx.Timeout(60.0, connect=5.0, pool=None)
ENDING_SECONDS = 1.0  # for what still runs when the client closes stdin
PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
VERSION_IN_META = "io.modelcontextprotocol/protocolVersion"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
PLAIN_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?")


class Bridge:
    """``url`` is asked for before each request: a gateway may come back elsewhere. ``write`` takes one message."""

    def __init__(self, client: httpx.AsyncClient, url: Callable[[], str], write: Callable[[Message], None]) -> None:
        self._client = client
        self._url = url
        self._write = write
        self._version: str | None = None  # what a handshake agreed on; later protocols name it in every message
        self._requests: dict[RequestId, asyncio.Task[None]] = {}
        self._notifications: set[asyncio.Task[None]] = set()

    def take(self, line: bytes) -> None:
        """One line of stdin. Returns at once."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._write(_error(None, PARSE_ERROR, f"Not JSON: {error}"))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
            self._write(_error(None, INVALID_REQUEST, "A line must hold one JSON-RPC message"))
        elif "method" not in message:
            pass  # an answer, but the gateway never asks
        elif "id" not in message:
            self._take_notification(message)
        elif not isinstance(message["id"], RequestId):
            self._write(_error(None, INVALID_REQUEST, "An id must be a string or a number"))
        else:
            self._take_request(message)

    def _take_request(self, message: Message) -> None:
        task = self._requests[message["id"]] = asyncio.create_task(self._request(message))
        task.add_done_callback(lambda _: self._requests.pop(message["id"], None))

    def _take_notification(self, message: Message) -> None:
        if message["method"] == "notifications/cancelled":
            # the gateway takes a closed connection for the cancellation, in either protocol
            request_id = _object(message, "params").get("requestId")
            running = self._requests.get(request_id) if isinstance(request_id, RequestId) else None
            if running is not None:
                running.cancel()
            return
        task = asyncio.create_task(self._notify(message))
        self._notifications.add(task)
        task.add_done_callback(self._notifications.discard)

    async def end(self) -> None:
        """Waits a moment for what still runs, then leaves it."""
        running = {*self._requests.values(), *self._notifications}
        if running:
            _, late = await asyncio.wait(running, timeout=ENDING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.wait(running)

    async def _notify(self, message: Message) -> None:
        with suppress(httpx.HTTPError):
            await self._client.post(self._url(), json=message, headers=self._headers(message))

    async def _request(self, message: Message) -> None:
        """Passes on every message of the answer; whatever happens, the last one answers the request."""
        url = self._url()
        try:
            async with self._client.stream("POST", url, json=message, headers=self._headers(message)) as response:
                async for answer in _messages(response):
                    if "method" in answer:
                        self._write(answer)
                        continue
                    self._note_version(message, answer)
                    self._write({**answer, "id": message["id"]})
                    return
            failure = ServerUnavailable(url).body()  # it ended while it answered
        except httpx.HTTPError:
            failure = ServerUnavailable(url).body()
        except MunimentError as error:
            failure = error.body()
        self._write(_failure(message["id"], failure))

    def _note_version(self, message: Message, answer: Message) -> None:
        if message["method"] == "initialize":
            self._version = _object(answer, "result").get("protocolVersion")

    def _headers(self, message: Message) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream"}
        params = _object(message, "params")
        version = _object(params, "_meta").get(VERSION_IN_META)
        if isinstance(version, str):
            headers |= {"MCP-Protocol-Version": _header(version), "Mcp-Method": _header(message["method"])}
            name = params.get(NAMED_BY.get(message["method"], ""))
            if isinstance(name, str):
                headers["Mcp-Name"] = _header(name)
        elif self._version is not None and message["method"] != "initialize":
            headers["MCP-Protocol-Version"] = self._version
        return headers


async def _messages(response: httpx.Response) -> AsyncIterator[Message]:
    """The JSON-RPC messages of an answer, be it a stream or a single one. Raises httpx.HTTPError, and as _message."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        async for data in _event_data(response.aiter_bytes()):
            yield _message(response, data)
    else:
        yield _message(response, await response.aread())


def _message(response: httpx.Response, content: bytes) -> Message:
    """Raises Refused when the gateway answered with an error of its own, UnexpectedAnswer for all else."""
    try:
        message = json.loads(content)
        if isinstance(message, dict) and "jsonrpc" in message:
            return message
        body = ErrorBody.model_validate(message)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswer(str(response.url), f"status {response.status_code}, no JSON-RPC") from error
    raise Refused(body)


async def _event_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event of a stream. Bytes, because lines of text would also end at other characters."""
    data: list[bytes] = []
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif not field and not value and any(data):
                yield b"\n".join(data)
                data = []


def _object(message: Message, key: str) -> Message:
    value = message.get(key)
    return value if isinstance(value, dict) else {}


def _header(value: str) -> str:
    """As the protocol writes what a header cannot hold."""
    if PLAIN_HEADER.fullmatch(value) and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _error(request_id: RequestId | None, code: int, message: str, **data: object) -> Message:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message, **data}}


def _failure(request_id: RequestId, body: ErrorBody) -> Message:
    return _error(request_id, INTERNAL_ERROR, f"{body.message} {body.remedy}", data=body.model_dump())


async def carry(source: BinaryIO, sink: BinaryIO, url: Callable[[], str], token: str | None) -> None:
    """Carries messages until ``source`` ends. Raises InvalidValue when the URL is none."""

    def write(message: Message) -> None:
        sink.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        sink.flush()

    lines: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in iter(source.readline, b""):
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, b"")

    # a daemon: nothing ends a blocked read, and it must not keep the process alive
    threading.Thread(target=read, name="stdin", daemon=True).start()
    async with httpx.AsyncClient(timeout=TIMEOUT, **http_options(url(), token)) as client:
        bridge = Bridge(client, url, write)
        while line := await lines.get():
            if line.strip():
                bridge.take(line)
        await bridge.end()


def bridge(
    data_dir: DataDir = None,
    url: Annotated[str | None, typer.Option(help="The gateway (MUNIMENT_URL).", show_default=False)] = None,
    token: Annotated[str | None, typer.Option(help="Its token (MUNIMENT_TOKEN).", show_default=False)] = None,
) -> None:
    """Speak MCP on stdin and stdout, for clients that start their servers; the gateway does the work."""
    settings = settings_from(data_dir, url=url, token=token)

    def endpoint() -> str:
        return gateway_url(settings).rstrip("/") + "/mcp"

    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the protocol alone goes to stdout, whatever a library prints
    with suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(carry(source, sink, endpoint, known_token(settings)))


def register(app: typer.Typer) -> None:
    app.command("mcp")(bridge)
