"""Keeps a lease alive while a pass runs, and tells the pass when it has to stop.

The lease is renewed by a thread. A process that could not renew it for as long as it lasts (Redis away, stopped and
revived) ends itself at once, judged by the monotonic clock: by then another may work on the project.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from muniment.errors import LeaseLost, MunimentError
from muniment.indexing import Step
from muniment.jobs import Job, Progress
from muniment.leases import Lease, Leases
from muniment.pace import JobPace
from muniment.queue import JobQueue
from muniment.redis_client import REDIS_ERRORS

log = logging.getLogger(__name__)
EXIT_LEASE_EXPIRED = 75
EXIT_STALLED = 76  # the lease ran out because the process stood still, not because Redis was away
LOOK_SECONDS = 0.25  # between two looks at the job's record: so long a pass that was stopped may go on
LONG_SECONDS = 10.0  # a pass that runs for longer tells of each quarter of its way


class Interrupted(MunimentError):
    """The worker shuts down; the job goes back to the front of its queue."""

    code = "interrupted"
    retryable = True
    message = "The worker shuts down."
    remedy = "Nothing to do: the job goes on when a worker is back."


class Stopped(MunimentError):
    """The job's record is gone, says that it was cancelled or paused, or speaks of another attempt."""

    code = "stopped"
    http_status = 409
    message = "Job {job_id} was paused or cancelled."
    remedy = "Nothing to do: what it had indexed stays."

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id=job_id)


class LeaseKeeper:
    """Renews at a third of the lease's length, from ``__enter__`` to ``__exit__``, which gives the lease back."""

    def __init__(self, leases: Leases, lease: Lease, expire: Callable[[int], None] = os._exit) -> None:
        self._leases = leases
        self._lease = lease
        self._expire = expire
        self._deadline = time.monotonic() + leases.seconds
        self._ended = threading.Event()
        self.lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(self._leases.seconds)
        try:
            self._leases.release(self._lease)
        except REDIS_ERRORS as away:
            log.warning("lease of %s not released, it runs out by itself: %s", self._lease.project_id, away)

    def _keep(self) -> None:
        interval = self._leases.seconds / 3
        while True:
            slept_from = time.monotonic()
            if self._ended.wait(interval):
                return
            asked = time.monotonic()
            self._end_if_expired(asked, EXIT_STALLED if asked - slept_from > 2 * interval else EXIT_LEASE_EXPIRED)
            try:
                renewed = self._leases.renew(self._lease)
            except (*REDIS_ERRORS, OSError) as away:
                log.warning("lease of %s not renewed: %s", self._lease.project_id, away)
                self._end_if_expired(time.monotonic(), EXIT_LEASE_EXPIRED)  # a server that hangs answers late
                continue
            if not renewed:
                self.lost.set()
                return
            self._deadline = asked + self._leases.seconds

    def _end_if_expired(self, now: float, status: int) -> None:
        if now >= self._deadline:
            log.error("lease of %s ran out unrenewed: ending", self._lease.project_id)
            self._expire(status)


class PassControl:
    """The ``Control`` of a pass in a work horse."""

    def __init__(
        self,
        queue: JobQueue,
        job: Job,
        keeper: LeaseKeeper,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        pace: JobPace | None = None,
    ) -> None:
        self._pace = pace
        self._queue = queue
        self._job = job
        self._keeper = keeper
        self._stopping = stopping
        self._clock = clock
        self._look_at = self._began = clock()
        self._quarters = 0  # of its way that were told

    def check(self) -> None:
        """Raises LeaseLost, Interrupted or Stopped. A Redis that is away stops nothing."""
        if self._keeper.lost.is_set():
            raise LeaseLost(self._job.project_id)
        if self._stopping.is_set():
            raise Interrupted()
        if self._clock() >= self._look_at:
            if not self._goes_on():
                raise Stopped(self._job.id)
            self._look_at = self._clock() + LOOK_SECONDS

    def _goes_on(self) -> bool:
        try:
            return self._queue.is_running(self._job)
        except REDIS_ERRORS as away:
            log.debug("whether job %s goes on cannot be asked: %s", self._job.id, away)
            return True

    def pause(self, seconds: float) -> None:
        """Ends early when the process has to stop; raises soon when the job has."""
        while seconds > 0 and not self._stopping.wait(min(seconds, LOOK_SECONDS)):
            self.check()
            seconds -= LOOK_SECONDS

    def report(self, progress: Progress) -> None:
        quarters = int(progress.percent // 25)
        try:
            if self._pace is not None:
                self._pace.seen(progress)
            self._queue.progress(self._job, progress, self._pace.estimate if self._pace else None)
            if quarters > self._quarters and self._clock() - self._began > LONG_SECONDS:
                self._queue.milestone(self._job, progress)
            self._quarters = quarters
        except REDIS_ERRORS as away:
            log.warning("progress of job %s not told: %s", self._job.id, away)

    def reached(self, step: Step) -> None:
        log.debug("job %s reached %s", self._job.id, step)
