"""A piece of a file: what is indexed, found and shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines ``start_line``..``end_line`` (1-based, inclusive) of a file. ``symbol`` is a heading path or a
    definition's name in its scope (``Class.method``), ``defines`` the plain names it introduces (a field of the
    lexical index). Two chunks share a line only where a line is too long for one."""

    text: str
    start_line: int
    end_line: int
    symbol: str | None = None
    defines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunked:
    """The chunks of a file. ``by_lines`` says why a file whose language has a grammar was cut by lines all the same:
    ``slow``, ``deep``, ``broken`` or ``unavailable``; None otherwise."""

    chunks: list[Chunk]
    by_lines: str | None = None
