"""Which texts have their vector: the second checkpoint, and the collections that the vectors lie in.

A change of the model fills a collection beside the active one, which answers until the new one is complete. Everything
here tells of the collection that is being filled: the active one, or the one beside it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from muniment.manifest.guard import GuardedDatabase


@dataclass(frozen=True, slots=True)
class PendingSlot:
    slot: int
    text_hash: bytes
    chunk_id: int  # one of the chunks that hold this text


class VectorLedger:
    def __init__(self, guarded: GuardedDatabase) -> None:
        self._guarded = guarded
        self._db = guarded.connection
        self._column = "embedded"

    @property
    def beside(self) -> bool:
        """Whether the collection that is filled is not the active one."""
        return self._column == "embedded_next"

    # --- collections ---------------------------------------------------------------------------------------------

    def fill(self, collection: str, source: str | None = None) -> bool:
        """Makes ``collection`` the one to fill; True when this manifest did not fill it before.

        It is filled beside the active one as long as that holds anything.
        """
        with self._guarded.write():
            active, building = self._guarded.get("collection", None), self._guarded.get("building", None)
            self._remember(collection)
            if building not in (None, collection):
                self._guarded.set("building", None)
                self._db.execute("UPDATE slots SET embedded_next = 0 WHERE embedded_next != 0")
            self._column = "embedded"
            if active == collection:
                return False
            if active is None or not self.embedded_count():
                self._activate(collection, source)
                return building != collection
            self._column = "embedded_next"
            if building == collection:
                return False
            self._guarded.set("building", collection)
            self._guarded.set("building_source", source)
            return True

    def _activate(self, collection: str, source: str | None) -> None:
        self._guarded.set("collection", collection)
        self._guarded.set("model_source", source)
        self._guarded.set("building", None)
        self._db.execute("UPDATE slots SET embedded = embedded_next, embedded_next = 0")
        self._db.execute(
            """UPDATE files SET pending = (SELECT COUNT(*) FROM chunks c JOIN slots s ON s.id = c.slot
               WHERE c.file_id = files.id AND s.embedded = 0)"""
        )
        self._guarded.recount()

    def swap(self) -> bool:
        """Lets the collection that was filled beside the active one take its place, if there is one."""
        if not self.beside:
            return False
        with self._guarded.write():
            source = self._guarded.get("building_source", None)
            self._activate(str(self._guarded.get("building", "")), None if source is None else str(source))
        self._column = "embedded"
        return True

    def abandoned(self) -> list[str]:
        """Collections that this manifest has filled once and needs no more."""
        needed = {self._guarded.get("collection", None), self._guarded.get("building", None)}
        return [name for name in self._collections() if name not in needed]

    def dropped(self, collection: str) -> None:
        with self._guarded.write():
            left = [name for name in self._collections() if name != collection]
            self._guarded.set("collections", json.dumps(left))

    def _collections(self) -> list[str]:
        return [str(name) for name in json.loads(str(self._guarded.get("collections", "[]")))]

    def _remember(self, collection: str) -> None:
        known = self._collections()
        if collection not in known:
            self._guarded.set("collections", json.dumps([*known, collection]))

    # --- vectors -------------------------------------------------------------------------------------------------

    def pending(self, limit: int, after: int = 0) -> list[PendingSlot]:
        """Slots above ``after`` whose text has no vector yet, in order."""
        rows = self._db.execute(
            f"""SELECT id, text_hash, (SELECT MIN(c.id) FROM chunks c WHERE c.slot = slots.id)
                FROM slots WHERE {self._column} = 0 AND refs > 0 AND id > ? ORDER BY id LIMIT ?""",
            (after, limit),
        )
        return [PendingSlot(*row) for row in rows]

    def pending_count(self) -> int:
        return self._count(f"{self._column} = 0")

    def embedded_count(self) -> int:
        return self._count(f"{self._column} = 1")

    def _count(self, condition: str) -> int:
        return int(self._db.execute(f"SELECT COUNT(*) FROM slots WHERE {condition} AND refs > 0").fetchone()[0])

    def embedded_slots(self) -> set[int]:
        return {row["id"] for row in self._db.execute(f"SELECT id FROM slots WHERE {self._column} = 1 AND refs > 0")}

    def mark_embedded(self, done: Iterable[PendingSlot]) -> None:
        """The vectors of these texts are in the collection. A slot that another text took over meanwhile stays out."""
        with self._guarded.write():
            self._guarded.select(
                item.slot
                for item in done
                if self._db.execute(
                    f"SELECT 1 FROM slots WHERE id = ? AND text_hash = ? AND {self._column} = 0",
                    (item.slot, item.text_hash),
                ).fetchone()
            )
            self._db.execute(f"UPDATE slots SET {self._column} = 1 WHERE id IN (SELECT id FROM selected)")
            self._db.execute("UPDATE meta SET value = value + 1 WHERE key = 'reused'")
            self._add_pending(-1)

    def forget(self, slots: Iterable[int]) -> None:
        """The collection turned out not to hold these: embed them again. Freed slots are forgotten unconditionally."""
        with self._guarded.write():
            self._guarded.select(slots)
            self._db.execute(f"DELETE FROM selected WHERE id NOT IN (SELECT id FROM slots WHERE {self._column} = 1)")
            self._db.execute(f"UPDATE slots SET {self._column} = 0 WHERE id IN (SELECT id FROM selected) OR refs = 0")
            self._add_pending(1)

    def _add_pending(self, sign: int) -> None:
        if self.beside:
            return  # a file's pending chunks are those that the active collection lacks
        self._db.execute(
            """UPDATE files SET pending = pending + ? * n FROM
               (SELECT file_id, COUNT(*) AS n FROM chunks WHERE slot IN (SELECT id FROM selected)
                GROUP BY file_id) AS held
               WHERE files.id = held.file_id""",
            (sign,),
        )
        self._guarded.recount()
