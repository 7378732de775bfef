"""Real servers: a Valkey and a Chroma per session, started when the first test asks for one."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis

from muniment.process import spawn, stop_child
from muniment.stack.children import chroma_child, valkey_child
from muniment.stack.supervision import ChildSpec

# modules that several test files share: pytest's importlib mode puts nothing on the path
sys.path.insert(0, str(Path(__file__).parent))


def _wait_for(ready: Callable[[], bool], log: Path, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text(errors="replace"))
        time.sleep(0.02)


def _serving(spec: ChildSpec, folder: Path) -> Iterator[None]:
    log = folder / f"{spec.name}.log"
    with log.open("ab") as output:
        process = spawn(spec.argv, env=spec.env, output=output)
    try:
        assert spec.ready is not None
        _wait_for(spec.ready, log)
        yield
    finally:
        stop_child(process, grace=5.0)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The URL of a real Valkey on a unix socket; use valkey_url, which empties it first."""
    with TemporaryDirectory(prefix="muniment-test-") as name:  # pytest's own folders are too long for a socket
        folder = Path(name)
        spec, url = valkey_child(folder / "redis")
        for _ in _serving(spec, folder):
            yield url


@pytest.fixture
def valkey_url(valkey_server: str) -> str:
    """The URL of a real, empty Valkey."""
    with Redis.from_url(valkey_server) as connection:
        connection.flushall()
    return valkey_server


@pytest.fixture(scope="session")
def chroma_url() -> Iterator[str]:
    """The URL of a real Chroma server, shared by the session: make collections with names of your own."""
    with TemporaryDirectory(prefix="muniment-test-") as name:
        folder = Path(name)
        spec, url = chroma_child(folder / "chroma")
        for _ in _serving(spec, folder):
            yield url


@pytest.fixture
def bench(tmp_path, valkey_url, chroma_url):
    """A small tree of ten sources and two documents, not indexed yet."""
    from index_bench import Bench

    bench = Bench(tmp_path, valkey_url, chroma_url)
    for number in range(10):
        bench.write(f"pkg/file{number}.py", f"def function_{number}():\n    return 'answer {number}'\n")
    bench.write("README.md", "# Title\n\nIntroduction.\n\n## Usage\n\nCall it.\n")
    bench.write("README.mdx", "# Another\n\nNot the same file.\n")
    return bench
