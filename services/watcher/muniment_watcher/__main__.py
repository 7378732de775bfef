"""The watcher service. Exit status 0 after SIGTERM or SIGINT, 1 when it cannot go on: start it again then."""

import logging
import signal
import sys
import threading
from types import FrameType

from muniment import logs
from muniment.bus import Bus
from muniment.dirty import DirtyPaths
from muniment.errors import MunimentError, NotConfigured
from muniment.leases import Leases
from muniment.projects import ProjectStore
from muniment.queue import JobQueue
from muniment.redis_client import Connections, connect
from muniment.settings import Settings, load
from muniment_watcher.news import ProjectNews
from muniment_watcher.observer import Observer
from muniment_watcher.pending import Pending
from muniment_watcher.roster import Roster
from muniment_watcher.watcher import Deaf, Watcher

log = logging.getLogger("muniment_watcher")


def build(settings: Settings, connections: Connections, projects: ProjectStore, observer: Observer) -> Watcher:
    pending = Pending(settings.debounce_seconds)
    roster = Roster(projects, ProjectNews(connections), observer, pending, settings.max_file_bytes)
    leases = Leases(connections.records, seconds=settings.lease_seconds, max_running=settings.max_running)
    queue = JobQueue(connections, Bus(connections.records), leases)
    return Watcher(roster, observer, pending, DirtyPaths(connections.records), queue)


def serve(settings: Settings, stop: threading.Event) -> None:
    """Watches until ``stop`` is set. Raises MunimentError or Deaf."""
    if settings.redis_url is None:
        raise NotConfigured("MUNIMENT_REDIS_URL", "muniment-watcher")
    connections = connect(settings.redis_url)
    projects = ProjectStore(settings.folder.server_db)
    try:
        build(settings, connections, projects, Observer()).run(stop)
    finally:
        projects.close()
        connections.close()


def main() -> None:
    stop = threading.Event()

    def ask_to_stop(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        settings = load()
        logs.configure("watcher", settings.log_level, settings.log_format)
        serve(settings, stop)
    except MunimentError as error:
        logs.end(error)
    except Deaf as error:
        log.error("Ending: %s", error)
        sys.exit(1)
    log.info("Stopped")


if __name__ == "__main__":
    main()
