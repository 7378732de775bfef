import threading
from types import SimpleNamespace
from typing import Any

import pytest

from muniment_watcher.pending import Pending
from muniment_watcher.watcher import Deaf, Watcher


def watcher(keep: Any, *, reader_alive: bool) -> Watcher:
    observer: Any = SimpleNamespace(alive=lambda: reader_alive, close=lambda: None)
    nothing: Any = None
    return Watcher(SimpleNamespace(run=keep), observer, Pending(0.0), nothing, nothing)  # type: ignore[arg-type]


def test_without_the_thread_that_keeps_the_projects_the_service_ends():
    with pytest.raises(Deaf, match="projects"):
        watcher(lambda _stop: None, reader_alive=True).run(threading.Event())


def test_without_the_thread_that_reads_events_the_service_ends():
    stop = threading.Event()
    try:
        with pytest.raises(Deaf, match="file events"):
            watcher(lambda stop: stop.wait(), reader_alive=False).run(stop)
    finally:
        stop.set()
