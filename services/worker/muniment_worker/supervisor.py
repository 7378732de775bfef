"""The supervisor: sees which projects have work, takes lease and slot, and forks one RQ worker per project queue.

Each of its workers dies with it, and each worker's horse with the worker. All forking is done by the main thread: the
death signal follows the thread that forked.
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import sqlite3
import time
from collections.abc import Callable

from muniment.embedding.choice import EmbedderChoice
from muniment.errors import MunimentError
from muniment.job_history import sweep_history
from muniment.leases import Lease, Leases
from muniment.masking import load_rules
from muniment.process import die_with_parent, watch_parent
from muniment.queue import utc_now
from muniment.redis_client import BELL_CHANNEL, REDIS_ERRORS
from muniment.settings import Settings
from muniment_worker import tasks
from muniment_worker.recovery import (
    leftovers,
    rebuild_after_loss,
    ring_again,
    runnable_projects,
    stop_stuck,
    sweep_leftovers,
    tidy_bells,
)
from muniment_worker.tasks import Desk, HorseKeeper, open_desk
from muniment_worker.worker import TOLD_TO_STOP, work_on

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
AWAY_SECONDS = 0.5
DRAIN_SECONDS = 4.0
FIRST_REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 30.0
STUCK_SECONDS = 5.0  # a horse that does not let go of a stopped job for so long is killed
HISTORY_SECONDS = 24 * 3600.0  # between two sweeps of old jobs; the first one comes at once
SWEEP_SECONDS = 5.0  # between two looks for what removed projects left behind
MOST_LINGERING = 8  # workers besides those that may run: after 200 small projects there would be 200 processes
TIDY_SECONDS = 2.0  # between two looks for bells whose worker is dead


class Supervisor:
    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._workers: dict[int, Lease] = {}  # by pid; the lease each was forked with names its owner
        self._resting: dict[str, tuple[int, float]] = {}  # bad ends of workers, and when the next may start
        self._sweeper: int | None = None  # pid of the process that sweeps
        self._sweep_at = self._history_at = self._tidy_at = clock()
        self._stopping = self._redis_away = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then the workers drain, and what does not end in time is killed."""
        for number in TOLD_TO_STOP:
            signal.signal(number, lambda _number, _frame: self._stop())
        # before any fork: the horses share their pages
        tasks.embedder(EmbedderChoice.of(self._settings))
        load_rules(self._settings.folder.rule_cache)
        while not self._stopping:
            desk = open_desk(self._settings)
            try:
                self._serve(desk)
            except REDIS_ERRORS as away:
                log.log(logging.DEBUG if self._redis_away else logging.WARNING, "Redis is away: %s", away)
                self._redis_away = True
                self._reap()
                time.sleep(AWAY_SECONDS)
            finally:
                with contextlib.suppress(*REDIS_ERRORS):
                    desk.connections.close()
        self._drain()

    def _stop(self) -> None:
        self._stopping = True

    def _serve(self, desk: Desk) -> None:
        with desk.connections.records.pubsub(ignore_subscribe_messages=True) as bell:
            bell.subscribe(BELL_CHANNEL)
            while not self._stopping:
                self.tick(desk)
                if self._redis_away:
                    log.info("Redis is back")
                    self._redis_away = False
                message = bell.get_message(timeout=TICK_SECONDS)
                while message is not None and not self._stopping:
                    message = bell.get_message(timeout=0)

    def tick(self, desk: Desk) -> None:
        """One look at everything: dead workers, a wiped Redis, projects that nobody works on."""
        self._reap(desk)
        try:
            rebuild_after_loss(desk.queue, self._settings.folder.server_db)
            self._sweep()
        except (MunimentError, OSError, sqlite3.Error) as error:  # the disk is full, say; the next tick tries again
            log.warning("the projects of record cannot be read: %s", error)
        stop_stuck(desk, STUCK_SECONDS)
        if self._clock() >= self._tidy_at:
            tidy_bells(desk.connections.rq)
            self._tidy_at = self._clock() + TIDY_SECONDS
        if self._clock() >= self._history_at:
            sweep_history(desk.connections.records, utc_now())
            self._history_at = self._clock() + HISTORY_SECONDS
        mine = {lease.project_id for lease in self._workers.values()}
        for project_id in runnable_projects(desk.queue, desk.leases):
            if self._clock() < self._resting.get(project_id, (0, 0.0))[1]:
                continue
            if project_id in mine:
                ring_again(desk.queue, project_id)  # its lingering worker takes the lease itself
                continue
            owner = f"{project_id}-{socket.gethostname()}-{secrets.token_hex(4)}"
            lease = desk.leases.acquire(project_id, owner)
            if isinstance(lease, Lease):
                self._fork(lease)
        self._dismiss_idle(desk.leases)

    def _dismiss_idle(self, leases: Leases) -> None:
        """Of the workers that linger only the youngest stay. One that has just begun a job puts it back: it is rung
        for again."""
        spare = len(self._workers) - self._settings.max_running - MOST_LINGERING
        for pid, lease in list(self._workers.items())[: max(0, spare)]:
            if leases.holder(lease.project_id) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def _sweep(self) -> None:
        if self._sweeper is not None or self._clock() < self._sweep_at:
            return
        self._sweep_at = self._clock() + SWEEP_SECONDS
        if leftovers(self._settings.folder.server_db):
            # a process of its own: it may take long, and no horse may inherit a connection to Chroma
            self._sweeper = self._child("the sweeper", sweep_leftovers)

    def _fork(self, lease: Lease) -> None:
        def work(desk: Desk) -> None:
            tasks.inherit(lease)
            work_on(
                lease.project_id,
                desk.connections.rq,
                owner=lease.owner,
                groom=HorseKeeper(desk, lease),
                told_to_stop=tasks.stopping.set,
                linger_seconds=self._settings.linger_seconds,
                niceness=self._settings.nice,
            )

        pid = self._child(f"the worker of {lease.project_id}", work)
        self._workers[pid] = lease
        log.info("worker %d for %s", pid, lease.project_id)

    def _child(self, name: str, work: Callable[[Desk], None]) -> int:
        """Has a process of its own, which dies with this one, do the work; returns its pid."""
        parent = os.getpid()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_TO_STOP)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            return pid
        code = 1
        try:
            for number in TOLD_TO_STOP:  # our own handler would let it go on as if nothing had been said
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            if not die_with_parent(parent):
                watch_parent(parent)
            signal.set_wakeup_fd(-1)
            # a connection must not be shared with the parent
            work(open_desk(self._settings))
            code = 0
        except BaseException:
            log.exception("%s failed", name)
            raise
        finally:
            # no clean-up of the parent's objects in the child
            logging.shutdown()
            os._exit(code)

    def _reap(self, desk: Desk | None = None) -> None:
        """Without a desk, Redis being away, the leases of the dead run out by themselves."""
        if self._sweeper is not None and os.waitpid(self._sweeper, os.WNOHANG)[0]:
            self._sweeper = None
        for pid, lease in list(self._workers.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._workers[pid]
            if not status:
                self._resting.pop(lease.project_id, None)
            else:
                self._rest(lease.project_id)
                log.warning("worker %d of %s ended with %s", pid, lease.project_id, _described(status))
            if desk is not None:
                groom = HorseKeeper(desk, lease)
                if os.WIFSIGNALED(status) and groom.holds():
                    groom.crashed()
                groom.ended()

    def _rest(self, project_id: str) -> None:
        """A project whose worker ended badly waits before its next one, longer each time."""
        failures = self._resting.get(project_id, (0, 0.0))[0] + 1
        pause = min(FIRST_REST_SECONDS * 2 ** (failures - 1), LONGEST_REST_SECONDS)
        self._resting[project_id] = (failures, self._clock() + pause)

    def _drain(self) -> None:
        leases = list(self._workers.values())
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = self._clock() + DRAIN_SECONDS
        while self._workers and self._clock() < deadline:
            self._reap()
            time.sleep(0.05)
        for pid in self._workers:
            log.warning("worker %d did not end in %.0f s: killed", pid, DRAIN_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reap()
        with contextlib.suppress(
            *REDIS_ERRORS
        ):  # what a killed one did not give back: whoever comes next need not wait
            desk = open_desk(self._settings)
            for lease in leases:
                HorseKeeper(desk, lease).ended()


def _described(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"status {code}"
