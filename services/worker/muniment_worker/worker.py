"""RQ's worker, made to die with its parent, to end its job in order and to leave no lease behind."""

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from resource import struct_rusage
from types import FrameType
from typing import Any, Protocol

from redis import Redis
from redis.client import Pipeline
from rq import Queue, Worker
from rq.command import send_command
from rq.exceptions import DeserializationError
from rq.job import Job as Bell
from rq.serializers import JSONSerializer

from muniment.bells import make_bell
from muniment.process import die_with_parent, watch_parent
from muniment.redis_client import REDIS_ERRORS, queue_name
from muniment_worker.control import EXIT_STALLED

log = logging.getLogger(__name__)
MONITOR_SECONDS = 2
HEARTBEAT_SECONDS = 10  # a worker that has not told of itself for so long is no longer shown
DEQUEUE_SECONDS = 5  # so long it waits for a bell, then it tells of itself
DISOWNED_LOOKS = 3  # in a row without a lease: a horse that works so long without one hangs, or was stopped
TOLD_TO_STOP = {signal.SIGTERM, signal.SIGINT}
# what RQ raises over an entry of its queue that it did not write
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, DeserializationError)


class Groom(Protocol):
    """What a worker does about the lease of its horse. Each may raise what Redis does."""

    def holds(self) -> bool:
        """Whether the project is still this worker's."""

    def crashed(self) -> None:
        """The horse was killed, or could not go on, in the middle of a job."""

    def ended(self) -> None:
        """The horse is gone, however it ended: nobody waits for its lease."""


class ProjectWorker(Worker):
    """Answers the bells of one project. Its horse dies when it dies: an orphan would go on writing."""

    project_id = ""
    niceness = 0
    own_pid = 0
    groom: Groom
    told_to_stop: Callable[[], object]
    max_connection_wait_time = 1.0  # RQ would sleep for up to a minute after Redis is back
    _first = True
    _disowned = 0  # looks in a row that found the lease gone

    # --- bells ---------------------------------------------------------------------------------------------------

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Bell, Queue] | None:
        while True:
            try:
                if not self._first:
                    return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
                self._first = False
                # the bell that this worker was forked for may have been answered by another one's, which has no lease
                return super().dequeue_job_and_maintain_ttl(None) or self._own_bell()
            except UNREADABLE as error:
                log.warning(
                    "an entry on the queue of %s is skipped: %s: %s", self.project_id, type(error).__name__, error
                )

    def _own_bell(self) -> tuple[Bell, Queue]:
        queue = self.queues[0]
        bell = make_bell(queue, self.project_id, "first look of a new worker")
        bell.save()
        bell.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]
        return bell, queue

    def execute_job(self, job: Bell, queue: Queue) -> None:
        super().execute_job(job, queue)
        with contextlib.suppress(*REDIS_ERRORS):
            self.groom.ended()

    def run_maintenance_tasks(self) -> None:
        """The supervisor's: a worker that is busy for a quarter of an hour would not do them."""

    # --- the horse -----------------------------------------------------------------------------------------------

    def fork_work_horse(self, job: Bell, queue: Queue) -> None:
        self._disowned = 0
        held = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_TO_STOP)  # the horse inherits it, until it can listen
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if self._stop_requested:  # there was no horse to tell when the signal came
            self.handle_warm_shutdown_request()

    def setup_work_horse_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _number, _frame: self.told_to_stop())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_TO_STOP)

    def main_work_horse(self, job: Bell, queue: Queue) -> None:
        if not die_with_parent(self.own_pid):
            watch_parent(self.own_pid)
        os.nice(self.niceness)
        super().main_work_horse(job, queue)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Never by its process group, as RQ does: of a horse that has just begun or ended that is our parent's."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, sig)

    def handle_work_horse_killed(
        self, _bell: Bell, _pid: int | None, status: int | None, _usage: struct_rusage | None
    ) -> None:
        if status is not None and (os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == EXIT_STALLED):
            with contextlib.suppress(*REDIS_ERRORS):
                self.groom.crashed()

    # --- what RQ tells of itself -----------------------------------------------------------------------------------

    def maintain_heartbeats(self, job: Bell) -> None:
        # RQ would end the worker, and with it the pass, over a Redis that is away for a second; the lease decides that
        with contextlib.suppress(*REDIS_ERRORS):
            super().maintain_heartbeats(job)
            self._disowned = 0 if self.groom.holds() else self._disowned + 1
            if self._disowned >= DISOWNED_LOOKS:
                log.warning("the process of %s goes on without a lease: killed", self.project_id)
                self.kill_horse()

    def heartbeat(self, _timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        # RQ would show a worker that was killed for more than a minute
        super().heartbeat(HEARTBEAT_SECONDS, pipeline)

    def set_current_job_working_time(self, *arguments: Any, **options: Any) -> None:
        with contextlib.suppress(*REDIS_ERRORS):
            super().set_current_job_working_time(*arguments, **options)

    def get_heartbeat_ttl(self, job: Bell) -> int:  # noqa: ARG002 - RQ's signature
        # RQ would take the job's timeout, and show a dead worker's job as running for as long
        return 3 * MONITOR_SECONDS

    # --- shutdown ------------------------------------------------------------------------------------------------

    def handle_warm_shutdown_request(self) -> None:
        """Asks the horse to write its checkpoint and put its job back; the worker waits for it."""
        self.kill_horse(signal.SIGTERM)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal is no reason to kill a horse in the middle of its checkpoint."""


def bell_of(redis: Redis, owner: str) -> str | None:
    """The id of the bell that the worker of that name, on whatever host, answers now."""
    bell = redis.hget(f"{Worker.redis_worker_namespace_prefix}{owner}", "current_job")
    return bell.decode() if isinstance(bell, bytes) else None


def stop_horse(redis: Redis, owner: str, bell: str) -> None:
    """Has that worker kill its horse, if it still answers this very bell."""
    send_command(redis, owner, "stop-job", job_id=bell)


def work_on(
    project_id: str,
    redis: Redis,
    *,
    owner: str,
    groom: Groom,
    told_to_stop: Callable[[], object],
    linger_seconds: float,
    niceness: int,
) -> None:
    """Answers a bell of its own, then the project's, until none has rung for ``linger_seconds``. ``owner`` names it in
    its leases; ``told_to_stop`` is called in a horse that has to end.
    """
    worker = ProjectWorker(
        [Queue(queue_name(project_id), connection=redis, serializer=JSONSerializer)],
        name=owner,
        connection=redis,
        serializer=JSONSerializer,
        job_monitoring_interval=MONITOR_SECONDS,
        worker_ttl=DEQUEUE_SECONDS + 15,  # RQ takes off 15
    )
    worker.project_id, worker.niceness, worker.own_pid = project_id, niceness, os.getpid()
    worker.groom, worker.told_to_stop = groom, told_to_stop
    worker.work(max_idle_time=max(1, int(linger_seconds)), logging_level="WARNING")
