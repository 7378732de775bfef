"""The ignore rules in force in one folder, from all the places that hold some."""

import os
import stat
from collections.abc import Container
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from muniment.scanning.ignoring import NO_RULE, Rules, ignores, parse_ignore_file
from muniment.scanning.tally import GIT_EXCLUDE

GIT_RULES = ".gitignore"
OWN_RULES = ".munimentignore"
MAX_RULES_BYTES = 1 << 20
MAX_POINTER_BYTES = 4_096


class Fate(Enum):
    """What becomes of an entry. WANTED: a negated rule of the project or of a .munimentignore names it."""

    HIDDEN = "hidden"
    KEPT = "kept"
    WANTED = "wanted"


class Layer(NamedTuple):
    """The rules of one place. ``start``: where in a path (from the top) the part begins that they are compared with."""

    rules: Rules
    start: int
    source: str
    brings_back: bool = False


class Ruling(NamedTuple):
    layer: Layer
    rank: int

    @property
    def fate(self) -> Fate:
        if ignores(self.rank):
            return Fate.HIDDEN
        return Fate.WANTED if self.layer.brings_back else Fate.KEPT


@dataclass(frozen=True, slots=True)
class Layers:
    """The first layer with a verdict decides: the project's excludes, then .munimentignore from the deepest up, then
    the default excludes, then .gitignore from the deepest up."""

    project: tuple[Layer, ...]
    own: tuple[Layer, ...]
    default: tuple[Layer, ...]
    git: tuple[Layer, ...]
    order: tuple[Layer, ...]

    @classmethod
    def of(
        cls, project: tuple[Layer, ...], own: tuple[Layer, ...], default: tuple[Layer, ...], git: tuple[Layer, ...]
    ) -> "Layers":
        return cls(project, own, default, git, project + own + default + git)

    @property
    def start(self) -> int:
        """Where the part of a path begins that lies below the root."""
        return self.project[0].start

    def ruling(self, name: str, path: str, is_dir: bool) -> Ruling | None:
        for layer in self.order:
            rank = layer.rules.rank(name, path[layer.start :], is_dir)
            if rank != NO_RULE:
                return Ruling(layer, rank)
        return None

    def with_files_of(self, folder: str, shown: str, start: int, present: Container[str]) -> "Layers":
        """With the ignore files that lie in ``folder`` (absolute, with its slash) as well; ``shown`` is its path in
        what people read."""
        own = rules_in(folder + OWN_RULES) if OWN_RULES in present else None
        git = rules_in(folder + GIT_RULES) if GIT_RULES in present else None
        exclude = rules_in(exclude_file(folder)) if ".git" in present else None
        if not (own or git or exclude):
            return self
        added = [
            Layer(rules, start, shown + name) for rules, name in ((git, GIT_RULES), (exclude, GIT_EXCLUDE)) if rules
        ]
        return Layers.of(
            self.project,
            (Layer(own, start, shown + OWN_RULES, brings_back=True), *self.own) if own else self.own,
            self.default,
            (*added, *self.git),
        )


def work_tree(root: Path) -> Path:
    """The nearest folder from ``root`` upwards that holds a git repository, else ``root`` itself."""
    return next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)


def exclude_file(folder: str) -> str:
    """Where the repository of a work tree keeps its own excludes. In a linked work tree or a submodule ``.git`` is a
    file that names the folder, and of several work trees the common folder counts."""
    git = _read(f"{folder}.git", MAX_POINTER_BYTES)
    if git is None or not git.startswith(b"gitdir: "):
        return folder + GIT_EXCLUDE
    named = os.path.join(folder, os.fsdecode(git.removeprefix(b"gitdir: ").strip()))  # noqa: PTH118
    common = os.fsdecode((_read(f"{named}/commondir", MAX_POINTER_BYTES) or b"").strip())
    return os.path.join(named, common, "info/exclude")  # noqa: PTH118


def rules_in(path: str) -> Rules | None:
    """The rules of an ignore file; None when there is none, or it is no regular file (git follows no link here)."""
    content = _read(path, MAX_RULES_BYTES)
    return None if content is None else parse_ignore_file(content)


def _read(path: str, limit: int) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        return os.read(descriptor, limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
