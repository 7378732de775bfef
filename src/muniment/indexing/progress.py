"""Counts what a pass does and says how far it is: counters never go back, rate and ETA are measured, not promised."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from muniment.indexing.batches import Batch
from muniment.jobs import FileCounts, FileFailure, Phase, Progress

MAX_NAMED_FAILURES = 100
REFUSED = "refused"  # by the embedder
REPORT_SECONDS = 0.5
# shares of a whole pass, as measured on large trees: reading and lexical indexing, then vectors
LEXICAL_SHARE = 30.0
VECTOR_SHARE = 70.0


class ProgressMeter:
    """``report`` is called at most every half second, and at each change of phase."""

    def __init__(self, report: Callable[[Progress], None], clock: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock
        self._started = self._phase_started = self._reported = clock()
        self._phase = Phase.SCAN
        self._total = self._done = self._chunks = 0
        self._percent = 0.0
        self._phase_done = 0  # files (or distinct texts, in the vector phase) of this phase
        self._texts_total = 0
        self._skipped: Counter[str] = Counter()
        self._by_lines: Counter[str] = Counter()
        self._masked: Counter[str] = Counter()
        self._warnings: list[str] = []
        self._failures: dict[str, FileFailure] = {}  # by path: what failed as a dirty path is tried again
        self._last_file: str | None = None

    def begin(self, phase: Phase) -> None:
        self._phase, self._phase_started, self._phase_done = phase, self._clock(), 0
        self.report()

    def planned(self, total: int, unchanged: int, skipped: Counter[str], failures: list[FileFailure]) -> None:
        """What the scan found; its failures are files and folders that could not even be looked at."""
        # dirty paths that were taken before the scan are among the unchanged and the skipped ones now
        self._total = max(self._total, total + len(failures))
        self._done = max(self._done, unchanged)
        self._skipped |= skipped
        self._fail(failures)

    def also_planned(self, total: int) -> None:
        self._total += total

    def batch_done(self, batch: Batch) -> None:
        """Its files were committed; the skipped ones among them turned out not to be wanted."""
        skipped = batch.skipped.total()
        self._done += batch.files - skipped - len(batch.failures)
        self._total = max(self._done, self._total - skipped)
        if self._phase == Phase.LEXICAL:
            self._phase_done += batch.files
        self._fail(batch.failures)
        self._skipped.update(batch.skipped)
        self._by_lines.update(batch.by_lines)
        self._masked.update(batch.masked)
        self._chunks += batch.chunk_count
        self._last_file = batch.last_file or self._last_file
        self._report_if_due()

    def warn(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def _fail(self, failures: list[FileFailure]) -> None:
        self._failures |= {failure.path: failure for failure in failures}

    def refused(self, paths: Iterable[str]) -> None:
        """These files are found by their words alone."""
        self._fail([FileFailure(path=path, reason=REFUSED) for path in paths])

    def texts_expected(self, total: int) -> None:
        self._texts_total = total

    def texts_done(self, count: int) -> None:
        self._phase_done += count
        self._report_if_due()

    @property
    def skipped(self) -> Mapping[str, int]:
        return self._skipped

    @property
    def failed(self) -> int:
        return len(self._failures)

    def report(self) -> None:
        self._reported = self._clock()
        self._report(self.progress())

    def _report_if_due(self) -> None:
        if self._clock() - self._reported >= REPORT_SECONDS:
            self.report()

    def _reached(self) -> float:
        """Percent. May fall when dirty paths add to the work."""
        if self._phase == Phase.SCAN:
            return 0.0
        if self._phase == Phase.LEXICAL:
            return LEXICAL_SHARE * (min(1.0, (self._done + self.failed) / self._total) if self._total else 1.0)
        if self._phase == Phase.VECTORS:
            share = min(1.0, self._phase_done / self._texts_total) if self._texts_total else 1.0
            return LEXICAL_SHARE + VECTOR_SHARE * share
        return 100.0

    def progress(self) -> Progress:
        now = self._clock()
        percent = self._percent = max(self._percent, self._reached())
        in_phase = now - self._phase_started
        counts_files = self._phase == Phase.LEXICAL
        return Progress(
            phase=self._phase,
            files=FileCounts(
                total=self._total,
                done=self._done,
                failed=self.failed,
                skipped=dict(self._skipped),
                by_lines=dict(self._by_lines),
            ),
            failures=list(islice(self._failures.values(), MAX_NAMED_FAILURES)),
            last_file=self._last_file,
            chunks=self._chunks,
            masked=dict(self._masked),
            warnings=self._warnings,
            percent=round(min(percent, 99.9), 1),
            rate=round(self._phase_done / in_phase, 1) if counts_files and in_phase > 0 and self._phase_done else None,
            eta_seconds=self._eta(now, percent),
            with_errors=self.failed > 0,
        )

    def _eta(self, now: float, percent: float) -> float | None:
        elapsed = now - self._started
        if percent < 1.0 or elapsed <= 0:
            return None
        return round(elapsed * (100.0 - percent) / percent, 1)
