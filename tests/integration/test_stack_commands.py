"""`muniment up` and `down` as typed, with real servers and services that stand in."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from muniment.process import free_port
from muniment.settings import Settings
from muniment.stack import embedded

GATEWAY = """
import os, http.server
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["MUNIMENT_ROOTS"].encode())
address = (os.environ.get("MUNIMENT_HOST", "127.0.0.1"), int(os.environ["MUNIMENT_PORT"]))
http.server.HTTPServer(address, Healthy).serve_forever()
"""
WAITER = "import signal; signal.pause()"
Muniment = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home() -> Iterator[Path]:
    with TemporaryDirectory(prefix="muniment-test-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """Stand-ins for the services' packages come first on the path."""
    for package, program in {"muniment_api": GATEWAY, "muniment_worker": WAITER, "muniment_watcher": WAITER}.items():
        (home / "stand-ins" / package).mkdir(parents=True)
        (home / "stand-ins" / package / "__init__.py").touch()
        (home / "stand-ins" / package / "__main__.py").write_text(program)
    (home / "stand-ins" / "muniment_api" / "ops.py").write_text(WAITER)
    path = os.pathsep.join([str(home / "stand-ins"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "HOME": str(home), "MUNIMENT_DATA_DIR": str(home / "data")}


@pytest.fixture
def muniment(environment: dict[str, str], home: Path) -> Iterator[Muniment]:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "muniment.cli", *arguments)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    yield call
    if embedded.find(Settings(data_dir=home / "data").folder):
        call("down")


def test_a_detached_stack_is_ready_when_up_returns_and_ends_with_down(muniment, home):
    port = free_port()
    up = muniment("up", "--detach", "--port", str(port), "--root", "/srv")
    state = embedded.find(Settings(data_dir=home / "data").folder)

    assert up.returncode == 0, up.stderr
    assert state is not None
    assert state.url == f"http://127.0.0.1:{port}"
    assert f"{state.url}/mcp" in up.stdout
    assert httpx.get(state.url).text.split(os.pathsep) == [str(home.resolve()), "/srv"]

    again = muniment("up", "--detach")
    assert (again.returncode, "already runs" in again.stdout) == (0, True)
    assert "already runs" in muniment("up").stdout

    down = muniment("down")
    assert (down.returncode, f"pid {state.pid}" in down.stdout) == (0, True)
    assert embedded.find(Settings(data_dir=home / "data").folder) is None


def test_up_stays_until_interrupted_and_says_where_everything_is(environment, home, until):
    command = (sys.executable, "-m", "muniment.cli", "up", "--port", str(free_port()))
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    until(lambda: embedded.find(Settings(data_dir=home / "data").folder), 30)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "Muniment is ready" in told
    assert told.strip().endswith("Stopped.")


def test_a_taken_port_is_one_clear_error_also_from_the_background(muniment):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        front, back = muniment("up", "--port", port), muniment("up", "--detach", "--port", port)

    assert (front.returncode, back.returncode) == (1, 1)
    for told in (front.stderr, back.stderr):
        assert f"port {port}" in told
        assert "--port" in told
        assert "Traceback" not in told


def test_listening_to_others_without_a_token_is_refused(muniment, home):
    refused = muniment("up", "--host", "0.0.0.0", "--port", str(free_port()))
    assert (refused.returncode, "without a token" in refused.stderr) == (1, True)
    assert not (home / "data" / "stack.lock").exists()


def test_a_data_folder_that_cannot_be_made_is_one_clear_error(muniment, home):
    (home / "file").touch()
    up = muniment("up", "--data-dir", str(home / "file" / "data"))

    assert up.returncode == 1
    assert "MUNIMENT_DATA_DIR" in up.stderr
    assert "Traceback" not in up.stderr


def test_a_setting_that_makes_no_sense_is_named(muniment, environment):
    environment["MUNIMENT_OPS_PORT"] = "many"
    down = muniment("down")

    assert down.returncode == 1
    assert "MUNIMENT_OPS_PORT is 'many'" in down.stderr


def test_listening_to_others_with_a_token_file_makes_it_and_says_where(muniment, environment, home):
    environment["MUNIMENT_TOKEN_FILE"] = str(home / "token")
    up = muniment("up", "--detach", "--host", "0.0.0.0", "--port", str(free_port()))
    token = (home / "token").read_text().strip()

    assert up.returncode == 0, up.stderr
    assert len(token) >= 32
    assert f"it is in {home / 'token'}" in up.stdout
    assert token not in up.stdout


def test_down_without_a_stack_is_an_error(muniment):
    down = muniment("down")

    assert down.returncode == 1
    assert "No Muniment runs" in down.stderr


@pytest.mark.parametrize("arguments", [("up", "--port", "many"), ("sideways",), ("down", "now")])
def test_wrong_usage_is_status_two(muniment, arguments):
    assert muniment(*arguments).returncode == 2
