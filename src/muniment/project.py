"""What a project is: an immutable id, a name for people, and which files belong to it."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from muniment.errors import InvalidProjectName

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class Project(BaseModel):
    """A named set of source folders. ``id`` never changes and names the folder, queue, keys and collection."""

    id: str
    name: str
    watch_paths: list[str]  # absolute, resolved folders
    watch_patterns: list[str] = []  # gitignore-style globs a file must match; empty means every file
    watch_exclude: list[str] = []  # gitignore-style globs on top of the default excludes
    watch: bool = True
    created_at: datetime
    updated_at: datetime


def check_name(name: str) -> str:
    """Returns the name, or raises InvalidProjectName."""
    if not NAME.fullmatch(name):
        raise InvalidProjectName(name)
    return name


def new_project_id(name: str) -> str:
    """A slug of the name plus six random characters: valid as folder, queue, Redis key and collection name."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "project"
    return f"{slug}-" + "".join(secrets.choice(ID_ALPHABET) for _ in range(6))


def root_labels(watch_paths: Sequence[str]) -> dict[str, Path]:
    """Maps the first segment of an indexed path to its folder: {"": root} for one root, else {"name": root, ...}.

    With several roots an indexed path begins with the root's own name; equal names get a number (src, src-2).
    """
    if len(watch_paths) == 1:
        return {"": Path(watch_paths[0])}
    labels: dict[str, Path] = {}
    for path in map(Path, watch_paths):
        base = path.name or "root"
        label, number = base, 1
        while label in labels:
            number += 1
            label = f"{base}-{number}"
        labels[label] = path
    return labels


def absolute_path(indexed: str, watch_paths: Sequence[str]) -> Path | None:
    """Where an indexed path lies on disk, or None when no root carries its label."""
    labels = root_labels(watch_paths)
    if "" in labels:
        return labels[""] / indexed
    label, _, rest = indexed.partition("/")
    return labels[label] / rest if label in labels else None


def indexed_path(absolute: Path, watch_paths: Sequence[str]) -> str | None:
    """The inverse of absolute_path: None when the file lies in no root. '' means a root itself (of one)."""
    for label, root in root_labels(watch_paths).items():
        if absolute.is_relative_to(root):
            relative = absolute.relative_to(root).as_posix()
            relative = "" if relative == "." else relative
            return "/".join(part for part in (label, relative) if part)
    return None
