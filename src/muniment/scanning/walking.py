"""Walks a project's folders under their ignore rules."""

import errno
import os
import stat
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from muniment.project import indexed_path, root_labels
from muniment.scanning.defaults import ALWAYS_EXCLUDED, DEFAULT_EXCLUDES
from muniment.scanning.found import FoundFile, SkippedFile, SkipReason, modified_ns
from muniment.scanning.ignoring import bytewise, parse_globs
from muniment.scanning.layers import GIT_RULES, OWN_RULES, Fate, Layer, Layers, work_tree
from muniment.scanning.machine_made import has_generated_name, is_lockfile
from muniment.scanning.tally import DEFAULT_EXCLUDES_NAME, WATCH_EXCLUDE, Culprit, RootSeen, WalkTally, away

IGNORE_FILES: frozenset[str] = frozenset({GIT_RULES, OWN_RULES})  # a change of one asks for a whole walk


class _Everything(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the way. ``path`` is its indexed path, ``top`` its bytewise path from the topmost folder whose
    rules count (a parent of the root, if the root lies inside a work tree); both empty or with a trailing slash."""

    absolute: str
    path: str
    top: str
    layers: Layers
    wanted: bool  # it, or a folder above it, matches the project's patterns

    @property
    def as_skipped(self) -> str:
        return self.path.rstrip("/")

    def with_own_rules(self, present: Container[str]) -> "_Folder":
        """Under the ignore files that lie in it, if they are among ``present``, as well."""
        layers = self.layers.with_files_of(self.absolute, self.path, len(self.top), present)
        return self if layers is self.layers else replace(self, layers=layers)


class Scanner:
    """Lists what the folders of one project hold. ``watch_paths`` are resolved absolute folders; ``patterns`` and
    ``excludes`` are gitignore-style globs relative to each of them (a later ``!glob`` takes back an earlier one).
    ``recorded`` holds the identity of roots, by label, as the last whole walk found them (``roots_seen``): a root that
    seems to be unmounted is a failure, and nothing below it counts as gone.

    ``tally`` tells what the last walk counted: why a tree gave nothing.
    """

    def __init__(
        self,
        watch_paths: Sequence[str],
        patterns: Sequence[str] = (),
        excludes: Sequence[str] = (),
        max_file_bytes: int = 1_000_000,
        recorded: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.watch_paths = list(watch_paths)
        self.max_file_bytes = max_file_bytes
        self.tally = WalkTally()
        self._recorded = recorded or {}
        self._roots = root_labels(self.watch_paths)
        self._patterns = parse_globs(patterns)
        self._excludes = parse_globs(excludes)
        self._defaults = parse_globs(chain.from_iterable(DEFAULT_EXCLUDES.values()))

    @property
    def ignored_entries(self) -> int:
        """Files and folders that ignore rules hid."""
        return self.tally.hidden.total()

    @property
    def unmatched_files(self) -> int:
        """Files that no pattern wanted."""
        return self.tally.unmatched

    @property
    def roots_seen(self) -> Mapping[str, RootSeen]:
        """By label; complete when the walk is. A root that could not be listed is missing."""
        return self.tally.roots

    def walk(self) -> Iterator[FoundFile | SkippedFile]:
        """Everything, folder by folder in the order of names."""
        self.tally = tally = WalkTally()
        for label in self._roots:
            for item in self._look_at_root(label, recursive=True, tally=tally):
                if isinstance(item, FoundFile):
                    tally.found += 1
                    tally.ignore_files += item.path.rpartition("/")[2] in IGNORE_FILES
                else:
                    tally.skipped[item.reason] += 1
                yield item

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
        return parent is None or self._fate(parent, segments[-1], is_dir) is Fate.HIDDEN

    def _split(self, indexed: str) -> tuple[str | None, list[str]]:
        """The label of the root and the segments below it; no label when none of the roots is meant."""
        segments = indexed.split("/") if indexed else []
        if "" in self._roots:
            return "", segments
        return (segments[0], segments[1:]) if segments and segments[0] in self._roots else (None, segments)

    def _look_at_root(
        self, label: str, recursive: bool, tally: WalkTally | None = None
    ) -> Iterator[FoundFile | SkippedFile]:
        root = str(self._roots[label])
        if os.path.realpath(root) != root:
            yield SkippedFile(label, SkipReason.SYMLINK, folder=True)
            return
        before = self._root_seen(label)
        if before is not None and tally is not None:
            tally.roots[label] = before
        if self._is_away(label, before):
            yield SkippedFile(label, SkipReason.ROOT_AWAY, folder=True)
            return
        yield from self._walk(self._root_folder(label), recursive, tally)
        if before is not None and _identity(self._roots[label]) != before.identity:
            # it went away meanwhile: what seemed to be missing need not be
            yield SkippedFile(label, SkipReason.ROOT_AWAY, folder=True)

    def _is_away(self, label: str, seen: RootSeen | None) -> bool:
        return seen is not None and away(seen, self._recorded.get(label))

    def _root_seen(self, label: str) -> RootSeen | None:
        """None when it cannot be listed: the walk says why."""
        root = self._roots[label]
        try:
            with os.scandir(str(root)) as listing:
                entries = sum(1 for _ in listing)
        except OSError:
            return None
        # the identity last: a volume that goes away in between must not lend its own to the empty folder below it
        identity = _identity(root)
        return None if identity is None else RootSeen(*identity, entries)

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
        except OSError as error:
            # no file has a name that is too long, but a pushed text may have had it
            if _reason(error) is not SkipReason.VANISHED and error.errno != errno.ENAMETOOLONG:
                yield SkippedFile(path, _reason(error))
            elif self._is_away(label, self._root_seen(label)):
                yield SkippedFile(label, SkipReason.ROOT_AWAY, folder=True)
            return
        is_dir = stat.S_ISDIR(status.st_mode)
        fate = self._fate(parent, segments[-1], is_dir)
        if fate is Fate.HIDDEN:
            return
        if is_dir:
            yield from self._walk(self._enter(parent, segments[-1]), recursive)
        else:
            yield self._judge(path, absolute, status, fate is Fate.WANTED)

    def _judge(self, path: str, absolute: str, status: os.stat_result, wanted: bool) -> FoundFile | SkippedFile:
        if stat.S_ISLNK(status.st_mode):
            return SkippedFile(path, SkipReason.SYMLINK)
        if not stat.S_ISREG(status.st_mode):
            return SkippedFile(path, SkipReason.SPECIAL)
        if not wanted and (reason := _machine_made(path.rpartition("/")[2])) is not None:
            return SkippedFile(path, reason)
        if status.st_size > self.max_file_bytes:
            return SkippedFile(path, SkipReason.OVERSIZED)
        return FoundFile(path, absolute, status.st_size, modified_ns(status), wanted)

    def _walk(
        self, start: _Folder, recursive: bool, tally: WalkTally | None = None
    ) -> Iterator[FoundFile | SkippedFile]:
        pending = [start]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder.absolute) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                yield SkippedFile(folder.as_skipped, _reason(error), folder=True)
                continue
            folder = folder.with_own_rules({entry.name for entry in entries})
            folders: list[_Folder] = []
            for entry in entries:
                name = entry.name
                is_dir = _is_dir(entry)
                fate = self._fate(folder, name, is_dir, tally)
                if fate is Fate.HIDDEN:
                    continue
                if not name.isascii() and (shown := _shown(name)) != name:
                    yield SkippedFile(folder.path + shown, SkipReason.BAD_NAME, folder=is_dir)
                elif not is_dir:
                    yield self._found(folder, entry, fate is Fate.WANTED)
                elif recursive:
                    folders.append(self._enter(folder, name))
            pending.extend(reversed(folders))

    def _found(self, folder: _Folder, entry: os.DirEntry[str], wanted: bool) -> FoundFile | SkippedFile:
        path = folder.path + entry.name
        try:
            return self._judge(path, entry.path, entry.stat(follow_symlinks=False), wanted)
        except OSError as error:
            return SkippedFile(path, _reason(error))

    def _fate(self, folder: _Folder, name: str, is_dir: bool, tally: WalkTally | None = None) -> Fate:
        """What the rules of ``folder`` (with its own ignore files) and the patterns make of an entry."""
        if name in ALWAYS_EXCLUDED:
            return Fate.HIDDEN
        key = bytewise(name)
        path = folder.top + key
        ruling = folder.layers.ruling(key, path, is_dir)
        fate = Fate.KEPT if ruling is None else ruling.fate
        if ruling is not None and fate is Fate.HIDDEN:
            if tally is not None:
                tally.hidden[Culprit(ruling.layer.source, *ruling.layer.rules.line(ruling.rank))] += 1
        elif not is_dir and not self._matches(folder, key, path, is_dir):
            if tally is not None:
                tally.unmatched += 1
            return Fate.HIDDEN
        return fate

    def _matches(self, folder: _Folder, key: str, path: str, is_dir: bool) -> bool:
        if not self._patterns:
            return True
        verdict = self._patterns.verdict(key, path[folder.layers.start :], is_dir)
        return folder.wanted if verdict is None else verdict

    def _enter(self, parent: _Folder, name: str) -> _Folder:
        key = bytewise(name)
        return _Folder(
            f"{parent.absolute}{name}/",
            f"{parent.path}{name}/",
            f"{parent.top}{key}/",
            parent.layers,
            bool(self._patterns) and self._matches(parent, key, parent.top + key, True),
        )

    def _descend(self, folder: _Folder, segments: Sequence[str]) -> _Folder | None:
        """The folder ``segments`` below, with its rules loaded, or None when a rule hides it."""
        folder = folder.with_own_rules(_Everything())
        for name in segments:
            if self._fate(folder, name, True) is Fate.HIDDEN:
                return None
            folder = self._enter(folder, name).with_own_rules(_Everything())
        return folder

    def _root_folder(self, label: str) -> _Folder:
        """A root before its own ignore files are read, with the rules of the work tree around it."""
        root = self._roots[label]
        top = work_tree(root)
        base = "" if top == root else f"{bytewise(root.relative_to(top).as_posix())}/"
        here = len(base)
        excludes = Layer(self._excludes, here, WATCH_EXCLUDE, brings_back=True)
        layers = Layers.of((excludes,), (), (Layer(self._defaults, here, DEFAULT_EXCLUDES_NAME),), ())
        for parent in reversed([p for p in root.parents if p.is_relative_to(top)]):
            above = "" if parent == top else f"{bytewise(parent.relative_to(top).as_posix())}/"
            source = f"{str(parent).rstrip('/')}/"
            layers = layers.with_files_of(source, source, len(above), _Everything())
        absolute = str(root).rstrip("/") + "/"
        return _Folder(absolute, f"{label}/" if label else "", base, layers, False)


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _machine_made(name: str) -> SkipReason | None:
    if is_lockfile(name):
        return SkipReason.LOCKFILE
    return SkipReason.GENERATED if has_generated_name(name) else None


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
