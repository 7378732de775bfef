"""Supervision with children that misbehave, as real processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from muniment.errors import StartFailed
from muniment.process import spawn, stop_child
from muniment.stack.supervision import ChildSpec, Supervisor

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def python(name: str, program: str, **options) -> ChildSpec:
    return ChildSpec(name, (sys.executable, "-c", program), **options)


def supervised(stages, tmp_path: Path, stop: threading.Event, said: list[str]) -> Supervisor:
    return Supervisor(stages, tmp_path, stop=stop, say=said.append)


def test_a_stage_starts_when_the_one_before_it_is_ready(tmp_path, stop, said):
    mark = tmp_path / "ready"
    first = python("first", f"import time; open({str(mark)!r}, 'w').close(); time.sleep(600)", ready=mark.exists)
    second = python("second", f"import os, time; print(os.path.exists({str(mark)!r}), flush=True); time.sleep(600)")
    supervisor = supervised([[first], [second]], tmp_path, stop, said)
    try:
        assert supervisor.start()
    finally:
        supervisor.stop()

    assert [child.exit_status() for child in supervisor.children] == [-15, -15]


def test_a_child_that_ignores_the_request_to_end_is_killed_after_its_grace(tmp_path, stop, said):
    log = tmp_path / "deaf.log"
    deaf = python("deaf", DEAF, ready=lambda: b"deaf" in log.read_bytes(), grace=0.2)
    supervisor = supervised([[deaf]], tmp_path, stop, said)
    supervisor.start()
    supervisor.stop()

    assert supervisor.children[0].exit_status() == -9


def test_a_dead_child_is_reported_once_and_started_again_when_its_wait_is_over(tmp_path, stop, said, until):
    supervisor = supervised([[python("brief", "raise SystemExit(3)")]], tmp_path, stop, said)
    supervisor.start()
    child = supervisor.children[0]
    first = child.process
    until(lambda: child.exit_status() is not None)

    supervisor.tick(1000.0)
    supervisor.tick(1000.1)
    assert child.process is first
    assert len(said) == 1
    assert "brief ended with status 3; again in 0.2 s" in said[0]

    supervisor.tick(1000.2)
    assert child.process is not first
    supervisor.stop()


def test_a_child_that_never_gets_ready_fails_the_start(tmp_path, stop, said):
    slow = python("slow", "import time; time.sleep(600)", ready=lambda: False, start_seconds=0.2)
    supervisor = supervised([[slow]], tmp_path, stop, said)
    with pytest.raises(StartFailed, match="slow did not start: it was not ready"):
        supervisor.start()
    supervisor.stop()


def test_a_stop_requested_during_the_start_is_not_lost(tmp_path, stop, said):
    stop.set()
    supervisor = supervised([[python("any", "import time; time.sleep(600)")], []], tmp_path, stop, said)

    assert supervisor.start() is False
    supervisor.stop()


@pytest.fixture
def middle(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that starts a bound child and waits."""
    program = (
        "import pathlib, time; from muniment.process import spawn;"
        f"child = spawn(['sleep', '600']); pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid));"
        "time.sleep(600)"
    )
    process = spawn((sys.executable, "-c", program))
    yield process
    stop_child(process, 1)


def test_a_bound_process_dies_with_the_one_that_started_it(middle, tmp_path, until):
    grandchild = psutil.Process(int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 20)))
    until(lambda: grandchild.name() == "sleep")
    middle.kill()
    middle.wait()

    until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


def test_a_process_whose_parent_is_gone_before_it_is_bound_ends_at_once():
    program = f"from muniment.process import die_with_parent; die_with_parent({os.getpid() + 1}); print('went on')"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (70, b"")


def test_without_the_kernel_s_help_a_thread_ends_the_orphan(tmp_path, until):
    """The way of macOS, exercised everywhere."""
    program = (
        "import os, pathlib, time; from muniment.process import watch_parent;"
        f"watch_parent(os.getppid(), 0.01); pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()));"
        "time.sleep(600)"
    )
    shell = subprocess.Popen(("sh", "-c", f'"{sys.executable}" -c "$0" & wait', program))
    orphan = psutil.Process(int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 20)))
    shell.kill()
    shell.wait()

    until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


def test_without_the_kernel_s_help_a_waiting_process_passes_on_signals_and_status(until):
    """The way of macOS for programs that are not ours, exercised everywhere."""
    program = (
        "import muniment.process as process; process.die_with_parent = lambda pid: False;"
        "process.main(['--die-with', str(__import__('os').getppid()), '--', 'sleep', '600'])"
    )
    waiting = subprocess.Popen((sys.executable, "-c", program))
    (child,) = until(lambda: [c for c in psutil.Process(waiting.pid).children() if c.name() == "sleep"], 20)
    waiting.terminate()

    assert waiting.wait(10) == 128 + 15
    assert not child.is_running()
