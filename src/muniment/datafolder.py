"""Where each store lies in the data folder. Names only: nothing here touches the disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProjectFolder:
    """One project's index: safe to delete as a whole, it is rebuilt from the sources."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.sqlite"

    @property
    def lexical(self) -> Path:
        return self.path / "lexical"

    @property
    def writer_lock(self) -> Path:
        return self.path / "writer.lock"


@dataclass(frozen=True)
class DataFolder:
    path: Path

    @property
    def server_db(self) -> Path:
        return self.path / "server.sqlite"

    @property
    def memories_db(self) -> Path:
        return self.path / "memories.sqlite"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def chroma(self) -> Path:
        return self.path / "chroma"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def stack_lock(self) -> Path:
        return self.path / "stack.lock"

    @property
    def stores_lock(self) -> Path:
        """Held by the embedded Valkey and Chroma themselves, so also while they outlive the stack."""
        return self.path / "stores.lock"

    @property
    def stack_state(self) -> Path:
        """JSON written by a running embedded stack: pid, gateway URL, ops URL."""
        return self.path / "stack.json"

    def project(self, project_id: str) -> ProjectFolder:
        return ProjectFolder(self.path / "projects" / project_id)
