"""The one writer of a manifest. It lives only under the project's ``flock`` (see ``muniment.indexing.opening``).

Two checkpoints per batch. Lexical: ``begin_batch`` notes the paths, the caller commits tantivy, ``commit_batch`` writes
the rows. A crash between the two leaves the note, and ``interrupted_paths`` names the files to index again. Vectors
(``vectors``): the caller upserts, then ``mark_embedded``; a crash between the two only repeats the upsert.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from muniment.manifest.census import recount_all
from muniment.manifest.guard import GuardedDatabase
from muniment.manifest.reader import STAMP_COLUMNS, Counters, IndexMeta, ManifestReader, stamp
from muniment.manifest.schema import BELOW, below_values
from muniment.manifest.slots import drop_chunks, take_slots
from muniment.manifest.vector_ledger import VectorLedger
from muniment.planning import FileStamp
from muniment.sqlite import select_in

REREAD = -1  # a size no file has: the next plan reads the file again


@dataclass(frozen=True, slots=True)
class NewChunk:
    id: int
    start_line: int
    end_line: int
    symbol: str | None
    text_hash: bytes


@dataclass(frozen=True, slots=True)
class FileUpdate:
    """One file's new row. ``chunks`` None keeps the chunks that it has (only the stamp changed)."""

    path: str
    stamp: FileStamp
    chunks: Sequence[NewChunk] | None = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the scan left out; ``failed``: it tried, and the next pass tries again."""

    path: str
    reason: str
    failed: bool


class ManifestWriter:
    """Raises LeaseLost from every write once another writer has raised the generation."""

    def __init__(self, path: Path, project_id: str) -> None:
        self._guarded = GuardedDatabase(path, project_id)
        self._db = self._guarded.connection
        self.clean = self._guarded.clean  # whether the last writer ended in order
        self.generation = self._guarded.generation
        self.reader = ManifestReader(self._db)
        self.vectors = VectorLedger(self._guarded)

    def close(self, *, clean: bool) -> None:
        self._guarded.close(clean=clean)

    def set_meta(self, **values: object) -> None:
        with self._guarded.write():
            for key, value in values.items():
                self._guarded.set(key, value)

    def counters(self) -> Counters:
        return self.reader.counters()

    def meta(self) -> IndexMeta:
        return self.reader.meta()

    # --- planning ------------------------------------------------------------------------------------------------

    def stamps(self) -> dict[str, FileStamp]:
        return {row["path"]: stamp(row) for row in self._db.execute(f"SELECT {STAMP_COLUMNS} FROM files")}

    def stamps_under(self, paths: Iterable[str]) -> dict[str, FileStamp]:
        """The stamps of these files, and of the files below these folders; '' is the root itself."""
        found: dict[str, FileStamp] = {}
        for path in paths:
            if not path:
                return self.stamps()
            rows = self._db.execute(f"SELECT {STAMP_COLUMNS} FROM files WHERE {BELOW}", below_values(path))
            found |= {row["path"]: stamp(row) for row in rows}
        return found

    def begin_reindex(self, job_id: str) -> int:
        """The target generation of this forced reindex; the same one again when its job is resumed."""
        with self._guarded.write():
            if self._guarded.get("target_job", None) != job_id:
                self._raise_target()
                self._guarded.set("target_job", job_id)
            return int(str(self._guarded.get("target", 0)))

    def content_target(self, content: str) -> int:
        """The target generation of files that are cut and masked as ``content`` says; raised when that changed."""
        known = self._guarded.get("content", None)
        if known != content:
            with self._guarded.write():
                self._guarded.set("content", content)
                self._guarded.set("incomplete", 1)  # of a new manifest too: no plan for the whole tree was made yet
                if known is not None:
                    self._guarded.set("content_target", self._raise_target())
        return int(str(self._guarded.get("content_target", 0)))

    def _raise_target(self) -> int:
        target = int(str(self._guarded.get("target", 0))) + 1
        self._guarded.set("target", target)
        return target

    def expect(self, growth: int, extra: int) -> None:
        """What a scan promised: by how many the files that belong into the index grow, and how many rows will leave."""
        with self._guarded.write():
            self._guarded.set("incomplete", 1)
            self._set_total(growth, extra)

    def settle(self) -> None:
        """Everything that was promised is done: what belongs into the index is what is there."""
        with self._guarded.write():
            again = self._db.execute("SELECT COUNT(*) FROM files WHERE size = ?", (REREAD,)).fetchone()[0]
            self._guarded.set("incomplete", int(again > 0))
            self._set_total(0, 0)

    def _set_total(self, growth: int, extra: int) -> None:
        self._db.execute(
            "UPDATE counters SET files_total = ? + (SELECT COUNT(*) FROM files WHERE skipped IS NULL), extra = ?",
            (growth, extra),
        )

    def expect_more(self, growth: int) -> None:
        """The same for a few files while a larger plan is carried out."""
        with self._guarded.write():
            self._db.execute("UPDATE counters SET files_total = MAX(0, files_total + ?)", (growth,))

    def note_left_out(
        self,
        items: Iterable[LeftOut],
        below: Iterable[str] | None = None,
        in_scope: Callable[[str], bool] = lambda _path: True,
    ) -> None:
        """What the scan left out below these paths, as far as it looked; of the whole tree if ``below`` is None."""
        rows = {(item.path, item.reason, int(item.failed)) for item in items}
        known = {row for row in self._left_out(below) if in_scope(row[0])}
        if rows == known:
            return
        with self._guarded.write():
            self._db.executemany("DELETE FROM left_out WHERE path = ?", [(path,) for path, _, _ in known - rows])
            self._db.executemany("INSERT OR REPLACE INTO left_out VALUES (?, ?, ?)", rows - known)

    def _left_out(self, below: Iterable[str] | None) -> Iterator[tuple[str, str, int]]:
        for path in [""] if below is None else below:
            where, values = (BELOW, below_values(path)) if path else ("1", ())
            for row in self._db.execute(f"SELECT path, reason, failed FROM left_out WHERE {where}", values):
                yield row["path"], row["reason"], row["failed"]

    # --- first checkpoint: lexical -------------------------------------------------------------------------------

    def interrupted_paths(self) -> list[str]:
        return self.reader.interrupted_paths()

    def begin_batch(self, paths: Iterable[str], chunk_count: int) -> int:
        """Notes what the lexical index is about to change; returns the first of ``chunk_count`` fresh chunk ids."""
        with self._guarded.write():
            self._db.executemany("INSERT OR IGNORE INTO open_batch VALUES (?)", ((path,) for path in paths))
            first = int(self._db.execute("SELECT next_chunk FROM counters").fetchone()[0])
            self._db.execute("UPDATE counters SET next_chunk = next_chunk + ?", (chunk_count,))
        return first

    def forget_interrupted(self) -> None:
        """After the caller removed the noted paths from the lexical index: they are read again by the next plan."""
        with self._guarded.write():
            rows = self._db.execute("SELECT f.id FROM files f JOIN open_batch b ON b.path = f.path").fetchall()
            drop_chunks(self._db, [row["id"] for row in rows])
            self._db.execute(
                "UPDATE files SET size = ?, hash = NULL, chunks = 0, pending = 0 "
                "WHERE path IN (SELECT path FROM open_batch)",
                (REREAD,),
            )
            self._db.execute("DELETE FROM open_batch")
            self._guarded.set("incomplete", 1)
            self._guarded.recount()

    def recount(self) -> None:
        """Everything that is counted beside the tables, anew."""
        recount_all(self._guarded)

    def reread(self, chunk_ids: Iterable[int]) -> None:
        """Marks the files of these chunks to be read again by the next whole pass: their text was lost."""
        with self._guarded.write():
            self._guarded.select(chunk_ids)
            self._db.execute(
                "UPDATE files SET size = ?, hash = NULL WHERE id IN "
                "(SELECT file_id FROM chunks WHERE id IN (SELECT id FROM selected))",
                (REREAD,),
            )
            self._guarded.set("incomplete", 1)
            self._guarded.recount()

    def commit_batch(self, updates: Sequence[FileUpdate], removed: Sequence[str] = ()) -> None:
        """The rows of a batch whose chunks the lexical index has committed. Closes the open batch."""
        with self._guarded.write():
            ids = self._write_files(updates)
            self._replace_chunks({ids[update.path]: update.chunks for update in updates if update.chunks is not None})
            # removals last: a renamed file's texts then keep their slots, and their vectors
            gone = [row["id"] for row in self._rows_of(removed)]
            drop_chunks(self._db, gone)
            self._db.executemany("DELETE FROM files WHERE id = ?", [(file_id,) for file_id in gone])
            self._db.execute("DELETE FROM open_batch")
            skipped = sum(update.stamp.skipped is not None for update in updates)
            self._db.execute(
                "UPDATE counters SET files_total = MAX(0, files_total - ?), extra = MAX(0, extra - ?)",
                (skipped, len(removed)),
            )
            self._guarded.recount()

    def _rows_of(self, paths: Sequence[str]) -> Iterable[sqlite3.Row]:
        return select_in(self._db, "SELECT id, path FROM files WHERE path IN ({})", paths)

    def _write_files(self, updates: Sequence[FileUpdate]) -> dict[str, int]:
        """Returns the ids of their rows."""
        ids = {row["path"]: int(row["id"]) for row in self._rows_of([update.path for update in updates])}
        fresh = count(int(self._db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM files").fetchone()[0]))
        rows = []
        for update in updates:
            new, known = update.stamp, ids.get(update.path)
            if known is None and update.chunks is None:
                new = replace(new, size=REREAD, content_hash=None)  # it left the index meanwhile: nothing to keep
            file_id = ids[update.path] = next(fresh) if known is None else known
            rows.append((file_id, update.path, new.size, new.mtime_ns, new.content_hash, new.target, new.skipped,
                         new.error, new.by_lines, new.masked, int(new.pushed)))  # fmt: skip
        self._db.executemany(_UPSERT_FILE, rows)
        return ids

    def _replace_chunks(self, chunks_of: Mapping[int, Sequence[NewChunk]]) -> None:
        # new references first: a text that stays keeps its slot and its vector
        slots = take_slots(self._db, (chunk.text_hash for chunks in chunks_of.values() for chunk in chunks))
        drop_chunks(self._db, chunks_of)
        self._db.executemany(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
            (
                (chunk.id, file_id, chunk.start_line, chunk.end_line, chunk.symbol, slots[chunk.text_hash][0])
                for file_id, chunks in chunks_of.items()
                for chunk in chunks
            ),
        )
        self._db.executemany(
            "UPDATE files SET chunks = ?, pending = ? WHERE id = ?",
            (
                (len(chunks), sum(not slots[chunk.text_hash][1] for chunk in chunks), file_id)
                for file_id, chunks in chunks_of.items()
            ),
        )


_UPSERT_FILE = """INSERT INTO files
    (id, path, size, mtime_ns, hash, target, skipped, error, by_lines, masked, pushed, chunks, pending)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
    ON CONFLICT (id) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, hash = excluded.hash,
    target = excluded.target, skipped = excluded.skipped, error = excluded.error, by_lines = excluded.by_lines,
    masked = excluded.masked, pushed = excluded.pushed"""
