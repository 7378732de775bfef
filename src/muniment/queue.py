"""What happens to jobs: asked for, claimed, stopped, resumed, ended.

The record in Redis is the truth about a job; the entry on the project's RQ queue is only a doorbell
(``muniment.bells``). Ringing twice is harmless, a lost ring is rung again by the recovery loop. Per project at most one
job is *active* (claimed, not ended); a request made while one waits joins it.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from muniment.bells import Bells
from muniment.bus import Bus
from muniment.errors import ErrorBody, IllegalMove, UnknownJob
from muniment.events import Event, EventType
from muniment.job_records import JobRecords, as_job
from muniment.jobs import (
    ASKED,
    HISTORY_SECONDS,
    RETRIED,
    Job,
    JobKind,
    JobRequest,
    JobStatus,
    Progress,
    merged,
    new_job_id,
)
from muniment.leases import Lease, Leases
from muniment.project import Project
from muniment.queue_scripts import (
    CLAIM,
    DISCARD,
    FINISH,
    OVERDUE,
    PROGRESS,
    PUT_BACK,
    REQUEST,
    RESUME,
    STOP,
    TRY_LATER,
)
from muniment.redis_client import (
    EPOCH,
    JOBS,
    SLOTS,
    WORK,
    Argument,
    Connections,
    Script,
    active_key,
    dirty_key,
    dirty_since_key,
    job_key,
    lease_key,
    pace_key,
    paused_key,
    project_jobs_key,
    rest_key,
    waiting_key,
)

log = logging.getLogger(__name__)

ENDED_EVENT = {
    JobStatus.COMPLETED: EventType.INDEX_COMPLETE,
    JobStatus.FAILED: EventType.INDEX_FAILED,
    JobStatus.CANCELLED: EventType.INDEX_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Requested:
    """``joined``: the request was merged into a job that waited already."""

    job_id: str
    joined: bool


def utc_now() -> datetime:
    return datetime.now(UTC)


class JobQueue(JobRecords):
    def __init__(
        self, connections: Connections, bus: Bus, leases: Leases, clock: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__(connections, leases)
        self.bells = Bells(connections)
        self._bus = bus
        self._now = clock
        self._scripts: dict[str, Script] = {}

    def _run(self, script: str, *arguments: Argument, keys: tuple[str, ...] = ()) -> object:
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(script)
        return self._scripts[script](keys=keys, args=arguments)

    # --- asking for work -----------------------------------------------------------------------------------------

    def request(self, project: Project, request: JobRequest) -> Requested:
        """Writes the record (or widens the one that waits), rings, tells; the answer comes at once."""
        while True:
            waiting, stored, known = self._last_waiting(project.id)
            wanted = merged(known, request) if known else request
            job_id, record = self._new_record(project.id, project.name, wanted)
            outcome = self._run(REQUEST, project.id, waiting, stored, wanted.model_dump_json(), job_id, *record)
            if outcome != "changed":
                break
        joined = outcome == "joined"
        if joined:
            job_id = waiting
        else:
            self._tell(EventType.JOB_QUEUED, self.get(job_id))
        self.bells.ring(project.id, f"{wanted.kind} of {project.name}")
        return Requested(job_id, joined)

    def _last_waiting(self, project_id: str) -> tuple[str, str, JobRequest | None]:
        """The id of the last one that waits, and its request as it is stored (another version's may look otherwise) and
        as read; of one that cannot be joined the id alone.
        """
        waiting = self._redis.lindex(waiting_key(project_id), -1) or ""
        values = self._redis.hgetall(job_key(waiting)) if waiting else {}
        job = as_job(values)
        if job is None or job.status != JobStatus.QUEUED:
            return waiting, "", None
        return waiting, values["request"], job.request

    def _new_record(self, project_id: str, project: str, request: JobRequest) -> tuple[str, list[Argument]]:
        """A new job's id, and what the scripts want: when it was made in ms, then its fields and values."""
        job_id, now = new_job_id(), self._now()
        record = {
            "id": job_id,
            "project": project,
            "project_id": project_id,
            "request": request.model_dump_json(),
            "status": JobStatus.QUEUED.value,
            "created_at": now.isoformat(),
            "attempt": "0",
        }
        return job_id, [int(now.timestamp() * 1000), *(part for pair in record.items() for part in pair)]

    # --- stopping it, and going on -------------------------------------------------------------------------------

    def cancel(self, job_id: str, *, stands_in: bool = True) -> Job:
        """Ends a job that waits, runs or is paused; a running pass sees it at its next look at ``is_running``.

        ``stands_in``: an update takes what became dirty while it ran. Raises UnknownJob, and IllegalMove when it has
        ended already.
        """
        return self._stop(job_id, JobStatus.CANCELLED, EventType.INDEX_CANCELLED, stands_in=stands_in)

    def pause(self, job_id: str) -> Job:
        """Keeps a job that waits or runs until it is resumed; it holds neither lease nor slot meanwhile.

        Raises UnknownJob and IllegalMove.
        """
        return self._stop(job_id, JobStatus.PAUSED, EventType.INDEX_PAUSED, stands_in=True)

    def _stop(self, job_id: str, target: JobStatus, event: EventType, *, stands_in: bool) -> Job:
        job = self.get(job_id)
        standing, record = self._new_record(job.project_id, job.project, JobRequest(kind=JobKind.UPDATE))
        now = self._now().isoformat()
        stand = int(stands_in and not job.request.only_dirty)  # the same again would make the stop a jest
        arguments = (job.project_id, job_id, target, now, HISTORY_SECONDS, stand, standing, *record)
        stood_in = self._moved(job_id, target.value, self._run(STOP, *arguments))
        job = self.get(job_id)
        self._tell(event, job)
        self._tell_standing(stood_in)
        return job

    def resume(self, job_id: str) -> Job:
        """Queues a paused job again, before those that were asked for later. Raises UnknownJob and IllegalMove."""
        job = self.get(job_id)
        self._moved(job_id, "resumed", self._run(RESUME, job.project_id, job_id))
        job = self.get(job_id)
        self._tell(EventType.INDEX_RESUMED, job)
        self.bells.ring(job.project_id, f"{job.kind} of {job.project}, resumed")
        return job

    def retry(self, job_id: str) -> Requested:
        """Asks anew for what a failed or cancelled job was to do. Raises UnknownJob and IllegalMove."""
        job = self.get(job_id)
        if job.status not in RETRIED:
            raise IllegalMove(job_id, job.status, "retried", ASKED[job.status])
        now = self._now()
        # only id and name go into a record
        project = Project(id=job.project_id, name=job.project, watch_paths=[], created_at=now, updated_at=now)
        return self.request(project, job.request)

    def _moved(self, job_id: str, wanted: str, outcome: object) -> str:
        """The id of an update that stands in, '' for none. Raises UnknownJob, and IllegalMove for a refused move."""
        assert isinstance(outcome, list)
        before, moved, *stood_in = outcome
        if not before:
            raise UnknownJob(job_id)
        if not moved:
            raise IllegalMove(job_id, before, wanted, ASKED[JobStatus(before)])
        return str(stood_in[0]) if stood_in else ""

    def cancel_all(self, project_id: str) -> None:
        """Cancels what waits, runs or is paused for a project."""
        waiting = self.waiting(project_id)  # first: it becomes the active one, never the other way round
        active = self.active(project_id)
        for job in (*waiting, *([active] if active else []), *self.paused(project_id)):
            with contextlib.suppress(UnknownJob, IllegalMove):  # it ended by itself meanwhile
                self.cancel(job.id, stands_in=False)

    def overdue(self, grace_seconds: float) -> list[Job]:
        """Jobs that were stopped so long ago, and whose holder has not let go of the project yet."""
        found = self._run(OVERDUE, int(grace_seconds * 1000))
        assert isinstance(found, list)
        return self.read(found)

    def forget(self, project_id: str) -> bool:
        """Deletes every key of a removed project; only the records of its jobs stay for as long as any history.

        False while a worker still lingers on its queue: that one may write some of them once more.
        """
        self._redis.srem(WORK, project_id)
        self._redis.zrem(SLOTS, project_id)
        nobody_listens = self.bells.forget(project_id)
        own = (
            active_key,
            waiting_key,
            paused_key,
            rest_key,
            pace_key,
            dirty_key,
            dirty_since_key,
            project_jobs_key,
            lease_key,
        )
        self._redis.delete(*(key(project_id) for key in own))
        return nobody_listens

    # --- doing it ------------------------------------------------------------------------------------------------

    def claim_next(self, lease: Lease) -> Job | None:
        """The job to run now under this lease: the interrupted one first, else the one that waits.

        None: nothing to do yet, or the lease is another's by now.
        """
        while job_id := self._run(CLAIM, lease.project_id, lease.token, self._now().isoformat()):
            job = self._first([str(job_id)])
            if job is not None:
                self._tell(EventType.INDEX_STARTED, job)
                return job
            log.error("job %s of %s is dropped: nobody can read its record", job_id, lease.project_id)
            self._run(DISCARD, lease.project_id, str(job_id))
        return None

    def is_running(self, job: Job) -> bool:
        """Whether this attempt of the job is to go on. Cheap: a pass asks several times a second."""
        return self._redis.hmget(job_key(job.id), "status", "attempt") == [JobStatus.RUNNING, str(job.attempt)]

    def progress(self, job: Job, progress: Progress, estimate: float | None = None) -> None:
        """Rewrites the counters of a running job and announces them. ``estimate``: of the attempt's length in seconds;
        its first one stays."""
        told = "" if estimate is None else round(estimate, 1)
        if not self._run(PROGRESS, job.id, job.attempt, progress.model_dump_json(), told):
            return
        shown = job.model_copy(update={**dict(progress), "estimate_seconds": estimate})
        self._bus.announce(self._event(EventType.INDEX_PROGRESS, shown))

    def milestone(self, job: Job, progress: Progress) -> None:
        """Tells of a long job that has come another quarter of its way; unlike progress this is kept."""
        self._tell(EventType.INDEX_MILESTONE, job.model_copy(update=dict(progress)))

    def finish(
        self, lease: Lease, job: Job, status: JobStatus, progress: Progress, error: ErrorBody | None = None
    ) -> bool:
        """Ends a running job; False when it was not this holder's to end.

        In the same step a standing update is made if paths are dirty: an edit in this very instant is not lost.
        """
        now = self._now()
        standing, record = self._new_record(job.project_id, job.project, JobRequest(kind=JobKind.UPDATE))
        failed = error.model_dump_json() if error else ""
        # an update that failed would fail again, and again
        stands_in = int(status == JobStatus.COMPLETED or not job.request.only_dirty)
        outcome = self._run(
            FINISH, job.project_id, job.id, lease.token, status.value, now.isoformat(), progress.model_dump_json(),
            failed, self._estimate_error(job, now), HISTORY_SECONDS, stands_in, standing, *record,
        )  # fmt: skip
        assert isinstance(outcome, list)
        ended, stood_in = outcome
        if not ended:
            return False
        self._tell(ENDED_EVENT[status], self.get(job.id))
        self._tell_standing(stood_in)
        return True

    def _estimate_error(self, job: Job, now: datetime) -> str:
        """Of this attempt: what a job waited for before, paused or put back, nobody has estimated."""
        estimate, claimed_at = self._redis.hmget(job_key(job.id), "estimate_seconds", "claimed_at")
        if not estimate or not claimed_at:
            return ""
        return f"{(now - datetime.fromisoformat(claimed_at)).total_seconds() / float(estimate) - 1:.3f}"

    def put_back(self, lease: Lease, job: Job, *, tell: bool = True) -> bool:
        """The attempt ended without finishing and does not count: the job is queued again, before all others of its
        project. ``tell`` False: no event, for what may happen again and again.
        """
        if not self._run(PUT_BACK, job.project_id, job.id, lease.token):
            return False
        if tell:
            self._tell(EventType.JOB_QUEUED, self.get(job.id))
        return True

    def try_later(self, lease: Lease, job: Job, error: ErrorBody, progress: Progress, seconds: float) -> bool:
        """Puts a job back because a part of the system is away; nothing of its project runs for so long."""
        again = (self._now() + timedelta(seconds=seconds)).isoformat()
        told, counters = error.model_dump_json(), progress.model_dump_json()
        if not self._run(TRY_LATER, job.project_id, job.id, lease.token, told, counters, int(seconds * 1000), again):
            return False
        self._tell(EventType.JOB_QUEUED, self.get(job.id))
        return True

    def note_crash(self, project_id: str) -> None:
        """The process that ran the project's job was killed; a job that does so again and again must end."""
        job_id = self._redis.get(active_key(project_id))
        if job_id is not None and self._redis.exists(job_key(job_id)):
            self._redis.hincrby(job_key(job_id), "crashes", 1)

    def projects_with_work(self) -> list[str]:
        """Those with a job to run now, the one that was asked for first before the others."""
        known = sorted(self._redis.smembers(WORK))
        with self._redis.pipeline(transaction=False) as pipe:
            for project_id in known:
                pipe.exists(rest_key(project_id))
                pipe.get(active_key(project_id))
                pipe.lindex(waiting_key(project_id), 0)
            seen = pipe.execute()
            ready = [
                (project_id, active or waiting)
                for project_id, rests, active, waiting in zip(known, seen[::3], seen[1::3], seen[2::3], strict=True)
                if not rests
            ]
            for _, job_id in ready:
                pipe.zscore(JOBS, job_id or "")
            since = [score or 0.0 for score in pipe.execute()]
        order = sorted(range(len(ready)), key=since.__getitem__)
        return [ready[place][0] for place in order]

    def has_work(self, project_id: str) -> bool:
        return self._redis.exists(active_key(project_id), waiting_key(project_id)) > 0

    def epoch_known(self) -> bool:
        """False after Redis was empty (new, or wiped): then every project has to reconcile."""
        return self._redis.exists(EPOCH) > 0

    def mark_epoch(self) -> None:
        self._redis.set(EPOCH, self._now().isoformat(), nx=True)

    # --- telling -------------------------------------------------------------------------------------------------

    def _event(self, kind: EventType, job: Job) -> Event:
        return Event(
            type=kind,
            at=self._now(),
            project=job.project,
            project_id=job.project_id,
            job_id=job.id,
            data={"job": job.model_dump(mode="json")},
        )

    def _tell(self, kind: EventType, job: Job) -> None:
        self._bus.publish(self._event(kind, job))

    def _tell_standing(self, job_id: str) -> None:
        if job_id:
            self._tell(EventType.JOB_QUEUED, self.get(job_id))
