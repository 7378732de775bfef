"""Helper processes: the same results as without them, and no file that takes the others down with it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from muniment.masking import mask
from muniment.parsing import HelperPool, ReadRequest, parse_file
from muniment.parsing.pool import GROUP_FILES
from muniment.scanning import FoundFile, SkipReason

MOST = 100_000
FAULTY = (sys.executable, "-P", str(Path(__file__).with_name("faulty_helper.py")))


@pytest.fixture
def requests(tmp_path):
    def make(texts):
        made = []
        for name, text in texts.items():
            path = tmp_path / name
            path.write_text(text)
            status = path.stat()
            made.append(ReadRequest(FoundFile(name, str(path), status.st_size, status.st_mtime_ns)))
        return made

    return make


def results(pool, wanted):
    return [parsed for _, future in pool.parse(wanted) for parsed in future.result(timeout=30)]


def sources(count):
    return {f"m{number}.py": f"def f{number}():\n    return {number}\n" for number in range(count)}


def test_helpers_give_what_parsing_here_gives_in_the_order_of_the_requests(requests):
    wanted = requests({**sources(3 * GROUP_FILES), "empty.py": "", "logo.png": "\0\0"})
    with HelperPool(2, MOST) as pool:
        assert results(pool, wanted) == [parse_file(request, MOST) for request in wanted]


def test_a_file_that_kills_its_helper_is_cut_by_lines_and_the_others_as_ever(requests):
    wanted = requests({**sources(5), "bad.py": "KILLS = 1\n", **{f"z{n}.py": "x = 1\n" for n in range(GROUP_FILES)}})
    with HelperPool(2, MOST, program=FAULTY) as pool:
        found = {parsed.path: parsed for parsed in results(pool, wanted)}
    assert found["bad.py"].by_lines == "crashed"
    assert found["bad.py"].chunks[0].chunk.text == "KILLS = 1\n"
    assert {path for path, parsed in found.items() if parsed.by_lines} == {"bad.py"}
    assert len(found) == len(wanted)


def test_a_file_over_which_a_helper_hangs_is_cut_by_lines(requests):
    wanted = requests({"a.py": "x = 1\n", "hang.py": "HANGS = 1\n"})
    mask("", "")  # compiles the rules, if nobody has: a helper that does so looks like one that hangs
    with HelperPool(1, MOST, answer_seconds=3.0, program=FAULTY) as pool:
        assert [parsed.by_lines for parsed in results(pool, wanted)] == [None, "crashed"]


def test_a_file_that_no_helper_survives_is_a_failure_of_its_own(requests):
    wanted = requests({"a.py": "x = 1\n", "b.py": "ALWAYS\n"})
    with HelperPool(1, MOST, program=FAULTY) as pool:
        first, second = results(pool, wanted)
    assert (first.left_out, second.left_out) == (None, SkipReason.UNREADABLE)


def test_closing_ends_helpers_that_hang(requests):
    wanted = requests({"hang.py": "HANGS = 1\n"})
    pool = HelperPool(1, MOST, program=FAULTY)
    (_, future), *_ = pool.parse(wanted)
    helpers = [child for child in psutil.Process().children() if FAULTY[-1] in child.cmdline()]
    assert len(helpers) == 1
    pool.close()
    assert future.cancelled() or future.done()
    assert not [process for process in helpers if process.is_running()]


def test_helpers_die_with_the_process_that_started_them():
    program = "import sys, os\nfrom muniment.parsing import HelperPool\npool = HelperPool(2, 1000)\n"
    program += "print(*(helper._process.pid for helper in pool._all), flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        helpers = [psutil.Process(pid) for pid in pids]
        os.kill(parent.pid, 9)
    gone, alive = psutil.wait_procs(helpers, timeout=10)
    assert (len(gone), alive) == (2, [])


def test_what_was_read_ahead_when_a_pool_is_closed_is_not_called_a_death(requests, caplog):
    wanted = requests(sources(20 * GROUP_FILES))
    with HelperPool(2, MOST) as pool:
        next(pool.parse(wanted))
    assert "died" not in caplog.text
