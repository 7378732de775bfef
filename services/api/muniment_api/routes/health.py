"""Whether the process lives, and whether the parts that it needs answer."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from anyio import create_task_group, move_on_after, to_thread
from fastapi import APIRouter, Response
from pydantic import BaseModel

import muniment
from muniment.errors import MunimentError
from muniment.redis_client import REDIS_ERRORS
from muniment_api.deps import Use
from muniment_api.feed import Feed

PROBE_SECONDS = 3.0
DEAF = "the subscription to Redis' channel does not stand; it is tried again every few seconds"

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str
    version: str


class Part(BaseModel):
    ok: bool
    detail: str | None = None


class Readiness(BaseModel):
    ready: bool
    parts: dict[str, Part]


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Health:
    """Asks no other part and needs no token."""
    return Health(status="ok", version=muniment.__version__)


@router.get(
    "/readyz",
    summary="Whether every part that requests need answers",
    responses={503: {"model": Readiness, "description": "A part is away; the answer names it."}},
)
async def readyz(use: Use, response: Response) -> Readiness:
    """Needs no token."""
    probes: dict[str, Callable[[], object]] = {
        "redis": use.connections.records.ping,
        "chroma": use.vectors.heartbeat,
        "data": lambda: _writable(use.settings.data_dir),
    }
    parts: dict[str, Part] = {}

    async def ask(name: str) -> None:
        parts[name] = Part(ok=False, detail=f"no answer within {PROBE_SECONDS:.0f} s")
        with move_on_after(PROBE_SECONDS):
            parts[name] = await to_thread.run_sync(_outcome, probes[name], abandon_on_cancel=True)

    async with create_task_group() as group:
        for name in probes:
            group.start_soon(ask, name)
    parts["events"] = _heard(use.feed)
    ready = all(part.ok for part in parts.values())
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, parts={name: parts[name] for name in (*probes, "events")})


def _heard(feed: Feed) -> Part:
    """Without its events a gateway still answers, but its streams, waits and subscriptions would tell nothing."""
    return Part(ok=True) if feed.standing.is_set() else Part(ok=False, detail=DEAF)


def _outcome(probe: Callable[[], object]) -> Part:
    try:
        probe()
    except (MunimentError, OSError, *REDIS_ERRORS) as error:
        return Part(ok=False, detail=str(error) or type(error).__name__)
    return Part(ok=True)


def _writable(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass
