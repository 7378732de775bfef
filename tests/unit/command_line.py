"""The command line in this process, against a gateway in memory."""

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import httpx
import pytest
from fastapi.testclient import TestClient

from muniment import cli
from muniment.cli.client import Gateway


class Ran(NamedTuple):
    code: int | str | None
    out: str
    err: str


Muniment = Callable[..., Ran]


def command_line(api: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Muniment:
    def forward(request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        answer = api.request(
            request.method, target, content=request.content, headers={"content-type": "application/json"}
        )
        return httpx.Response(answer.status_code, content=answer.content)

    monkeypatch.setattr("muniment.cli.client.Gateway", partial(Gateway, transport=httpx.MockTransport(forward)))

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["muniment", *arguments])
        code: int | str | None = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return Ran(code, *capsys.readouterr())

    return run
