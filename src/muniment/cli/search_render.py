"""What a person sees of an answer about code."""

import re
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from muniment.cli.answers import FilePlace, Found, FoundRelated, Hit
from muniment.cli.render import clean, count, moment
from muniment.status import IndexHeader, IndexState

SNIPPET_LINES = 5
WHAT_TO_DO: Mapping[IndexState, str] = {
    IndexState.FAILED: "the last job failed: `muniment jobs` says why",
    IndexState.PAUSED: "`muniment jobs resume` lets it go on",
}


def show_found(out: Console, found: Found, query: str, context: int = 0) -> None:
    several = bool(found.others)
    _show_index(out, found.index)
    for other in found.others:
        _show_index(out, other.index, other.project)
    for note in found.notes:
        out.print(f"Note: {clean(note)}", soft_wrap=True)
    _show_withheld(out, found.gone, found.degraded)
    if not found.results:
        complete = all(index.lexical_percent == 100 for index in (found.index, *(one.index for one in found.others)))
        out.print("No results." if complete else "No results in what is indexed so far.")
    for hit in found.results:
        _show_hit(out, hit, query, SNIPPET_LINES + 2 * context, several=several)


def show_related(out: Console, found: FoundRelated) -> None:
    _show_index(out, found.index)
    _show_withheld(out, found.gone, found.degraded)
    out.print(place(found.of).append(" is like:" if found.results else " is like nothing else."), soft_wrap=True)
    for hit in found.results:
        _show_hit(out, hit, hit.symbol or "", SNIPPET_LINES, several=False)


def _show_index(out: Console, index: IndexHeader, project: str | None = None) -> None:
    out.print(index_line(index, project), soft_wrap=True)
    for warning in index.warnings:
        out.print(Text(f"Warning: {clean(warning)}", style="yellow"), soft_wrap=True)


def _show_withheld(out: Console, gone: int, degraded: Iterable[str]) -> None:
    for reason in degraded:
        out.print(f"Degraded: {clean(reason)}", soft_wrap=True)
    if gone:
        out.print(f"Left out: {count(gone, 'file')} that matched but {'is' if gone == 1 else 'are'} gone by now")


def _show_hit(out: Console, hit: Hit, query: str, lines: int, *, several: bool) -> None:
    out.print()
    out.print(hit_heading(hit, several=several), soft_wrap=True)
    for line in snippet(hit.text, hit.start_line, query, lines):
        out.print(line, no_wrap=True, overflow="ellipsis")
    if hit.also:
        named = (f"{one.start_line}-{one.end_line} {clean(one.symbol or '')}".strip() for one in hit.also)
        out.print(Text(f"         also {', '.join(named)}", style="dim"), soft_wrap=True)


def index_line(index: IndexHeader, project: str | None = None) -> str:
    """How much to trust what follows."""
    head = f"Index of {project}" if project else "Index"
    if index.state is IndexState.EMPTY:
        return f"{head}: empty, nothing was scanned yet"
    as_of = f"as of {moment(index.as_of)}" if index.as_of else "first scan under way"
    state = "" if index.state is IndexState.IDLE else f"; {index.state}"
    to_do = f" — {WHAT_TO_DO[index.state]}" if index.state in WHAT_TO_DO else ""
    return (
        f"{head}: {index.lexical_percent:.1f}% lexical, {index.vector_percent:.1f}% vectors, {as_of}; "
        f"{count(index.pending_changes, 'change')} pending{state}{to_do}"
    )


def hit_heading(hit: Hit, *, several: bool = False) -> Text:
    text = Text(f"[{hit.project}] " if several else "", style="bold").append_text(place(hit))
    text.append(f"  {hit.score:.2f}", style="not bold dim")
    if hit.stale:
        text.append("  (the file has changed since)", style="not bold yellow")
    return text


def place(where: FilePlace) -> Text:
    text = Text(f"{clean(where.path)}:{where.start_line}-{where.end_line}", style="bold")
    if where.symbol:
        text.append(f"  {clean(where.symbol)}", style="cyan")
    return text


def snippet(text: str, start_line: int, query: str, most: int = SNIPPET_LINES) -> list[str]:
    """The numbered lines of a chunk that hold most of the question's words, the first such ones."""
    lines = text.rstrip().split("\n")
    words = set(re.findall(r"\w+", query.lower()))
    words = {word for word in words if len(word) > 3} or words  # "the" is everywhere
    found = [{word for word in words if word in line.lower()} for line in lines]
    windows = range(max(1, len(lines) - most + 1))
    first = max(windows, key=lambda at: (len(set().union(*found[at : at + most])), -at))
    shown = list(enumerate(lines))[first : first + most]
    return [f"{start_line + at:>7}  {clean(line.rstrip())}" for at, line in shown if line.strip()]
