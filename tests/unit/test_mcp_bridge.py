"""The bridge between a client's stdio and the gateway, message by message."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from muniment.cli.bridge import Bridge
from muniment.errors import Unauthorized

URL = "http://gateway/mcp"
Answer = Callable[[httpx.Request], httpx.Response]


class Stream(httpx.AsyncByteStream):
    """A body that arrives in these pieces, and then perhaps stays open."""

    def __init__(self, *pieces: bytes, stays_open: bool = False) -> None:
        self._pieces, self._stays_open = pieces, stays_open
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._stays_open:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed.set()


def events(stream: Stream) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream)


def request(method: str, request_id: object = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def result(request_id: object = 1, **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": fields}


async def carried(answer: Answer, *lines: object) -> list[dict[str, Any]]:
    """What comes out for these lines, each waited for; bytes go in as they are, the rest as JSON."""
    out: list[dict[str, Any]] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        bridge = Bridge(client, lambda: URL, out.append)
        for line in lines:
            bridge.take(line if isinstance(line, bytes) else json.dumps(line).encode())
            await asyncio.wait_for(bridge.end(), 10)
    return out


def no_request(_: httpx.Request) -> httpx.Response:
    pytest.fail("nothing of this is for the gateway")


async def test_an_answer_of_one_message_is_passed_on() -> None:
    def answer(asked: httpx.Request) -> httpx.Response:
        assert json.loads(asked.content) == request("ping", "a")
        assert asked.headers["accept"] == "application/json, text/event-stream"
        return httpx.Response(200, json=result("a"))

    assert await carried(answer, request("ping", "a")) == [result("a")]


async def test_a_stream_is_passed_on_message_by_message_however_it_is_cut() -> None:
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
    # characters that end a line of text elsewhere are data here
    final = result(text="a\u2028b\x85c\x1cd")
    raw = (
        b": ping\r\n\r\nid: 1\r\ndata: \r\n\r\n"
        + b"event: message\r\ndata: %s\r\n\r\n" % json.dumps(progress).encode()
        + b"data: %s\n\n" % json.dumps(final, ensure_ascii=False).encode()
    )
    whole = Stream(raw)
    in_pieces = Stream(*(raw[at : at + 7] for at in range(0, len(raw), 7)))
    for stream in (whole, in_pieces):
        assert await carried(lambda _, stream=stream: events(stream), request("x")) == [progress, final]


async def test_each_message_names_its_protocol_where_http_wants_it() -> None:
    seen: list[dict[str, str]] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        wanted = ("mcp-protocol-version", "mcp-method", "mcp-name")
        seen.append({name: asked.headers[name] for name in wanted if name in asked.headers})
        message = json.loads(asked.content)
        return httpx.Response(200, json=result(message["id"], protocolVersion="2025-06-18"))

    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    await carried(
        answer,
        request("tools/list"),
        request("initialize", protocolVersion="2025-11-25"),
        request("tools/list"),
        request("initialize"),
        request("tools/call", name="search_code", _meta=meta),
        request("resources/read", uri="file://ä", _meta=meta),
    )
    modern = {"mcp-protocol-version": "2026-07-28"}
    assert seen == [
        {},
        {},
        {"mcp-protocol-version": "2025-06-18"},
        {},
        {**modern, "mcp-method": "tools/call", "mcp-name": "search_code"},
        {**modern, "mcp-method": "resources/read", "mcp-name": "=?base64?ZmlsZTovL8Ok?="},
    ]


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[" * 100_000], ids=["cut off", "no UTF-8", "too deep"])
async def test_what_is_no_json_is_answered_without_the_gateway(line: bytes) -> None:
    (answer,) = await carried(no_request, line)
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)


@pytest.mark.parametrize(
    "message", [[request("ping")], 7, {"method": 3, "id": 1}, request("ping", [1]), request("x", None)]
)
async def test_what_is_no_message_is_answered_without_the_gateway(message: object) -> None:
    (answer,) = await carried(no_request, message)
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)


async def test_an_answer_from_the_client_is_dropped() -> None:
    assert await carried(no_request, result()) == []


async def test_odd_parameters_are_the_gateways_to_judge() -> None:
    refused = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "no"}}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json=refused)

    odd = {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": [1]}
    assert await carried(answer, odd) == [{**refused, "id": 4}], "the answer carries the id that was asked with"


async def test_a_notification_is_passed_on_and_never_answered() -> None:
    passed: list[str] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        passed.append(json.loads(asked.content)["method"])
        if len(passed) == 2:
            raise httpx.ConnectError("away")
        return httpx.Response(202)

    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert await carried(answer, note, note) == []
    assert passed == ["notifications/initialized"] * 2


async def test_a_gateway_that_is_away_is_an_error_with_its_remedy() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    (told,) = await carried(answer, request("ping", 5))
    assert told["id"] == 5
    assert told["error"]["message"].startswith(f"No Muniment server answers at {URL}. Start one with `muniment up`")
    assert told["error"]["data"]["code"] == "server_unavailable"


async def test_a_gateway_that_dies_while_it_answers_is_an_error_too() -> None:
    (told,) = await carried(lambda _: events(Stream(b": ping\n\ndata: {")), request("ping"))
    assert told["error"]["data"]["code"] == "server_unavailable"


async def test_an_error_of_the_gateway_keeps_its_code_and_remedy() -> None:
    body = Unauthorized().body()
    (told,) = await carried(lambda _: httpx.Response(401, json=body.model_dump()), request("ping"))
    assert told["error"] == {
        "code": -32603,
        "message": f"{body.message} {body.remedy}",
        "data": body.model_dump(),
    }


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(502, html="<h1>Bad gateway</h1>"), httpx.Response(200, json=[]), httpx.Response(202)],
)
async def test_an_answer_from_something_else_is_told_as_such(answer: httpx.Response) -> None:
    (told,) = await carried(lambda _: answer, request("ping"))
    assert told["error"]["data"]["code"] == "unexpected_answer"
    assert f"status {answer.status_code}" in told["error"]["message"]


async def test_a_stream_of_nonsense_is_told_as_such() -> None:
    (told,) = await carried(lambda _: events(Stream(b"data: nonsense\n\n")), request("ping"))
    assert told["error"]["data"]["code"] == "unexpected_answer"


async def test_cancelling_closes_the_request_and_nothing_more_is_said() -> None:
    out: list[dict[str, Any]] = []
    open_stream = Stream(b": ping\n\n", stays_open=True)
    asked = asyncio.Event()

    def answer(_: httpx.Request) -> httpx.Response:
        asked.set()
        return events(open_stream)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        bridge = Bridge(client, lambda: URL, out.append)
        bridge.take(json.dumps(request("tools/call", "w")).encode())
        await asyncio.wait_for(asked.wait(), 10)
        for request_id in ("other", ["w"], "w"):
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
            bridge.take(json.dumps(note).encode())
        await asyncio.wait_for(open_stream.closed.wait(), 10)
        await asyncio.wait_for(bridge.end(), 10)
    assert out == []


async def test_what_still_runs_at_the_end_is_left_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muniment.cli.bridge.ENDING_SECONDS", 0.05)
    open_stream = Stream(stays_open=True)
    assert await carried(lambda _: events(open_stream), request("subscriptions/listen")) == []
    assert open_stream.closed.is_set()
