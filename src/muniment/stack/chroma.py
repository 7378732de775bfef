"""The Chroma server, as a program: `python -m muniment.stack.chroma --path P [--host H] [--port N]`.

Sweeps what deleted collections left behind, then becomes the server. Goes straight to the bindings: the package's
own command imports the whole client first (0.9 s and 112 MB against 0.1 s and 38 MB).
"""

import argparse
import os
import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from muniment.process import lower_session

NICENESS = 5


def orphaned_segments(folder: Path) -> list[Path]:
    """Segment folders that the server's database does not know; none when it cannot be read."""
    database = folder / "chroma.sqlite3"
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            known = {row[0] for row in connection.execute("SELECT id FROM segments")}
    except sqlite3.Error:
        return []
    return [
        path for path in sorted(folder.iterdir()) if path.is_dir() and _is_uuid(path.name) and path.name not in known
    ]


def sweep(folder: Path) -> list[Path]:
    """Deletes the orphans and returns them. Only while no server runs on the folder."""
    orphans = orphaned_segments(folder)
    for path in orphans:
        shutil.rmtree(path)
    return orphans


def _is_uuid(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m muniment.stack.chroma")
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args(arguments)
    options.path.mkdir(parents=True, exist_ok=True)
    for path in sweep(options.path):
        print(f"swept orphaned segment folder {path.name}", flush=True)

    # upserts keep every core busy; the gateway must get its turn before them
    os.nice(NICENESS)
    lower_session(NICENESS)
    import chromadb_rust_bindings  # type: ignore[import-untyped]  # noqa: PLC0415  only the server needs its 40 MB

    chromadb_rust_bindings.cli(
        ["chroma", "run", "--path", str(options.path), "--host", options.host, "--port", str(options.port)]
    )


if __name__ == "__main__":
    main()
