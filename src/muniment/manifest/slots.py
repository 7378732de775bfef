"""Slots: one per distinct chunk text, its id the id of its vector. Used inside the writer's transactions."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from muniment.sqlite import select_in


def take_slots(db: sqlite3.Connection, text_hashes: Iterable[bytes]) -> dict[bytes, tuple[int, bool]]:
    """Adds one reference for each occurrence of a text; returns text hash -> (slot, whether its vector is active).

    A text that is known, or was until its slot is needed again, finds its vector there.
    """
    wanted = Counter(text_hashes)
    taken = _known(db, wanted)
    db.executemany(
        "UPDATE slots SET refs = refs + ? WHERE id = ?",
        [(wanted[text_hash], slot) for text_hash, (slot, _) in taken.items()],
    )
    fresh = [text_hash for text_hash in wanted if text_hash not in taken]
    # routine deletes would make Chroma grow for ever: a new text takes over a freed slot
    free = [row[0] for row in db.execute("SELECT id FROM slots WHERE refs = 0 LIMIT ?", (len(fresh),))]
    db.executemany(
        "UPDATE slots SET text_hash = ?, refs = ?, embedded = 0, embedded_next = 0 WHERE id = ?",
        [(text_hash, wanted[text_hash], slot) for text_hash, slot in zip(fresh, free, strict=False)],
    )
    if free:
        db.execute("INSERT INTO meta VALUES ('reused', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1")
    first = int(db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM slots").fetchone()[0])
    made = list(enumerate(islice(fresh, len(free), None), first))
    db.executemany(
        "INSERT INTO slots (id, text_hash, refs, embedded) VALUES (?, ?, ?, 0)",
        [(slot, text_hash, wanted[text_hash]) for slot, text_hash in made],
    )
    taken |= {text_hash: (slot, False) for text_hash, slot in zip(fresh, free, strict=False)}
    taken |= {text_hash: (slot, False) for slot, text_hash in made}
    return taken


def _known(db: sqlite3.Connection, text_hashes: Iterable[bytes]) -> dict[bytes, tuple[int, bool]]:
    rows = select_in(db, "SELECT id, text_hash, embedded FROM slots WHERE text_hash IN ({})", text_hashes)
    return {row["text_hash"]: (row["id"], bool(row["embedded"])) for row in rows}


def drop_chunks(db: sqlite3.Connection, file_ids: Iterable[int]) -> None:
    """Removes these files' chunks and the references that they hold."""
    with_chunks = select_in(db, "SELECT id FROM files WHERE id IN ({}) AND chunks > 0", file_ids)
    for file_id in [row["id"] for row in with_chunks]:
        db.execute(
            "UPDATE slots SET refs = refs - n FROM "
            "(SELECT slot, COUNT(*) AS n FROM chunks WHERE file_id = ? GROUP BY slot) AS used "
            "WHERE slots.id = used.slot",
            (file_id,),
        )
        db.execute("DELETE FROM chunks WHERE file_id = ?", (file_id,))
