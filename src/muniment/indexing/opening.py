"""Opens a project's index for writing, under the lock that protects it.

The lock is taken before any store is opened and held until the process ends the pass or dies. What a writer that died
left behind is put right here: an interrupted batch is taken out of the lexical index and read again.
"""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from muniment.datafolder import ProjectFolder
from muniment.errors import LexicalIndexDamaged, ManifestDamaged, UnknownProject
from muniment.flocks import writer_lock
from muniment.indexing.mending import mend
from muniment.lexical import LexicalWriter
from muniment.manifest import ManifestWriter
from muniment.sqlite import is_damage

log = logging.getLogger(__name__)
LEXICAL_HEAP_BYTES = 96_000_000
STOPPED_MERGE_SECONDS = 0.2


@dataclass(frozen=True)
class OpenIndex:
    """``after_crash``: the last writer did not end in order, so the vectors have to be compared with the manifest."""

    folder: ProjectFolder
    manifest: ManifestWriter
    lexical: LexicalWriter
    after_crash: bool


@contextmanager
def open_index(folder: ProjectFolder, project_id: str) -> Iterator[OpenIndex]:
    """Raises WriterBusy when another process, on this host, writes this index, and UnknownProject when the project's
    folder is gone: whoever makes it has seen to it that the project is still there. After ManifestDamaged, raised here
    or out of what is done inside, the next opening builds the index anew.
    """
    with _locked(folder, project_id), _without_damage(folder):
        index = _open_stores(folder, project_id)
        _repair_interrupted(index)
        if index.lexical.num_chunks != index.manifest.counters().chunks:
            # a restored or partly lost store: what both hold alike stays, the rest is read again
            log.warning("the stores of %s disagree", project_id)
            mend(index.manifest, index.lexical)
        clean = False
        try:
            yield index
            if not folder.manifest.exists():
                raise LexicalIndexDamaged(str(folder.path), "it was deleted while it was written")
            clean = True
        finally:
            _close(index, clean=clean)


@contextmanager
def _without_damage(folder: ProjectFolder) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        _delete_manifest(folder)  # the lexical index stays until then: words go on answering
        raise ManifestDamaged(str(folder.manifest), str(error)) from error


def _close(index: OpenIndex, *, clean: bool) -> None:
    # a pass that has to stop cannot wait for merges: one that is abandoned costs space until the next
    index.lexical.close(None if clean else STOPPED_MERGE_SECONDS)
    index.manifest.close(clean=clean)


@contextmanager
def _locked(folder: ProjectFolder, project_id: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(writer_lock(folder, project_id))
        except FileNotFoundError:
            raise UnknownProject(project_id, []) from None
        yield


def _open_stores(folder: ProjectFolder, project_id: str) -> OpenIndex:
    """Without its manifest an index is built anew. Without its lexical index the manifest still knows which vectors are
    made: the files are read again, and nothing of them is embedded that was before.
    """
    if not folder.manifest.exists():
        _wipe(folder)
    try:
        manifest = ManifestWriter(folder.manifest, project_id)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        _wipe(folder)
        manifest = ManifestWriter(folder.manifest, project_id)
    try:
        lexical = LexicalWriter(folder.lexical, LEXICAL_HEAP_BYTES)
    except LexicalIndexDamaged:
        shutil.rmtree(folder.lexical)
        lexical = LexicalWriter(folder.lexical, LEXICAL_HEAP_BYTES)
    return OpenIndex(folder, manifest, lexical, after_crash=not manifest.clean)


def _delete_manifest(folder: ProjectFolder) -> None:
    for path in folder.path.glob(folder.manifest.name + "*"):
        path.unlink(missing_ok=True)


def _wipe(folder: ProjectFolder) -> None:
    _delete_manifest(folder)
    shutil.rmtree(folder.lexical, ignore_errors=True)


def _repair_interrupted(index: OpenIndex) -> None:
    paths = index.manifest.interrupted_paths()
    if paths:
        # lexical first, manifest last: a crash in between does this once more
        index.lexical.delete_paths(paths)
        index.lexical.commit()
        index.manifest.forget_interrupted()
