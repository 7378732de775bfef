"""The folder of an index: its schema, its errors, and what both writer and reader read of it."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tantivy import DocAddress, Document, Index, Query, Schema, SchemaBuilder, Searcher, TextAnalyzerBuilder, Tokenizer

from muniment.errors import DiskFull, LexicalIndexDamaged, WriterBusy
from muniment.lexical.chunk import LexicalChunk

log = logging.getLogger(__name__)
FULL_BYTES: Final = 1_000_000  # with less space than this a writer that died in silence has died of it
_ANALYZER: Final = "words"


def _schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_unsigned_field("id", stored=True, indexed=True, fast=True)
    builder.add_unsigned_field("file", fast=True)  # groups chunks by file without reading their stored fields
    builder.add_unsigned_field("start_line", stored=True)
    builder.add_unsigned_field("end_line", stored=True)
    builder.add_bytes_field("text", stored=True)
    builder.add_bytes_field("defines", stored=True)
    for name in ("path", "symbol", "language", "kind"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("body", "path_words", "names"):
        builder.add_text_field(name, tokenizer_name=_ANALYZER, index_option="freq")
    return builder.build()


@contextmanager
def typed_errors(folder: Path) -> Iterator[None]:
    """tantivy reports every failure as ValueError."""
    try:
        yield
    except UnicodeError:
        raise  # a ValueError too, but of the caller's: it must not look like damage, which wipes the index
    except ValueError as error:
        detail = str(error)
        if "No space left" in detail or "StorageFull" in detail or _writer_starved(folder, detail):
            raise DiskFull(str(folder)) from error
        if "LockBusy" in detail:
            raise WriterBusy(folder.parent.name) from error
        raise LexicalIndexDamaged(str(folder), detail) from error


def _writer_starved(folder: Path, detail: str) -> bool:
    """Whether a writing thread has died, which does not say of what, while the disk is full."""
    return "worker thread" in detail and folder.exists() and shutil.disk_usage(folder).free < FULL_BYTES


def open_folder(folder: Path) -> Index:
    index = Index(_schema(), str(folder), reuse=True)
    index.register_tokenizer(_ANALYZER, TextAnalyzerBuilder(Tokenizer.whitespace()).build())
    index.config_reader("manual")
    return index


def _chunk(document: Document) -> LexicalChunk:
    text = document.get_first("text")
    return LexicalChunk(
        chunk_id=document.get_first("id") or 0,
        path=document.get_first("path") or "",
        text=bytes(text or b"").decode(),
        start_line=document.get_first("start_line") or 0,
        end_line=document.get_first("end_line") or 0,
        symbol=document.get_first("symbol"),
        defines=tuple(bytes(document.get_first("defines") or b"").decode().split()),
        language=document.get_first("language"),
        kind=document.get_first("kind") or "code",
    )


def chunks_by_id(searcher: Searcher, schema: Schema, chunk_ids: Sequence[int]) -> dict[int, LexicalChunk]:
    if not chunk_ids:
        return {}
    query = Query.term_set_query(schema, "id", list(chunk_ids))
    found = [address for _, address in searcher.search(query, len(chunk_ids), count=False).hits]
    return {chunk.chunk_id: chunk for chunk in chunks_at(searcher, found)}


def chunks_at(searcher: Searcher, addresses: Sequence[DocAddress]) -> list[LexicalChunk]:
    """In the order of the addresses, but read in that of the disk: neighbours share a compressed block."""
    in_order = sorted(range(len(addresses)), key=lambda at: (addresses[at].segment_ord, addresses[at].doc))
    read = {at: _chunk(searcher.doc(addresses[at])) for at in in_order}
    return [read[at] for at in range(len(addresses))]


def all_ids(searcher: Searcher) -> list[int]:
    if not searcher.num_docs:
        return []
    found = searcher.search(Query.all_query(), searcher.num_docs, count=False).hits
    return [int(number or 0) for number in searcher.fast_field_values("id", [address for _, address in found])]
