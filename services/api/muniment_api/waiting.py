"""Waiting until an index covers what was queued or changed: woken by events, sure by looking at the records."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from anyio import to_thread

from muniment.errors import UnknownJob
from muniment.events import Event, EventType
from muniment.jobs import Job, JobStatus
from muniment.project import Project
from muniment.redis_client import REDIS_ERRORS
from muniment.status import StatusReader
from muniment_api.feed import Feed, Reader

LOOK_AGAIN = 1.0  # seconds: an event may be lost, the records are the truth
OnProgress = Callable[[Job], Awaitable[None]]


async def until_covered(
    status: StatusReader,
    feed: Feed,
    project: Project,
    timeout: float,
    on_progress: OnProgress | None = None,
    *,
    quiet: float = 0.0,
) -> bool:
    """Whether all that is queued, paused or dirty now was taken within ``timeout`` seconds.

    Once nothing but paused jobs is left of it, the answer is False at once: they may stay so for days. An edit made
    just before the call is still with the watcher: it is given ``quiet`` seconds to tell of it. ``on_progress`` gets
    the project's running job whenever it moved. A Redis that goes away meanwhile counts as "not yet"; one that is away
    at the start raises.
    """
    deadline = time.monotonic() + timeout

    def of_the_project(event: Event) -> bool:
        return event.project_id == project.id

    with feed.reader(of_the_project) as events:
        if project.watch and quiet:
            await asyncio.sleep(min(quiet, timeout))
        mark = await to_thread.run_sync(status.mark, project)
        while True:
            try:
                if await to_thread.run_sync(status.covered, project, mark):
                    return True
                if await to_thread.run_sync(status.held_up, project):
                    return False
            except UnknownJob:
                # Redis was wiped and its jobs with it: what is queued there now is what is to be waited for
                mark = await to_thread.run_sync(status.mark, project)
            except REDIS_ERRORS:
                pass
            if time.monotonic() >= deadline:
                return False
            await _something_happens(events, min(deadline, time.monotonic() + LOOK_AGAIN), on_progress)


async def _something_happens(events: Reader, until: float, on_progress: OnProgress | None) -> None:
    """Returns at the next change of state, or at the time ``until``; reports progress meanwhile."""
    while (event := await events.next(max(0.0, until - time.monotonic()))) is not None:
        if on_progress is not None and (job := _running(event)) is not None:
            await on_progress(job)
        if event.type != EventType.INDEX_PROGRESS:
            return


def _running(event: Event) -> Job | None:
    if "job" not in event.data:
        return None
    job = Job.model_validate(event.data["job"])
    return job if job.status == JobStatus.RUNNING else None
