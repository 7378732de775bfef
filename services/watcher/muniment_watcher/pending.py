"""What changed and was not delivered yet, per project: the one place where the observing threads and the loop meet."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from muniment_watcher.debounce import Debounce, Due

MAX_DELAY_SECONDS = 2.0  # a file that is written without a pause is delivered this often
LIMIT = 1_000  # more changed paths of one project become a reconcile


class Change(NamedTuple):
    """An absolute path that was written, made, removed or moved from or to. Of a folder: look at all below it."""

    path: str
    is_dir: bool


class Pending:
    def __init__(
        self,
        quiet_seconds: float,
        max_delay_seconds: float = MAX_DELAY_SECONDS,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet = quiet_seconds
        self._max_delay = max_delay_seconds
        self._limit = limit
        self._clock = clock
        self._projects: dict[str, Debounce[Change]] = {}
        self._condition = threading.Condition()

    def note(self, project_id: str, change: Change) -> None:
        with self._condition:
            self._project(project_id).add(change, self._clock())

    def ask_reconcile(self, project_id: str) -> None:
        with self._condition:
            self._project(project_id).collapse(self._clock())

    def put_back(self, project_id: str, due: Due[Change]) -> None:
        with self._condition:
            self._project(project_id).put_back(due, self._clock())

    def forget(self, project_id: str) -> None:
        with self._condition:
            self._projects.pop(project_id, None)

    def take(self, timeout: float) -> dict[str, Due[Change]]:
        """What is due, by project id; waits at most ``timeout`` seconds for it and may return nothing earlier."""
        with self._condition:
            if not (taken := self._taken()):
                self._condition.wait(min(self._until_next(), timeout))
                taken = self._taken()
            return taken

    def _project(self, project_id: str) -> Debounce[Change]:
        known = self._projects.get(project_id)
        if known is None:
            known = self._projects[project_id] = Debounce(self._quiet, self._max_delay, self._limit)
            self._condition.notify_all()  # whoever waits knows of nothing that is due earlier than this
        return known

    def _taken(self) -> dict[str, Due[Change]]:
        now = self._clock()
        found = {project_id: due for project_id, pending in self._projects.items() if (due := pending.due(now))}
        for project_id in [key for key, pending in self._projects.items() if pending.next_due() is None]:
            del self._projects[project_id]
        return found

    def _until_next(self) -> float:
        times = [at for pending in self._projects.values() if (at := pending.next_due()) is not None]
        return max(min(times) - self._clock(), 0.0) if times else float("inf")
