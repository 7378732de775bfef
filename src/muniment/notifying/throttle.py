"""Keeps messages few: for each receiver and project at most so many of a kind a minute. Pure; time is an argument."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from muniment.notices import NoticeKind

WINDOW_SECONDS = 60.0
# each kind by itself: a storm of completions must not hide a failure
LIMITS: dict[NoticeKind, int] = {
    NoticeKind.STARTED: 4,
    NoticeKind.MILESTONE: 4,
    NoticeKind.COMPLETE: 6,
    NoticeKind.CANCELLED: 6,
    NoticeKind.FAILED: 10,
}

Route = tuple[str, str]  # a receiver's URL, a project's id


@dataclass(slots=True)
class _Told:
    """``at``: when messages went through, the newest last."""

    at: dict[NoticeKind, deque[float]] = field(default_factory=dict)
    left_out: Counter[NoticeKind] = field(default_factory=Counter)

    def forget_before(self, moment: float) -> None:
        for times in self.at.values():
            while times and times[0] <= moment:
                times.popleft()

    @property
    def is_quiet(self) -> bool:
        return not self.left_out and not any(self.at.values())


class Throttle:
    def __init__(self, limits: Mapping[NoticeKind, int] = LIMITS, window: float = WINDOW_SECONDS) -> None:
        self._limits = limits
        self._window = window
        self._told: dict[Route, _Told] = {}

    def admit(self, route: Route, kind: NoticeKind, now: float) -> dict[NoticeKind, int] | None:
        """None: leave this one out, it is counted. Else what was left out since the last one that went through."""
        self._sweep(now)
        told = self._told.setdefault(route, _Told())
        times = told.at.setdefault(kind, deque())
        if len(times) >= self._limits[kind]:
            told.left_out[kind] += 1
            return None
        times.append(now)
        left_out = dict(told.left_out)
        told.left_out.clear()
        return left_out

    def _sweep(self, now: float) -> None:
        for route, told in list(self._told.items()):
            told.forget_before(now - self._window)
            if told.is_quiet:
                del self._told[route]
