"""Ties a memory to the code that it is about, and tells whether that code is still the same. Pure."""

from collections.abc import Sequence
from hashlib import blake2b

from muniment.chunking import Defined, defined_in
from muniment.errors import InvalidValue
from muniment.memory.model import MAX_SYMBOL, Anchor, CodeState, clean_text

LINE_BYTES = 8  # of a line's digest
MAX_NAMED = 10
MAX_PLACES = 1_000  # that begin as the anchored lines did; a file of nothing but empty lines must not take for ever


def parse_lines(lines: str | None) -> tuple[int, int] | None:
    """``"12-40"`` or ``"12"`` as first and last line, 1-based. Raises InvalidValue."""
    if lines is None or not lines.strip():
        return None
    first, dash, last = lines.strip().partition("-")
    try:
        start = int(first)
        end = int(last) if dash else start
    except ValueError as error:
        raise InvalidValue("lines", lines, "write 12-40, or 12 for one line") from error
    if not 1 <= start <= end:
        raise InvalidValue("lines", lines, "lines count from 1, and the first comes before the last")
    return start, end


def make_anchor(path: str, text: str, lines: tuple[int, int] | None, symbol: str | None) -> Anchor:
    """For lines, for the definition of a symbol, or for the whole file. Raises InvalidValue."""
    symbol = clean_text("symbol", symbol, MAX_SYMBOL) if symbol and symbol.strip() else None
    if symbol and lines is None:
        symbol, lines = _definition(path, text, symbol)
    digests = line_digests(text)
    count = len(digests) // LINE_BYTES
    if lines is None:
        return Anchor(path=path, symbol=symbol, hash=_hash(digests))
    start, end = lines
    if end > count:
        raise InvalidValue("lines", f"{start}-{end}", f"'{path}' has {count:,} lines")
    lines_hash = _window(digests, start, start).hex() + _hash(_window(digests, start, end))
    return Anchor(path=path, start_line=start, end_line=end, symbol=symbol, hash=lines_hash)


def compare(anchor: Anchor, digests: bytes) -> tuple[CodeState, Anchor]:
    """What became of the anchored code in the file's lines of now, and where it is."""
    if anchor.start_line is None or anchor.end_line is None:
        same = _hash(digests) == anchor.hash
        return (CodeState.SAME if same else CodeState.CHANGED), anchor
    length = anchor.end_line - anchor.start_line
    first, whole = anchor.hash[: 2 * LINE_BYTES], anchor.hash[2 * LINE_BYTES :]
    for start in _lines_like(first, digests, anchor.start_line):
        if _hash(_window(digests, start, start + length)) == whole:
            return CodeState.SAME, anchor.model_copy(update={"start_line": start, "end_line": start + length})
    return CodeState.CHANGED, anchor


def lines_now(anchor: Anchor, digests: bytes, *, seen: bool) -> tuple[int, int] | None:
    """Where anchored lines that changed lie, as far as the first of them tells: where it was, or in its only place.

    Where it is gone they are taken for those of before if somebody has ``seen`` them there. None: it cannot be told.
    """
    assert anchor.start_line is not None
    assert anchor.end_line is not None
    found = _lines_like(anchor.hash[: 2 * LINE_BYTES], digests, anchor.start_line)
    if not found and seen:
        return anchor.start_line, anchor.end_line
    if not found or (found[0] != anchor.start_line and len(found) > 1):
        return None
    return found[0], found[0] + anchor.end_line - anchor.start_line


def _lines_like(first: str, digests: bytes, near: int) -> list[int]:
    """The lines of that digest, the nearest first: lines above it come and go."""
    try:
        wanted = bytes.fromhex(first)
    except ValueError:  # of an import that another program wrote
        return []
    found: list[int] = []
    place = digests.find(wanted)
    while wanted and place >= 0:
        line, offset = divmod(place, LINE_BYTES)
        if not offset:
            found.append(line + 1)
        place = digests.find(wanted, (line + 1) * LINE_BYTES)
    return sorted(found, key=lambda line: abs(line - near))[:MAX_PLACES]


def _definition(path: str, text: str, symbol: str) -> tuple[str, tuple[int, int]]:
    known = defined_in(path, text)
    inner = (f".{symbol}", f" > {symbol}")  # of a class, below a heading
    found = [one for one in known if one.symbol == symbol] or [one for one in known if one.symbol.endswith(inner)]
    if not found:
        others = ", ".join(_names(known)[:MAX_NAMED]) or "no definition that is recognised"
        raise InvalidValue("symbol", symbol, f"'{path}' defines no such thing, but {others}; or give lines")
    if len(names := _names(found)) > 1:
        raise InvalidValue("symbol", symbol, f"'{path}' has several: {', '.join(names[:MAX_NAMED])}")
    return symbol, (min(one.start_line for one in found), max(one.end_line for one in found))


def _names(definitions: Sequence[Defined]) -> list[str]:
    return list(dict.fromkeys(one.symbol for one in definitions))


def line_digests(text: str) -> bytes:
    """One digest for each line; space at its end does not count."""
    lines = text.removesuffix("\n").split("\n") if text else []  # no other break ends a line: so chunks count them
    return b"".join(
        blake2b(line.rstrip().encode("utf-8", "surrogatepass"), digest_size=LINE_BYTES).digest() for line in lines
    )


def _window(digests: bytes, start: int, end: int) -> bytes:
    return digests[(start - 1) * LINE_BYTES : end * LINE_BYTES]


def _hash(digests: bytes) -> str:
    return blake2b(digests, digest_size=16).hexdigest()
