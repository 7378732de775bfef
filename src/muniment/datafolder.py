"""Where each store lies in the data folder. Names only: nothing here touches the disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProjectFolder:
    """One project's index. All but ``pushed`` is safe to delete: it is rebuilt from the sources and from there."""

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

    @property
    def pushed(self) -> Path:
        """Texts put by the API: they exist nowhere else."""
        return self.path / "pushed"


@dataclass(frozen=True)
class DataFolder:
    path: Path

    @property
    def server_db(self) -> Path:
        return self.path / "server.sqlite"

    @property
    def memories_db(self) -> Path:
        return self.path / "memories.sqlite"

    def removed_memories(self, project_id: str) -> Path:
        """Where the memories of a removed project are kept, one JSON object a line."""
        return self.path / "removed" / f"{project_id}.jsonl"

    def trash(self, project_id: str) -> Path:
        """A removed project's folder on its way out. No project id begins with a dot."""
        return self.path / "projects" / f".removed-{project_id}"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def chroma(self) -> Path:
        return self.path / "chroma"

    @property
    def cache(self) -> Path:
        """What was costly to compute; safe to delete at any moment."""
        return self.path / "cache"

    @property
    def rule_cache(self) -> Path:
        """The compiled rules of the masking."""
        return self.cache / "rules"

    @property
    def vector_cache(self) -> Path:
        return self.cache / "vectors"

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
