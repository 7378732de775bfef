"""Processes that never outlive what started them. Standard library only.

Linux kills a child when the *thread* that forked it ends: start children from the main thread alone.
Where the kernel has no such signal (macOS), a thread or a small waiting process polls for the parent instead.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import IO

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.2
ORPHANED = 70  # exit status of a process that ended because its parent had
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
KEPT_FREE_BYTES = 8 << 20
HEAPS = 4
AUTOGROUP = Path("/proc/self/autogroup")
AUTOGROUP_TRIES, AUTOGROUP_SECONDS = 8, 0.15


def die_with_parent(parent_pid: int) -> bool:
    """Has the kernel SIGKILL this process when the thread that forked it ends; survives exec, not fork.

    Ends the process at once when ``parent_pid`` is no longer its parent.
    Returns False where the kernel cannot do it: call watch_parent then.
    """
    armed = sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)
    if os.getppid() != parent_pid:  # the parent died before the signal was armed
        os._exit(ORPHANED)
    return armed


def watch_parent(parent_pid: int, interval: float = POLL_SECONDS) -> threading.Thread:
    """Starts a daemon thread that ends this process, without clean-up, once its parent is another one."""

    def poll() -> None:
        while os.getppid() == parent_pid:
            time.sleep(interval)
        os._exit(ORPHANED)

    thread = threading.Thread(target=poll, name="watch-parent", daemon=True)
    thread.start()
    return thread


def keep_heap_small() -> None:
    """Has glibc give freed memory back. It would keep what a model took for one long text, in a heap for each thread.

    Before other threads start. Elsewhere it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES)
        mallopt(M_ARENA_MAX, HEAPS)


def lower_session(niceness: int) -> None:
    """Has this process and what it will start yield to other sessions, if it leads its own; else it does nothing.

    Linux may share the processor among sessions first (sched_autogroup): niceness then counts inside each alone, and
    what has a session of its own takes as much as all the rest.
    """
    if os.getsid(0) != os.getpid():
        return
    for _ in range(AUTOGROUP_TRIES):
        try:
            AUTOGROUP.write_text(str(niceness))
            return
        except BlockingIOError:  # one such change in a tenth of a second, for all of the machine
            time.sleep(AUTOGROUP_SECONDS)
        except OSError:  # no such kernel
            return


def give_back_memory() -> bool:
    """Has the C library return what is free inside its heaps; False where it cannot be asked to (macOS, musl).

    Takes some milliseconds.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(ctypes.c_size_t(0)))


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    keep_fds: Sequence[int] = (),
    bound: bool = True,
) -> subprocess.Popen[bytes]:
    """Starts ``argv`` in a session of its own; ``bound`` to this process's life when called from the main thread.

    ``env`` is added to the inherited environment; stdout and stderr both go to ``output``.
    """
    binding = (sys.executable, "-P", "-m", "muniment.process", "--die-with", str(os.getpid()), "--") if bound else ()
    return subprocess.Popen(
        [*binding, *argv],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        pass_fds=tuple(keep_fds),
        start_new_session=True,  # a Ctrl-C in the terminal reaches the parent alone, which stops children in order
    )


def stop_child(process: subprocess.Popen[bytes], grace: float) -> int:
    """SIGTERM, ``grace`` seconds to end, then SIGKILL. Returns the exit status (negative: the signal's number)."""
    if process.poll() is None:
        process.terminate()
    return reap(process, grace)


def reap(process: subprocess.Popen[bytes], grace: float) -> int:
    """Waits ``grace`` seconds for a process that was asked to end, then SIGKILLs it."""
    try:
        return process.wait(timeout=max(grace, 0.0))
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on at this moment."""
    with closing(socket.socket(_family(host))) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now; False as well when the address is not ours."""
    with closing(socket.socket(_family(host))) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _exec_bound(parent_pid: int, argv: list[str]) -> int:
    """Becomes ``argv``; where the kernel cannot bind it to the parent, stays to run and watch it instead."""
    if die_with_parent(parent_pid):
        os.execvp(argv[0], argv)
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # what came before there was anyone to pass it on to

    def forward(signum: int, _frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(signum)
        else:
            early.append(signum)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    # pass on what we inherited: the locks that the stores keep
    process = subprocess.Popen(argv, close_fds=False)
    started.append(process)
    for signum in early:
        process.send_signal(signum)
    while os.getppid() == parent_pid:
        try:
            return process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    return process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"{Path(sys.executable).name} -m muniment.process")
    parser.add_argument("--die-with", type=int, required=True, metavar="PID")
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args(arguments)
    status = _exec_bound(options.die_with, options.argv)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
