"""What a receiver is, however it is reached."""

import re
from typing import Protocol

from muniment.notifying.message import Message, one_line


class NotDelivered(Exception):
    """``retryable``: it may go well later; ``retry_after``: seconds that the receiver asks to be left alone for."""

    def __init__(self, reason: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.retry_after = retry_after


class Receiver(Protocol):
    async def send(self, message: Message) -> None:
        """Tries once, in bounded time. Raises NotDelivered."""


def scrubbed(text: str, url: str) -> str:
    """One line that repeats no part of the URL which may be secret."""
    for part in sorted(set(re.split(r"[^A-Za-z0-9_.-]+", url.partition("://")[2])), key=len, reverse=True):
        if len(part) >= 4:
            text = text.replace(part, "***")
    return one_line(text)
