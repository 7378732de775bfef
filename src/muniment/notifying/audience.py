"""Who is told of an event. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from muniment.notices import NoticeKind
from muniment.notifying.store import Choice


@dataclass(frozen=True)
class Audience:
    """The server's own receivers, and what is told where nobody chose."""

    urls: Sequence[str]
    kinds: Collection[NoticeKind]

    def of(self, kind: NoticeKind, project: Choice) -> list[str]:
        """The URLs to send to, each once: the server's and the project's."""
        own = self.urls if kind in self.kinds else ()
        chosen = project.urls if kind in (self.kinds if project.on is None else project.on) else ()
        return list(dict.fromkeys([*own, *chosen]))
