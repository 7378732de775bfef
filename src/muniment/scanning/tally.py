"""What a walk saw besides files, and what follows from it: roots that are away, rules that hide everything. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from muniment.scanning.found import FAILURES, SkipReason

WATCH_EXCLUDE = "watch_exclude"
DEFAULT_EXCLUDES_NAME = "default excludes"
GIT_EXCLUDE = ".git/info/exclude"
LONGEST_GLOB = 80  # characters of a rule in a warning
NOTHING = "Nothing is indexed: "
NOTHING_BUT_PUSHED = "Of the project's folders nothing is indexed: "
_KEPT = (
    "what was indexed before goes on answering. Remedy: check that the folders of watch_paths are there, mounted, and "
    "readable for the server; the job's failures name them."
)


@dataclass(frozen=True, slots=True)
class RootSeen:
    """A root folder as a walk found it: its identity, and how many entries it has before any rule."""

    device: int
    inode: int
    entries: int

    @property
    def identity(self) -> tuple[int, int]:
        return self.device, self.inode


class Culprit(NamedTuple):
    """A rule that hides. ``source`` is an ignore file (its indexed path, or its absolute one above the root) or what
    else holds rules: WATCH_EXCLUDE, DEFAULT_EXCLUDES_NAME. ``line`` counts from 1."""

    source: str
    line: int
    glob: str


@dataclass(slots=True)
class WalkTally:
    """What one walk counted. ``hidden`` are files and folders, what lies in such a folder is not looked at."""

    found: int = 0
    ignore_files: int = 0  # among the found
    skipped: Counter[SkipReason] = field(default_factory=Counter)
    unmatched: int = 0
    hidden: Counter[Culprit] = field(default_factory=Counter)
    roots: dict[str, RootSeen] = field(default_factory=dict)  # by label; a root that could not be listed is missing


def away(seen: RootSeen, recorded: tuple[int, int] | None) -> bool:
    """Whether a root looks like the empty mount point of a volume that is away: it has no entry at all, and it is not
    the folder (device, inode) of the last scan. A folder that was emptied keeps its identity."""
    return seen.entries == 0 and recorded is not None and seen.identity != recorded


def scan_warnings(tally: WalkTally, pushed: int = 0) -> list[str]:
    """Why a walk found no file to index, in sentences with remedies, the weightiest first; none if it found one. A tree
    of which nothing but its ignore files is left counts as one that gave nothing. ``pushed``: texts beside it."""
    if tally.found > tally.ignore_files or not (tally.roots or tally.skipped):
        return []  # without any folder there is nothing to walk
    if failed := _counts(tally.skipped, failures=True):
        return [f"The last scan could not read the project ({failed}): {_KEPT}"]
    reasons = [*_hidden(tally.hidden), *_left_out(tally.skipped)]
    if tally.unmatched:
        likely = tally.unmatched >= tally.hidden.total()
        reasons.insert(0 if likely else len(reasons), _unmatched(tally.unmatched))
    if not reasons:
        empty = all(root.entries == 0 for root in tally.roots.values())
        what = "the project's folder is empty" if empty else "the project's folder holds no file"
        reasons = [f"{what}. Remedy: check watch_paths, and that the volume they lie on is mounted."]
    nothing = NOTHING_BUT_PUSHED if pushed else NOTHING
    prefix = "Nothing but ignore files is indexed: " if tally.found and not pushed else nothing
    return [prefix + reasons[0], *(f"Besides: {reason}" for reason in reasons[1:])]


def all_skipped(skipped: Mapping[str, int]) -> str | None:
    """The warning for a pass that read files and indexed none of them; None when it skipped none."""
    counted = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()) if count)
    remedy = "Remedy: check watch_paths and watch_patterns."
    return f"{NOTHING}every file was skipped ({counted}). {remedy}" if counted else None


def _left_out(skipped: Counter[SkipReason]) -> list[str]:
    counted = _counts(skipped, failures=False)
    return [f"every file that no rule hides is left out ({counted}). Remedy: check watch_paths."] if counted else []


def _hidden(hidden: Counter[Culprit]) -> list[str]:
    if not hidden:
        return []
    (worst, most), total = hidden.most_common(1)[0], hidden.total()
    entries = f"all {total:,} entries" if most == total else f"{most:,} of the {total:,} hidden entries"
    entries = "the only entry" if total == 1 else entries
    source, line = worst.source, worst.line
    glob = worst.glob if len(worst.glob) <= LONGEST_GLOB else worst.glob[: LONGEST_GLOB - 1] + "…"
    if source == WATCH_EXCLUDE:
        return [f"watch_exclude ('{glob}') hides {entries}. Remedy: give the project other excludes."]
    if source == DEFAULT_EXCLUDES_NAME:
        remedy = f"Remedy: a line '!{glob}' in a .munimentignore brings it back."
        return [f"the default exclude '{glob}' hides {entries}. {remedy}"]
    # git's own exclude file may lie outside the tree: its lines are not shown
    rule = f"{source} line {line}" if source.endswith(GIT_EXCLUDE) else f"{source} line {line} ('{glob}')"
    remedy = "Remedy: change that rule, or bring files back by '!' rules in a .munimentignore."
    return [f"{rule} hides {entries}. {remedy}"]


def _unmatched(count: int) -> str:
    files = "the only file" if count == 1 else f"none of {count:,} files"
    verb = "does not match" if count == 1 else "matches"
    return f"{files} {verb} watch_patterns. Remedy: give the project other patterns, or none for every file."


def _counts(skipped: Mapping[SkipReason, int], *, failures: bool) -> str:
    counted = sorted(item for item in skipped.items() if (item[0] in FAILURES) is failures)
    return ", ".join(f"{count:,} {reason}" for reason, count in counted)
