"""The live progress bars of a pass: one for words (lexical), one for meaning (vectors), each with rate and ETA."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

RATE_WINDOW_SECONDS = 10.0


class RateColumn(ProgressColumn):
    """Files per second over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.0f} files/s", style="progress.data.speed")


class IndexProgress:
    """A context manager that draws; ``update`` it with the counters of the project's status."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}"),
            RateColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=RATE_WINDOW_SECONDS,
        )
        self._lexical = self._progress.add_task("words", total=None, counts="scanning")
        self._vectors = self._progress.add_task("meaning", total=None, counts="waiting")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, total: int, lexical: int, vectors: int) -> None:
        """Files in the project, files found by words, files found by meaning; a total of 0 means not scanned yet."""
        if not total:
            return
        for task, done in ((self._lexical, lexical), (self._vectors, vectors)):
            self._progress.update(task, total=total, completed=done, counts=f"{done:,}/{total:,}")
