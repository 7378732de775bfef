"""The composition root of the gateway: everything a route or a tool uses, built once and passed on."""

import contextlib
import logging
import sqlite3
import threading
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from muniment.access import resolve_token
from muniment.backlog import Backlog
from muniment.bus import Bus, Listener
from muniment.dirty import DirtyPaths
from muniment.embedding import Embedder
from muniment.embedding.choice import EmbedderChoice, FileEmbedders
from muniment.embedding.minilm import MiniLmEmbedder
from muniment.errors import (
    ChromaUnavailable,
    DiskFull,
    EmbedderRefused,
    EmbedderUnavailable,
    InvalidValue,
    ModelUnavailable,
    NotConfigured,
)
from muniment.event_group import EventGroup
from muniment.intake import Intake
from muniment.leases import Leases
from muniment.masking import keep_compiled, load_rules
from muniment.memory import MemoryStore
from muniment.memory.code import AnchoredCode
from muniment.notifying.audience import Audience
from muniment.notifying.receiver import Receiver
from muniment.notifying.receivers import receiver_for
from muniment.notifying.store import NotificationStore
from muniment.process import give_back_memory
from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.pushing import PushIntake
from muniment.queue import JobQueue, utc_now
from muniment.redis_client import Connections, connect
from muniment.removal import ProjectRemover, Stores
from muniment.search import Search
from muniment.settings import Settings
from muniment.status import StatusReader
from muniment.vectors import VectorStore
from muniment_api.feed import Feed
from muniment_api.notifier import GROUP, Notifier

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Safe to share among threads, but for ``feed``, ``listener`` and ``notifier``, which belong to the event loop."""

    settings: Settings
    token: str | None  # what requests must carry; None: no token is asked for
    connections: Connections
    bus: Bus
    leases: Leases
    queue: JobQueue
    dirty: DirtyPaths
    backlog: Backlog
    projects: ProjectStore
    intake: Intake
    pushes: PushIntake
    remover: ProjectRemover
    status: StatusReader
    search: Search
    memory: MemoryStore
    code: AnchoredCode
    vectors: VectorStore
    embedders: tuple[Embedder, ...]
    listener: Listener
    feed: Feed
    notifications: NotificationStore
    notifier: Notifier

    def let_go(self) -> None:
        """Lets go of what is held for projects that do not exist any more."""
        known = {project.id for project in self.projects.all()}
        self.search.keep_only(known)
        self.memory.keep_only(known)

    def preload(self) -> None:
        """Loads the models in the background, so that the first question does not wait for them; the rules of the
        masking, which are for pushed files alone, only when there are some."""
        keep_compiled(self.settings.folder.rule_cache)
        load = partial(self._load_models, masks=self._has_pushed())
        threading.Thread(target=load, name="preload", daemon=True).start()

    def _has_pushed(self) -> bool:
        return any(self.settings.folder.project(project.id).pushed.is_dir() for project in self.projects.all())

    def _load_models(self, *, masks: bool) -> None:
        for embedder in self.embedders:
            try:
                embedder.embed(["warm up"])
            except (ModelUnavailable, EmbedderUnavailable, EmbedderRefused) as error:
                log.error("%s", error)
        with contextlib.suppress(ChromaUnavailable):  # the first connection alone takes half a second
            self.vectors.heartbeat()
        if masks:
            load_rules(self.settings.folder.rule_cache)
        give_back_memory()

    async def close(self) -> None:
        await self.listener.close()
        self.search.close()
        try:
            self.memory.close()
        except (sqlite3.Error, DiskFull) as error:
            log.warning("reads of memories are not counted: %s", error)
        self.notifications.close()
        self.projects.close()
        self.connections.close()


def build_services(
    settings: Settings, *, file_embedder: Embedder | None = None, memory_embedder: Embedder | None = None
) -> Services:
    """Connects nothing yet but the databases of the data folder. Other embedders than the real ones are for tests."""
    token = resolve_token(settings)
    redis_url = _required("MUNIMENT_REDIS_URL", settings.redis_url)
    chroma_url = _required("MUNIMENT_CHROMA_URL", settings.chroma_url)
    files = FileEmbedders(EmbedderChoice.of(settings), file_embedder)
    texts = memory_embedder or MiniLmEmbedder()
    connections = _connected(redis_url)
    bus = Bus(connections.records)
    leases = Leases(connections.records, seconds=settings.lease_seconds, max_running=settings.max_running)
    queue = JobQueue(connections, bus, leases)
    dirty = DirtyPaths(connections.records)
    projects = ProjectStore(settings.folder.server_db)
    memory = MemoryStore(settings.folder.memories_db, texts, utc_now)
    vectors = VectorStore(chroma_url)
    search = Search(settings.folder, vectors, files.configured, for_model=files.for_model)
    status = StatusReader(settings.folder, queue, dirty, memory.count, search.counted)
    listener = Listener(redis_url)
    notifications = NotificationStore(settings.folder.server_db)
    return Services(
        settings=settings,
        token=token,
        connections=connections,
        bus=bus,
        leases=leases,
        queue=queue,
        dirty=dirty,
        backlog=Backlog(connections.records, queue, leases),
        projects=projects,
        intake=Intake(projects, queue, bus, settings.roots),
        pushes=PushIntake(projects, queue, dirty, settings.folder, settings.max_file_bytes),
        remover=ProjectRemover(Stores(settings.folder, projects, queue, vectors), status, bus, search.forget),
        status=status,
        search=search,
        memory=memory,
        code=AnchoredCode(settings.folder, projects.get, settings.max_file_bytes),
        vectors=vectors,
        embedders=(files.configured, texts),
        listener=listener,
        feed=Feed(listener),
        notifications=notifications,
        notifier=_notifier(settings, redis_url, notifications),
    )


def _notifier(settings: Settings, redis_url: str, chosen: NotificationStore) -> Notifier:
    """Raises ReceiverRefused for a URL of MUNIMENT_NOTIFY."""
    own = settings.notify_urls

    def receiver(url: str) -> Receiver:
        trusted = url in own  # whoever starts the server may have it read its files
        field = "MUNIMENT_NOTIFY" if trusted else "the project's notifications"
        return receiver_for(url, field, settings.notify_secret, may_read_files=trusted)

    for url in own:
        receiver(url)
    group = EventGroup(redis_url, GROUP)
    return Notifier(group, Audience(own, settings.notify_kinds), chosen.get, receiver)


def _required(setting: str, url: str | None) -> str:
    if not url:
        raise NotConfigured(setting, "muniment-api")
    return url


def _connected(redis_url: str) -> Connections:
    try:
        return connect(redis_url)
    except ValueError as error:
        raise InvalidValue("MUNIMENT_REDIS_URL", redis_url, str(error)) from error


async def services(request: Request) -> Services:
    """What the application was built with."""
    found: Services = request.app.state.services
    return found


Use = Annotated[Services, Depends(services)]


def project_of_path(p: str, use: Use) -> Project:
    """The project that the path names, by name or id. Raises UnknownProject."""
    return use.projects.get(p)


InProject = Annotated[Project, Depends(project_of_path)]
