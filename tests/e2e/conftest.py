"""A real browser before a real gateway: uvicorn in a process of its own, with a real Valkey, asking for a token.

And the wheel, installed into an environment of its own.
"""

import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import pytest
from packaging.requirements import Requirement
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from muniment.bus import Bus
from muniment.dirty import DirtyPaths
from muniment.intake import Intake, ProjectRequest
from muniment.jobs import Job, JobKind, JobRequest
from muniment.leases import Lease, Leases
from muniment.process import free_port, spawn, stop_child
from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.queue import JobQueue
from muniment.redis_client import Connections, connect
from muniment.settings import Settings
from muniment.stack.children import base_url, environment, gateway_answers, module, valkey_child

sys.path.insert(0, str(Path(__file__).parent))  # for the modules that stand beside the tests

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
TOKEN = "a-token-for-the-browser-tests"
PATIENCE_MILLISECONDS = 10_000


def _wait_for(ready: Callable[[], bool], log: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text(errors="replace"))
        time.sleep(0.02)


@dataclass
class Gateway:
    """The gateway's process, and the hands of a worker on the same stores."""

    settings: Settings
    folder: Path
    process: Popen[bytes] | None = None
    connections: Connections = field(init=False)

    def __post_init__(self) -> None:
        self.connections = connect(self.settings.redis_url or "")
        self.bus = Bus(self.connections.records)
        self.leases = Leases(self.connections.records, seconds=60, max_running=3)
        self.queue = JobQueue(self.connections, self.bus, self.leases)
        self.dirty = DirtyPaths(self.connections.records)
        self.projects = ProjectStore(self.settings.folder.server_db)
        self.intake = Intake(self.projects, self.queue, self.bus, self.settings.roots)

    @property
    def url(self) -> str:
        return base_url(self.settings.host, self.settings.port)

    def start(self) -> None:
        log = self.folder / "gateway.log"
        with log.open("ab") as output:
            self.process = spawn(module("muniment_api"), env=environment(self.settings), output=output)
        _wait_for(lambda: gateway_answers(self.url), log)

    def stop(self) -> None:
        if self.process is not None:
            stop_child(self.process, grace=5.0)

    def forget_everything(self) -> None:
        self.connections.rq.flushall()
        for project in self.projects.all():
            self.projects.remove(project.id, project.updated_at)

    def sources(self, name: str) -> Path:
        folder = self.settings.roots[0] / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def make_project(self, name: str, folder: Path | None = None) -> Project:
        """Its reconcile is queued."""
        request = ProjectRequest(name=name, watch_paths=[str(folder or self.sources(name))])
        return self.intake.init_project(request).project

    def begin(self, project: Project) -> tuple[Lease, Job]:
        """Claims the project's next job, as a worker does."""
        lease = self.leases.acquire(project.id, "the test")
        assert isinstance(lease, Lease)
        job = self.queue.claim_next(lease)
        assert job is not None
        return lease, job

    def request(self, project: Project, kind: JobKind = JobKind.RECONCILE) -> None:
        self.queue.request(project, JobRequest(kind=kind))


@pytest.fixture(scope="session")
def gateway_process() -> Iterator[Gateway]:
    with TemporaryDirectory(prefix="muniment-test-") as name:  # pytest's own folders are too long for a socket
        folder = Path(name)
        (folder / "sources").mkdir()
        spec, url = valkey_child(folder / "redis")
        log = folder / "valkey.log"
        with log.open("ab") as output:
            valkey = spawn(spec.argv, env=spec.env, output=output)
        settings = Settings(
            data_dir=folder / "data", redis_url=url, chroma_url="http://127.0.0.1:9", port=free_port(), token=TOKEN,
            roots=[folder / "sources"],
        )  # fmt: skip
        try:
            assert spec.ready is not None
            _wait_for(spec.ready, log)
            gateway = Gateway(settings, folder)
            gateway.start()
            try:
                yield gateway
            finally:
                gateway.stop()
                gateway.projects.close()
                gateway.connections.close()
        finally:
            stop_child(valkey, grace=5.0)


@pytest.fixture
def gateway(gateway_process: Gateway) -> Gateway:
    """The running gateway, without projects and jobs. No Chroma is there: searches answer by words alone."""
    gateway_process.forget_everything()
    return gateway_process


@pytest.fixture(scope="module")  # while Playwright lives its event loop counts as running: no other test could have one
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("NOT TESTED: the dashboard in a browser; `apt-get install chromium libatomic1` makes it possible.")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


class Console(list[str]):
    """What the browser complained of: errors, warnings, exceptions, violations of the page's policy."""

    def listen(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.append(f"uncaught: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.append(f"{message.type}: {message.text}")

    def forgive(self, text: str) -> None:
        """Takes out what had to happen."""
        self[:] = [line for line in self if text not in line]


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def page(browser: Browser, gateway: Gateway, console: Console) -> Iterator[Page]:
    """A browser page that has signed in; in the end its console has to be empty."""
    context = browser.new_context(base_url=gateway.url, timezone_id="Europe/Zurich", locale="en-GB")
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    context.request.get(f"/?token={TOKEN}")
    page = context.new_page()
    console.listen(page)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    yield page
    expect.set_options(timeout=5_000)
    context.close()
    assert console == []


@pytest.fixture
def live(page: Page) -> Page:
    """The page with its stream of events open."""
    page.goto("/")
    expect(page.locator("#stream")).to_have_text("live")
    return page


# --- the wheel --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def installed_commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel's commands, in an environment that holds what the wheel asks for and nothing else.

    The dependencies are those of the test's own environment, linked one by one: a module that is imported but not
    declared is missing there, as it would be at a user's.
    """
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "venv"
    _python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    (wheel,) = folder.glob("*.whl")
    _python("-m", "venv", "--without-pip", str(environment))
    into = ("--python", str(environment / "bin" / "python"))
    _python(
        "-m", "pip", "--quiet", "--disable-pip-version-check", *into, "install", "--no-deps", "--no-index", str(wheel)
    )
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    (muniment,) = Distribution.discover(name="muniment", path=[str(site)])
    for needed in _requirements(muniment, set(), {"muniment"}):
        for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists() and not top.endswith(".pth"):
                (site / top).symlink_to(str(needed.locate_file(top)))
    return environment / "bin"


def _python(*arguments: str) -> None:
    done = subprocess.run((sys.executable, *arguments), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _requirements(of: Distribution, extras: set[str], seen: set[str]) -> Iterator[Distribution]:
    """Everything that a distribution requires here, however indirectly."""
    for text in of.requires or ():
        one = Requirement(text)
        wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""})
        key = f"{one.name.lower()} {sorted(one.extras)}"
        if wanted and key not in seen:
            seen.add(key)
            found = distribution(one.name)
            yield found
            yield from _requirements(found, one.extras, seen)
