"""Walks a project's folders under their ignore rules."""

import os
import stat
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from muniment.project import indexed_path, root_labels
from muniment.scanning.defaults import ALWAYS_EXCLUDED, DEFAULT_EXCLUDES
from muniment.scanning.found import FoundFile, SkippedFile, SkipReason
from muniment.scanning.ignoring import Rules, bytewise, parse_globs, parse_ignore_file

GIT_RULES = ".gitignore"
OWN_RULES = ".munimentignore"
GIT_EXCLUDE = Path(".git/info/exclude")
IGNORE_FILES: frozenset[str] = frozenset({GIT_RULES, OWN_RULES})  # a change of one asks for a whole walk
MAX_RULES_BYTES = 1 << 20

Layer = tuple[Rules, int]  # rules, and where in a path (from the top) the part begins that they are compared with


class _Everything(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Layers:
    """The rules in force in one folder. The first layer with a verdict decides: the project's excludes, then
    .munimentignore from the deepest up, then the default excludes, then .gitignore from the deepest up."""

    project: tuple[Layer, ...]
    own: tuple[Layer, ...]
    default: tuple[Layer, ...]
    git: tuple[Layer, ...]
    order: tuple[Layer, ...]

    @classmethod
    def of(
        cls, project: tuple[Layer, ...], own: tuple[Layer, ...], default: tuple[Layer, ...], git: tuple[Layer, ...]
    ) -> "_Layers":
        return cls(project, own, default, git, project + own + default + git)

    def ignore(self, name: str, path: str, is_dir: bool) -> bool:
        for rules, start in self.order:
            verdict = rules.verdict(name, path[start:], is_dir)
            if verdict is not None:
                return verdict
        return False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the way. ``path`` is its indexed path, ``top`` its bytewise path from the topmost folder whose
    rules count (a parent of the root, if the root lies inside a work tree); both empty or with a trailing slash."""

    absolute: str
    path: str
    top: str
    layers: _Layers
    wanted: bool  # it, or a folder above it, matches the project's patterns

    @property
    def as_skipped(self) -> str:
        return self.path.rstrip("/")


class Scanner:
    """Lists what the folders of one project hold. ``watch_paths`` are resolved absolute folders; ``patterns`` and
    ``excludes`` are gitignore-style globs relative to each of them (a later ``!glob`` takes back an earlier one).

    ``ignored_entries`` counts the files and folders that ignore rules hid since the last walk began, and
    ``unmatched_files`` the files that no pattern wanted: they tell why a tree gave nothing.
    """

    def __init__(
        self,
        watch_paths: Sequence[str],
        patterns: Sequence[str] = (),
        excludes: Sequence[str] = (),
        max_file_bytes: int = 1_000_000,
    ) -> None:
        self.watch_paths = list(watch_paths)
        self.max_file_bytes = max_file_bytes
        self.ignored_entries = 0
        self.unmatched_files = 0
        self._roots = root_labels(self.watch_paths)
        self._patterns = parse_globs(patterns)
        self._excludes = parse_globs(excludes)
        self._defaults = parse_globs(chain.from_iterable(DEFAULT_EXCLUDES.values()))

    def walk(self) -> Iterator[FoundFile | SkippedFile]:
        """Everything, folder by folder in the order of names."""
        self.ignored_entries = 0
        self.unmatched_files = 0
        for label in self._roots:
            yield from self._look_at_root(label, recursive=True)

    def look(self, indexed_path: str, recursive: bool = True) -> Iterator[FoundFile | SkippedFile]:
        """One file or folder by its indexed path; not ``recursive`` means a folder's own files only. Yields nothing
        for what is missing, ignored or not a plain path inside the project."""
        label, segments = self._split(indexed_path)
        if label is None:
            for name in self._roots if not segments else ():
                yield from self._look_at_root(name, recursive)
        elif not segments:
            yield from self._look_at_root(label, recursive)
        elif _is_plain(indexed_path, segments):
            yield from self._look_below(label, segments, recursive)

    def ignored(self, absolute: Path, is_dir: bool) -> bool:
        """Whether a path is none of the project's: hidden by a rule of its own or of a folder above it, wanted by no
        pattern, or in none of the folders. It need not exist."""
        indexed = indexed_path(absolute, self.watch_paths)
        if indexed is None:
            return True
        label, segments = self._split(indexed)
        if label is None or not segments:
            return False
        parent = self._descend(self._root_folder(label), segments[:-1])
        return parent is None or not self._belongs(parent, segments[-1], is_dir)

    def _split(self, indexed: str) -> tuple[str | None, list[str]]:
        """The label of the root and the segments below it; no label when none of the roots is meant."""
        segments = indexed.split("/") if indexed else []
        if "" in self._roots:
            return "", segments
        return (segments[0], segments[1:]) if segments and segments[0] in self._roots else (None, segments)

    def _look_at_root(self, label: str, recursive: bool) -> Iterator[FoundFile | SkippedFile]:
        root = str(self._roots[label])
        if os.path.realpath(root) != root:
            yield SkippedFile(label, SkipReason.SYMLINK, folder=True)
        else:
            yield from self._walk(self._root_folder(label), recursive)

    def _look_below(self, label: str, segments: list[str], recursive: bool) -> Iterator[FoundFile | SkippedFile]:
        root = self._root_folder(label)
        parent = self._descend(root, segments[:-1])
        if parent is None:
            return
        path, absolute = parent.path + segments[-1], parent.absolute + segments[-1]
        try:
            os.lstat(root.absolute)
        except OSError as error:  # a root that is away must not look like a deleted file
            yield SkippedFile(label, _reason(error), folder=True)
            return
        if os.path.realpath(parent.absolute) != (parent.absolute.rstrip("/") or "/"):
            yield SkippedFile(path, SkipReason.SYMLINK)
            return
        try:
            status = os.lstat(absolute)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield SkippedFile(path, _reason(error))
            return
        is_dir = stat.S_ISDIR(status.st_mode)
        if not self._belongs(parent, segments[-1], is_dir):
            return
        if is_dir:
            yield from self._walk(self._enter(parent, segments[-1]), recursive)
        else:
            yield self._judge(path, absolute, status)

    def _judge(self, path: str, absolute: str, status: os.stat_result) -> FoundFile | SkippedFile:
        if stat.S_ISLNK(status.st_mode):
            return SkippedFile(path, SkipReason.SYMLINK)
        if not stat.S_ISREG(status.st_mode):
            return SkippedFile(path, SkipReason.SPECIAL)
        if status.st_size > self.max_file_bytes:
            return SkippedFile(path, SkipReason.OVERSIZED)
        return FoundFile(path, absolute, status.st_size, status.st_mtime_ns)

    def _walk(self, start: _Folder, recursive: bool) -> Iterator[FoundFile | SkippedFile]:
        pending = [start]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder.absolute) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                yield SkippedFile(folder.as_skipped, _reason(error), folder=True)
                continue
            folder = self._with_own_rules(folder, {entry.name for entry in entries})
            folders: list[_Folder] = []
            for entry in entries:
                name = entry.name
                is_dir = _is_dir(entry)
                if not self._belongs(folder, name, is_dir):
                    continue
                if not name.isascii() and (shown := _shown(name)) != name:
                    yield SkippedFile(folder.path + shown, SkipReason.BAD_NAME, folder=is_dir)
                elif not is_dir:
                    yield self._found(folder, entry)
                elif recursive:
                    folders.append(self._enter(folder, name))
            pending.extend(reversed(folders))

    def _found(self, folder: _Folder, entry: os.DirEntry[str]) -> FoundFile | SkippedFile:
        path = folder.path + entry.name
        try:
            return self._judge(path, entry.path, entry.stat(follow_symlinks=False))
        except OSError as error:
            return SkippedFile(path, _reason(error))

    def _belongs(self, folder: _Folder, name: str, is_dir: bool) -> bool:
        """Whether the rules of ``folder`` (with its own ignore files) and the patterns want an entry; counts it."""
        if name in ALWAYS_EXCLUDED:
            return False
        key = bytewise(name)
        path = folder.top + key
        if folder.layers.ignore(key, path, is_dir):
            self.ignored_entries += 1
            return False
        if not is_dir and not self._wanted(folder, key, path, is_dir):
            self.unmatched_files += 1
            return False
        return True

    def _wanted(self, folder: _Folder, key: str, path: str, is_dir: bool) -> bool:
        if not self._patterns:
            return True
        verdict = self._patterns.verdict(key, path[folder.layers.project[0][1] :], is_dir)
        return folder.wanted if verdict is None else verdict

    def _enter(self, parent: _Folder, name: str) -> _Folder:
        key = bytewise(name)
        return _Folder(
            f"{parent.absolute}{name}/",
            f"{parent.path}{name}/",
            f"{parent.top}{key}/",
            parent.layers,
            bool(self._patterns) and self._wanted(parent, key, parent.top + key, True),
        )

    def _descend(self, folder: _Folder, segments: Sequence[str]) -> _Folder | None:
        """The folder ``segments`` below, with its rules loaded, or None when a rule hides it."""
        folder = self._with_own_rules(folder, _Everything())
        for name in segments:
            if not self._belongs(folder, name, True):
                return None
            folder = self._with_own_rules(self._enter(folder, name), _Everything())
        return folder

    def _root_folder(self, label: str) -> _Folder:
        """A root before its own ignore files are read, with the rules of the work tree around it."""
        root = self._roots[label]
        top = _work_tree(root)
        base = "" if top == root else f"{bytewise(root.relative_to(top).as_posix())}/"
        here = len(base)
        layers = _Layers.of(((self._excludes, here),), (), ((self._defaults, here),), ())
        absolute = str(root).rstrip("/") + "/"
        folder = _Folder(absolute, f"{label}/" if label else "", base, layers, False)
        for parent in reversed([p for p in root.parents if p.is_relative_to(top)]):
            above = "" if parent == top else f"{bytewise(parent.relative_to(top).as_posix())}/"
            folder = _with_rules(folder, f"{str(parent).rstrip('/')}/", len(above), _Everything())
        return folder

    def _with_own_rules(self, folder: _Folder, present: Container[str]) -> _Folder:
        return _with_rules(folder, folder.absolute, len(folder.top), present)


def _with_rules(folder: _Folder, source: str, start: int, present: Container[str]) -> _Folder:
    """``folder`` under the ignore files that lie in the folder ``source`` as well."""
    layers = folder.layers
    own = _rules_in(source + OWN_RULES) if OWN_RULES in present else None
    git = _rules_in(source + GIT_RULES) if GIT_RULES in present else None
    exclude = _rules_in(f"{source}{GIT_EXCLUDE}") if ".git" in present else None
    if not (own or git or exclude):
        return folder
    layers = _Layers.of(
        layers.project,
        ((own, start), *layers.own) if own else layers.own,
        layers.default,
        (*((rules, start) for rules in (git, exclude) if rules), *layers.git),
    )
    return _Folder(folder.absolute, folder.path, folder.top, layers, folder.wanted)


def _work_tree(root: Path) -> Path:
    """The nearest folder from ``root`` upwards that holds a git repository, else ``root`` itself."""
    return next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)


def _rules_in(path: str) -> Rules | None:
    """The rules of an ignore file; None when there is none, or it is no regular file (git follows no link here)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return parse_ignore_file(os.read(descriptor, MAX_RULES_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _is_plain(indexed: str, segments: Sequence[str]) -> bool:
    """Whether a path from outside can only name something below its root."""
    utf8 = indexed.isascii() or indexed.encode("utf-8", "replace").decode() == indexed
    return utf8 and "\0" not in indexed and ALWAYS_EXCLUDED.union(("", ".", "..")).isdisjoint(segments)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # a file system that does not tell types, and then refuses: the stat that follows says why
        return False


def _shown(name: str) -> str:
    """A name that any text field can carry: bytes that are not UTF-8 become the replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _reason(error: OSError) -> SkipReason:
    gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    return SkipReason.VANISHED if gone else SkipReason.UNREADABLE
