"""What a search asks of an index besides its ranking: which chunks pass a filter, what else a file holds."""

from collections.abc import Iterator, Sequence
from typing import Final

from tantivy import DocAddress, Occur, Query, Schema, Searcher

from muniment.errors import InvalidValue
from muniment.lexical.chunk import LexicalChunk
from muniment.lexical.folder import chunks_by_id
from muniment.lexical.globs import glob_patterns

ROUNDS: Final = 4
MAX_NEIGHBOURS: Final = 10_000  # characters in each direction
NEIGHBOURS_READ: Final = 3  # at a time: they share a compressed block
Globs = str | Sequence[str] | None


def filter_clauses(
    schema: Schema, path_glob: Globs, language: str | None, kind: str | None
) -> list[tuple[Occur, Query]]:
    """What a chunk must and must not be; adds nothing to its score. A glob that begins with '!' excludes."""
    globs = (path_glob,) if isinstance(path_glob, str) else path_glob or ()
    clauses = []
    for field, value in (("language", language), ("kind", kind)):
        if value:
            clauses.append((Occur.Must, Query.term_query(schema, field, value, "basic")))
    for occur, pattern in zip((Occur.Must, Occur.MustNot), glob_patterns(globs), strict=True):
        if pattern:
            try:
                clauses.append((occur, Query.regex_query(schema, "path", pattern)))
            except ValueError as error:
                raise InvalidValue("path_glob", ", ".join(globs), str(error)) from error
    return [(occur, Query.const_score_query(query, 0.0)) for occur, query in clauses]


def passing(schema: Schema, path_glob: Globs, language: str | None, kind: str | None) -> Query:
    """Matches every chunk that passes a filter."""
    clauses = filter_clauses(schema, path_glob, language, kind)
    return Query.boolean_query([(Occur.Must, Query.all_query()), *clauses])


def best_of_many_files(
    searcher: Searcher, schema: Schema, query: Query, chunks: int, files: int
) -> list[tuple[int, float, DocAddress]]:
    """(key of the file, score, address) of the best chunks, best first: so many at a time, until they are of so many
    files. One long list of registers would otherwise be all that is ever seen."""
    found: list[tuple[int, float, DocAddress]] = []
    seen: dict[int, DocAddress] = {}
    asked = query
    for _ in range(ROUNDS):
        hits = searcher.search(asked, chunks, count=False).hits
        keys = searcher.fast_field_values("file", [address for _, address in hits])
        for key, (score, address) in zip(keys, hits, strict=True):
            found.append((int(key or 0), float(score), address))
            seen.setdefault(int(key or 0), address)
        if len(hits) < chunks or len(seen) >= files:
            break
        paths = [searcher.doc(address).get_first("path") or "" for address in seen.values()]
        asked = Query.boolean_query([(Occur.Must, query), (Occur.MustNot, Query.term_set_query(schema, "path", paths))])
    return found


def with_neighbours(searcher: Searcher, schema: Schema, chunk: LexicalChunk, lines: int) -> list[LexicalChunk]:
    """The chunk and those before and after it in its file, in order, as far as the lines around it reach."""
    found = searcher.search(Query.term_query(schema, "path", chunk.path, "basic"), _MOST, count=False).hits
    ids = sorted(int(each or 0) for each in searcher.fast_field_values("id", [address for _, address in found]))
    if chunk.chunk_id not in ids:
        return [chunk]
    at = ids.index(chunk.chunk_id)
    before = _reach(searcher, schema, chunk, ids[:at][::-1], -lines)
    after = _reach(searcher, schema, chunk, ids[at + 1 :], lines)
    return [*reversed(before), chunk, *after]


_MOST: Final = 20_000  # chunks of one file; files of the size that is indexed have some thousand at most


def _reach(
    searcher: Searcher, schema: Schema, chunk: LexicalChunk, ids: Sequence[int], lines: int
) -> list[LexicalChunk]:
    """Neighbours in one direction, the nearest first; ``lines`` below 0 looks up the file."""
    reached: list[LexicalChunk] = []
    last, length = chunk, 0
    for other in _in_turn(searcher, schema, ids):
        far = last.start_line <= chunk.start_line + lines if lines < 0 else last.end_line >= chunk.end_line + lines
        touches = _touch(other, last) if lines < 0 else _touch(last, other)
        if far or not touches:
            break
        reached.append(other)
        last = other
        length += len(other.text)
        if length > MAX_NEIGHBOURS:  # a line may be as long as a file
            break
    return reached


def _in_turn(searcher: Searcher, schema: Schema, ids: Sequence[int]) -> Iterator[LexicalChunk]:
    for start in range(0, len(ids), NEIGHBOURS_READ):
        part = ids[start : start + NEIGHBOURS_READ]
        chunks = chunks_by_id(searcher, schema, part)
        yield from (chunks[chunk_id] for chunk_id in part if chunk_id in chunks)


def _touch(upper: LexicalChunk, lower: LexicalChunk) -> bool:
    """Whether nothing lies between them. Two chunks share a line only where it is too long for one."""
    return lower.start_line == upper.end_line + upper.text.endswith("\n")
