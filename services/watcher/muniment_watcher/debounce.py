"""When a changed path is due. Pure: time is an argument, in seconds of any monotonic clock."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Due(Generic[Item]):
    """What to deliver now. ``reconcile``: too much changed to name it (or it was asked for): compare everything."""

    items: tuple[Item, ...] = ()
    reconcile: bool = False

    def __bool__(self) -> bool:
        return bool(self.items) or self.reconcile


@dataclass(slots=True)
class _Span:
    """From the first to the last change of what has not been delivered."""

    first: float
    last: float


class Debounce(Generic[Item]):
    """Holds each changed item until it was quiet for ``quiet_seconds``, but never longer than ``max_delay_seconds``.

    More than ``limit`` items collapse into one wish for a reconcile, which is held by the same two rules.
    """

    def __init__(self, quiet_seconds: float, max_delay_seconds: float, limit: int) -> None:
        self._quiet = quiet_seconds
        self._max_delay = max(max_delay_seconds, quiet_seconds)
        self._limit = limit
        self._pending: dict[Item, _Span] = {}
        self._collapsed: _Span | None = None

    def add(self, item: Item, now: float) -> None:
        if self._collapsed is not None:
            self._collapsed.last = now
            return
        known = self._pending.get(item)
        if known is not None:
            known.last = now
            return
        self._pending[item] = _Span(now, now)
        if len(self._pending) > self._limit:
            self.collapse(now)

    def collapse(self, now: float) -> None:
        """Forgets the items: a reconcile is wanted, and finds them all."""
        if self._collapsed is None:
            first = min((span.first for span in self._pending.values()), default=now)
            self._collapsed = _Span(first, now)
            self._pending.clear()
        self._collapsed.last = now

    def put_back(self, due: Due[Item], now: float) -> None:
        """Takes again what could not be delivered; it is due after another quiet time."""
        if due.reconcile:
            self.collapse(now)
        for item in due.items:
            self.add(item, now)

    def due(self, now: float) -> Due[Item]:
        """Hands over what is due, in the order of the first change."""
        if self._collapsed is not None:
            if self._deadline(self._collapsed) > now:
                return Due()
            self._collapsed = None
            return Due(reconcile=True)
        items = tuple(item for item, span in self._pending.items() if self._deadline(span) <= now)
        for item in items:
            del self._pending[item]
        return Due(items)

    def next_due(self) -> float | None:
        """When something is due next, if nothing more is added."""
        if self._collapsed is not None:
            return self._deadline(self._collapsed)
        return min((self._deadline(span) for span in self._pending.values()), default=None)

    def _deadline(self, span: _Span) -> float:
        return min(span.last + self._quiet, span.first + self._max_delay)
