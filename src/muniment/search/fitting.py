"""Makes an answer fit what its reader can take in: the best hits first, and of each its best lines. Pure."""

from collections.abc import Collection, Sequence
from typing import Final

from muniment.search.model import FilePlace, SearchHit
from muniment.search.passages import Passage, narrowed

CHARACTERS_A_TOKEN: Final = 4  # of code and English as models count them, about
LEAST_TOKENS: Final = 200
MOST_TOKENS: Final = 100_000
HEADING_LENGTH: Final = 120  # characters of a shown hit besides its path, symbols and text
SHORTEST_TEXT: Final = 320  # characters: less of a hit tells nothing
LEAST_ROOM: Final = 600  # characters: whatever else there is to say, one hit must show something
LEAST_TEXT: Final = 80  # characters: a hit that is cut to less is better left out
NAMED_LENGTH: Final = 400  # characters kept for the names of what is left out


def fit(
    hits: Sequence[SearchHit], words: Collection[str], max_tokens: int, taken: int = 0
) -> tuple[list[SearchHit], list[FilePlace]]:
    """The hits that fit, with texts cut to their best lines where they must be, and the places of those left out.

    ``words``: the question's tokens; ``taken``: characters that the answer needs for other things.
    """
    room = max(max_tokens * CHARACTERS_A_TOKEN - taken, LEAST_ROOM)
    if sum(_length(hit) for hit in hits) <= room:
        return list(hits), []
    kept = _kept(hits, room)
    if len(kept) < len(hits):
        kept = _kept(hits, room - NAMED_LENGTH) or list(hits[:1])
        room -= NAMED_LENGTH
    shares = _shares([len(hit.text) for hit in kept], room - sum(_length(hit) - len(hit.text) for hit in kept))
    shown = [_cut(hit, words, share) for hit, share in zip(kept, shares, strict=True)]
    return shown, [hit.place for hit in hits[len(kept) :]]


def shorter(hits: Sequence[SearchHit], words: Collection[str], excess: int) -> tuple[list[SearchHit], FilePlace | None]:
    """Of hits that show ``excess`` characters too many the last one cut by as much, or left out: then its place."""
    *rest, last = hits
    room = len(last.text) - excess
    if room >= LEAST_TEXT:
        cut = _cut(last, words, room)
        if len(cut.text) < len(last.text):
            return [*rest, cut], None
    return rest, last.place


def _length(hit: SearchHit) -> int:
    """About how many characters it takes to show a hit."""
    further = sum(15 + len(place.symbol or "") for place in hit.also)
    return HEADING_LENGTH + len(hit.project) + len(hit.path) + len(hit.symbol or "") + further + len(hit.text)


def _kept(hits: Sequence[SearchHit], room: int) -> list[SearchHit]:
    """As many of the first hits as can each show something."""
    kept = []
    for hit in hits:
        room -= _length(hit) - len(hit.text) + min(len(hit.text), SHORTEST_TEXT)
        if room < 0:
            break
        kept.append(hit)
    return kept


def _shares(lengths: Sequence[int], room: int) -> list[int]:
    """The same for each, but what a short one does not need goes to the others."""
    shares = [0] * len(lengths)
    left = max(room, 0)
    for number, at in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        shares[at] = min(lengths[at], left // (len(lengths) - number))
        left -= shares[at]
    return shares


def _cut(hit: SearchHit, words: Collection[str], room: int) -> SearchHit:
    room = max(room, 1)
    if len(hit.text) <= room:
        return hit
    shown = narrowed(Passage(hit.text, hit.start_line, hit.end_line), words, room)
    return hit.cut_to(shown.text, shown.start_line, shown.end_line)
