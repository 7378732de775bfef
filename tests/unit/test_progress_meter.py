"""What a pass tells of its way: how often, and what the numbers mean."""

from collections import Counter

import pytest

from muniment.indexing.batches import Batch
from muniment.indexing.progress import LEXICAL_SHARE, MAX_NAMED_FAILURES, REPORT_SECONDS, ProgressMeter
from muniment.jobs import FileFailure, Phase, Progress


class Pass:
    """Batches of a pass whose clock moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Progress] = []
        self.meter = ProgressMeter(self.told.append, lambda: self.now)

    def plan(self, total: int, unchanged: int = 0) -> None:
        self.meter.planned(total, unchanged, Counter(), [])
        self.meter.begin(Phase.LEXICAL)
        self.told.clear()

    def batch(self, files: int, *, seconds: float = 0.0, skipped: int = 0, failed: tuple[str, ...] = ()) -> None:
        self.now += seconds
        failures = [FileFailure(path=path, reason="unreadable") for path in failed]
        gone = Counter({"binary": skipped} if skipped else {})
        last = f"file{files}.py"
        self.meter.batch_done(
            Batch(files=files, skipped=gone, failures=failures, chunk_count=2 * files, last_file=last)
        )

    @property
    def progress(self) -> Progress:
        return self.meter.progress()


@pytest.fixture
def indexing() -> Pass:
    return Pass()


def test_of_many_small_batches_one_in_half_a_second_is_told(indexing: Pass) -> None:
    indexing.plan(10_000)
    for _ in range(10 * 64):
        indexing.batch(10, seconds=REPORT_SECONDS / 64)
    assert [told.files.done for told in indexing.told] == [640 * number for number in range(1, 11)]


def test_a_batch_that_took_long_is_told_at_once(indexing: Pass) -> None:
    indexing.plan(3)
    for _ in range(3):
        indexing.batch(1, seconds=2.0)
    assert [told.files.done for told in indexing.told] == [1, 2, 3]


def test_texts_are_told_of_like_files(indexing: Pass) -> None:
    indexing.plan(10)
    indexing.batch(10)
    indexing.meter.texts_expected(80)
    indexing.meter.begin(Phase.VECTORS)
    indexing.told.clear()
    for _ in range(80):
        indexing.now += REPORT_SECONDS / 8
        indexing.meter.texts_done(1)
    assert [told.percent for told in indexing.told] == [37.0, 44.0, 51.0, 58.0, 65.0, 72.0, 79.0, 86.0, 93.0, 99.9]


def test_each_phase_is_told_of_at_its_beginning(indexing: Pass) -> None:
    for phase in (Phase.SCAN, Phase.LEXICAL, Phase.VECTORS, Phase.FINISH):
        indexing.meter.begin(phase)
    assert [told.phase for told in indexing.told] == list(Phase)


def test_what_was_done_before_counts_and_the_last_file_is_named(indexing: Pass) -> None:
    indexing.plan(100, unchanged=40)
    assert (indexing.progress.files.done, indexing.progress.last_file) == (40, None)
    indexing.batch(20)
    seen = indexing.progress
    assert (seen.files.total, seen.files.done, seen.chunks, seen.last_file) == (100, 60, 40, "file20.py")
    assert seen.percent == pytest.approx(LEXICAL_SHARE * 0.6)


def test_skipped_and_failed_files_are_counted_apart(indexing: Pass) -> None:
    indexing.plan(100)
    indexing.batch(50, skipped=5, failed=("a.py", "b.py"))
    seen = indexing.progress
    assert (seen.files.total, seen.files.done, seen.files.failed) == (95, 43, 2)
    assert seen.files.skipped == {"binary": 5}
    assert [failure.path for failure in seen.failures] == ["a.py", "b.py"]
    assert seen.with_errors
    indexing.batch(1, failed=("a.py",))
    assert indexing.progress.files.failed == 2, "a file that fails again is one file"


def test_of_very_many_failures_some_are_named_and_all_are_counted(indexing: Pass) -> None:
    indexing.plan(1_000)
    indexing.batch(1_000, failed=tuple(f"{number}.py" for number in range(1_000)))
    assert (indexing.progress.files.failed, len(indexing.progress.failures)) == (1_000, MAX_NAMED_FAILURES)


def test_the_rate_is_measured_and_no_time_is_promised_before_there_is_something_to_judge_by(indexing: Pass) -> None:
    assert (indexing.progress.rate, indexing.progress.eta_seconds) == (None, None)
    indexing.plan(100)
    assert (indexing.progress.rate, indexing.progress.eta_seconds) == (None, None)
    indexing.batch(50, seconds=10.0)
    seen = indexing.progress
    assert (seen.rate, seen.percent) == (5.0, 15.0)
    assert seen.eta_seconds == pytest.approx(10.0 * 85 / 15, abs=0.1)


def test_the_percentage_neither_falls_when_work_is_added_nor_is_full_before_the_end(indexing: Pass) -> None:
    indexing.plan(10)
    indexing.batch(10)
    before = indexing.progress.percent
    indexing.meter.also_planned(90)
    assert indexing.progress.percent == before
    assert indexing.progress.files.total == 100
    indexing.meter.begin(Phase.FINISH)
    assert indexing.progress.percent == 99.9, "who ends the job says that it is complete"


def test_a_pass_with_nothing_to_do_is_through(indexing: Pass) -> None:
    indexing.plan(0)
    assert indexing.progress.percent == LEXICAL_SHARE
    indexing.meter.texts_expected(0)
    indexing.meter.begin(Phase.VECTORS)
    assert indexing.progress.percent == 99.9
