"""Answers about code as text that an agent reads well, and no more of it than it asked for. Pure."""

import re
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import TypeVar

from muniment.identifiers import question_tokens
from muniment.search import FilePlace, Place, SearchHit, shorter
from muniment.status import IndexHeader, IndexState
from muniment_api.gateway.text import index_line, warnings
from muniment_api.search_answers import ProjectIndex, RelatedAnswer, SearchAnswer

LEFT_OUT_NAMED = 6
LEFT_OUT_LENGTH = 300  # characters of their names
LAST_BEGINS = 30  # characters kept of the beginning of a line that is too long; its end names the place
MORE_ABOVE = " …\n(There is more to say of the index: a larger max_tokens shows it.)"
Answer = TypeVar("Answer", SearchAnswer, RelatedAnswer)


def fitted_search(project: str, answer: SearchAnswer, question: str, room: int) -> tuple[str, SearchAnswer]:
    """The answer as text of at most ``room`` characters, and what of the answer it shows."""
    return _fitted(answer, question_tokens(question), room, lambda one: search_text(project, one, room))


def fitted_related(project: str, answer: RelatedAnswer, symbol: str, room: int) -> tuple[str, RelatedAnswer]:
    """The same for what is like a place."""
    return _fitted(answer, question_tokens(symbol), room, lambda one: related_text(project, one, room))


def search_text(project: str, answer: SearchAnswer, room: int | None = None) -> str:
    """``room``: characters; the hits alone may come to more."""
    indexes = [(project, answer.index), *((other.project, other.index) for other in answer.others)]
    lines = [*_trust(project, answer.index), *_trust_others(answer.others)]
    lines += [f"Note: {note}" for note in answer.notes]
    lines += _withheld(answer.gone, answer.degraded)
    if not answer.results and not answer.left_out:
        complete = all(index.state == IndexState.IDLE and index.lexical_percent == 100 for _, index in indexes)
        return f"{_head(lines, room)}\n{'No results.' if complete else 'No results in what is indexed so far.'}"
    return _blocks(_head(lines, room), answer.results, answer.left_out, room, several=bool(answer.others))


def related_text(project: str, answer: RelatedAnswer, room: int | None = None) -> str:
    """``room``: characters; the hits alone may come to more."""
    lines = [*_trust(project, answer.index), *_withheld(answer.gone, answer.degraded)]
    symbol = f" ({answer.of.symbol})" if answer.of.symbol else ""
    place = f"{answer.of.path}:{answer.of.start_line}-{answer.of.end_line}{symbol}"
    if not answer.results and not answer.left_out:
        return _head(lines, room, f"Nothing is like {place}.")
    head = _head(lines, room, f"Like {place}:")
    return _blocks(head, answer.results, answer.left_out, room, several=False)


def _fitted(answer: Answer, words: Collection[str], room: int, text_of: Callable[[Answer], str]) -> tuple[str, Answer]:
    text = text_of(answer)
    while len(text) > room and answer.results:
        hits, place = shorter(answer.results, words, len(text) - room)
        left_out = answer.left_out if place is None else [place, *answer.left_out]
        answer = answer.model_copy(update={"results": hits, "left_out": left_out})
        text = text_of(answer)
    return text, answer


def _head(lines: Sequence[str], room: int | None, last: str = "") -> str:
    """All of it, or so much that it leaves half of the room. The line ``last`` is kept but for its middle."""
    text, end = "\n".join(lines), f"\n{last}" if last else ""
    if room is not None and len(text) + len(end) > room // 2:
        if len(end) > room // 4:
            end = f"{end[:LAST_BEGINS]}…{end[LAST_BEGINS + 1 - room // 4 :]}"
        above = room // 2 - len(end)
        if len(text) > above:
            text = f"{text[: above - len(MORE_ABOVE)]}{MORE_ABOVE}"
    return text + end


def _trust(project: str, index: IndexHeader) -> list[str]:
    return [index_line(project, index), *warnings(index.warnings)]


def _trust_others(others: Sequence[ProjectIndex]) -> list[str]:
    """Each by itself, but for those of which there is nothing to say."""
    complete = [other.project for other in others if _complete(other.index)]
    lines = [f"Complete, no changes pending: {', '.join(complete)}"] if complete else []
    for other in others:
        if not _complete(other.index):
            lines += _trust(other.project, other.index)
    return lines


def _complete(index: IndexHeader) -> bool:
    covered = index.lexical_percent == index.vector_percent == 100
    return covered and index.state == IndexState.IDLE and not index.pending_changes and not index.warnings


def _withheld(gone: int, degraded: Sequence[str]) -> list[str]:
    lines = [f"Degraded: {reason}" for reason in degraded]
    if gone:
        lines.append(f"Left out: {gone} {_files(gone)} that matched but {'is' if gone == 1 else 'are'} gone by now.")
    return lines


def _blocks(
    head: str, hits: Sequence[SearchHit], left_out: Sequence[FilePlace], room: int | None, *, several: bool
) -> str:
    blocks = [head, *(_hit(hit, several=several) for hit in hits)]
    if left_out:
        most = LEFT_OUT_LENGTH if room is None else min(LEFT_OUT_LENGTH, room // 8)
        named = _first([_place(place, several=several) for place in left_out], most)
        files = f"{len(left_out)} {'more ' if hits else ''}{_files(len(left_out))}"
        blocks.append(f"No room for {files}{named}. A larger max_tokens shows them.")
    return "\n\n".join(blocks)


def _first(places: Sequence[str], most: int) -> str:
    """As many as there is room for, and how many more there are."""
    lengths = accumulate(len(place) + 2 for place in places)
    shown = [place for place, length in zip(places, lengths, strict=True) if length <= most][:LEFT_OUT_NAMED]
    if not shown:
        return ""
    rest = len(places) - len(shown)
    return f": {', '.join(shown)}" + (f" and {rest} more" if rest else "")


def _hit(hit: SearchHit, *, several: bool) -> str:
    symbol = f" ({hit.symbol})" if hit.symbol else ""
    stale = " — stale: the file has changed since" if hit.stale else ""
    cut = f"\n… {hit.cut_lines} lines of it left out" if hit.cut_lines else ""
    also = f"\nAlso in this file: {', '.join(map(_lines, hit.also))}" if hit.also else ""
    heading = f"{_place(hit, several=several)}{symbol} {hit.score:.2f}{stale}"
    return f"{heading}\n{_fenced(hit.text.strip(chr(10)), hit)}{cut}{also}"


def _place(place: SearchHit | FilePlace, *, several: bool) -> str:
    project = f"[{place.project}] " if several else ""
    return f"{project}{place.path}:{place.start_line}-{place.end_line}"


def _lines(place: Place) -> str:
    symbol = f" ({place.symbol})" if place.symbol else ""
    return f"{place.start_line}-{place.end_line}{symbol}"


def _files(number: int) -> str:
    return "file" if number == 1 else "files"


def _fenced(snippet: str, hit: SearchHit) -> str:
    longest = max((len(run) for run in re.findall(r"`+", snippet)), default=0)
    fence = "`" * max(3, longest + 1)  # Markdown carries fences of its own
    return f"{fence}{hit.language or ''}\n{snippet}\n{fence}"
