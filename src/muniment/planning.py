"""Decides what a pass has to do: compares what the manifest knows with what the scan found. Pure."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What the manifest knows of one file. ``target`` is the reindex generation it was last read for."""

    size: int
    mtime_ns: int
    content_hash: bytes | None = None  # None: never read successfully
    target: int = 0
    skipped: str | None = None  # why its content is not indexed
    error: str | None = None  # why its last reading failed; retried by every pass
    by_lines: str | None = None  # why it was cut by lines although its language has a grammar
    masked: int = 0  # secrets masked in its text
    pushed: bool = False  # its text came by the API, not from the disk


class Found(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def wanted(self) -> bool: ...


class Left(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def folder(self) -> bool: ...
    @property
    def pushed(self) -> bool: ...


F = TypeVar("F", bound=Found)


@dataclass
class Plan(Generic[F]):
    """``growth``: by how many the files that belong into the index grow, if all of ``to_read`` turns out to be text."""

    to_read: list[F] = field(default_factory=list)
    to_remove: list[str] = field(default_factory=list)
    unchanged: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: list[Left] = field(default_factory=list)
    growth: int = 0

    @property
    def empty(self) -> bool:
        return not self.to_read and not self.to_remove


def unchanged(known: FileStamp, found: Found, target: int) -> bool:
    return (
        known.size == found.size and known.mtime_ns == found.mtime_ns and known.error is None and known.target >= target
    )


def plan(
    known: Mapping[str, FileStamp],
    found: Iterable[F],
    left: Iterable[Left],
    *,
    target: int = 0,
    in_scope: Callable[[str], bool] = lambda _path: True,
    failing: Container[str] = (),
    unseen: Container[str] = (),
    brought_back: Container[str] = (),
) -> Plan[F]:
    """``known`` is what the manifest has (at least of the scope), ``found`` and ``left`` what the scan saw in it.

    A known file in scope that the scan did not find leaves the index; files out of scope stay untouched, and so do
    files below a folder that could not be read: nothing is known of them, least of all that they are gone.
    A pushed text lies in none of the folders: when it is gone it leaves, whatever else cannot be read.
    ``failing`` are the reasons that count as failures, not as intended; ``unseen`` those that leave open whether the
    file is still there, so that it stays too; ``brought_back`` those that do not count for a file that a rule wants.
    """
    result: Plan[F] = Plan()
    seen: set[str] = set()
    added = 0
    for file in found:
        if file.path in seen:
            continue
        seen.add(file.path)
        stamp = known.get(file.path)
        rejoins = stamp is not None and file.wanted and stamp.skipped in brought_back
        if stamp is not None and not rejoins and unchanged(stamp, file, target):
            if stamp.skipped is None:
                result.unchanged += 1
            else:
                result.skipped[stamp.skipped] += 1
            continue
        added += stamp is None or stamp.skipped is not None
        result.to_read.append(file)
    blind: list[str] = []
    kept: set[str] = set()  # pushed texts that cannot be read
    for skipped in left:
        if skipped.reason in failing:
            result.failed.append(skipped)
        else:
            result.skipped[skipped.reason] += 1
        if skipped.pushed:
            kept.add(skipped.path)
        elif skipped.folder or skipped.reason in unseen:
            blind.append(skipped.path)
    unknown = scope(blind) if blind else lambda _path: False

    def stays(path: str) -> bool:
        return path in seen or path in kept or (not known[path].pushed and unknown(path))

    result.to_remove = [path for path in known if in_scope(path) and not stays(path)]
    removed = sum(known[path].skipped is None for path in result.to_remove)
    result.growth = added - removed
    return result


def scope(paths: Iterable[str], *, recursive: bool = True) -> Callable[[str], bool]:
    """Whether an indexed path is one of ``paths`` or lies below one of them; no paths (or '') mean everything."""
    wanted = {path.strip("/") for path in paths}
    if not wanted or "" in wanted:
        return lambda _path: True

    def in_scope(path: str) -> bool:
        if path in wanted:
            return True
        parent = path.rpartition("/")[0]
        if not recursive:
            return parent in wanted
        while parent:
            if parent in wanted:
                return True
            parent = parent.rpartition("/")[0]
        return False

    return in_scope
