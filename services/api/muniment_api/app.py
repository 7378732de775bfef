"""The application: REST, MCP and dashboard over the same services."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator

from anyio import to_thread
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

import muniment
from muniment.errors import DiskFull
from muniment.events import EventType
from muniment_api import errors
from muniment_api.access_control import AccessControl, known_names
from muniment_api.dashboard import mount_dashboard
from muniment_api.deps import Services
from muniment_api.gateway import mount_mcp
from muniment_api.routes import events, files, health, jobs, memories, notifications, projects, pushed, search

log = logging.getLogger(__name__)

READS_SECONDS = 5.0  # between two writings of which memories were read

DESCRIPTION = """\
One shared, live index of a team's repositories and a common memory for its agents. Nobody waits for indexing: what
takes long is a job, and every answer says how complete and how fresh the index is.

`{p}` takes the name or the id of a project. Lists are `{items, next}`; errors are `{code, message, remedy}`. Where the
server has a token, every request but `/healthz` and `/readyz` carries `Authorization: Bearer <token>`.
"""


# the limit is not on the application: there it would answer in its own words, around all of ours
API = APIRouter(prefix="/api/v1", responses=errors.RESPONSES, max_body_size=errors.MAX_BODY)
for part in (projects, files, pushed, search, memories, jobs, events, notifications):
    API.include_router(part.router)


def create_app(services: Services) -> FastAPI:
    app = FastAPI(
        title="Muniment",
        version=muniment.__version__,
        summary=muniment.__doc__,
        description=DESCRIPTION,
        docs_url=None,  # both pages would load their scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    app.add_middleware(AccessControl, token=services.token, names=known_names(services.settings))
    errors.install(app)
    app.include_router(API)
    app.include_router(health.router)
    mount_dashboard(app)
    app.state.mcp = mount_mcp(app, services)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    tasks = {
        asyncio.create_task(work, name=name)
        for name, work in (
            ("feed", services.feed.run()),
            ("removals", _follow_removals(services)),
            ("notifier", services.notifier.run()),
            ("reads", _write_reads(services)),
        )
    }
    for task in tasks:
        task.add_done_callback(_died)
    try:
        async with app.state.mcp.session_manager.run():
            services.preload()
            yield
    finally:
        services.notifier.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await services.close()


async def _follow_removals(services: Services) -> None:
    """A project may be removed through another gateway: the files that this one has open would never be freed."""
    with services.feed.reader(lambda event: event.type == EventType.PROJECT_REMOVED) as events:
        async for _ in events:
            try:
                await to_thread.run_sync(services.let_go)
            except sqlite3.Error as error:
                log.warning("removed projects stay open: %s", error)


async def _write_reads(services: Services) -> None:
    """No search waits for a write: which memories were read is counted in memory first."""
    while True:
        await asyncio.sleep(READS_SECONDS)
        try:
            await to_thread.run_sync(services.memory.write_reads)
        except (sqlite3.Error, DiskFull) as error:  # they are counted on, and written the next time
            log.warning("reads of memories are not written yet: %s", error)


def _died(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        log.critical("ended for good: %s", task.get_name(), exc_info=task.exception())
