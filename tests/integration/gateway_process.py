"""Gateways as processes of their own, and MCP clients of them."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from compiled_rules import give_rules
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from muniment.datafolder import DataFolder
from muniment.process import free_port, spawn, stop_child
from muniment.stack.children import gateway_answers, module


@dataclass
class GatewayProcess:
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    source: Path


@contextlib.contextmanager
def running(folder: Path, env: dict[str, str], port: int | None = None) -> Iterator[GatewayProcess]:
    """A gateway that may index what lies below ``folder / "sources"``; several of one folder share their data."""
    port = port or free_port()
    source = folder / "sources"
    source.mkdir(exist_ok=True)
    log = folder / f"gateway-{port}.log"
    give_rules(DataFolder(folder / "data"))
    env = {
        "MUNIMENT_DATA_DIR": str(folder / "data"),
        "MUNIMENT_ROOTS": str(source),
        "MUNIMENT_PORT": str(port),
        **env,
    }
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = spawn(module("muniment_api"), env={**os.environ, **env}, output=output)
    try:
        deadline = time.monotonic() + 60
        while not gateway_answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield GatewayProcess(url, process, log, source)
    finally:
        stop_child(process, grace=10)


def bridge(url: str, token: str | None = None) -> StdioServerParameters:
    arguments = ["-m", "muniment.cli", "mcp", "--url", url, *(["--token", token] if token else [])]
    return StdioServerParameters(command=sys.executable, args=arguments)


@contextlib.asynccontextmanager
async def connected(url: str, way: str, mode: str, token: str | None = None) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
        transport = (
            streamable_http_client(f"{url}/mcp", http_client=http)
            if way == "http"
            else stdio_client(bridge(url, token))
        )
        async with asyncio.timeout(60), Client(transport, mode=mode) as client:
            yield client
