"""Makes good what was lost: bells that nobody will answer, a Redis that was wiped, what removed projects left behind.

Runs in every supervisor at every tick; each step is harmless when another supervisor does it too.
"""

import logging
from contextlib import closing
from pathlib import Path

from redis import Redis
from rq import Queue
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import current_timestamp
from rq.worker_registration import WORKERS_BY_QUEUE_KEY, clean_worker_registry

from muniment.jobs import JobKind, JobRequest
from muniment.leases import Leases
from muniment.projects import ProjectStore
from muniment.queue import JobQueue
from muniment.redis_client import QUEUE_PREFIX
from muniment.removal import Stores, sweep_removed
from muniment_worker.tasks import Desk
from muniment_worker.worker import UNREADABLE, bell_of, stop_horse

log = logging.getLogger(__name__)
BELL_SECONDS = 3600


def runnable_projects(queue: JobQueue, leases: Leases) -> list[str]:
    """Projects with a job to run that nobody holds; none while no slot of the fleet is free."""
    waiting = queue.projects_with_work()
    if not waiting or not leases.slot_free():
        return []
    return [project_id for project_id in waiting if leases.holder(project_id) is None]


def ring_again(queue: JobQueue, project_id: str) -> bool:
    """Rings for a project whose bell was lost: a crashed worker's, or one that found no slot free."""
    if queue.bells.unanswered(project_id):
        return False
    queue.bells.ring(project_id, "bell rung again")
    return True


def rebuild_after_loss(queue: JobQueue, server_db: Path) -> int:
    """When Redis is new or was wiped: queues a reconcile of every project. Returns how many."""
    if queue.epoch_known():
        return 0
    with closing(ProjectStore(server_db)) as projects:
        known = projects.all()
    for project in known:
        queue.request(project, JobRequest(kind=JobKind.RECONCILE))
    queue.mark_epoch()  # last: who dies before it leaves the work to the next one
    if known:
        log.warning("Redis held nothing: %d projects reconcile", len(known))
    return len(known)


def stop_stuck(desk: Desk, grace_seconds: float) -> None:
    """Has the horses killed whose job was paused or cancelled so long ago and that have not let go yet."""
    late = desk.queue.overdue(grace_seconds)
    holders = {job.id: desk.leases.holder(job.project_id) for job in late}
    bells = {job_id: bell_of(desk.connections.rq, holder.owner) for job_id, holder in holders.items() if holder}
    # asked again: who is late still was when it answered that bell, so the bell is not that of another job's horse
    for job in desk.queue.overdue(grace_seconds) if late else []:
        holder, bell = holders.get(job.id), bells.get(job.id)
        if holder is not None and bell is not None:
            log.warning("job %s of %s does not end by itself: its process is killed", job.id, job.project)
            stop_horse(desk.connections.rq, holder.owner, bell)


def tidy_bells(rq: Redis) -> None:
    """Takes the bells and workers that died out of RQ's lists of what runs: nobody else does it while a worker is busy,
    and of a queue without any worker nobody does at all.
    """
    known = Queue.all(connection=rq, serializer=JSONSerializer)
    ours = [queue for queue in known if queue.name.startswith(QUEUE_PREFIX)]
    with rq.pipeline(transaction=False) as pipe:
        for queue in ours:
            pipe.exists(
                StartedJobRegistry(queue=queue).key, WORKERS_BY_QUEUE_KEY % queue.name, queue.intermediate_queue_key
            )
        answers = pipe.execute()
    for queue in (queue for queue, busy in zip(ours, answers, strict=True) if busy):
        started = StartedJobRegistry(queue=queue)
        try:
            started.cleanup()
        except UNREADABLE as error:
            log.warning("bells of %s that nobody can read are dropped: %s", queue.name, error)
            rq.zremrangebyscore(started.key, 0, current_timestamp())
        clean_worker_registry(queue)
        rq.expire(queue.intermediate_queue_key, BELL_SECONDS, nx=True)  # bells between two states, of dead workers


def leftovers(server_db: Path) -> bool:
    """Whether a removed project was not swept to the end."""
    with closing(ProjectStore(server_db)) as projects:
        return bool(projects.removed())


def sweep_leftovers(desk: Desk) -> None:
    """Deletes what removed projects left behind. Slow, and it talks to Chroma: for a process of its own."""
    folder = desk.settings.folder
    with closing(ProjectStore(folder.server_db)) as projects:
        for project_id in sweep_removed(Stores(folder, projects, desk.queue, desk.tools.vectors)):
            log.info("nothing is left of removed project %s", project_id)
