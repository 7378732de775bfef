"""The children of the embedded stack: command lines, environment, and how each shows that it is ready."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from muniment.process import free_port
from muniment.settings import Settings, user_runtime_dir
from muniment.stack import valkey
from muniment.stack.supervision import ChildSpec

PROBE_SECONDS = 2.0
LOOPBACK = "127.0.0.1"


def environment(settings: Settings) -> dict[str, str]:
    """The ``MUNIMENT_*`` variables from which another process reads these same settings."""
    return {
        f"MUNIMENT_{name.upper()}": _encoded(name, value)
        for name in sorted(settings.model_fields_set)
        if (value := getattr(settings, name)) is not None
    }


def _encoded(name: str, value: Any) -> str:
    if isinstance(value, list):
        return (os.pathsep if name == "roots" else ",").join(map(str, value))
    return str(value)


def base_url(host: str, port: int) -> str:
    """The URL by which this host reaches a server bound to ``host``."""
    if host in {"0.0.0.0", ""}:
        host = LOOPBACK
    elif host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def responds(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        # trust_env: a proxy from the environment has no business between processes of one host
        with httpx.Client(timeout=PROBE_SECONDS, trust_env=False) as client:
            return client.get(url).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def gateway_answers(url: str) -> bool:
    return responds(f"{url}/healthz")


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """Runs a module with this interpreter. -P: files of the current folder must not shadow the libraries'."""
    return (sys.executable, "-P", "-m", name, *arguments)


def valkey_child(folder: Path, *keep_fds: int) -> tuple[ChildSpec, str]:
    """The embedded Valkey and its URL; its folders are made here."""
    folder.mkdir(exist_ok=True, mode=0o700)
    socket = valkey.socket_path(folder, user_runtime_dir())
    valkey.prepare_socket_folder(socket)
    spec = ChildSpec(
        "valkey",
        valkey.argv(socket, folder),
        ready=lambda: valkey.answers(socket),
        grace=10.0,  # the append-only file is flushed on SIGTERM
        keep_fds=keep_fds,
    )
    return spec, valkey.server_url(socket)


def chroma_child(folder: Path, *keep_fds: int) -> tuple[ChildSpec, str]:
    """The embedded Chroma server and its URL, on a free loopback port."""
    folder.mkdir(exist_ok=True, mode=0o700)
    url = base_url(LOOPBACK, port := free_port())
    spec = ChildSpec(
        "chroma",
        module("muniment.stack.chroma", "--path", str(folder), "--host", LOOPBACK, "--port", str(port)),
        env={"ANONYMIZED_TELEMETRY": "False", "NO_COLOR": "1"},
        ready=lambda: responds(f"{url}/api/v2/heartbeat"),
        grace=10.0,
        keep_fds=keep_fds,
    )
    return spec, url


def service_children(settings: Settings) -> Sequence[ChildSpec]:
    """The gateway, the worker supervisor, the watcher and rq-dashboard, all told these settings."""
    env = environment(settings)
    url = base_url(settings.host, settings.port)
    return (
        # first, so that at the end it is asked first to put its jobs back
        ChildSpec("worker", module("muniment_worker"), env=env),
        ChildSpec("watcher", module("muniment_watcher"), env=env),
        ChildSpec("ops", module("muniment_api.ops"), env=env),
        ChildSpec("gateway", module("muniment_api"), env=env, ready=lambda: gateway_answers(url)),
    )
