"""Answers a question about a project's files: words and vectors, fused into one list with one best chunk per file.

Safe for threads. A part that is away makes the answer poorer and is named in it; it never makes it an error.
"""

import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field

from muniment.datafolder import DataFolder, ProjectFolder
from muniment.embedding import Embedder, Vectors
from muniment.errors import (
    ChromaUnavailable,
    EmbedderRefused,
    EmbedderUnavailable,
    InvalidValue,
    LexicalIndexDamaged,
    ManifestDamaged,
    ModelGone,
    ModelUnavailable,
    VectorsMissing,
    VectorsTooSlow,
)
from muniment.identifiers import question_tokens
from muniment.languages import LANGUAGES, Kind, kind_of, language_of
from muniment.lexical import LexicalChunk, LexicalReader, glob_pattern
from muniment.manifest import IndexMeta, ManifestReader
from muniment.project import Project, absolute_path
from muniment.pushed import PushedFiles
from muniment.ranking import Candidate, rank
from muniment.scanning import modified_ns
from muniment.vectors import VectorHit, VectorStore

MAX_LIMIT: Final = 100
MAX_QUESTION: Final = 10_000
MAX_OPEN_PROJECTS: Final = 64
FILES_RANKED: Final = 60  # at least so many files of each list are fused: demotion must be able to move files up
SLOTS_ASKED: Final = 60
VECTOR_PATIENCE: Final = 0.03  # seconds
SERVER_PATIENCE: Final = 2.0  # seconds that a server may take to embed a question
VECTOR_QUERIES: Final = 8  # at once; more wait, and give up when their patience ends
VECTORS_AWAY: Final = (
    ChromaUnavailable, VectorsMissing, VectorsTooSlow, EmbedderUnavailable, EmbedderRefused, ModelUnavailable, ModelGone
)  # fmt: skip
ForModel = Callable[[str, str | None], Embedder | None]
SLOTS_ASKED_FILTERED: Final = 300  # the vector store cannot filter quickly, so more is asked and sifted here


class SearchHit(BaseModel):
    """One file's best chunk: lines ``start_line``..``end_line``, 1-based and inclusive."""

    path: str
    start_line: int
    end_line: int
    symbol: str | None
    language: str | None
    kind: str
    score: float = Field(ge=0, le=1, description="1: first by words and by meaning; comparable within one answer only.")
    text: str = Field(description="The text as indexed, even when the file has changed since.")
    stale: bool = Field(description="The file on disk differs from what was indexed, or is gone.")


class SearchOutcome(BaseModel):
    results: list[SearchHit] = []
    degraded: list[str] = Field([], description="What could not take part in this answer, and why.")


@dataclass(frozen=True, slots=True)
class Filters:
    path_glob: str | None = None
    language: str | None = None
    kind: str | None = None

    def check(self) -> None:
        """Raises InvalidValue: a filter that can match nothing must not look like an answer."""
        if self.path_glob:
            glob_pattern(self.path_glob)
        if self.language and self.language not in LANGUAGES:
            raise InvalidValue("language", self.language, f"known are {', '.join(sorted(LANGUAGES))}")
        if self.kind and self.kind not in list(Kind):
            raise InvalidValue("kind", self.kind, f"known are {', '.join(Kind)}")

    def matcher(self) -> Callable[[str], bool] | None:
        """Tells whether a path passes; None when every path does."""
        if not (self.path_glob or self.language or self.kind):
            return None
        pattern = re.compile(glob_pattern(self.path_glob)) if self.path_glob else None

        def matches(path: str) -> bool:
            return (
                (pattern is None or pattern.fullmatch(path) is not None)
                and (not self.language or language_of(path) == self.language)
                and (not self.kind or kind_of(path) == self.kind)
            )

        return matches


class _OpenProject:
    """The readers of one project's index. Closed when dropped and out of use."""

    def __init__(self, folder: ProjectFolder) -> None:
        self.users = 0
        self.dropped = False
        self.lexical = LexicalReader.open(folder.lexical)
        self.inode = _inode(folder.manifest)
        self.manifest: ManifestReader | None = None
        self.damage: str | None = None  # why there is no manifest although there is an index
        try:
            self.manifest = ManifestReader.open(folder.manifest)
        except sqlite3.DatabaseError as error:
            self.damage = str(ManifestDamaged(str(folder.manifest), str(error)))

    def is_of(self, folder: ProjectFolder) -> bool:
        """Whether nothing was made or replaced since. An open file's inode is not given to another one."""
        return self.lexical is not None and self.manifest is not None and self.inode == _inode(folder.manifest)

    def close_if_unused(self) -> None:
        if self.dropped and self.users == 0 and self.manifest is not None:
            self.manifest.close()


