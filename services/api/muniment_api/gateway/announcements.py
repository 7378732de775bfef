"""The word that a resource has changed, for clients that listen (``subscriptions/listen``).

Every gateway hears the same events, so it does not matter which one a client listens to, nor who made a change.
"""

import math
import time
from collections.abc import Callable

from mcp.server.subscriptions import ListenHandler, ResourcesListChanged, ResourceUpdated, ServerEvent

from muniment.events import Event, EventType
from muniment_api.gateway.resources import job_uri, project_uri

PROGRESS_SECONDS = 1.0  # least time between two announcements of one resource for progress alone

LIST_CHANGES = frozenset({EventType.PROJECT_CREATED, EventType.PROJECT_REMOVED})
ENDS = frozenset(
    {EventType.INDEX_COMPLETE, EventType.INDEX_FAILED, EventType.INDEX_CANCELLED, EventType.PROJECT_REMOVED}
)


def concerned(event: Event) -> list[str]:
    """The URIs of the resources that an event may have changed. A project answers to its id and to its name."""
    projects = dict.fromkeys(known for known in (event.project_id, event.project) if known is not None)
    jobs = [] if event.job_id is None else [job_uri(event.job_id)]
    return [*jobs, *map(project_uri, projects)]


class Announcements:
    """Tells of state changes at once, of progress at most once a second for each resource. When events were missed the
    streams end: nobody knows what has changed, and a client that listens again reads anew.

    Belongs to the event loop. It is a ``SubscriptionBus`` of the SDK, and serves its ``streams``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.streams = ListenHandler(self)
        self._clock = clock
        self._listeners: dict[object, Callable[[ServerEvent], None]] = {}
        self._told: dict[str, float] = {}  # when the resources that may still progress were announced

    async def publish(self, event: ServerEvent) -> None:
        self._tell(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        key = object()
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def hear(self, event: Event) -> None:
        """Takes an event of the feed."""
        if event.type == EventType.RESYNC:
            self._told.clear()
            self.streams.close()
            return
        for uri in concerned(event):
            if self._is_due(uri, event.type):
                self._tell(ResourceUpdated(uri))
        if event.type in LIST_CHANGES:
            self._tell(ResourcesListChanged())

    def _is_due(self, uri: str, kind: EventType) -> bool:
        now = self._clock()
        if kind == EventType.INDEX_PROGRESS and now - self._told.get(uri, -math.inf) < PROGRESS_SECONDS:
            return False
        self._told[uri] = now
        if kind in ENDS:  # no more progress comes; the table must not grow with the history
            del self._told[uri]
        return True

    def _tell(self, event: ServerEvent) -> None:
        for listener in tuple(self._listeners.values()):
            listener(event)
