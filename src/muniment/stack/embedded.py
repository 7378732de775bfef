"""Runs, finds and ends the embedded stack of a data folder. One stack a folder, held by an flock."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from muniment.access import resolve_token
from muniment.datafolder import DataFolder
from muniment.errors import DataFolderInUse, InvalidValue, PortTaken, StackNotRunning, StartFailed, StopFailed
from muniment.process import free_port, port_is_free, spawn, stop_child
from muniment.settings import Settings
from muniment.stack.children import (
    base_url,
    chroma_child,
    environment,
    gateway_answers,
    module,
    service_children,
    valkey_child,
)
from muniment.stack.state import FileLock, StackState, holder, read_state, write_state
from muniment.stack.supervision import ChildSpec, Say, Supervisor, last_line, rotate

PATIENCE_SECONDS = 10.0
READY_SECONDS = 90.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

Services = Callable[[Settings], Sequence[ChildSpec]]


def find(folder: DataFolder) -> StackState | None:
    """The stack that runs on the folder and whose gateway answers."""
    state = read_state(folder.stack_state)
    if state is None or holder(folder.stack_lock) is None:  # the file alone may be a killed stack's
        return None
    return state if gateway_answers(state.url) else None


@dataclass(frozen=True)
class Plan:
    """All that is settled before the first child starts."""

    stages: tuple[tuple[ChildSpec, ...], ...]
    state: StackState


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    say: Say,
    on_ready: Callable[[StackState], None],
    services: Services = service_children,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StackState | None:
    """Runs the stack until ``stop`` is set, or returns at once the state of the one that runs there already.

    Calls ``on_ready`` once the gateway answers. Raises TokenRequired, PortTaken, DataFolderInUse, StartFailed.
    """
    folder = settings.folder
    resolve_token(settings)  # a refusal, or a new token file, before anything starts
    _make(folder)
    found = _acquire(folder)
    if isinstance(found, StackState):
        return found
    try:
        folder.stack_state.unlink(missing_ok=True)  # of a stack that was killed
        with _stores_lock(folder) as stores:
            plan = _plan(settings, stores, services, now())
            with _compiling_rules(folder):
                _supervise(plan, folder, stop=stop, say=say, on_ready=on_ready)
    finally:
        found.release()
    return None


@contextmanager
def _compiling_rules(folder: DataFolder) -> Iterator[None]:
    """At the first start of all, while the stores start: else the first project would wait for it."""
    if folder.rule_cache.exists():
        yield
        return
    process = spawn(module("muniment.masking", str(folder.rule_cache)), output=subprocess.DEVNULL)
    threading.Thread(target=process.wait, name="rules", daemon=True).start()  # it must not stay as a zombie
    try:
        yield
    finally:
        stop_child(process, 0.0)


def _supervise(
    plan: Plan, folder: DataFolder, *, stop: threading.Event, say: Say, on_ready: Callable[[StackState], None]
) -> None:
    supervisor = Supervisor(plan.stages, folder.logs, stop=stop, say=say)
    try:
        if supervisor.start():
            write_state(folder.stack_state, plan.state)
            on_ready(plan.state)
            supervisor.run()
    finally:
        supervisor.stop()
        folder.stack_state.unlink(missing_ok=True)


def _make(folder: DataFolder) -> None:
    """Makes the data folder and its logs, for the owner alone. Raises InvalidValue when it cannot be written."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.logs.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidValue("MUNIMENT_DATA_DIR", str(folder.path), f"it cannot be used: {error.strerror}") from error


def _acquire(folder: DataFolder) -> FileLock | StackState:
    """The folder's lock, or the healthy stack that holds it; waits a little for one that starts or ends."""
    lock, deadline = FileLock(folder.stack_lock), time.monotonic() + PATIENCE_SECONDS
    while not lock.acquire():
        if state := find(folder):
            return state
        if time.monotonic() > deadline:
            raise DataFolderInUse(str(folder.path), holder(folder.stack_lock) or "unknown")
        time.sleep(POLL_SECONDS)
    return lock


