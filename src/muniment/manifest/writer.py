"""The one writer of a manifest. It lives only under the project's ``flock`` (see ``muniment.indexing.opening``).

Two checkpoints per batch. Lexical: ``begin_batch`` notes the paths, the caller commits tantivy, ``commit_batch`` writes
the rows. A crash between the two leaves the note, and ``interrupted_paths`` names the files to index again. Vectors:
the caller upserts, then ``mark_embedded``; a crash between the two only repeats the upsert.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from muniment.errors import LeaseLost
from muniment.manifest.reader import Counters, IndexMeta, ManifestReader, stamp
from muniment.manifest.schema import SCHEMA, VERSION
from muniment.planning import FileStamp
from muniment.sqlite import connect, immediate

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
class PendingSlot:
    slot: int
    text_hash: bytes
    chunk_id: int  # one of the chunks that hold this text


class ManifestWriter:
    """Raises LeaseLost from every write once another writer has raised the generation."""

    def __init__(self, path: Path, project_id: str) -> None:
        self._project_id = project_id
        # full: a power loss must not take back a note of an open batch that the lexical index has committed since
        self._db = connect(path, synchronous="full")
        self._db.executescript(SCHEMA)
        with immediate(self._db):
            self._set("schema", VERSION)
            self.clean = bool(self._get("clean", 1))  # whether the last writer ended in order
            self.generation = int(str(self._get("generation", 0))) + 1
            self._set("generation", self.generation)
            self._set("clean", 0)
        self.reader = ManifestReader(self._db)

    def close(self, *, clean: bool) -> None:
        if clean:
            with self._write():
                self._set("clean", 1)
        self._db.close()

    @contextmanager
    def _write(self) -> Iterator[None]:
        with immediate(self._db):
            if self._get("generation", 0) != self.generation:
                raise LeaseLost(self._project_id)
            yield

    def _get(self, key: str, default: object) -> object:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else row["value"]

    def _set(self, key: str, value: object) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def set_meta(self, **values: object) -> None:
        with self._write():
            for key, value in values.items():
                self._set(key, value)

    def counters(self) -> Counters:
        return self.reader.counters()

    def meta(self) -> IndexMeta:
        return self.reader.meta()

    # --- planning ------------------------------------------------------------------------------------------------

    def stamps(self) -> dict[str, FileStamp]:
        rows = self._db.execute("SELECT path, size, mtime_ns, hash, target, skipped, error FROM files")
        return {row["path"]: stamp(row) for row in rows}

    def begin_reindex(self, job_id: str) -> int:
        """The target generation of this forced reindex; the same one again when its job is resumed."""
        with self._write():
            if self._get("target_job", None) != job_id:
                self._set("target", int(str(self._get("target", 0))) + 1)
                self._set("target_job", job_id)
            return int(str(self._get("target", 0)))

    def stamps_under(self, paths: Iterable[str]) -> dict[str, FileStamp]:
        """The stamps of these files, and of the files below these folders; '' is the root itself."""
        found: dict[str, FileStamp] = {}
        for path in paths:
            if not path:
                return self.stamps()
            rows = self._db.execute(
                "SELECT path, size, mtime_ns, hash, target, skipped, error FROM files "
                "WHERE path = ? OR (path >= ? AND path < ?)",
                (path, path + "/", path + "0"),  # '0' is the character after '/'
            )
            found |= {row["path"]: stamp(row) for row in rows}
        return found

    def expect(self, growth: int, extra: int) -> None:
        """What a scan promised: by how many the files that belong into the index grow, and how many rows will leave."""
        with self._write():
            self._set("incomplete", 1)
            self._set_total(growth, extra)

    def settle(self) -> None:
        """Everything that was promised is done: what belongs into the index is what is there."""
        with self._write():
            again = self._db.execute("SELECT COUNT(*) FROM files WHERE size = ?", (REREAD,)).fetchone()[0]
            self._set("incomplete", int(again > 0))
            self._set_total(0, 0)

    def _set_total(self, growth: int, extra: int) -> None:
        self._db.execute(
            "UPDATE counters SET files_total = ? + (SELECT COUNT(*) FROM files WHERE skipped IS NULL), extra = ?",
            (growth, extra),
        )

    def expect_more(self, growth: int) -> None:
        """The same for a few files while a larger plan is carried out."""
        with self._write():
            self._db.execute("UPDATE counters SET files_total = MAX(0, files_total + ?)", (growth,))

    # --- first checkpoint: lexical -------------------------------------------------------------------------------

    def interrupted_paths(self) -> list[str]:
        return [row["path"] for row in self._db.execute("SELECT path FROM open_batch ORDER BY path")]

    def begin_batch(self, paths: Iterable[str], chunk_count: int) -> int:
        """Notes what the lexical index is about to change; returns the first of ``chunk_count`` fresh chunk ids."""
        with self._write():
            self._db.executemany("INSERT OR IGNORE INTO open_batch VALUES (?)", ((path,) for path in paths))
            first = int(self._db.execute("SELECT next_chunk FROM counters").fetchone()[0])
            self._db.execute("UPDATE counters SET next_chunk = next_chunk + ?", (chunk_count,))
        return first

    def forget_interrupted(self) -> None:
        """After the caller removed the noted paths from the lexical index: they are read again by the next plan."""
        with self._write():
            rows = self._db.execute("SELECT f.id FROM files f JOIN open_batch b ON b.path = f.path").fetchall()
            for row in rows:
                self._drop_chunks(row["id"])
            self._db.execute(
                "UPDATE files SET size = ?, hash = NULL, chunks = 0, pending = 0 "
                "WHERE path IN (SELECT path FROM open_batch)",
                (REREAD,),
            )
            self._db.execute("DELETE FROM open_batch")
            self._set("incomplete", 1)
            self._recount()

    def reread(self, chunk_ids: Iterable[int]) -> None:
        """Marks the files of these chunks to be read again by the next whole pass: their text was lost."""
        with self._write():
            self._select(chunk_ids)
            self._db.execute(
                "UPDATE files SET size = ?, hash = NULL WHERE id IN "
                "(SELECT file_id FROM chunks WHERE id IN (SELECT id FROM selected))",
                (REREAD,),
            )
            self._set("incomplete", 1)
            self._recount()

    def commit_batch(self, updates: Sequence[FileUpdate], removed: Sequence[str] = ()) -> None:
        """The rows of a batch whose chunks the lexical index has committed. Closes the open batch."""
        with self._write():
            newly_skipped = 0
            # removals last: a renamed file's texts then keep their slots, and their vectors
            for update in updates:
                newly_skipped += self._write_file(update)
            for path in removed:
                self._remove_file(path)
            self._db.execute("DELETE FROM open_batch")
            self._db.execute(
                "UPDATE counters SET files_total = MAX(0, files_total - ?), extra = MAX(0, extra - ?)",
                (newly_skipped, len(removed)),
            )
            self._recount()

    def _write_file(self, update: FileUpdate) -> bool:
        """Whether the file left the count of files that belong into the index."""
        new = update.stamp
        row = self._db.execute("SELECT id FROM files WHERE path = ?", (update.path,)).fetchone()
        if row is None and update.chunks is None:
            new = replace(new, size=REREAD, content_hash=None)  # it left the index meanwhile: nothing to keep
        if row is None:
            cursor = self._db.execute(
                "INSERT INTO files (path, size, mtime_ns, hash, target, skipped, error, chunks, pending) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)",
                (update.path, new.size, new.mtime_ns, new.content_hash, new.target, new.skipped, new.error),
            )
            file_id = int(cursor.lastrowid or 0)
        else:
            file_id = row["id"]
            self._db.execute(
                "UPDATE files SET size = ?, mtime_ns = ?, hash = ?, target = ?, skipped = ?, error = ? WHERE id = ?",
                (new.size, new.mtime_ns, new.content_hash, new.target, new.skipped, new.error, file_id),
            )
        if update.chunks is not None:
            self._replace_chunks(file_id, update.chunks)
        return new.skipped is not None

    def _replace_chunks(self, file_id: int, chunks: Sequence[NewChunk]) -> None:
        # new references first: a text that stays keeps its slot and its vector
        pending = 0
        rows = []
        for chunk in chunks:
            slot, embedded = self._take_slot(chunk.text_hash)
            pending += not embedded
            rows.append((chunk.id, file_id, chunk.start_line, chunk.end_line, chunk.symbol, slot))
        self._drop_chunks(file_id)
        self._db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("UPDATE files SET chunks = ?, pending = ? WHERE id = ?", (len(rows), pending, file_id))

    def _take_slot(self, text_hash: bytes) -> tuple[int, bool]:
        row = self._db.execute(
            "UPDATE slots SET refs = refs + 1 WHERE text_hash = ? RETURNING id, embedded", (text_hash,)
        ).fetchone()
        if row is not None:
            return row["id"], bool(row["embedded"])
        # routine deletes would make Chroma grow for ever: a new text takes over a freed slot
        row = self._db.execute(
            "UPDATE slots SET text_hash = ?, refs = 1, embedded = 0 "
            "WHERE id = (SELECT id FROM slots WHERE refs = 0 LIMIT 1) RETURNING id",
            (text_hash,),
        ).fetchone()
        if row is None:
            row = self._db.execute(
                "INSERT INTO slots (text_hash, refs, embedded) VALUES (?, 1, 0) RETURNING id", (text_hash,)
            ).fetchone()
        return row["id"], False

    def _drop_chunks(self, file_id: int) -> None:
        self._db.execute(
            "UPDATE slots SET refs = refs - n FROM "
            "(SELECT slot, COUNT(*) AS n FROM chunks WHERE file_id = ? GROUP BY slot) AS used "
            "WHERE slots.id = used.slot",
            (file_id,),
        )
        self._db.execute("DELETE FROM chunks WHERE file_id = ?", (file_id,))

    def _remove_file(self, path: str) -> None:
        row = self._db.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if row is not None:
            self._drop_chunks(row["id"])
            self._db.execute("DELETE FROM files WHERE id = ?", (row["id"],))

    def _recount(self) -> None:
        self._db.execute(
            """UPDATE counters SET
                 files_lexical = (SELECT COUNT(*) FROM files)
                               - (SELECT COUNT(*) FROM files WHERE skipped IS NOT NULL OR hash IS NULL),
                 files_vector = (SELECT COUNT(*) FROM files)
                              - (SELECT COUNT(*) FROM files WHERE skipped IS NOT NULL OR hash IS NULL)
                              - (SELECT COUNT(*) FROM files WHERE pending > 0),
                 files_failed = (SELECT COUNT(*) FROM files
                                 WHERE (skipped IS NOT NULL OR hash IS NULL) AND error IS NOT NULL),
                 chunks = (SELECT COUNT(*) FROM chunks)"""
        )

    # --- second checkpoint: vectors ------------------------------------------------------------------------------

    def pending_slots(self, limit: int, after: int = 0) -> list[PendingSlot]:
        """Slots above ``after`` whose text has no vector yet, in order."""
        rows = self._db.execute(
            """SELECT id, text_hash, (SELECT MIN(c.id) FROM chunks c WHERE c.slot = slots.id)
               FROM slots WHERE embedded = 0 AND refs > 0 AND id > ? ORDER BY id LIMIT ?""",
            (after, limit),
        )
        return [PendingSlot(*row) for row in rows]

    def pending_count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM slots WHERE embedded = 0 AND refs > 0").fetchone()[0])

    def mark_embedded(self, done: Iterable[PendingSlot]) -> None:
        """The vectors of these texts are in the collection. A slot that another text took over meanwhile stays out."""
        with self._write():
            self._select(
                item.slot
                for item in done
                if self._db.execute(
                    "SELECT 1 FROM slots WHERE id = ? AND text_hash = ? AND embedded = 0", (item.slot, item.text_hash)
                ).fetchone()
            )
            self._db.execute("UPDATE slots SET embedded = 1 WHERE id IN (SELECT id FROM selected)")
            self._add_pending(-1)
            self._recount()

    def embedded_slots(self) -> set[int]:
        return {row["id"] for row in self._db.execute("SELECT id FROM slots WHERE embedded = 1 AND refs > 0")}

    def embedded_count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM slots WHERE embedded = 1 AND refs > 0").fetchone()[0])

    def forget_vectors(self, slots: Iterable[int]) -> None:
        """The collection turned out not to hold these: embed them again. Freed slots are forgotten unconditionally."""
        with self._write():
            self._select(slots)
            self._db.execute("DELETE FROM selected WHERE id NOT IN (SELECT id FROM slots WHERE embedded = 1)")
            self._db.execute("UPDATE slots SET embedded = 0 WHERE id IN (SELECT id FROM selected) OR refs = 0")
            self._add_pending(1)
            self._recount()

    def use_collection(self, name: str) -> bool:
        """Makes ``name`` the active collection; True when it is another one, and so every vector is pending."""
        with self._write():
            if self._get("collection", None) == name:
                return False
            self._set("collection", name)
            self._db.execute("UPDATE slots SET embedded = 0")
            self._db.execute("UPDATE files SET pending = chunks")
            self._recount()
        return True

    def _select(self, slots: Iterable[int]) -> None:
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS selected (id INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM selected")
        self._db.executemany("INSERT OR IGNORE INTO selected VALUES (?)", [(slot,) for slot in slots])

    def _add_pending(self, sign: int) -> None:
        self._db.execute(
            """UPDATE files SET pending = pending + ? * n FROM
               (SELECT file_id, COUNT(*) AS n FROM chunks WHERE slot IN (SELECT id FROM selected)
                GROUP BY file_id) AS held
               WHERE files.id = held.file_id""",
            (sign,),
        )
