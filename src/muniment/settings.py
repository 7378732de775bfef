"""Every setting, in one table. This module alone reads the environment (``MUNIMENT_*``)."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from muniment.datafolder import DataFolder
from muniment.errors import InvalidValue
from muniment.notices import CONSOLE, USUAL, NoticeKind, checked, kinds_of

MIN_TOKEN_LENGTH = 16
FILE_EMBEDDERS = ("static", "minilm", "url")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = ("text", "json")


def default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "muniment"


def user_runtime_dir() -> Path | None:
    """The user's private folder for sockets, where the system gives one that can be used."""
    base = os.environ.get("XDG_RUNTIME_DIR")  # inherited through sudo it may be someone else's
    return Path(base) if base and os.access(base, os.W_OK | os.X_OK) else None


class Settings(BaseSettings):
    """Each field is read from ``MUNIMENT_<NAME>``; its description is the documentation (docs/settings.md)."""

    # empty is unset: compose files and shells hand on variables that nobody has set as empty ones
    model_config = SettingsConfigDict(env_prefix="MUNIMENT_", env_ignore_empty=True, frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir, description="Folder that holds every store of ours.")
    redis_url: str | None = Field(None, description="Redis or Valkey to use; unset: `muniment up` starts its own.")
    chroma_url: str | None = Field(None, description="Chroma server to use; unset: `muniment up` starts its own.")
    roots: Annotated[list[Path], NoDecode] = Field(
        default_factory=lambda: [Path.home()],
        description="Folders below which projects may lie, separated by ':'; symlinks are resolved first.",
    )
    host: str = Field("127.0.0.1", description="Address the gateway listens on; any but loopback needs a token.")
    port: int = Field(7420, ge=0, le=65535, description="Port of the gateway (MCP, REST, dashboard).")
    ops_host: str = Field("127.0.0.1", description="Address rq-dashboard listens on; keep it private.")
    ops_port: int = Field(7421, ge=0, le=65535, description="Port of rq-dashboard.")
    ops_open: bool = Field(False, description="Let rq-dashboard listen beyond loopback: its network is private.")
    token: str | None = Field(None, description="Bearer token that every request but health must carry.")
    token_file: Path | None = Field(None, description="File that holds the token; made with a random one if missing.")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Host names besides localhost by which the gateway may be called, separated by commas.",
    )
    url: str | None = Field(None, description="Gateway that the command line talks to; unset: the one of data_dir.")
    max_running: int = Field(3, ge=1, description="Passes that run at once over all workers.")
    lease_seconds: float = Field(6.0, gt=0, description="A worker that has not renewed its lease for so long is dead.")
    linger_seconds: float = Field(60.0, ge=0, description="How long an idle worker of a project stays for more.")
    max_attempts: int = Field(5, ge=1, description="Times a job may kill its process before it fails.")
    retries: int = Field(8, ge=0, description="Times a job waits for a part of the system that is away, then it fails.")
    nice: int = Field(10, ge=0, le=19, description="Niceness of indexing, so that search keeps its latency.")
    helpers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Processes that read and cut files for the one that writes; unset: one a core, up to 4; 0: none.",
    )
    batch_files: int = Field(500, ge=1, description="Most files in one checkpoint.")
    batch_chunks: int = Field(4000, ge=1, description="Most chunks in one checkpoint of either stage.")
    max_file_bytes: int = Field(1_000_000, ge=1, description="Larger files are skipped and counted.")
    debounce_seconds: float = Field(0.3, ge=0, description="The watcher waits for so much silence on a path.")
    static_model: Path | None = Field(None, description="model2vec folder to embed files with; unset: the bundled one.")
    file_embedder: str = Field(
        "static",
        description="What embeds files: static (thousands of chunks a second), minilm (better, a hundred times slower)"
        " or url.",
    )
    embedding_url: str | None = Field(
        None, description="Base URL of an OpenAI-compatible embedding server, as http://host:8080/v1; for url only."
    )
    embedding_model: str | None = Field(None, description="Name by which that server knows the model.")
    embedding_key: str | None = Field(None, repr=False, description="Key that it asks for; sent to it alone.")
    embedding_dimensions: int | None = Field(
        None, ge=1, description="Length of the vectors to ask of it; unset: its own."
    )
    vector_cache_bytes: int = Field(
        2_000_000_000, ge=0, description="Most bytes of vectors of minilm or url kept in data_dir/cache; 0: none."
    )
    notify: str | None = Field(
        None, repr=False, description="URLs to notify of every project's jobs, separated by spaces (notifications.md)."
    )
    notify_on: str = Field(
        " ".join(kind for kind in NoticeKind if kind in USUAL),
        description="What is told where nobody chose: started, milestone, complete, failed, cancelled.",
    )
    notify_console: bool = Field(True, description="Tell it in the gateway's log too.")
    notify_secret: str | None = Field(None, repr=False, description="Key that webhooks are signed with.")
    log_level: str = Field("INFO", description="Least severity that is logged; DEBUG names every file.")
    log_format: str = Field("text", description="How lines of the log look: text, or json (an object a line).")

    @field_validator("roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("roots", mode="after")
    @classmethod
    def _resolve_roots(cls, value: list[Path]) -> list[Path]:
        return [path.expanduser().resolve() for path in value]

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("data_dir", mode="after")
    @classmethod
    def _resolve_data_dir(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("token", mode="after")
    @classmethod
    def _long_enough(cls, value: str | None) -> str | None:
        if value is not None and len(value) < MIN_TOKEN_LENGTH:
            raise InvalidValue("MUNIMENT_TOKEN", "***", f"it has fewer than {MIN_TOKEN_LENGTH} characters")
        return value

    @field_validator("file_embedder", mode="after")
    @classmethod
    def _known_embedder(cls, value: str) -> str:
        if value not in FILE_EMBEDDERS:
            raise InvalidValue("MUNIMENT_FILE_EMBEDDER", value, f"it must be one of {', '.join(FILE_EMBEDDERS)}")
        return value

    @field_validator("log_level", mode="after")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in LOG_LEVELS:
            raise InvalidValue("MUNIMENT_LOG_LEVEL", value, f"it must be one of {', '.join(LOG_LEVELS)}")
        return value.upper()

    @field_validator("log_format", mode="after")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in LOG_FORMATS:
            raise InvalidValue("MUNIMENT_LOG_FORMAT", value, f"it must be one of {', '.join(LOG_FORMATS)}")
        return value

    @field_validator("embedding_url", mode="after")
    @classmethod
    def _base_url_alone(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound or parts.query or parts.fragment or "@" in parts.netloc:
            shown = "***" if "@" in value or "?" in value else value  # there may be a password in it
            reason = "it must be like http://host:8080/v1, without user, query or fragment"
            raise InvalidValue("MUNIMENT_EMBEDDING_URL", shown, reason)
        return value.rstrip("/")

    @field_validator("embedding_key", mode="after")
    @classmethod
    def _fit_for_a_header(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
            raise InvalidValue("MUNIMENT_EMBEDDING_KEY", "***", "it holds spaces, line ends or letters beyond ASCII")
        return value

    @field_validator("notify", mode="after")
    @classmethod
    def _urls(cls, value: str | None) -> str | None:
        for url in (value or "").split():
            checked("MUNIMENT_NOTIFY", url)
        return value

    @field_validator("notify_on", mode="after")
    @classmethod
    def _known_kinds(cls, value: str) -> str:
        try:
            kinds_of(value)
        except ValueError as error:
            known = ", ".join(NoticeKind)
            raise InvalidValue("MUNIMENT_NOTIFY_ON", value, f"it must hold some of {known}") from error
        return value

    @field_validator("notify_secret", mode="after")
    @classmethod
    def _hard_to_guess(cls, value: str | None) -> str | None:
        if value is not None and len(value) < MIN_TOKEN_LENGTH:
            raise InvalidValue("MUNIMENT_NOTIFY_SECRET", "***", f"it has fewer than {MIN_TOKEN_LENGTH} characters")
        return value

    @model_validator(mode="after")
    def _complete_server(self) -> Self:
        if self.file_embedder == "url":
            for name in ("embedding_url", "embedding_model"):
                if not getattr(self, name):
                    raise InvalidValue("MUNIMENT_FILE_EMBEDDER", "url", f"it needs MUNIMENT_{name.upper()}")
        return self

    @property
    def notify_urls(self) -> list[str]:
        """Each once, the console first."""
        urls = [*([f"{CONSOLE}://"] if self.notify_console else []), *(self.notify or "").split()]
        return list(dict.fromkeys(urls))

    @property
    def notify_kinds(self) -> frozenset[NoticeKind]:
        return kinds_of(self.notify_on)

    @property
    def folder(self) -> DataFolder:
        return DataFolder(self.data_dir)


def read(**options: Any) -> Settings:
    """The settings, ``options`` over the environment. Raises InvalidValue, which names the variable."""
    try:
        return Settings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidValue(f"MUNIMENT_{str(first['loc'][0]).upper()}", first["input"], first["msg"]) from error


@lru_cache(maxsize=1)
def load() -> Settings:
    """The settings of this process, read once."""
    return read()
