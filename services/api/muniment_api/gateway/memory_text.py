"""Answers about memories as text that an agent reads well. Pure: the structured answer holds everything."""

from collections.abc import Iterable, Mapping

from muniment.memory import Anchor, CodeState, Memory, StaleMemory, Stored
from muniment_api.memory_shapes import (
    Expanded,
    FilePointer,
    FoundMemories,
    FoundMemory,
    Mode,
    Pruned,
    StoredBatch,
    Topics,
    cut,
)

TOPICS_SHOWN = 100
STALE_SHOWN = 50

TO_DO = {
    CodeState.CHANGED: "read it, then update_memory: confirm_code=true if this still holds, else new content",
    CodeState.UNREADABLE: "its file cannot be read at present; the memory may still hold",
    CodeState.GONE: "update_memory with the path that took its place, or delete_memory",
}


def found_text(found: FoundMemories) -> str:
    """The asked project first, then the others in the order of their best."""
    groups: dict[str, list[FoundMemory]] = {found.project: []}
    for memory in found.results:
        groups.setdefault(memory.project, []).append(memory)
    parts = [
        _group(project, group, found.mode, found.files if project == found.project else [])
        for project, group in groups.items()
    ]
    if any(memory.truncated for memory in found.results):
        parts.append("Cut where it says truncated: expand_memories shows them whole.")
    return "\n\n".join(parts)


def _group(project: str, group: list[FoundMemory], mode: Mode, files: list[FilePointer]) -> str:
    shown = _line if mode == Mode.PROBE else _whole
    lines = [f"[{project}]", "Memories:" if group else "No memories found."]
    lines += [shown(memory, memory.score) for memory in group]
    if files:
        lines += ["Indexed files:", *(_pointer(file) for file in files)]
    return "\n".join(lines)


def _line(memory: FoundMemory, score: float | None) -> str:
    marks = [str(memory.code)] if memory.code in TO_DO else []
    marks += ["superseded"] if memory.superseded_by else []
    marks += ["truncated"] if memory.truncated else []
    after = f" ({', '.join(marks)})" if marks else ""
    return f"- {memory.id} {score or 0:.2f} {memory.content}{after}"


def _whole(memory: Memory, score: float | None = None) -> str:
    facts = [f"{score:.2f}"] if score is not None else []
    facts.append(f"{memory.created_at:%Y-%m-%d}")
    if memory.updated_at != memory.created_at:
        facts.append(f"updated {memory.updated_at:%Y-%m-%d}")
    facts += [f"tags {', '.join(memory.tags)}"] if memory.tags else []
    facts += [f"source {memory.source}"] if memory.source else []
    facts += ["truncated"] if isinstance(memory, FoundMemory) and memory.truncated else []
    lines = [f"- {memory.id} {', '.join(facts)}"]
    if memory.superseded_by:
        lines.append(f"superseded by {memory.superseded_by}")
    if memory.anchor:
        lines.append(_code(memory.anchor, memory.code))
    return "\n  ".join([*lines, *memory.content.splitlines()])


def _code(anchor: Anchor, state: CodeState | None) -> str:
    where = anchor.path if anchor.start_line is None else f"{anchor.path}:{anchor.start_line}-{anchor.end_line}"
    place = f"{where} ({anchor.symbol})" if anchor.symbol else where
    return f"{state}: {place} — {TO_DO[state]}" if state in TO_DO else f"about {place}"


def _pointer(file: FilePointer) -> str:
    symbol = f" {file.symbol}" if file.symbol else ""
    return f"- {file.path}:{file.start_line}-{file.end_line}{symbol} {file.score:.2f}"


def expanded_text(expanded: Expanded) -> str:
    lines = [f"[{expanded.project}]", *(_whole(memory) for memory in expanded.memories)]
    if expanded.missing:
        lines.append(f"Not in this project: {', '.join(expanded.missing)}")
    return "\n".join(lines)


def changed_text(project: str, verb: str, memory: Memory) -> str:
    return f"[{project}] {verb}.\n{_whole(memory)}"


def stored_text(project: str, stored: Stored, beginnings: Mapping[str, str]) -> str:
    """``beginnings`` of the memories that it resembles, by their id."""
    return f"[{project}] {_stored(stored, beginnings)}"


def batch_text(project: str, batch: StoredBatch, beginnings: Mapping[str, str]) -> str:
    created = sum(stored.created for stored in batch.items)
    items = [f"{place}. {_stored(stored, beginnings)}" for place, stored in enumerate(batch.items)]
    return "\n".join([f"[{project}] Stored {created} of {len(batch.items)}.", *items])


def _stored(stored: Stored, beginnings: Mapping[str, str]) -> str:
    if not stored.created:
        known = beginnings.get(stored.duplicate_of or "")
        return "\n".join([stored.message or "Not stored.", *([f"  {stored.duplicate_of} {known}"] if known else [])])
    instead = f", in place of {stored.supersedes}" if stored.supersedes else ""
    lines = [f"Stored as {stored.id}{instead}."]
    lines += [stored.message] if stored.message else []
    lines += [f"- {one.id} {one.score:.2f} {beginnings.get(one.id, '')}".rstrip() for one in stored.similar]
    return "\n".join(lines)


def topics_text(project: str, topics: Topics) -> str:
    if not topics.items:
        return f"[{project}] No tags yet."
    shown = [f"{topic.tag} {topic.memories}" for topic in topics.items[:TOPICS_SHOWN]]
    return f"[{project}] {_some(shown, len(topics.items))}"


def pruned_text(project: str, pruned: Pruned, max_age_days: float) -> str:
    days = f"{max_age_days:g} day{'' if max_age_days == 1 else 's'}"
    if not pruned.count:
        return f"[{project}] Every memory was read or changed within {days}."
    what = f"{pruned.count:,} memor{'y' if pruned.count == 1 else 'ies'} that nobody read or changed for {days}"
    head = f"{what}; dry_run=false deletes them" if pruned.dry_run else f"Deleted {what}"
    shown = [_unused(memory) for memory in pruned.memories[:STALE_SHOWN]]
    rest = [f"and {pruned.count - len(shown):,} more"] if pruned.count > len(shown) else []
    return "\n".join([f"[{project}] {head}:", *shown, *rest])


def _unused(memory: StaleMemory) -> str:
    return f"- {memory.id} {memory.last_used_at:%Y-%m-%d} {cut(memory.content, Mode.PROBE)[0]}"


def _some(shown: Iterable[str], count: int) -> str:
    shown = list(shown)
    rest = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return ", ".join(shown) + rest
