"""Passes over more files than one process reads alone: helpers change the speed and nothing else."""

import dataclasses
import os
import signal
from contextlib import closing

import index_bench
import psutil
import pytest

from muniment.indexing import Limits, Step, batches
from muniment.indexing.passing import HELPED_FILES
from muniment.jobs import JobKind
from muniment.manifest import ManifestReader

FILES = HELPED_FILES + 200


@pytest.fixture
def large(bench):
    for number in range(FILES):
        bench.write(f"src/m{number:04}.py", f"def module_{number}():\n    return {number}\n")
    bench.use(limits=Limits(batch_files=100, batch_chunks=4_000, max_file_bytes=100_000, first_batch_seconds=60))
    return bench


def test_helpers_leave_the_same_index_as_one_process(large):
    large.run()
    alone = large.state()
    large.wipe()
    large.use(helpers=2)
    large.run()
    assert large.state() == alone


def test_no_helper_is_left_after_a_pass(large):
    large.use(helpers=2)
    large.run()
    left = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert not [command for command in left if "muniment.parsing.helper" in command]


BATCHES = [100, 70]  # files: a batch ends where a helper's group does, and in the middle of one


def use_helpers(bench, batch_files):
    bench.use(helpers=2, limits=dataclasses.replace(bench.tools.limits, batch_files=batch_files))


@pytest.mark.parametrize("batch_files", BATCHES)
@pytest.mark.parametrize("noted_before", [[], ["README.md"]])
def test_what_helpers_read_before_an_edit_does_not_come_after_it(large, batch_files, noted_before):
    """Helpers read ahead: an edit that is taken between two batches is newer than what they hold."""
    use_helpers(large, batch_files)
    large.tools.dirty.add(large.project.id, noted_before)
    edited = [f"src/m{number:04}.py" for number in range(100, FILES, 7)]

    def edit():
        for path in edited:
            large.write(path, f"def edited_meanwhile():\n    return '{path}'\n")
        large.tools.dirty.add(large.project.id, edited)

    edited_at = 3 if noted_before else 2
    progress = large.run(control=index_bench.Interfere({(Step.MANIFEST_COMMITTED, edited_at): edit}))
    stale = [path for path in edited if "edited_meanwhile" not in large.text_of(path)]
    assert stale == []
    assert "!" not in large.state()
    assert progress.files.total >= FILES + 2
    assert large.run().chunks == 0


@pytest.mark.parametrize("batch_files", BATCHES)
def test_unchanged_files_that_helpers_hold_and_that_are_noted_as_dirty_cost_nothing(large, batch_files):
    large.run()
    use_helpers(large, batch_files)
    paths = [f"src/m{number:04}.py" for number in range(FILES)]

    def touch():
        for path in paths:
            os.utime(large.tree / path)

    def touch_again():
        touch()
        large.tools.dirty.add(large.project.id, paths[100::3])

    touch()
    assert large.run(control=index_bench.Interfere({(Step.MANIFEST_COMMITTED, 2): touch_again})).chunks == 0
    assert "!" not in large.state()


def test_a_reindex_reads_every_file_of_a_folder_that_is_dirty_meanwhile(large):
    large.run()
    use_helpers(large, 100)
    note = index_bench.Interfere(
        {(Step.MANIFEST_COMMITTED, 2): lambda: large.tools.dirty.add(large.project.id, ["src"])}
    )
    large.run(JobKind.REINDEX, job_id="job-2", control=note)
    with closing(ManifestReader.open(large.folder.manifest)) as reader:
        stamps = reader.files(f"src/m{number:04}.py" for number in range(FILES))
    assert {stamp.target for stamp in stamps.values()} == {1}


@pytest.mark.parametrize("step", [Step.BATCH_READ, Step.BATCH_NOTED, Step.LEXICAL_COMMITTED, Step.MANIFEST_COMMITTED])
def test_a_pass_with_helpers_killed_at_any_step_ends_as_an_undisturbed_one(large, step):
    large.run()
    undisturbed = large.state()
    large.wipe()
    assert large.run_in_a_process(step, 3, helpers=2, batch_files=100) == -signal.SIGKILL
    large.use(helpers=2)
    large.run()
    assert large.state() == undisturbed


def test_after_an_attempt_that_killed_its_process_only_helpers_touch_a_file(bench, monkeypatch):
    def deadly(*_):
        raise AssertionError("parsed in the process that writes")

    monkeypatch.setattr(batches, "parse_file", deadly)
    bench.use(helpers=0, cautious=True)
    bench.run()
    assert bench.counters().files_lexical == 12
    bench.write("pkg/file1.py", "def changed():\n    return 1\n")
    bench.tools.dirty.add(bench.project.id, ["pkg/file1.py"])
    bench.run()
    assert bench.find("changed") == ["pkg/file1.py"]
