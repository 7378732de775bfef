"""Takes a removed project's memories out of the database into a file: nothing of record is just deleted."""

import sqlite3
from contextlib import closing
from pathlib import Path

from muniment.durable import make_folder, replace
from muniment.memory.database import page_by_number
from muniment.memory.schema import prepare
from muniment.memory.transfer import export_line
from muniment.sqlite import connect, immediate

AT_ONCE = 500  # memories read or deleted by one transaction


def export_removed(database: Path, project_id: str, target: Path) -> int:
    """Moves every memory of the project to ``target``, one JSON object a line; returns how many are there.

    Harmless to repeat. Afterwards nobody can store one for this project any more. Without memories there is no file.
    """
    if database.exists():
        with closing(connect(database, synchronous="full")) as connection:
            prepare(connection)
            with immediate(connection):
                connection.execute("INSERT OR IGNORE INTO removed_projects VALUES (?)", (project_id,))
            # from here on nobody stores for it: the rest may take its time, and others store meanwhile
            if not target.exists():  # else all of them are there, and some may be deleted already
                _write(connection, project_id, target)
            while _delete_some(connection, project_id):
                pass
    return len(target.read_bytes().splitlines()) if target.exists() else 0


def _write(connection: sqlite3.Connection, project_id: str, target: Path) -> None:
    lines, after = [], 0
    while page := page_by_number(connection, project_id, after, AT_ONCE):
        lines += [export_line(memory) for memory in page.values()]
        after = max(page)
    if lines:
        make_folder(target.parent)
        replace(target, "".join(lines).encode(), target.with_suffix(".draft"))


def _delete_some(connection: sqlite3.Connection, project_id: str) -> bool:
    with immediate(connection):
        found = "SELECT number FROM memories WHERE project_id = ? LIMIT ?"
        gone = connection.execute(f"DELETE FROM memories WHERE number IN ({found})", (project_id, AT_ONCE)).rowcount
        if not gone:
            connection.execute("DELETE FROM removed WHERE project_id = ?", (project_id,))
    return gone > 0
