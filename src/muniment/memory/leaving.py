"""Takes a removed project's memories out of the database into a file: nothing of record is just deleted."""

import sqlite3
from contextlib import closing
from pathlib import Path

from muniment.durable import make_folder, replace
from muniment.memory.database import by_id
from muniment.memory.schema import prepare
from muniment.memory.transfer import export_line
from muniment.sqlite import connect, immediate


def export_removed(database: Path, project_id: str, target: Path) -> int:
    """Moves every memory of the project to ``target``, one JSON object a line; returns how many are there.

    Harmless to repeat. Afterwards nobody can store one for this project any more. Without memories there is no file.
    """
    if database.exists():
        with closing(connect(database, synchronous="full")) as connection:
            prepare(connection)
            _move(connection, project_id, target)
    return len(target.read_bytes().splitlines()) if target.exists() else 0


def _move(connection: sqlite3.Connection, project_id: str, target: Path) -> None:
    with immediate(connection) as writer:
        writer.execute("INSERT OR IGNORE INTO removed_projects VALUES (?)", (project_id,))
        rows = writer.execute("SELECT id FROM memories WHERE project_id = ? ORDER BY created_at, id", (project_id,))
        memories = by_id(writer, [row["id"] for row in rows])
        if memories:
            memories.sort(key=lambda memory: (memory.created_at, memory.id))
            # the file first: a crash before the commit writes it once more
            lines = "".join(export_line(memory) for memory in memories)
            make_folder(target.parent)
            replace(target, lines.encode(), target.with_suffix(".draft"))
        writer.execute("DELETE FROM memories WHERE project_id = ?", (project_id,))
        writer.execute("DELETE FROM removed WHERE project_id = ?", (project_id,))
