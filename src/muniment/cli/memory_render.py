"""What a person sees of memories. It fits the width of the terminal; colours appear on a terminal only."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from muniment.cli.answers import MemoryAnchor, Pruned, ShownMemory, StoredMemory, Topic
from muniment.cli.render import clean

INDENT = "  "
LEAST_WIDTH = 20
OUTDATED = ("code changed", "code gone", "code unreadable")


def show_memories(out: Console, memories: Iterable[ShownMemory], project: str | None = None) -> None:
    """``project``: the one that needs no mention."""
    for number, memory in enumerate(memories):
        if number:
            out.print()
        out.print(_heading(memory, project), soft_wrap=True)
        if memory.anchor is not None:
            style = "yellow" if memory.code in OUTDATED else "dim"
            out.print(Text(f"  {_code(memory.anchor, memory.code)}", style=style), soft_wrap=True)
        text = Text("\n".join(map(clean, memory.content.splitlines())))
        for line in text.wrap(out, max(LEAST_WIDTH, out.width - len(INDENT))):
            out.print(Text(INDENT).append_text(line), soft_wrap=True)


def _heading(memory: ShownMemory, project: str | None) -> Text:
    line = Text(memory.id, style="bold")
    if memory.score is not None:
        line.append(f"  {memory.score:.2f}", style="not bold dim")
    if project is not None and memory.project.lower() != project.lower():
        line.append(f"  {memory.project}", style="not bold cyan")
    line.append(f"  {memory.created_at:%Y-%m-%d}", style="not bold")
    if memory.updated_at != memory.created_at:
        line.append(f" (changed {memory.updated_at:%Y-%m-%d})", style="not bold")
    if memory.tags:
        line.append(f"  {clean(', '.join(memory.tags))}", style="not bold cyan")
    if memory.source:
        line.append(f"  {clean(memory.source)}", style="not bold dim")
    if memory.superseded_by:
        line.append(f"  superseded by {memory.superseded_by}", style="not bold yellow")
    return line


def _code(anchor: MemoryAnchor, code: str | None) -> str:
    lines = f":{anchor.start_line}-{anchor.end_line}" if anchor.start_line is not None else ""
    symbol = f" ({anchor.symbol})" if anchor.symbol else ""
    what = code if code in OUTDATED else "about"
    return clean(f"{what} {anchor.path}{lines}{symbol}")


def stored_lines(stored: StoredMemory) -> list[str]:
    instead = f", in place of {stored.supersedes}" if stored.supersedes else ""
    lines = [f"Stored as {stored.id}{instead}."] if stored.created else []
    lines += [clean(stored.message)] if stored.message else []
    return lines + [f"  {one.id}  {one.score:.2f}" for one in stored.similar]


def topics_table(topics: Iterable[Topic]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("TOPIC", overflow="fold")
    table.add_column("MEMORIES", justify="right", no_wrap=True)
    table.add_column("CHANGED", no_wrap=True)
    for topic in topics:
        table.add_row(clean(topic.tag), f"{topic.memories:,}", f"{topic.updated_at:%Y-%m-%d}")
    return table


def show_pruned(out: Console, pruned: Pruned) -> None:
    """No table: that would cut the ids, which are there to copy."""
    for memory in pruned.memories:
        content = clean(" ".join(memory.content.split()))
        line = f"{clean(memory.id)}  last used {memory.last_used_at:%Y-%m-%d}  {content}"
        out.print(line, no_wrap=True, overflow="ellipsis")
    if pruned.count > len(pruned.memories):
        out.print(f"and {pruned.count - len(pruned.memories):,} more")
    what = memories_count(pruned.count)
    if pruned.dry_run:
        out.print(f"Unused: {what}{'; --delete deletes them' if pruned.count else ''}.")
    else:
        out.print(f"Deleted {what}.")


def memories_count(number: int) -> str:
    return f"{f'{number:,}' if number else 'no'} memor{'y' if number == 1 else 'ies'}"