@contextmanager
def _stores_lock(folder: DataFolder) -> Iterator[int]:
    """The lock that Valkey and Chroma inherit: two servers on one folder would corrupt it."""
    lock, deadline = FileLock(folder.stores_lock), time.monotonic() + PATIENCE_SECONDS
    while not lock.acquire():  # those of a killed stack are still ending
        if time.monotonic() > deadline:
            raise DataFolderInUse(str(folder.path), holder(folder.stores_lock) or "unknown")
        time.sleep(POLL_SECONDS)
    try:
        yield lock.fd
    finally:
        lock.release()


def _plan(settings: Settings, stores_fd: int, services: Services, now: datetime) -> Plan:
    folder = settings.folder
    stores: list[ChildSpec] = []
    redis_url, chroma_url = settings.redis_url, settings.chroma_url
    if redis_url is None:
        spec, redis_url = valkey_child(folder.redis, stores_fd)
        stores.append(spec)
    if chroma_url is None:
        spec, chroma_url = chroma_child(folder.chroma, stores_fd)
        stores.append(spec)
    settled = settings.model_copy(
        update={
            "data_dir": settings.data_dir,
            "redis_url": redis_url,
            "chroma_url": chroma_url,
            "port": _port("the gateway", settings.host, settings.port, "--port (MUNIMENT_PORT)"),
            "ops_port": _ops_port(settings),
        }
    )
    state = StackState(
        pid=os.getpid(),
        data_dir=str(folder.path),
        url=base_url(settled.host, settled.port),
        ops_url=base_url(settled.ops_host, settled.ops_port),
        redis_url=redis_url,
        chroma_url=chroma_url,
        started_at=now,
    )
    return Plan((tuple(stores), tuple(services(settled))), state)


def _port(service: str, host: str, port: int, setting: str) -> int:
    if port == 0:
        return free_port(host)
    if not port_is_free(host, port):
        raise PortTaken(service, host, port, setting)
    return port


def _ops_port(settings: Settings) -> int:
    """The port asked for; the default one gives way, so that a second stack starts beside the first."""
    if "ops_port" not in settings.model_fields_set and not port_is_free(settings.ops_host, settings.ops_port):
        return free_port(settings.ops_host)
    return _port("rq-dashboard", settings.ops_host, settings.ops_port, "MUNIMENT_OPS_PORT")


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Sets ``stop`` on Ctrl-C, SIGTERM and the terminal's end."""

    def ask(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def launch(
    settings: Settings, *, bound: bool, stop: threading.Event
) -> tuple[StackState, subprocess.Popen[bytes] | None]:
    """Starts `muniment up` in the background and waits until it is ready, or ``stop`` is set.

    ``bound`` makes it die with this process. Returns the state, and the process unless a stack ran already.
    Raises StartFailed with its last words.
    """
    folder = settings.folder
    if state := find(folder):
        return state, None
    _make(folder)
    log = folder.logs / "stack.log"
    rotate(log)
    settings = settings.model_copy(update={"data_dir": settings.data_dir})
    command, env = module("muniment.cli", "up"), environment(settings)
    with log.open("ab") as output:
        process = spawn(command, env=env, output=output, bound=bound)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        ended = process.poll() is not None
        if state := find(folder):
            return state, None if ended else process  # ended: it found another that was quicker
        if ended:
            raise StartFailed("muniment up", last_line(log) or "it said nothing", str(log))
        if stop.wait(POLL_SECONDS) or time.monotonic() > deadline:
            stop_child(process, STOP_SECONDS)
            detail = "it was interrupted" if stop.is_set() else f"it was not ready after {READY_SECONDS:.0f} s"
            raise StartFailed("muniment up", detail, str(log))


def halt(folder: DataFolder, seconds: float = STOP_SECONDS) -> int:
    """Ends the stack of a folder and returns the pid it had. Raises StackNotRunning, StopFailed."""
    pid = holder(folder.stack_lock)
    if pid is None:
        raise StackNotRunning(str(folder.path))
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while holder(folder.stack_lock) == pid:
        if time.monotonic() > deadline:
            raise StopFailed(str(folder.path), pid, seconds)
        time.sleep(POLL_SECONDS)
    return pid
