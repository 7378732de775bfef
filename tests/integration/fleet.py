"""Supervisors as real processes over one data folder, and the gateway's side of the queue."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
from compiled_rules import give_rules

from muniment.bus import Bus
from muniment.datafolder import DataFolder
from muniment.dirty import DirtyPaths
from muniment.events import EventType
from muniment.jobs import JobKind, JobRequest, JobStatus
from muniment.leases import Leases
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader
from muniment.projects import ProjectStore
from muniment.queue import JobQueue
from muniment.redis_client import connect, queue_name
from muniment.testing import render_index
from muniment.vectors import VectorStore

NOW = datetime(2025, 1, 1, tzinfo=UTC)
PATIENT = 120.0  # for what takes a second, on a machine that is busy with other things

# the horses are forked from the supervisor: what is changed in it is changed in them
PATCHED = """
import importlib, json, sys
for name, value in json.loads(sys.argv[1]).items():
    module, _, constant = name.rpartition(".")
    setattr(importlib.import_module(module), constant, value)
from muniment_worker.__main__ import main
main()
"""


class Fleet:
    """Supervisors over one data folder, and the gateway's side of the queue."""

    def __init__(self, tmp_path, redis_url, chroma_url):
        self.folder = DataFolder(tmp_path / "data")
        give_rules(self.folder)
        self.tmp_path, self.chroma_url = tmp_path, chroma_url
        self.connections = connect(redis_url)
        self.bus = Bus(self.connections.records)
        self.leases = Leases(self.connections.records, seconds=3, max_running=3)
        self.queue = JobQueue(self.connections, self.bus, self.leases)
        self.queue.mark_epoch()
        self.dirty = DirtyPaths(self.connections.records)
        self.projects = ProjectStore(self.folder.server_db)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")},
            "MUNIMENT_DATA_DIR": str(self.folder.path),
            "MUNIMENT_REDIS_URL": redis_url,
            "MUNIMENT_CHROMA_URL": chroma_url,
            "MUNIMENT_LEASE_SECONDS": "3",
            "MUNIMENT_BATCH_FILES": "5",
            "MUNIMENT_NICE": "0",  # else a busy machine makes the tests wait
            "MUNIMENT_ROOTS": str(tmp_path),
        }
        self.supervisors = []

    def start(self, constants=None):
        """``constants`` are changed in all of its processes: {"package.module.NAME": value}."""
        program = ["-c", PATCHED, json.dumps(constants)] if constants else ["-m", "muniment_worker"]
        with (self.tmp_path / "worker.log").open("ab") as log:
            # a session of its own: a signal to its group must not reach the tests
            process = subprocess.Popen(
                [sys.executable, *program], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.supervisors.append(process)
        return psutil.Process(process.pid)

    def stop(self):
        family = [child for root in self.supervisors for child in self.family(root.pid)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        for process in self.supervisors:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.supervisors:
            process.wait(timeout=20)
        _, alive = psutil.wait_procs(family, timeout=5)
        self.connections.close()
        assert alive == []

    @staticmethod
    def family(pid):
        try:
            return psutil.Process(pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def horse(self, project):
        """The process that has the project's lease now, or None."""
        holder = self.leases.holder(project.id)
        for root in self.supervisors if holder else ():
            for worker in self.family(root.pid):
                if worker.ppid() == root.pid and self._named(worker) == holder.owner:
                    return next(iter(worker.children()), None)
        return None

    def _named(self, process):
        """The owner by which an RQ worker is known, by its pid."""
        for key in self.connections.rq.smembers("rq:workers"):
            if self.connections.rq.hget(key, "pid") == str(process.pid).encode():
                return key.decode().removeprefix("rq:worker:")
        return None

    def shown_as_running(self, project):
        """What rq-dashboard shows: the bells that are being answered, and the workers that are busy."""
        rq = self.connections.rq
        bells = rq.zrange(f"rq:wip:{queue_name(project.id)}", 0, -1)
        states = [rq.hget(key, "state") for key in rq.smembers(f"rq:workers:{queue_name(project.id)}")]
        return len(bells), states.count(b"busy")

    def edit(self, project, path, text):
        """Writes a file and tells of it, as the watcher does."""
        root = Path(project.watch_paths[0])
        (root / path).write_text(text)
        self.dirty.add(project.id, [path])
        return self.request(project, JobKind.UPDATE)

    def found(self, project, words):
        reader = LexicalReader.open(self.folder.project(project.id).lexical)
        return [hit.path for hit in reader.search(words, 10)] if reader else []

    def project(self, name, files):
        tree = self.tmp_path / name
        tree.mkdir()
        for number in range(files):
            (tree / f"file{number}.py").write_text(f"def {name}_{number}():\n    return {number}\n")
        project, _ = self.projects.add_or_update(
            name, watch_paths=[str(tree)], watch_patterns=None, watch_exclude=None, watch=None, now=NOW
        )
        return project

    def request(self, project, kind=JobKind.RECONCILE):
        return self.queue.request(project, JobRequest(kind=kind)).job_id

    def counters(self, project):
        reader = ManifestReader.open(self.folder.project(project.id).manifest)
        if reader is None:
            return None
        try:
            return reader.counters()
        finally:
            reader.close()

    def in_the_middle(self, project):
        counters = self.counters(project)
        return counters is not None and 0 < counters.files_lexical < counters.files_total

    def state(self, project):
        return render_index(self.folder.project(project.id), VectorStore(self.chroma_url))

    def is_complete(self, project, files):
        counters = self.counters(project)
        assert "!" not in self.state(project)
        return counters.files_lexical == counters.files_vector == counters.files_total == files


def ended(fleet, job_id, status=JobStatus.COMPLETED):
    return lambda: fleet.queue.get(job_id).status == status


def attempts(fleet, job_id, number):
    return lambda: fleet.queue.get(job_id).attempt >= number


def let_go(fleet, project):
    return lambda: fleet.leases.holder(project.id) is None and fleet.leases.slots_used() == 0


def waits_for(until, condition, seconds, what):
    began = time.monotonic()
    until(condition, seconds)
    print(f"{what}: {time.monotonic() - began:.2f} s")


def told(fleet, job_id):
    return [event.type for event in fleet.bus.job_events(job_id)]


def has_ended_well(fleet, project, job_id, until, files=400):
    """Completed once, the index whole, nothing held or shown as running."""
    until(ended(fleet, job_id), PATIENT)
    until(lambda: EventType.INDEX_COMPLETE in told(fleet, job_id))
    assert told(fleet, job_id).count(EventType.INDEX_COMPLETE) == 1
    assert fleet.is_complete(project, files)
    until(let_go(fleet, project), 10)
    until(lambda: fleet.shown_as_running(project) == (0, 0), 20)
