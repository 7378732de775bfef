"""The first files of a large tree are found while it is still being looked at, and nothing else changes by that."""

import signal

import pytest
from index_bench import Interfere
from pass_process import KillAt

from muniment.indexing import Limits, Step, passing
from muniment.job_records import Standing
from muniment.jobs import JobKind, Phase
from muniment.scanning import Scanner
from muniment.status import StatusReader

FILES = passing.FIRST_FILES + 40
FIRST_STEPS = [Step.BATCH_READ, Step.BATCH_NOTED, Step.LEXICAL_COMMITTED, Step.MANIFEST_COMMITTED]


@pytest.fixture
def wide(bench):
    """More files than are indexed ahead of the plan: the first of them unfit, the last of them not looked at yet."""
    bench.write("a/logo.bin", b"\0\1\2")
    bench.write("a/odd.txt", b"\xff\xfe\xd8")
    for number in range(FILES):
        bench.write(f"a/m{number:03}.py", f"def module_{number}():\n    return {number}\n")
    bench.use(limits=Limits(batch_files=50, batch_chunks=4_000, max_file_bytes=100_000, first_batch_seconds=60))
    return bench


class NoJobs:
    def standing(self, project_ids):
        return [Standing(None, 0) for _ in project_ids]


def told(bench):
    """What every answer says of the index."""
    return StatusReader(bench.data, NoJobs(), bench.tools.dirty, lambda _: 0).header(bench.project)


def test_the_first_files_are_found_before_the_whole_tree_was_looked_at(wide):
    seen = {}

    def look():
        seen.update(found=wide.find("module_7"), counters=wide.counters(), meta=wide.meta(), told=told(wide))
        assert control.seen[Step.PLANNED] == 0

    control = Interfere({(Step.MANIFEST_COMMITTED, 1): look})
    wide.run(control=control)
    assert seen["found"][0] == "a/m007.py"
    assert (seen["told"].lexical_percent, seen["told"].as_of) == (0.0, None)
    assert 0 < seen["counters"].files_lexical < seen["counters"].files_total
    assert seen["meta"].incomplete
    assert (seen["meta"].settings_of, seen["meta"].scanned_at) == (None, None)
    assert wide.counters().files_lexical == FILES + 12
    assert "!" not in wide.state()


def test_the_index_and_the_report_are_those_of_a_pass_that_walks_first(wide, monkeypatch):
    early = wide.run()
    state = wide.state()
    wide.wipe()
    monkeypatch.setattr(passing, "FIRST_FILES", 10_000)
    later = wide.run()
    assert wide.state() == state
    left_out = {"percent", "rate", "eta_seconds"}
    assert early.model_dump(exclude=left_out) == later.model_dump(exclude=left_out)
    assert (early.files.done, early.files.total) == (FILES + 12, FILES + 13)  # with the one that failed


def test_no_more_is_ever_told_as_done_than_there_is(wide, monkeypatch):
    monkeypatch.setattr("muniment.indexing.progress.REPORT_SECONDS", 0)
    control = KillAt(None)
    wide.run(control=control)
    scanning = [report for report in control.reports if report.phase == Phase.SCAN]
    assert scanning[-1].files.done > 0
    assert {report.percent for report in scanning} == {0.0}
    assert [report for report in control.reports if report.files.done > report.files.total] == []
    done = [report.files.done for report in control.reports]
    assert done == sorted(done)


@pytest.mark.parametrize("step", FIRST_STEPS)
def test_a_pass_killed_over_its_first_files_ends_as_an_undisturbed_one(wide, step):
    wide.run()
    undisturbed = wide.state()
    wide.wipe()
    assert wide.run_in_a_process(step, 1, batch_files=50) == -signal.SIGKILL
    assert wide.meta().incomplete
    assert wide.meta().settings_of is None
    wide.run()
    assert wide.state() == undisturbed


def test_a_reindex_of_nothing_reads_the_first_files_once(wide):
    control = KillAt(None)
    progress = wide.run(JobKind.REINDEX, control=control)
    assert progress.chunks == wide.counters().chunks
    assert "!" not in wide.state()


def test_an_index_that_holds_something_or_a_small_tree_is_planned_first(bench, monkeypatch):
    def planned_first():
        assert control.seen[Step.BATCH_READ] == 0

    control = Interfere({(Step.PLANNED, 1): planned_first})
    bench.run(control=control)  # of fewer files
    monkeypatch.setattr(passing, "FIRST_FILES", 2)
    for path in bench.tree.rglob("*.py"):
        path.write_text("def another(): ...\n")
    control = Interfere({(Step.PLANNED, 1): planned_first})
    bench.run(control=control)
    assert bench.counters().files_lexical == 12


def test_a_slow_walk_is_not_waited_for(bench, monkeypatch):
    now = [0.0]
    walk = Scanner.walk

    def slowly(self):
        for item in walk(self):
            now[0] += passing.FIRST_LOOK_SECONDS / 2
            yield item

    def look():
        assert (control.seen[Step.PLANNED], bench.counters().files_lexical) == (0, 2)

    monkeypatch.setattr(Scanner, "walk", slowly)
    bench.use(clock=lambda: now[0])
    control = Interfere({(Step.MANIFEST_COMMITTED, 1): look})
    bench.run(control=control)
    assert bench.counters().files_vector == 12
