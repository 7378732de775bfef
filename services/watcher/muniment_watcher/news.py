"""Hears that projects were made, changed or removed."""

import json
import time
from collections.abc import Callable
from typing import Any

from muniment.events import EventType
from muniment.redis_client import EVENT_CHANNEL, REDIS_ERRORS, Connections

ABOUT_PROJECTS = frozenset({EventType.PROJECT_CREATED, EventType.PROJECT_UPDATED, EventType.PROJECT_REMOVED})


class ProjectNews:
    """Listens on the events channel. Redis may go and come back: then whatever was said meanwhile was missed."""

    def __init__(self, connections: Connections, sleep: Callable[[float], object] = time.sleep) -> None:
        self._channel = connections.records.pubsub(ignore_subscribe_messages=False)
        self._subscribed = False
        self._sleep = sleep

    def arrived(self, timeout: float) -> bool:
        """Whether the projects may have changed. Waits at most ``timeout`` seconds, for one message."""
        try:
            if not self._subscribed:
                self._channel.subscribe(EVENT_CHANNEL)
                self._subscribed = True
            message: dict[str, Any] | None = self._channel.get_message(timeout=timeout)
        except REDIS_ERRORS:
            self._subscribed = False
            self._sleep(timeout)
            return False
        if message is None:
            return False
        if message["type"] == "subscribe":  # the client subscribes anew by itself when it had to reconnect
            return True
        return bool(message["type"] == "message") and is_about_projects(message["data"])

    def close(self) -> None:
        self._channel.close()


def is_about_projects(message: str) -> bool:
    """Of a message of the events channel: stream id, space, the event as JSON."""
    event = json.loads(message.partition(" ")[2])
    return event.get("type") in ABOUT_PROJECTS