class _OpenProjects:
    """A bounded cache of readers. May raise LexicalIndexDamaged."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _OpenProject] = OrderedDict()

    @contextmanager
    def using(self, project_id: str) -> Iterator[_OpenProject]:
        with self._lock:
            opened = self._current(project_id)
            opened.users += 1
        try:
            yield opened
        finally:
            with self._lock:
                opened.users -= 1
                opened.close_if_unused()

    def _current(self, project_id: str) -> _OpenProject:
        folder = self._folder.project(project_id)
        opened = self._open.get(project_id)
        if opened is None or not opened.is_of(folder):
            self._drop(project_id)
            opened = self._open[project_id] = _OpenProject(folder)
        self._open.move_to_end(project_id)
        while len(self._open) > MAX_OPEN_PROJECTS:
            self._drop(next(iter(self._open)))
        return opened

    def forget(self, project_id: str) -> None:
        with self._lock:
            self._drop(project_id)

    def keep_only(self, project_ids: Collection[str]) -> None:
        with self._lock:
            for project_id in self._open.keys() - set(project_ids):
                self._drop(project_id)

    def _drop(self, project_id: str) -> None:
        opened = self._open.pop(project_id, None)
        if opened is not None:
            opened.dropped = True
            opened.close_if_unused()

    def close(self) -> None:
        with self._lock:
            for project_id in list(self._open):
                self._drop(project_id)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


class Search:
    """Searches the files of any project in the data folder."""

    def __init__(
        self,
        folder: DataFolder,
        vectors: VectorStore,
        embedder: Embedder,
        patience: float = VECTOR_PATIENCE,
        for_model: ForModel = lambda _name, _source: None,
    ) -> None:
        """``patience``: seconds that the vectors may take; then the answer is by words alone, and says so.

        ``for_model``: the embedder of an index that another model made, and that answers until the new one is complete.
        """
        self._for_model = for_model
        self._folder = folder
        self._projects = _OpenProjects(folder)
        self._vectors = vectors
        self._embedder = embedder
        self._patience = patience
        self._asking = ThreadPoolExecutor(max_workers=VECTOR_QUERIES, thread_name_prefix="vectors")
        # of their own: a server that hangs must not keep projects waiting whose model is here
        self._embedding = ThreadPoolExecutor(max_workers=VECTOR_QUERIES, thread_name_prefix="embedding")

    def close(self) -> None:
        for threads in (self._asking, self._embedding):
            threads.shutdown(wait=False, cancel_futures=True)
        self._projects.close()

    def forget(self, project_id: str) -> None:
        """Closes what is open of a project."""
        self._projects.forget(project_id)

    def keep_only(self, project_ids: Collection[str]) -> None:
        """Closes what is open of every other project."""
        self._projects.keep_only(project_ids)

    def search(
        self,
        project: Project,
        question: str,
        limit: int = 10,
        path_glob: str | None = None,
        language: str | None = None,
        kind: str | None = None,
    ) -> SearchOutcome:
        """The best ``limit`` (1..100) files. Raises InvalidValue; an index that does not exist yet answers nothing.

        ``path_glob``: see ``lexical.glob_pattern``; ``language`` and ``kind`` as in the hits.
        """
        _check(question, limit)
        filters = Filters(path_glob, language, kind)
        filters.check()
        try:
            with self._projects.using(project.id) as opened:
                try:
                    return self._answer(opened, opened.manifest, project, question, limit, filters)
                except sqlite3.DatabaseError as error:
                    opened.damage = str(ManifestDamaged(str(self._folder.project(project.id).manifest), str(error)))
                    return self._answer(opened, None, project, question, limit, filters)
        except LexicalIndexDamaged as error:
            # every text lies there: without it there is nothing to show
            self._projects.forget(project.id)
            return SearchOutcome(degraded=[str(error)])

    def _answer(
        self,
        opened: _OpenProject,
        manifest: ManifestReader | None,
        project: Project,
        question: str,
        limit: int,
        filters: Filters,
    ) -> SearchOutcome:
        if opened.lexical is None:
            return SearchOutcome()
        degraded = [opened.damage] if opened.damage and manifest is None else []
        found = opened.lexical.search(
            question,
            max(FILES_RANKED, 2 * limit),
            path_glob=filters.path_glob,
            language=filters.language,
            kind=filters.kind,
        )
        words = [Candidate(hit.path, hit.chunk_id, hit.kind, hit.score) for hit in found]
        meaning = None
        try:
            meaning = self._by_meaning(manifest, project, question, filters)
        except VECTORS_AWAY as error:
            degraded.append(str(error))
        chosen = rank(words, meaning, question_tokens(question))
        # a few more than wanted: a commit in between may have replaced some
        chunks = opened.lexical.chunks([chunk_id for chunk_id, _ in chosen[: limit + 5]])
        best = [(chunks[chunk_id], score) for chunk_id, score in chosen if chunk_id in chunks][:limit]
        pushed = PushedFiles(self._folder.project(project.id).pushed)
        return SearchOutcome(results=_hits(manifest, project, pushed, best), degraded=degraded)

    def _by_meaning(
        self, manifest: ManifestReader | None, project: Project, question: str, filters: Filters
    ) -> list[Candidate] | None:
        """None when no vectors were made yet, or the question holds no word that the embedder knows."""
        meta = manifest.meta() if manifest is not None else None
        if manifest is None or meta is None or meta.collection is None:
            return None
        collection = meta.collection
        vector = self._embedded(self._embedder_of(collection.removeprefix(f"{project.id}-"), meta), question)
        if not vector.any():
            return None
        matches = filters.matcher()
        near = {hit.slot: hit for hit in self._nearest(collection, vector, matches is not None)}
        candidates = [
            Candidate(chunk.path, chunk.chunk_id, kind_of(chunk.path), 1.0 - near[chunk.slot].distance)
            for chunk in manifest.slot_chunks(list(near))
            # a freed slot is taken over by another text: its vector may still be the old one
            if chunk.text_hash == near[chunk.slot].text_hash and (matches is None or matches(chunk.path))
        ]
        return sorted(candidates, key=lambda candidate: -candidate.score)

    def _embedder_of(self, model: str, meta: IndexMeta) -> Embedder:
        if model == self._embedder.name:
            return self._embedder
        other = self._for_model(model, meta.model_source)
        if other is None:
            raise ModelGone(model)
        return other

    def _embedded(self, embedder: Embedder, question: str) -> Vectors:
        if embedder.source is None or "://" not in embedder.source:
            made = embedder.embed([question])
        else:
            asked = self._embedding.submit(embedder.embed, [question])
            try:
                made = asked.result(SERVER_PATIENCE)
            except TimeoutError:
                asked.cancel()
                raise VectorsTooSlow(round(SERVER_PATIENCE * 1000)) from None
        vector: Vectors = made[0]
        return vector

    def _nearest(self, collection: str, vector: Vectors, filtered: bool) -> list[VectorHit]:
        # while a pass upserts, Chroma lets a query wait for all that was written: a second or more at times
        slots = SLOTS_ASKED_FILTERED if filtered else SLOTS_ASKED
        asked = self._asking.submit(self._vectors.query, collection, vector, slots)
        try:
            return asked.result(self._patience)
        except TimeoutError:
            asked.cancel()
            raise VectorsTooSlow(round(self._patience * 1000)) from None


def _check(question: str, limit: int) -> None:
    if not question.strip():
        raise InvalidValue("query", question, "it is empty")
    if len(question) > MAX_QUESTION:
        raise InvalidValue("query", question[:40] + "…", f"it is longer than {MAX_QUESTION} characters")
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidValue("limit", limit, f"it must lie between 1 and {MAX_LIMIT}")


def _hits(
    manifest: ManifestReader | None, project: Project, pushed: PushedFiles, best: list[tuple[LexicalChunk, float]]
) -> list[SearchHit]:
    stale = _stale(manifest, project, pushed, [chunk.path for chunk, _ in best])
    return [
        SearchHit(
            path=chunk.path,
            start_line=chunk.start_line,
            end_line=chunk.end_line,
            symbol=chunk.symbol,
            language=chunk.language,
            kind=chunk.kind,
            score=round(min(1.0, score), 4),
            text=chunk.text,
            stale=chunk.path in stale,
        )
        for chunk, score in best
    ]


def _stale(manifest: ManifestReader | None, project: Project, pushed: PushedFiles, paths: list[str]) -> set[str]:
    """The paths whose file is gone, could not be read again, or has another size or time than when it was indexed."""
    indexed = manifest.files(paths) if manifest is not None else {}
    stale = set()
    for path in paths:
        now = _stamp(path, project, pushed)
        then = indexed.get(path)
        # what a file held before its last reading failed is kept, under the size and time of that attempt
        if now is None or (then is not None and (then.error is not None or (then.size, then.mtime_ns) != now)):
            stale.add(path)
    return stale


def _stamp(path: str, project: Project, pushed: PushedFiles) -> tuple[int, int] | None:
    """Size and time of what the path stands for now: a pushed file hides the one on the disk."""
    put = pushed.find(path)
    if put is not None:
        return put.size, put.sequence
    on_disk = absolute_path(path, project.watch_paths)
    try:
        status = on_disk.lstat() if on_disk is not None else None
    except OSError:
        return None
    return (status.st_size, modified_ns(status)) if status is not None else None
