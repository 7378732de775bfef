"""The embedded stack as a whole, with a real Valkey and Chroma: it starts, mends itself, ends, and leaves nothing."""

import contextlib
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest
from redis import Redis

from muniment.datafolder import DataFolder
from muniment.errors import PortTaken, StackNotRunning, StartFailed
from muniment.process import stop_child
from muniment.settings import Settings
from muniment.stack import embedded
from muniment.stack.state import StackState, holder, read_state
from muniment.stack.supervision import ChildSpec

RUNNER = Path(__file__).with_name("fake_stack.py")
Starter = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    with TemporaryDirectory(prefix="muniment-test-", ignore_cleanup_errors=True) as name:
        yield DataFolder(Path(name) / "data")


@pytest.fixture
def start(folder: DataFolder) -> Iterator[Starter]:
    """Starts the stack of the folder in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, str(RUNNER), str(folder.path)], stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield begin
    for process in started:
        stop_child(process, grace=20.0)
        assert process.stdout is not None
        process.stdout.close()


def running(folder: DataFolder, until) -> StackState:
    return until(lambda: embedded.find(folder), 30.0)


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def child(pid: int, word: str) -> psutil.Process | None:
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or gone meanwhile
            if word in " ".join(process.cmdline()):
                return process
    return None


def test_a_stack_tells_where_it_runs_and_leaves_nothing_when_it_is_asked_to_end(folder, start, until):
    process = start()
    state = running(folder, until)
    children = until(lambda: four if len(four := family(state.pid)) == 4 else None, 20)  # the rules are compiled first

    assert httpx.get(f"{state.chroma_url}/api/v2/heartbeat").status_code == 200
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.redis.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stack_state.stat().st_mode) == 0o600

    assert embedded.halt(folder) == process.pid == state.pid
    assert process.wait(10) == 0
    assert gone(children)
    assert not folder.stack_state.exists()
    assert holder(folder.stack_lock) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_start_ends_it_cleanly(folder, start, until, number):
    process = start()
    until(lambda: holder(folder.stores_lock))
    process.send_signal(number)

    assert process.wait(20) == 0
    assert holder(folder.stores_lock) is None


@pytest.mark.parametrize("word", ["valkey-server", "muniment.stack.chroma", "http.server"])
def test_a_child_that_is_killed_is_started_again(folder, start, until, word):
    start()
    state = running(folder, until)
    victim = child(state.pid, word)
    victim.kill()

    replacement = until(lambda: (found := child(state.pid, word)) and found.pid != victim.pid and found)
    assert replacement.pid != victim.pid
    until(lambda: embedded.find(folder))


def test_a_killed_stack_leaves_no_process_and_its_successor_finds_the_data(folder, start, until):
    first = start()
    state = running(folder, until)
    with Redis.from_url(state.redis_url) as connection:
        connection.set("kept", "yes")
        connection.execute_command("WAITAOF", 1, 0, 2000)
    children = family(state.pid)

    first.kill()
    first.wait()
    until(lambda: gone(children))
    assert folder.stack_state.exists()
    assert embedded.find(folder) is None

    start()
    state = until(lambda: (found := embedded.find(folder)) and found.pid != first.pid and found, 30.0)
    with Redis.from_url(state.redis_url) as connection:
        assert connection.get("kept") == b"yes"


def test_a_second_start_on_the_same_folder_finds_the_first(folder, start, until):
    start()
    running(folder, until)
    second = start()
    output, _ = second.communicate(timeout=20)

    assert second.returncode == 0
    assert output.split() == [b"attached"]


def test_stores_given_by_url_are_not_started(folder, valkey_url, chroma_url):
    settings = Settings(data_dir=folder.path, port=0, redis_url=valkey_url, chroma_url=chroma_url)
    stop, seen = threading.Event(), []

    def on_ready(_state: StackState) -> None:
        seen.append(read_state(folder.stack_state))
        stop.set()

    embedded.run(settings, stop=stop, say=print, on_ready=on_ready, services=lambda _: ())

    assert [state.redis_url for state in seen] == [valkey_url]
    assert not folder.redis.exists()
    assert not folder.chroma.exists()


def test_a_port_in_use_is_refused_before_anything_starts(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Settings(data_dir=folder.path, port=other.getsockname()[1])

        with pytest.raises(PortTaken, match="--port"):
            embedded.run(settings, stop=threading.Event(), say=print, on_ready=print, services=lambda _: ())

    assert holder(folder.stack_lock) is None


def test_a_service_that_cannot_start_fails_the_start_with_its_last_words(folder):
    broken = ChildSpec("gateway", (sys.executable, "-c", "raise SystemExit('no such colour')"), ready=lambda: False)
    settings = Settings(data_dir=folder.path, port=0)

    with pytest.raises(StartFailed, match="no such colour"):
        embedded.run(settings, stop=threading.Event(), say=print, on_ready=print, services=lambda _: (broken,))

    assert holder(folder.stores_lock) is None


def test_nothing_to_stop_is_said_clearly(folder):
    with pytest.raises(StackNotRunning):
        embedded.halt(folder)
