"""RQ's worker, made to die with its parent and to end its job in order."""

import contextlib
import os
import signal
from collections.abc import Callable
from resource import struct_rusage
from types import FrameType
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job as Bell
from rq.serializers import JSONSerializer

from muniment.process import die_with_parent, watch_parent
from muniment.redis_client import REDIS_ERRORS, queue_name

MONITOR_SECONDS = 2
WORKER_TTL_SECONDS = 20
MAINTENANCE_SECONDS = 5


class ProjectWorker(Worker):
    """Answers the bells of one project. Its horse dies when it dies: an orphan would go on writing."""

    niceness = 0
    own_pid = 0
    bereaved: Callable[[], object] = staticmethod(lambda: None)

    def main_work_horse(self, job: Bell, queue: Queue) -> None:
        if not die_with_parent(self.own_pid):
            watch_parent(self.own_pid)
        os.nice(self.niceness)
        super().main_work_horse(job, queue)

    def handle_work_horse_killed(
        self, _bell: Bell, _pid: int | None, status: int | None, _usage: struct_rusage | None
    ) -> None:
        if status is not None and os.WIFSIGNALED(status):
            with contextlib.suppress(*REDIS_ERRORS):
                self.bereaved()

    def handle_job_failure(self, job: Bell, *arguments: Any, **options: Any) -> None:
        stopped = self._stopped_job_id == job.id  # its horse was killed on purpose, and RQ tells nobody else of it
        super().handle_job_failure(job, *arguments, **options)
        if stopped:
            with contextlib.suppress(*REDIS_ERRORS):
                self.bereaved()

    def maintain_heartbeats(self, job: Bell) -> None:
        # RQ would end the worker, and with it the pass, over a Redis that is away for a second; the lease decides that
        with contextlib.suppress(*REDIS_ERRORS):
            super().maintain_heartbeats(job)

    def set_current_job_working_time(self, *arguments: Any, **options: Any) -> None:
        with contextlib.suppress(*REDIS_ERRORS):
            super().set_current_job_working_time(*arguments, **options)

    def get_heartbeat_ttl(self, job: Bell) -> int:  # noqa: ARG002 - RQ's signature
        # RQ would take the job's timeout, and show a dead worker's job as running for as long
        return 3 * MONITOR_SECONDS

    def handle_warm_shutdown_request(self) -> None:
        """Asks the horse to write its checkpoint and put its job back; the worker waits for it."""
        if self.horse_pid:
            self.kill_horse(signal.SIGTERM)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal is no reason to kill a horse in the middle of its checkpoint."""


def stop_horse(redis: Redis, owner: str) -> bool:
    """Has the worker of that name, on whatever host, kill its horse; False when it works on nothing."""
    bell = redis.hget(f"{Worker.redis_worker_namespace_prefix}{owner}", "current_job")
    if not isinstance(bell, bytes):
        return False
    try:
        send_stop_job_command(redis, bell.decode(), serializer=JSONSerializer)
    except (NoSuchJobError, InvalidJobOperation):  # it has just ended
        return False
    return True


def work_on(
    project_id: str,
    redis: Redis,
    *,
    owner: str,
    bereaved: Callable[[], object],
    linger_seconds: float,
    niceness: int,
) -> None:
    """Answers the project's bells until none has rung for ``linger_seconds``. ``owner`` names it in its leases;
    ``bereaved`` is called when its horse was killed.
    """
    worker = ProjectWorker(
        [Queue(queue_name(project_id), connection=redis, serializer=JSONSerializer)],
        name=owner,
        connection=redis,
        serializer=JSONSerializer,
        job_monitoring_interval=MONITOR_SECONDS,
        worker_ttl=WORKER_TTL_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    worker.niceness, worker.own_pid = niceness, os.getpid()
    worker.bereaved = bereaved
    worker.work(max_idle_time=max(1, int(linger_seconds)), logging_level="WARNING")
