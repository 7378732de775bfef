"""Job records, leases, dirty paths and events on one fake server, and what happens to jobs in a line each."""

from datetime import UTC, datetime

from fakeredis import FakeRedis, FakeServer

from muniment.bus import Bus
from muniment.dirty import DirtyPaths
from muniment.events import EventType
from muniment.jobs import Job, JobRequest, JobStatus, Progress
from muniment.leases import Lease, Leases
from muniment.project import Project
from muniment.queue import JobQueue
from muniment.redis_client import Connections, job_key, text_client
from muniment.testing import ManualClock

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def make_project(name: str = "alpha") -> Project:
    return Project(id=f"{name}-abc234", name=name, watch_paths=["/src"], created_at=NOW, updated_at=NOW)


class Fleet:
    """Everything on one fake server, with two slots."""

    def __init__(self) -> None:
        self.server = FakeServer()
        records = text_client(FakeRedis(server=self.server, decode_responses=True))
        self.connections = Connections("fake", records, FakeRedis(server=self.server))
        self.redis = records
        self.clock = ManualClock()
        self.bus = Bus(records)
        self.leases = Leases(records, seconds=8, max_running=2)
        self.queue = JobQueue(self.connections, self.bus, self.leases, self.clock)
        self.dirty = DirtyPaths(records)

    def lease(self, project: Project, owner: str = "worker-1") -> Lease:
        lease = self.leases.acquire(project.id, owner)
        assert isinstance(lease, Lease)
        return lease

    def asked(self, project: Project, request: JobRequest | None = None) -> str:
        """The id of the job that was asked for."""
        return self.queue.request(project, request or JobRequest()).job_id

    def running(self, project: Project, request: JobRequest | None = None) -> tuple[Lease, Job]:
        """A job that was asked for and claimed."""
        self.asked(project, request)
        lease = self.lease(project)
        job = self.queue.claim_next(lease)
        assert job is not None
        return lease, job

    def finished(self, project: Project, status: JobStatus = JobStatus.COMPLETED) -> str:
        lease, job = self.running(project)
        assert self.queue.finish(lease, job, status, Progress())
        assert self.leases.release(lease)
        return job.id

    def spoil(self, job_id: str, field: str, value: str) -> None:
        """Writes what nobody can read into a record."""
        self.redis.hset(job_key(job_id), field, value)

    def events(self, job_id: str) -> list[EventType]:
        return [event.type for event in self.bus.job_events(job_id)]
