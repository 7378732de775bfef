"""Passes over more files than one process reads alone: helpers change the speed and nothing else."""

import signal

import index_bench
import psutil
import pytest

from muniment.indexing import Limits, Step
from muniment.indexing.passing import HELPED_FILES

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


def test_what_helpers_read_before_an_edit_does_not_come_after_it(large):
    """Helpers read ahead: an edit that is taken between two batches is newer than what they hold."""
    large.use(helpers=2)
    edited = [f"src/m{number:04}.py" for number in range(100, FILES, 7)]

    def edit():
        for path in edited:
            large.write(path, f"def edited_meanwhile():\n    return '{path}'\n")
        large.tools.dirty.add(large.project.id, edited)

    large.run(control=index_bench.Interfere({(Step.MANIFEST_COMMITTED, 2): edit}))
    stale = [path for path in edited if "edited_meanwhile" not in large.text_of(path)]
    assert stale == []
    assert "!" not in large.state()
    assert large.run().chunks == 0


@pytest.mark.parametrize("step", [Step.BATCH_READ, Step.BATCH_NOTED, Step.LEXICAL_COMMITTED, Step.MANIFEST_COMMITTED])
def test_a_pass_with_helpers_killed_at_any_step_ends_as_an_undisturbed_one(large, step):
    large.run()
    undisturbed = large.state()
    large.wipe()
    assert large.run_in_a_process(step, 3, helpers=2, batch_files=100) == -signal.SIGKILL
    large.use(helpers=2)
    large.run()
    assert large.state() == undisturbed
