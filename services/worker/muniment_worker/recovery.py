"""Makes good what was lost: bells that nobody will answer, and a Redis that was wiped.

Runs in every supervisor at every tick; each step is harmless when another supervisor does it too.
"""

import logging
from contextlib import closing
from pathlib import Path

from muniment.jobs import JobKind, JobRequest
from muniment.leases import Leases
from muniment.projects import ProjectStore
from muniment.queue import JobQueue

log = logging.getLogger(__name__)


def runnable_projects(queue: JobQueue, leases: Leases) -> list[str]:
    """Projects with a job to run that nobody holds; none while no slot of the fleet is free."""
    waiting = queue.projects_with_work()
    if not waiting or not leases.slot_free():
        return []
    return [project_id for project_id in waiting if leases.holder(project_id) is None]


def ring_again(queue: JobQueue, project_id: str) -> bool:
    """Rings for a project whose bell was lost: a crashed worker's, or one that found no slot free."""
    if queue.rings(project_id):
        return False
    queue.ring(project_id, "bell rung again")
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
