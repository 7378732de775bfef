"""Who may stop a pass, and who hears of it."""

from enum import StrEnum
from typing import Protocol

from muniment.jobs import Progress


class Step(StrEnum):
    """Named places between two effects, where a test can stop or kill a pass."""

    PLANNED = "planned"
    BATCH_READ = "batch_read"
    BATCH_NOTED = "batch_noted"
    LEXICAL_COMMITTED = "lexical_committed"
    MANIFEST_COMMITTED = "manifest_committed"
    COLLECTION_CHOSEN = "collection_chosen"
    VECTORS_UPSERTED = "vectors_upserted"
    VECTORS_MARKED = "vectors_marked"
    COLLECTION_SWAPPED = "collection_swapped"
    FINISHED = "finished"


class Control(Protocol):
    def check(self) -> None:
        """Raises when the pass has to stop: lease lost, shutdown."""

    def pause(self, seconds: float) -> None:
        """Waits, but no longer than until the pass has to stop."""

    def report(self, progress: Progress) -> None: ...

    def reached(self, step: Step) -> None: ...
