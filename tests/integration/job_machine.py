"""Everything that can happen to jobs, in any order and from several clients, against the model of it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from job_model import REQUESTS, SLOT_CAP, Known, Model, Place, Stored

from muniment.bus import Bus
from muniment.dirty import DirtyPaths
from muniment.errors import ErrorBody, IllegalMove, UnknownJob
from muniment.events import EventType
from muniment.jobs import ASKED, TERMINAL, Job, JobRequest, JobStatus, Progress
from muniment.leases import Denied, Lease, Leases
from muniment.project import Project
from muniment.queue import ENDED_EVENT, JobQueue, Requested
from muniment.redis_client import SLOTS, connect, lease_key, rest_key
from muniment.testing import ManualClock

LEASE_SECONDS = 3600.0  # none runs out by itself
ABSENT = "0000000000000000"
STOPPED_EVENT = {"paused": EventType.INDEX_PAUSED, "cancelled": EventType.INDEX_CANCELLED}
AWAY = ErrorBody(code="chroma_unavailable", message="It is away.", remedy="Wait.", retryable=True)


def project_named(name: str) -> Project:
    made = datetime(2025, 1, 1, tzinfo=UTC)
    return Project(id=f"{name}-abc234", name=name, watch_paths=["/src"], created_at=made, updated_at=made)


PROJECTS = {project.id: project for project in map(project_named, ("alpha", "beta", "gamma"))}
ENDS = ("completed", "failed", "put back", "later")
VERBS = frozenset().union(*ASKED.values())
WEIGHTS = {"worker": 8, "revived": 3, "people": 4, "changing": 2, "asking": 2, "refused": 1}
PICKS = st.integers(0, 9999)
Move = tuple[Any, ...]  # the name of a method, and its arguments


class Client:
    """One process: connections of its own."""

    def __init__(self, url: str) -> None:
        self.connections = connect(url)
        self.redis = self.connections.records
        self.clock = ManualClock()
        self.bus = Bus(self.redis)
        self.leases = Leases(self.redis, seconds=LEASE_SECONDS, max_running=SLOT_CAP)
        self.queue = JobQueue(self.connections, self.bus, self.leases, self.now)
        self.dirty = DirtyPaths(self.redis)

    def now(self) -> datetime:
        """By the clock of the example that runs."""
        return self.clock()


class JobMachine(RuleBasedStateMachine):
    """Each step draws a kind of move, then one of those that are possible now; it is the next client that makes it."""

    def __init__(self, clients: list[Client]) -> None:
        super().__init__()
        self.clients = clients
        self.model = Model(PROJECTS)
        self.places = self.model.places
        self.dead: list[tuple[Lease, Job]] = []  # holders that lost their lease over a job, and may act yet
        self.ended: dict[str, dict[str, str]] = {}  # records of jobs that are over, as first seen
        self.steps = 0
        self.clock = ManualClock()
        for client in clients:
            client.clock = self.clock
        clients[0].connections.rq.flushdb()

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.steps += 1
        self.clock.advance(self.steps % 2)  # some things happen at the same time
        possible = {kind: moves for kind in WEIGHTS if (moves := self.possible(kind))}
        kinds = [kind for kind in possible for _ in range(WEIGHTS[kind])]
        # numbers of a wide range, not places in the lists: those that come first are drawn far too often
        moves = possible[kinds[data.draw(PICKS) % len(kinds)]]
        name, *arguments = moves[data.draw(PICKS) % len(moves)]
        note(f"{name} {arguments}")
        getattr(self, name)(*arguments)

    @property
    def client(self) -> Client:
        return self.clients[self.steps % len(self.clients)]

    def possible(self, kind: str) -> list[Move]:
        return list(getattr(self, f"{kind}_moves")())

    # --- asking --------------------------------------------------------------------------------------------------

    def asking_moves(self) -> Iterator[Move]:
        for project in PROJECTS:
            yield from (("ask", project, number) for number in range(len(REQUESTS)))

    def ask(self, project: str, request: int) -> None:
        joins = self.model.expected_id(project)
        asked = self.client.queue.request(PROJECTS[project], REQUESTS[request])
        self.asked(project, asked, REQUESTS[request], joins)

    def asked(self, project: str, asked: Requested, request: JobRequest, joins: str | None) -> None:
        assert asked.joined == (joins is not None)
        assert joins in (None, asked.job_id)
        self.model.asked(project, asked.job_id, request, self.clock.now)

    def stood_in(self, project: str, *, wanted: bool) -> None:
        """Whether an update took the place of what ended is what the model says."""
        if self.model.stands_in(project, wanted=wanted):
            [standing] = self.client.queue.waiting(project)
            assert standing.request.only_dirty
            self.model.asked(project, standing.id, standing.request, self.clock.now)

    # --- what people do ------------------------------------------------------------------------------------------

    def people_moves(self) -> Iterator[Move]:
        for number in self.of_interest():
            for verb in sorted(ASKED[self.job(number).status]):
                yield from [("obey", number, verb)] * (
                    1 if verb == "cancelled" else 3
                )  # the end of all that may follow

    def obey(self, number: int, verb: str) -> None:
        known, queue = self.job(number), self.client.queue
        if verb == "retried":
            joins = self.model.expected_id(known.project)
            self.asked(known.project, queue.retry(known.id), known.request, joins)
        elif verb == "resumed":
            queue.resume(known.id)
            self.model.resumed(known)
        else:
            stands_in = known.status != JobStatus.PAUSED and not known.request.only_dirty
            stopped = queue.pause(known.id) if verb == "paused" else queue.cancel(known.id)
            assert stopped.status == verb
            self.model.moved(known, JobStatus(verb), STOPPED_EVENT[verb])
            self.stood_in(known.project, wanted=stands_in)

    def refused_moves(self) -> Iterator[Move]:
        for number in self.of_interest():
            yield from (("refuse", number, verb) for verb in sorted(VERBS - ASKED[self.job(number).status]))

    def refuse(self, number: int, verb: str) -> None:
        """The answer names what is allowed; that nothing changed is seen by the invariants."""
        known, queue = self.job(number), self.client.queue
        act = {"paused": queue.pause, "resumed": queue.resume, "cancelled": queue.cancel, "retried": queue.retry}[verb]
        with pytest.raises(IllegalMove) as refusal:
            act(known.id)
        allowed = ", ".join(sorted(ASKED[known.status])) or "nothing else"
        assert refusal.value.remedy_text.endswith(f": {allowed}.")
        with pytest.raises(UnknownJob):
            act(ABSENT)

    def of_interest(self) -> list[int]:
        """The numbers of the jobs that go on, and of the newest."""
        jobs = list(self.model.jobs.values())
        return [at for at, known in enumerate(jobs) if known.status not in TERMINAL or at >= len(jobs) - 2]

    def job(self, number: int) -> Known:
        return list(self.model.jobs.values())[number]

    # --- what workers do -----------------------------------------------------------------------------------------

    def worker_moves(self) -> Iterator[Move]:
        for project, place in self.places.items():
            if place.lease is None:
                # seldom for nothing
                yield from [("take", project)] * (4 if place.has_work else 1)
            elif place.doing is None:
                yield ("claim", project)
                yield from [("let_go", project)] * (1 if self.model.claimable(project) else 3)
            else:
                yield from (("report", project), ("crash", project, True), ("crash", project, False))
                yield from (("end", project, end) for end in ENDS)
            if place.resting:
                yield ("rest_ends", project)

    def take(self, project: str) -> None:
        """With a slot it claims at once, as a worker does."""
        place, free = self.places[project], self.model.slot_free()
        answer = self.client.leases.acquire(project, f"worker-{self.steps}")
        if not free:
            assert answer == Denied(None)
            return
        assert isinstance(answer, Lease)
        assert self.client.leases.acquire(project, "another") == Denied(answer.owner)
        place.lease = answer
        self.claim(project)

    def claim(self, project: str) -> None:
        place, expected = self.places[project], self.model.claimable(project)
        assert place.lease is not None
        job = self.client.queue.claim_next(place.lease)
        assert (job.id if job else None) == expected
        place.doing = job
        if job is not None:
            known = self.model.jobs[job.id]
            self.model.claimed(known, place.lease)
            assert (job.status, job.attempt) == (JobStatus.RUNNING, known.attempt)

    def report(self, project: str) -> None:
        job = self.places[project].doing
        assert job is not None
        self.told(job)

    def told(self, job: Job) -> None:
        queue, heard = self.client.queue, self.model.hears(job)
        assert queue.is_running(job) == heard
        queue.progress(job, Progress(chunks=self.steps), 60.0)
        if heard:
            self.model.jobs[job.id].chunks = self.steps

    def end(self, project: str, end: str) -> None:
        place = self.places[project]
        assert place.lease is not None
        assert place.doing is not None
        self.ends(place.lease, place.doing, end)
        place.doing = None

    def ends(self, lease: Lease, job: Job, end: str) -> None:
        """Whoever is not the holder any more ends nothing."""
        may, known, queue = self.model.runs(lease, job), self.model.jobs[job.id], self.client.queue
        progress = Progress(chunks=self.steps)
        if end == "put back":
            assert queue.put_back(lease, job) == may
        elif end == "later":
            assert queue.try_later(lease, job, AWAY, progress, 3000.0) == may
        else:
            assert queue.finish(lease, job, JobStatus(end), progress) == may
        if not may:
            return
        known.chunks = known.chunks if end == "put back" else progress.chunks
        if end in ("put back", "later"):
            self.model.moved(known, JobStatus.QUEUED, EventType.JOB_QUEUED)
            known.attempt -= end == "put back"
            known.retries += end == "later"
            self.places[known.project].resting = known.id if end == "later" else None
            return
        self.model.moved(known, JobStatus(end), ENDED_EVENT[JobStatus(end)])
        self.stood_in(known.project, wanted=end == "completed" or not known.request.only_dirty)

    def rest_ends(self, project: str) -> None:
        self.client.redis.delete(rest_key(project))
        self.places[project].resting = None

    def let_go(self, project: str) -> None:
        place = self.places[project]
        assert place.lease is not None
        assert self.client.leases.release(place.lease)
        place.lease = None

    def crash(self, project: str, noticed: bool) -> None:
        """The holder dies or is stopped: its worker sees that, or its lease runs out."""
        place = self.places[project]
        assert place.lease is not None
        if noticed:
            self.client.queue.note_crash(project)
            if place.active:
                self.model.jobs[place.active].crashes += 1
            assert self.client.leases.release_owned(project, place.lease.owner)
        else:
            self.client.redis.delete(lease_key(project))
            self.client.redis.zrem(SLOTS, project)
        self.bury(place)

    def bury(self, place: Place) -> None:
        if place.lease and place.doing:
            self.dead.append((place.lease, place.doing))
        place.lease = place.doing = None

    def revived_moves(self) -> Iterator[Move]:
        for number in range(len(self.dead))[-2:]:
            yield from (("revive", number, act) for act in (*ENDS, "report", "renew"))

    def revive(self, number: int, act: str) -> None:
        """A process that was stopped past its lease goes on where it was."""
        lease, job = self.dead[number]
        if act == "report":
            self.told(job)
        elif act == "renew":
            assert not self.client.leases.renew(lease)
            assert not self.client.leases.release(lease)
            assert self.client.queue.claim_next(lease) is None
        else:
            assert not self.model.runs(lease, job)
            self.ends(lease, job, act)

    # --- what changes --------------------------------------------------------------------------------------------

    def changing_moves(self) -> Iterator[Move]:
        for project, place in self.places.items():
            yield from (("edit", project, path) for path in "xyz")
            if place.dirty:
                yield ("see_dirty", project)
            if place.seen:
                yield ("index_dirty", project)
            if place.has_work and place.paused:
                yield ("forget", project)

    def edit(self, project: str, path: str) -> None:
        self.client.dirty.add(project, [path])
        self.model.changed(project, [path])

    def see_dirty(self, project: str) -> None:
        place = self.places[project]
        place.seen = self.client.dirty.peek(project, 10)
        assert list(place.seen) == sorted(place.dirty, key=place.dirty.__getitem__)
        place.taken = dict(place.dirty)

    def index_dirty(self, project: str) -> None:
        self.client.dirty.remove(project, self.places[project].seen)
        self.model.indexed(project)

    def forget(self, project: str) -> None:
        """Its project was removed."""
        queue, place = self.client.queue, self.places[project]
        queue.cancel_all(project)
        assert queue.forget(project)
        for job_id in [*place.waiting, *filter(None, [place.active]), *place.paused]:
            self.model.moved(self.model.jobs[job_id], JobStatus.CANCELLED, EventType.INDEX_CANCELLED)
        self.bury(place)
        self.places[project] = Place()

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def the_store_is_sound_and_as_the_model_says(self) -> None:
        stored = Stored.read(self.clients[0].redis, PROJECTS)
        assert not stored.broken()
        for project, place in self.places.items():
            assert stored.active[project] == place.active
            assert stored.waiting[project] == place.waiting
            assert stored.paused[project] == place.paused
            assert stored.resting[project] == place.resting
            assert stored.token[project] == (place.lease.token if place.lease else None)
            assert set(stored.dirty[project]) == set(place.dirty)
        assert stored.slots == {project for project, place in self.places.items() if place.lease}
        assert set(stored.records) == set(self.model.jobs)
        gone = {lease.token for lease, _ in self.dead}
        for job_id, record in stored.records.items():
            known = self.model.jobs[job_id]
            assert record["status"] == known.status
            assert record.get("owner", "") == known.owner
            if known.status == JobStatus.RUNNING:
                assert known.owner in {stored.token[known.project], *gone}
            if known.status in TERMINAL:
                assert record == self.ended.setdefault(job_id, record)
            assert int(record.get("crashes", 0)) == known.crashes

    @invariant()
    def everybody_is_shown_the_same_list(self) -> None:
        listed = self.clients[1].queue.list(limit=200).items
        wanted = sorted(self.model.jobs.values(), key=lambda known: known.place_in_list, reverse=True)
        assert [job.id for job in listed] == [known.id for known in wanted]
        for job, known in zip(listed, wanted, strict=True):
            assert (job.status, job.blocked_by) == self.model.shown(known)
            assert (job.attempt, job.retries, job.chunks) == (known.attempt, known.retries, known.chunks)
            assert job.request == known.request
        if self.steps % 3:
            return  # one look in three costs enough
        status = list(JobStatus)[self.steps // 3 % len(JobStatus)]
        found = self.clients[1].queue.list(statuses=frozenset({status}), limit=200).items
        assert [job.id for job in found] == [known.id for known in wanted if self.model.shown(known)[0] == status]

    @invariant()
    def a_project_shows_what_it_does(self) -> None:
        if self.steps % 2:
            return
        project = list(PROJECTS)[self.steps // 2 % len(PROJECTS)]
        queue, place = self.clients[2].queue, self.places[project]
        unfinished, current = queue.unfinished(project), queue.current(project)
        assert unfinished.moving == [*filter(None, [place.active]), *place.waiting]
        assert unfinished.paused == place.paused
        if shown := [*unfinished.moving, *place.paused[-1:]][:1]:
            assert [current and current.id] == shown
        assert (project in queue.projects_with_work()) == (place.has_work and not place.resting)

    def teardown(self) -> None:
        for job_id, known in self.model.jobs.items():
            told = [event.type for event in self.clients[2].bus.job_events(job_id)]
            assert told == known.told
